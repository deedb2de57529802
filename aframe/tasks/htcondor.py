"""Workflows on HTCondor. Each submission is one cluster, with one job per branch or per few branches."""

from collections.abc import Mapping, Sequence
from typing import Any

import law

from aframe.batch import htcondor
from aframe.batch.job import ENVIRONMENT, write_script
from aframe.tasks.jobs import Jobs, PatientManager, ask

law.contrib.load("htcondor")

ATTRIBUTES = ["-json", "-attributes", ",".join(htcondor.STATUS_ATTRIBUTES)]


class CondorManager(PatientManager, law.htcondor.HTCondorJobManager):
    """Submits jobs as law does, and queries the queue and then the history for their states."""

    job_grouping_submit = True
    merge_job_files = False
    chunk_size_submit = 0
    chunk_size_query = 500

    def states(self, numbers: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Query the states of jobs.

        A job that HTCondor no longer knows counts as finished: its outputs decide whether it succeeded. Held jobs are
        removed from the queue, since law submits failed jobs again.

        Args:
            numbers: Numbers of the jobs.

        Returns:
            Law's status of each job, by number.

        Raises:
            BatchError: If HTCondor does not answer.
        """
        ads = htcondor.advertised(ask(["condor_q", *numbers, *ATTRIBUTES]))
        missing = [number for number in numbers if number not in ads]
        if missing:
            command = ["condor_history", *missing, *ATTRIBUTES, "-limit", str(len(missing))]
            ads |= htcondor.advertised(ask(command))
        held = [number for number in numbers if ads.get(number, {}).get("JobStatus") == htcondor.HELD]
        if held:
            ask(["condor_rm", *held])
        return {number: self._status(number, ads.get(number)) for number in numbers}

    def _status(self, number: str, ad: Mapping[str, Any] | None) -> dict[str, Any]:
        """Law's status of a job from its attributes; None for a job that HTCondor no longer knows."""
        if ad is None:
            return self.job_status_dict(number, self.FINISHED)
        if ad["JobStatus"] not in (htcondor.REMOVED, htcondor.COMPLETED, htcondor.HELD):
            return self.job_status_dict(number, self.PENDING if ad["JobStatus"] == 1 else self.RUNNING)
        error = htcondor.failure(ad)
        extra = {"too_little_memory": htcondor.had_too_little_memory(ad)}
        return self.job_status_dict(number, self.FAILED if error else self.FINISHED, error=error, extra=extra)


class CondorJobs(Jobs, law.htcondor.workflow.HTCondorWorkflowProxy):
    """Jobs of a workflow on HTCondor."""

    system = "HTCondor"

    def live_jobs(self) -> Mapping[str, str]:
        """Numbers, by name, of the jobs of this task that are in the queue and not held."""
        constraint = f'{htcondor.GROUP} == "{self.task.job_group}" && JobStatus != {htcondor.HELD}'
        attributes = f"ClusterId,ProcId,{htcondor.NAME}"
        ads = htcondor.advertised(ask(["condor_q", "-constraint", constraint, "-json", "-attributes", attributes]))
        return {ad[htcondor.NAME]: number for number, ad in ads.items()}

    def had_too_little_memory(self, extra: Mapping[str, Any], log: Sequence[str]) -> bool:
        """Whether HTCondor held the job because it had too little memory.

        Args:
            extra: Data from the query of the job.
            log: Last lines of the job's log. They are not used.
        """
        del log
        return bool(extra.get("too_little_memory"))

    def create_job_file(self, submit_jobs: Mapping[int, Sequence[int]]) -> dict[str, Any]:
        """Write the scripts of jobs, and one submit file for all of them.

        Args:
            submit_jobs: Branches of each job, by law's number of the job.

        Returns:
            Law's description of the submit file.
        """
        jobs = [self.make_job(number, branches) for number, branches in submit_jobs.items()]
        for job in jobs:
            write_script(job, self.task.batch, [], ENVIRONMENT)
        number = 1 + len(list(self.directory.glob("submit-*.sub")))
        path = self.directory / f"submit-{number}.sub"
        path.write_text(htcondor.description(jobs, self.task.batch, self.task.job_group))
        self.logs = [str(job.log) for job in jobs]
        return {"job": str(path), "config": None, "log": None}

    def _submit_group(self, submit_jobs: Mapping[int, Sequence[int]], **options: object) -> tuple[Any, Any]:
        """Submit the jobs as law does, and record the log of each job."""
        numbers, data = super()._submit_group(submit_jobs, **options)
        return numbers, {number: data[number] | {"log": log} for number, log in zip(data, self.logs, strict=True)}


class CondorWorkflow(law.htcondor.HTCondorWorkflow):
    """A workflow that can run on HTCondor."""

    workflow_proxy_cls = CondorJobs

    def htcondor_job_manager_cls(self) -> type[CondorManager]:
        """Class that submits and queries jobs on HTCondor."""
        return CondorManager

    def htcondor_output_directory(self) -> law.LocalDirectoryTarget:
        """Directory of submit files and logs."""
        return law.LocalDirectoryTarget(self.job_directory)

    def htcondor_check_job_completeness(self) -> bool:
        """Refresh the file system. Law then decides by its outputs whether a job is done."""
        return self.look_for_outputs()

    def htcondor_post_submit_delay(self) -> float:
        """Wait after a submission, s: none."""
        return 0.0
