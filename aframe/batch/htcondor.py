"""Submit files for HTCondor, and states of its jobs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aframe.batch.job import ENVIRONMENT, Job
from aframe.errors import BatchError
from aframe.settings.jobs import Batch

NAME, GROUP = "AframeJob", "AframeTask"
"""Attributes of a job: its name, and the prefix of the names of all jobs of its task."""

STATUS_ATTRIBUTES = (
    "ClusterId", "ProcId", "JobStatus", "ExitCode", "ExitBySignal", "ExitSignal", "HoldReason", "HoldReasonCode",
    "RemoveReason", "MemoryUsage",
)  # fmt: skip
"""Attributes that a query of jobs requests."""

HOLD_NO_MEMORY = 34
"""HTCondor's hold code for a job that exceeded its memory."""

REMOVED, COMPLETED, HELD = 3, 4, 5
"""Values of JobStatus for a stopped job. Others: 1 idle, 2 running, 6 transferring output, 7 suspended."""


def description(jobs: Sequence[Job], settings: Batch, group: str) -> str:
    """Text of the submit file for jobs of one task. They form one cluster, with one process per job.

    Args:
        jobs: The jobs. All have the same directory.
        settings: Resources and options of the jobs.
        group: Prefix of the names of all jobs of the task.
    """
    directory = jobs[0].directory
    files = f"{directory}/attempt-$(attempt)/$(label)"
    lines = {
        "universe": "container" if settings.image else "vanilla",
        "container_image": settings.image,
        "executable": f"{files}.sh",
        "initialdir": directory,
        "output": f"{files}.log",
        "error": f"{files}.log",
        "should_transfer_files": "YES",
        "transfer_input_files": ENVIRONMENT,
        "transfer_output_files": '""',
        "request_memory": "$(memory)",
        "request_disk": settings.disk * 1024,
        "request_cpus": settings.cpus,
        "request_gpus": settings.gpus or None,
        "allowed_job_duration": round(settings.time),
        "accounting_group": settings.accounting_group,
        "accounting_group_user": settings.accounting_user,
        "use_oauth_services": settings.use_oauth_services,
        "batch_name": group,
        f"My.{NAME}": f'"{group}-$(label)"',
        f"My.{GROUP}": f'"{group}"',
    }
    return "\n".join([
        *(f"{name} = {value}" for name, value in lines.items() if value is not None),
        *settings.submit_lines,
        "queue attempt, label, memory from (",
        *(f"{job.attempt} {job.label} {job.memory}" for job in jobs),
        ")",
    ]) + "\n"  # fmt: skip


def advertised(text: str) -> dict[str, dict[str, Any]]:
    """Parse the output of ``condor_q -json``: attributes of each job by its number, such as ``12.0``.

    Lines before the list, such as warnings, are left out.

    Raises:
        BatchError: If the list is not complete, or there are lines other than warnings and no list.
    """
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    others = [line for line in lines if line.strip() and not line.lstrip().lower().startswith(("warning", "note"))]
    if first == len(lines) and others:
        raise BatchError(f"HTCondor answers without a list of jobs: {others[0].strip()[:80]!r}")
    try:
        ads = json.loads("\n".join(lines[first:])) if lines[first:] else []
    except ValueError as error:
        raise BatchError(f"HTCondor answers with an incomplete list of jobs ({error})") from None
    return {f"{ad['ClusterId']}.{ad['ProcId']}": ad for ad in ads}


def failure(ad: Mapping[str, Any]) -> str | None:
    """Reason why a stopped job failed; None if it succeeded."""
    status = ad["JobStatus"]
    if status == HELD:
        return f"held: {ad.get('HoldReason', 'no reason given')}"
    if status == REMOVED:
        return f"removed: {ad.get('RemoveReason', 'no reason given')}"
    if ad.get("ExitBySignal"):
        return f"ended by signal {ad.get('ExitSignal', '?')}"
    return None if ad.get("ExitCode", 0) == 0 else f"exit code {ad['ExitCode']}"


def had_too_little_memory(ad: Mapping[str, Any]) -> bool:
    """Whether HTCondor, or a rule of the site, held a job because it had too little memory."""
    reason = str(ad.get("HoldReason", "")).lower()
    return ad["JobStatus"] == HELD and (ad.get("HoldReasonCode") == HOLD_NO_MEMORY or "memory" in reason)
