"""Directives for Slurm, and states of its jobs."""

import math
from collections.abc import Iterable

from aframe.batch.job import Job
from aframe.settings.jobs import Batch

LIVE = "PENDING,RUNNING,SUSPENDED,COMPLETING,CONFIGURING"
"""States of a job that has not ended, as an argument of squeue."""

WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
"""States of a job that waits to run."""

WORKING = {"RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"}
"""States of a job that has started and not ended."""

NO_MEMORY = ("exceeded memory limit", "exceeded job memory limit", "oom_kill", "oom-kill", "out of memory handler")
"""Texts of slurmstepd in the log of a job that had too little memory. The state of the job may not show it."""


def directives(job: Job, settings: Batch) -> list[str]:
    """Directives for sbatch in the script of a job.

    Args:
        job: The job.
        settings: Resources and options of the job.
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
    """A value with quotation marks if sbatch needs them."""
    if not set(value) & set(" \t\"'\\#"):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def states(text: str) -> dict[int, tuple[str, str]]:
    """Parse the output of ``squeue -o '%A|%T|%r'`` or ``sacct -P -o JobIDRaw,State,Reason``.

    Args:
        text: The output.

    Returns:
        State and reason of each job, by number.

    >>> states("8|CANCELLED by 0|None")
    {8: ('CANCELLED', '')}
    """
    result = {}
    for line in text.splitlines():
        number, _, rest = line.strip().partition("|")
        if number.isdigit():
            state, _, reason = rest.partition("|")
            result[int(number)] = (state.split()[0].rstrip("+"), "" if reason in ("None", "") else reason)
    return result


def names(text: str) -> dict[str, int]:
    """Parse the output of ``squeue -o '%A|%j'``: number of each job by its name."""
    pairs = (line.strip().partition("|") for line in text.splitlines())
    return {name: int(number) for number, _, name in pairs if number.isdigit()}


def had_too_little_memory(state: str, log: Iterable[str]) -> bool:
    """Whether a failed job had too little memory.

    Args:
        state: State of the job in Slurm.
        log: Last lines of the job's log.
    """
    messages = [line.lower() for line in log if "slurmstepd" in line]
    return state == "OUT_OF_MEMORY" or any(sign in line for line in messages for sign in NO_MEMORY)
