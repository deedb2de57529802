"""Workflows on Slurm, with one job per branch or per few branches."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import law

from aframe.batch import slurm
from aframe.batch.job import ENVIRONMENT, write_script
from aframe.errors import BatchError
from aframe.tasks.jobs import Jobs, PatientManager, ask, user

law.contrib.load("slurm")

UNKNOWN_JOBS = "invalid job id specified"
"""Message of squeue if it knows none of the queried jobs."""


class SlurmManager(PatientManager, law.slurm.SlurmJobManager):
    """Submits jobs as law does, and queries squeue and then the accounting, if available, for their states."""

    chunk_size_query = 500

    def states(self, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Query the states of jobs.

        A job that Slurm no longer knows counts as finished: its outputs decide whether it succeeded.

        Args:
            numbers: Numbers of the jobs.

        Returns:
            Law's status of each job, by number.

        Raises:
            BatchError: If squeue does not answer.
        """
        selection = f"--jobs={','.join(map(str, numbers))}"
        command = ["squeue", "--noheader", "--states=all", selection, "--format=%A|%T|%r"]
        states = slurm.states(ask(command, UNKNOWN_JOBS))
        if not states.keys() >= set(numbers):
            command = [
                "sacct",
                "--noheader",
                "--allocations",
                "--parsable2",
                selection,
                "--format=JobIDRaw,State,Reason",
            ]
            with contextlib.suppress(BatchError):  # a site may have no accounting
                states = slurm.states(ask(command)) | states
        return {number: self._status(number, *states.get(number, ("", ""))) for number in numbers}

    def _status(self, number: int, state: str, reason: str) -> dict[str, Any]:
        """Law's status of a job from Slurm's state and reason; an empty state for a job that Slurm no longer knows."""
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
        """Numbers, by name, of the user's jobs that have not ended."""
        return slurm.names(
            ask(["squeue", "--noheader", f"--user={user()}", f"--states={slurm.LIVE}", "--format=%A|%j"])
        )

    def had_too_little_memory(self, extra: Mapping[str, Any], log: Sequence[str]) -> bool:
        """Whether the job had too little memory, according to its state or its log.

        Args:
            extra: Data from the query of the job.
            log: Last lines of the job's log.
        """
        return slurm.had_too_little_memory(extra.get("state", ""), log)

    def create_job_file(self, job_num: int, branches: Sequence[int]) -> dict[str, Any]:
        """Write the script of a job.

        Args:
            job_num: Law's number of the job.
            branches: Branches of the job.

        Returns:
            Law's description of the script.
        """
        job, settings = self.make_job(job_num, branches), self.task.batch
        write_script(job, settings, slurm.directives(job, settings), str(self.directory / ENVIRONMENT))
        return {"job": str(job.script), "config": None, "log": str(job.log)}


class SlurmWorkflow(law.slurm.SlurmWorkflow):
    """A workflow that can run on Slurm."""

    workflow_proxy_cls = SlurmJobs

    def slurm_job_manager_cls(self) -> type[SlurmManager]:
        """Class that submits and queries jobs on Slurm."""
        return SlurmManager

    def slurm_output_directory(self) -> law.LocalDirectoryTarget:
        """Directory of scripts and logs."""
        return law.LocalDirectoryTarget(self.job_directory)

    def slurm_check_job_completeness(self) -> bool:
        """Refresh the file system. Law then decides by its outputs whether a job is done."""
        return self.look_for_outputs()

    def slurm_post_submit_delay(self) -> float:
        """Wait after a submission, s: none."""
        return 0.0
