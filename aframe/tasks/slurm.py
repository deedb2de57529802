"""Workflows on Slurm: a job for each branch, or for a few."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import law

from aframe.batch import slurm
from aframe.batch.job import ENVIRONMENT, write_script
from aframe.errors import BatchError
from aframe.tasks.jobs import Jobs, ask, user

law.contrib.load("slurm")

UNKNOWN = "invalid job id specified"
"""What squeue says when it knows none of the jobs that it is asked for."""


class SlurmManager(law.slurm.SlurmJobManager):
    """Submits as law does, and asks squeue, then the accounting where there is one."""

    chunk_size_query = 500

    def query(self, job_id: Sequence[int], **_: object) -> dict[int, dict[str, Any]]:
        """State of some jobs; one that Slurm has forgotten counts as done, so that its outputs decide."""
        numbers = list(job_id)
        wanted = f"--jobs={','.join(map(str, numbers))}"
        command = ["squeue", "--noheader", "--states=all", wanted, "--format=%A|%T|%r"]
        found = slurm.states(ask(command, UNKNOWN))
        if not found.keys() >= set(numbers):
            command = ["sacct", "--noheader", "--allocations", "--parsable2", wanted, "--format=JobIDRaw,State,Reason"]
            with contextlib.suppress(BatchError):  # there may be no accounting
                found = slurm.states(ask(command)) | found
        return {number: self._told(number, *found.get(number, ("", ""))) for number in numbers}

    def _told(self, number: int, state: str, reason: str) -> dict[str, Any]:
        status, error = self.FAILED, f"{state}: {reason}" if reason else state
        if state in slurm.WAITING:
            status, error = self.PENDING, ""
        elif state in slurm.WORKING:
            status, error = self.RUNNING, ""
        elif state in ("COMPLETED", ""):
            status, error = self.FINISHED, ""
        return self.job_status_dict(number, status, error=error or None, extra={"state": state})


class SlurmJobs(Jobs, law.slurm.workflow.SlurmWorkflowProxy):
    """Jobs of a workflow on Slurm."""

    system = "Slurm"

    def live_jobs(self) -> Mapping[str, int]:
        """Numbers, by name, of the user's jobs that are not done."""
        return slurm.names(
            ask(["squeue", "--noheader", f"--user={user()}", f"--states={slurm.LIVE}", "--format=%A|%j"])
        )

    def had_too_little_memory(self, extra: Mapping[str, Any], log: Sequence[str]) -> bool:
        """Whether Slurm says so, in the job's state or in its log."""
        return slurm.had_too_little_memory(extra.get("state", ""), log)

    def create_job_file(self, job_num: int, branches: Sequence[int]) -> dict[str, Any]:
        """Write a job's script."""
        job, settings = self.make_job(job_num, branches), self.task.batch
        write_script(job, settings, slurm.directives(job, settings), str(self.directory / ENVIRONMENT))
        return {"job": str(job.script), "config": None, "log": str(job.log)}


class SlurmWorkflow(law.slurm.SlurmWorkflow):
    """A workflow that can run on Slurm."""

    workflow_proxy_cls = SlurmJobs

    def slurm_job_manager_cls(self) -> type[SlurmManager]:
        """What talks to Slurm."""
        return SlurmManager

    def slurm_output_directory(self) -> law.LocalDirectoryTarget:
        """Where submit files and logs lie."""
        return law.LocalDirectoryTarget(self.job_directory)

    def slurm_check_job_completeness(self) -> bool:
        """A job is done when its outputs are there."""
        return self.look_for_outputs()

    def slurm_post_submit_delay(self) -> float:
        """None."""
        return 0.0
