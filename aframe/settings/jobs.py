"""Settings of batch jobs and of training on Kubernetes."""

from dataclasses import dataclass

from aframe.settings.keys import NOT_NEGATIVE, POSITIVE, Lines, Mistake, at_least, key

BATCH_TASKS = (
    "FetchStrain",
    "GenerateTrainingWaveforms",
    "GenerateValidationWaveforms",
    "TemplateBank",
    "GenerateInjections",
    "ScoreSlides",
)
"""Tasks that can run as jobs. The section of a task in the ``.cfg`` overrides ``[luigi_batch]``."""

WORKFLOWS = ("local", "htcondor", "slurm")

COMMANDS = {
    "htcondor": ("condor_submit", "condor_q", "condor_history", "condor_rm"),
    "slurm": ("sbatch", "squeue", "scancel"),
}
"""Commands that a machine needs to submit to each batch system."""

QUESTIONS = {"htcondor": ("condor_q", "-totals"), "slurm": ("squeue", "--noheader", "--me")}
"""Command that each batch system answers without an error while it works."""

NO_LINES = Lines()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Where a task runs, and the resources of one of its jobs."""

    workflow: str = key("local (this machine), htcondor or slurm", default="local", choices=WORKFLOWS)
    memory: int = key("memory of a job", "MiB", 4096, limit=POSITIVE)
    memory_factor: float = key(
        "how much more memory a job gets when it is tried again as it had too little", "", 2.0, limit=at_least(1.0)
    )
    disk: int = key("scratch space of a job, for HTCondor", "MiB", 1024, limit=POSITIVE)
    cpus: int = key("cores of a job", default=1, limit=POSITIVE)
    gpus: int = key("GPUs of a job", default=0, limit=NOT_NEGATIVE)
    time: float = key("time after which a job is ended", "s", 14400.0, limit=POSITIVE)
    accounting_group: str | None = key("HTCondor's accounting_group, or Slurm's account", default=None)
    accounting_user: str | None = key("HTCondor's accounting_group_user", default=None)
    partition: str | None = key("Slurm's partition", default=None)
    use_oauth_services: str | None = key("HTCondor's services that give a job its tokens, such as igwn", default=None)
    submit_lines: Lines = key(  # noqa: RUF009 - its default is a tuple
        "more lines: of HTCondor's submit file as they are, Slurm's options as --qos=long", default=NO_LINES
    )
    image: str | None = key("container image in which the task runs: .sif file, directory or docker://…", "path", None)
    branches_per_job: int = key("branches that a job does one after the other", default=1, limit=POSITIVE)
    max_jobs: int | None = key(
        "jobs in the batch system at the same time; none: no limit", default=None, limit=POSITIVE
    )
    retries: int = key("times that a failed job is submitted again", default=3, limit=NOT_NEGATIVE)
    poll_interval: float = key("time from one look at the jobs to the next", "s", 60.0, limit=POSITIVE)

    @property
    def is_remote(self) -> bool:
        """Whether the task runs on a batch system."""
        return self.workflow != "local"

    @property
    def starts_in_image(self) -> bool:
        """Whether the batch system starts a job in its image. Otherwise, the job starts a container."""
        return self.image is not None and self.workflow == "htcondor"

    def conflicts(self, section: str) -> list[Mistake]:
        """List the values that contradict each other.

        Args:
            section: Name of the section of these values, without ``luigi_``.
        """
        if self.workflow == "slurm" and not all(line.startswith("-") for line in self.submit_lines):
            text = f"submit_lines in [luigi_{section}]: give each of Slurm's options a line, as --qos=long"
            return [Mistake(section, "submit_lines", text)]
        return []


@dataclass(frozen=True, kw_only=True)
class Kubernetes:
    """Training as a Job on a Kubernetes cluster, and its resources."""

    training_image: str | None = key("container image that trains on Kubernetes; none: training runs here", "", None)
    namespace: str | None = key("namespace of the Job; none: that of the kubeconfig's context", default=None)
    kube_context: str | None = key("context of the kubeconfig; none: its current one", default=None)
    training_gpus: int = key("GPUs that train; 0: the CPU", default=1, limit=NOT_NEGATIVE)
    cpus_per_gpu: int = key("cores for each GPU, or without GPUs in all", default=8, limit=POSITIVE)
    memory_per_gpu: int = key("memory for each GPU, or without GPUs in all", "MiB", 32768, limit=POSITIVE)
    min_gpu_memory: int | None = key(
        "least memory that a node's GPUs have, by their label; none: any", "MiB", None, limit=POSITIVE
    )
    shared_memory: int = key(
        "shared memory, through which processes pass batches; part of the memory", "MiB", 8192, limit=POSITIVE
    )
    scratch: int = key("disk space for the training data's copy and a checkpoint", "MiB", 65536, limit=POSITIVE)
    node_labels: tuple[str, ...] = key("labels that a node must have, as zone=west, gpu=a100", default=())
    priority_class: str | None = key("PriorityClass of the pod", default=None)
    pull_secret: str | None = key("Secret with which the image is pulled", default=None)
    restarts: int = key(
        "times that a training that failed is started again; evictions do not count", default=2, limit=NOT_NEGATIVE
    )
    training_time: float | None = key("time after which training is ended; none: no limit", "s", None, limit=POSITIVE)

    @property
    def trains(self) -> bool:
        """Whether training runs on Kubernetes."""
        return self.training_image is not None

    @property
    def devices(self) -> int:
        """Factor of the resources per GPU: the number of GPUs, at least 1."""
        return max(self.training_gpus, 1)

    def conflicts(self) -> list[Mistake]:
        """List the values that contradict each other."""
        where, memory = "in [luigi_kubernetes]", self.memory_per_gpu * self.devices
        checks = [
            (self.shared_memory < memory, "shared_memory",
             f"shared_memory = {self.shared_memory} MiB {where} is a part of the memory: it must be less than "
             f"{memory} MiB"),
            (self.min_gpu_memory is None or self.training_gpus > 0, "min_gpu_memory",
             f"min_gpu_memory = {self.min_gpu_memory} {where} needs training_gpus > 0"),
            *((label.count("=") == 1 and not label.startswith("="), "node_labels",
               f"node_labels {where} has {label!r}: give KEY=VALUE") for label in self.node_labels),
        ]  # fmt: skip
        return [Mistake("kubernetes", name, text) for holds, name, text in checks if not holds]
