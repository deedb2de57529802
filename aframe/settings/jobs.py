"""Where heavy tasks and training run, and what a job of theirs may take."""

from dataclasses import dataclass

from aframe.settings.keys import Lines, Mistake, key

BATCH_TASKS = (
    "FetchStrain",
    "GenerateTrainingWaveforms",
    "GenerateValidationWaveforms",
    "GenerateInjections",
    "ScoreSlides",
)
"""Tasks that can run as jobs; a section of the ``.cfg`` named after one overrides ``[luigi_batch]`` for it."""

WORKFLOWS = ("local", "htcondor", "slurm")

COMMANDS = {
    "htcondor": ("condor_submit", "condor_q", "condor_history", "condor_rm"),
    "slurm": ("sbatch", "squeue", "scancel"),
}
"""What a machine must have that submits to a batch system."""

QUESTIONS = {"htcondor": ("condor_q", "-totals"), "slurm": ("squeue", "--noheader", "--me")}
"""What each answers without an error, if it is up."""

NO_LINES = Lines()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Where a task runs, and what one of its jobs may take."""

    workflow: str = key("local (this machine), htcondor or slurm", default="local")
    memory: int = key("memory of a job", "MiB", 4096)
    memory_factor: float = key("how much more memory a job gets when it is tried again as it had too little", "", 2.0)
    disk: int = key("scratch space of a job, for HTCondor", "MiB", 1024)
    cpus: int = key("cores of a job", default=1)
    gpus: int = key("GPUs of a job", default=0)
    time: float = key("time after which a job is ended", "s", 14400.0)
    accounting_group: str | None = key("HTCondor's accounting_group, or Slurm's account", default=None)
    accounting_user: str | None = key("HTCondor's accounting_group_user", default=None)
    partition: str | None = key("Slurm's partition", default=None)
    use_oauth_services: str | None = key("HTCondor's services that give a job its tokens, such as igwn", default=None)
    submit_lines: Lines = key(  # noqa: RUF009 - its default is a tuple
        "more lines: of HTCondor's submit file as they are, Slurm's options as --qos=long", default=NO_LINES
    )
    image: str | None = key("container image in which the task runs: .sif file, directory or docker://…", "path", None)
    branches_per_job: int = key("branches that a job does one after the other", default=1)
    max_jobs: int | None = key("jobs in the batch system at the same time; none: no limit", default=None)
    retries: int = key("times that a failed job is submitted again", default=3)
    poll_interval: float = key("time from one look at the jobs to the next", "s", 60.0)

    @property
    def is_remote(self) -> bool:
        """Whether a batch system runs the task."""
        return self.workflow != "local"

    @property
    def starts_in_image(self) -> bool:
        """Whether the batch system starts a job in its image; otherwise the job starts a container itself."""
        return self.image is not None and self.workflow == "htcondor"

    def problems(self, section: str) -> list[Mistake]:
        """What is impossible, as the section says it."""
        where = f"in [luigi_{section}]"
        positive = ("memory", "disk", "cpus", "time", "branches_per_job", "poll_interval", "max_jobs")
        checks = [
            (self.workflow in WORKFLOWS, "workflow",
             f"workflow = {self.workflow!r} {where} is none of {', '.join(WORKFLOWS)}"),
            (self.memory_factor >= 1, "memory_factor",
             f"memory_factor = {self.memory_factor} {where} must not be less than 1"),
            (self.workflow != "slurm" or all(line.startswith("-") for line in self.submit_lines), "submit_lines",
             f"submit_lines {where}: give each of Slurm's options a line, as --qos=long"),
            *((getattr(self, name) >= 0, name, f"{name} = {getattr(self, name)} {where} must not be negative")
              for name in ("gpus", "retries")),
            *((getattr(self, name) is None or getattr(self, name) > 0, name,
               f"{name} = {getattr(self, name)} {where} must be positive") for name in positive),
        ]  # fmt: skip
        return [Mistake(section, name, text) for holds, name, text in checks if not holds]


@dataclass(frozen=True, kw_only=True)
class Kubernetes:
    """Training as a Job on a Kubernetes cluster, and what it may take there."""

    training_image: str | None = key("container image that trains on Kubernetes; none: training runs here", "", None)
    namespace: str | None = key("namespace of the Job; none: that of the kubeconfig's context", default=None)
    kube_context: str | None = key("context of the kubeconfig; none: its current one", default=None)
    training_gpus: int = key("GPUs that train; 0: the CPU", default=1)
    cpus_per_gpu: int = key("cores for each GPU, or without GPUs in all", default=8)
    memory_per_gpu: int = key("memory for each GPU, or without GPUs in all", "MiB", 32768)
    min_gpu_memory: int | None = key("least memory that a node's GPUs have, by their label; none: any", "MiB", None)
    shared_memory: int = key("shared memory, through which processes pass batches; part of the memory", "MiB", 8192)
    scratch: int = key("disk space for the training data's copy and a checkpoint", "MiB", 65536)
    node_labels: tuple[str, ...] = key("labels that a node must have, as zone=west, gpu=a100", default=())
    priority_class: str | None = key("PriorityClass of the pod", default=None)
    pull_secret: str | None = key("Secret with which the image is pulled", default=None)
    restarts: int = key("times that a training that failed is started again; evictions do not count", default=2)
    training_time: float | None = key("time after which training is ended; none: no limit", "s", None)

    @property
    def trains(self) -> bool:
        """Whether training runs on Kubernetes."""
        return self.training_image is not None

    @property
    def devices(self) -> int:
        """By how many what is counted for each GPU is multiplied."""
        return max(self.training_gpus, 1)

    def problems(self) -> list[Mistake]:
        """What is impossible."""
        where = "in [luigi_kubernetes]"
        positive = ("cpus_per_gpu", "memory_per_gpu", "min_gpu_memory", "shared_memory", "scratch", "training_time")
        checks = [
            (self.shared_memory < self.memory_per_gpu * self.devices, "shared_memory",
             f"shared_memory = {self.shared_memory} MiB {where} is not less than the memory of which it is a part, "
             f"{self.memory_per_gpu * self.devices} MiB"),
            (self.min_gpu_memory is None or self.training_gpus > 0, "min_gpu_memory",
             f"min_gpu_memory = {self.min_gpu_memory} {where} needs training_gpus > 0"),
            *((label.count("=") == 1 and not label.startswith("="), "node_labels",
               f"node_labels {where} has {label!r}: give KEY=VALUE") for label in self.node_labels),
            *((getattr(self, name) >= 0, name, f"{name} = {getattr(self, name)} {where} must not be negative")
              for name in ("training_gpus", "restarts")),
            *((getattr(self, name) is None or getattr(self, name) > 0, name,
               f"{name} = {getattr(self, name)} {where} must be positive") for name in positive),
        ]  # fmt: skip
        return [Mistake("kubernetes", name, text) for holds, name, text in checks if not holds]
