"""Where heavy tasks run, and what a job of theirs may take."""

from dataclasses import dataclass

from aframe.parsing import Lines, Mistake, key

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
