"""Workflows on HTCondor: a cluster of jobs, one for each branch, or for a few."""

from collections.abc import Mapping, Sequence
from typing import Any

import law

from aframe.batch import htcondor
from aframe.batch.job import ENVIRONMENT, write_script
from aframe.tasks.jobs import Jobs, ask

law.contrib.load("htcondor")

ATTRIBUTES = ["-json", "-attributes", ",".join(htcondor.TOLD)]


class CondorManager(law.htcondor.HTCondorJobManager):
    """Submits as law does, and asks the queue, then the history."""

    job_grouping_submit = True
    merge_job_files = False
    chunk_size_submit = 0
    chunk_size_query = 500

    def query(self, job_id: Sequence[str], **_: object) -> dict[str, dict[str, Any]]:
        """State of some jobs; one that HTCondor has forgotten counts as done, so that its outputs decide.

        Held jobs are removed: what failed is submitted anew.
        """
        found = htcondor.advertised(ask(["condor_q", *job_id, *ATTRIBUTES]))
        missing = [number for number in job_id if number not in found]
        if missing:
            command = ["condor_history", *missing, *ATTRIBUTES, "-limit", str(len(missing))]
            found |= htcondor.advertised(ask(command))
        held = [number for number in job_id if found.get(number, {}).get("JobStatus") == htcondor.HELD]
        if held:
            ask(["condor_rm", *held])
        return {number: self._told(number, found.get(number)) for number in job_id}

    def _told(self, number: str, ad: Mapping[str, Any] | None) -> dict[str, Any]:
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
        """Numbers, by name, of the task's jobs that are in the queue and not held."""
        mine = f'{htcondor.GROUP} == "{self.task.job_group}" && JobStatus != {htcondor.HELD}'
        attributes = f"ClusterId,ProcId,{htcondor.NAME}"
        found = htcondor.advertised(ask(["condor_q", "-constraint", mine, "-json", "-attributes", attributes]))
        return {ad[htcondor.NAME]: number for number, ad in found.items()}

    def had_too_little_memory(self, extra: Mapping[str, Any], log: Sequence[str]) -> bool:
        """Whether HTCondor held the job for it."""
        del log
        return bool(extra.get("too_little_memory"))

    def create_job_file(self, submit_jobs: Mapping[int, Sequence[int]]) -> dict[str, Any]:
        """Write the scripts of some jobs, and the submit file of all."""
        jobs = [self.make_job(number, branches) for number, branches in submit_jobs.items()]
        for job in jobs:
            write_script(job, self.task.batch, [], ENVIRONMENT)
        number = 1 + len(list(self.directory.glob("submit-*.sub")))
        path = self.directory / f"submit-{number}.sub"
        path.write_text(htcondor.description(jobs, self.task.batch, self.task.job_group))
        self.logs = [str(job.log) for job in jobs]
        return {"job": str(path), "config": None, "log": None}

    def _submit_group(self, submit_jobs: Mapping[int, Sequence[int]], **options: object) -> tuple[Any, Any]:
        """Law's, with the log of each job."""
        numbers, made = super()._submit_group(submit_jobs, **options)
        return numbers, {number: made[number] | {"log": log} for number, log in zip(made, self.logs, strict=True)}


class CondorWorkflow(law.htcondor.HTCondorWorkflow):
    """A workflow that can run on HTCondor."""

    workflow_proxy_cls = CondorJobs

    def htcondor_job_manager_cls(self) -> type[CondorManager]:
        """What talks to HTCondor."""
        return CondorManager

    def htcondor_output_directory(self) -> law.LocalDirectoryTarget:
        """Where submit files and logs lie."""
        return law.LocalDirectoryTarget(self.job_directory)

    def htcondor_check_job_completeness(self) -> bool:
        """A job is done when its outputs are there."""
        return self.look_for_outputs()

    def htcondor_post_submit_delay(self) -> float:
        """None."""
        return 0.0
