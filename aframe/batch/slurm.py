"""What Slurm is told of a job, and what it says of jobs."""

import math
from collections.abc import Iterable

from aframe.batch.job import Job
from aframe.settings.jobs import Batch

LIVE = "PENDING,RUNNING,SUSPENDED,COMPLETING,CONFIGURING"
"""States in which a job can still do its work, as squeue takes them."""

WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
WORKING = {"RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"}

NO_MEMORY = ("exceeded memory limit", "exceeded job memory limit", "oom_kill", "oom-kill", "out of memory handler")
"""What slurmstepd writes into the log of a job that had too little memory, in whichever state that leaves the job."""


def directives(job: Job, settings: Batch) -> list[str]:
    """Lines of a job's script for sbatch.

    Args:
        job: The job.
        settings: What it may take.
    """
    options: dict[str, object] = {
        "job-name": job.name,
        "chdir": job.directory,
        "output": str(job.log).replace("%", "%%"),
        "open-mode": "append",
        "ntasks": 1,
        "cpus-per-task": settings.cpus,
        "mem": f"{job.memory}M",
        "time": math.ceil(settings.time / 60),
    }
    if settings.gpus:
        options["gres"] = f"gpu:{settings.gpus}"
    options |= {"account": settings.accounting_group} if settings.accounting_group else {}
    options |= {"partition": settings.partition} if settings.partition else {}
    return [
        *(f"#SBATCH --{name}={_quoted(str(value))}" for name, value in options.items()),
        *(f"#SBATCH {line}" for line in settings.submit_lines),
    ]


def _quoted(value: str) -> str:
    if not set(value) & set(" \t\"'\\#"):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def states(text: str) -> dict[int, tuple[str, str]]:
    """State and reason of each job, of what ``squeue -o '%A|%T|%r'`` or ``sacct -P -o JobIDRaw,State,Reason`` prints.

    >>> states("8|CANCELLED by 0|None")
    {8: ('CANCELLED', '')}
    """
    found = {}
    for line in text.splitlines():
        number, _, rest = line.strip().partition("|")
        if number.isdigit():
            state, _, reason = rest.partition("|")
            found[int(number)] = (state.split()[0].rstrip("+"), "" if reason in ("None", "") else reason)
    return found


def names(text: str) -> dict[str, int]:
    """Number of each job by its name, of what ``squeue -o '%A|%j'`` prints."""
    pairs = (line.strip().partition("|") for line in text.splitlines())
    return {name: int(number) for number, _, name in pairs if number.isdigit()}


def had_too_little_memory(state: str, log: Iterable[str]) -> bool:
    """Whether a failed job had too little memory.

    Args:
        state: Slurm's, of the job.
        log: Last lines of its log.
    """
    told = [line.lower() for line in log if "slurmstepd" in line]
    return state == "OUT_OF_MEMORY" or any(sign in line for line in told for sign in NO_MEMORY)
