"""How a workflow's jobs are submitted, watched, tried again, and found again after an interruption.

Law submits, asks and decides; this says what a job is, and what the user reads.
"""

import getpass
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import law
from law.workflow.remote import JobData

from aframe.batch.job import ENVIRONMENT, Job, label_of, next_attempt, tail, write_environment
from aframe.errors import AframeError, BatchError

PATIENCE = 300
"""Seconds in which a command of the batch system must end."""

SHOWN = 5
"""Failed jobs whose logs are shown at a time."""


def ask(command: Sequence[str], fine: str = "") -> str:
    """What a command of the batch system prints.

    Args:
        command: The command line.
        fine: Words on stderr with which it may fail; it then prints nothing.

    Raises:
        BatchError: If it fails, or does not end.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BatchError(f"{command[0]} cannot be asked: {error}") from None
    if done.returncode == 0:
        return done.stdout
    if fine and fine in done.stderr.lower():
        return ""
    raise BatchError(f"{command[0]} failed: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}")


def user() -> str:
    """Whose jobs they are."""
    return getpass.getuser()


class Submitted(JobData):
    """Law's record of a workflow's jobs, with the memory (MiB) of those that had too little."""

    attributes = JobData.attributes | {"memory": {}}

    def update(self, other: Mapping[str, Any]) -> None:
        """Take over what a file says, where numbers are texts."""
        memory = {int(number): value for number, value in other.get("memory", {}).items()}
        super().update(dict(other) | {"memory": memory})


class Jobs(law.workflow.remote.BaseRemoteWorkflowProxy):
    """Jobs of a workflow in any batch system."""

    system = ""

    @property
    def job_data_cls(self) -> type[Submitted]:
        """Law's record."""
        return Submitted

    @property
    def directory(self) -> Path:
        """Where submit files and logs lie."""
        return Path(self.task.job_directory)

    def create_job_file_factory(self, **_: object) -> None:
        """None: scripts are written by ``aframe.batch``."""

    def live_jobs(self) -> Mapping[str, Any]:
        """Numbers, by name, of the jobs that the batch system still has to do: the task's at least."""
        raise NotImplementedError

    def had_too_little_memory(self, extra: Mapping[str, Any], log: Sequence[str]) -> bool:
        """Whether that is why a job failed: by what its query told, and the end of its log."""
        raise NotImplementedError

    def run(self) -> None:
        """Submit what is missing, and wait for it.

        Raises:
            BatchError: If jobs have failed for good.
        """
        try:
            self.resume()
            super().run()
        except AframeError:
            raise
        except Exception as error:
            failed = [job for job in self.job_data.jobs.values() if job["status"] == self.job_manager.FAILED]
            if not failed:
                raise BatchError(f"{self.task.title}: {' '.join(str(error).split())}") from error
            raise BatchError(
                f"{self.task.title}: {len(failed)} of {len(self.job_data)} jobs failed for good: their logs are in "
                f"{self.directory}; mend the cause, then the same command submits them again"
            ) from None
        (self.directory / ENVIRONMENT).unlink(missing_ok=True)

    def resume(self) -> None:
        """Set right law's record of an interrupted run: live jobs are followed, and all that is missing is to do."""
        file = self.get_cached_output()["jobs"]
        data = self.job_data_cls(tasks_per_job=self.task.tasks_per_job)
        mine = f"{self.task.job_group}-"
        live = {name: number for name, number in self.live_jobs().items() if name.startswith(mine)}
        if file.exists():
            data.update(file.load(formatter="json"))
        elif live:
            chunks = law.util.iter_chunks(sorted(self.task.branch_map), self.task.tasks_per_job)
            data.unsubmitted_jobs = dict(enumerate(chunks, start=1))
        else:
            return
        waiting = (None, self.job_manager.PENDING, self.job_manager.RUNNING)
        done, followed = self._get_existing_branches(sync=True), 0
        known = {number: job["branches"] for number, job in data.jobs.items()} | dict(data.unsubmitted_jobs)
        for number, branches in known.items():
            job, found = data.jobs.pop(number, None), live.get(self.name_of(branches))
            data.unsubmitted_jobs.pop(number, None)
            is_followed = (
                job is not None and job["status"] in waiting and job["job_id"] not in (None, data.dummy_job_id)
            )
            if done.issuperset(branches):
                data.jobs[number] = data.job_data(branches=branches, status=self.job_manager.FINISHED)
                continue
            if found is not None and (not is_followed or job["job_id"] != found):
                log = self.make_job(number, branches, again=False).log
                job = data.job_data(job_id=found, branches=branches, extra={"log": str(log)})
            if found is not None or is_followed:
                data.jobs[number] = job
                followed += 1
            else:
                data.unsubmitted_jobs[number] = branches
        if followed:
            word = f"job{'s' if followed > 1 else ''}"
            print(f"{self.task.title}: {followed} {word} of an earlier run followed", flush=True)
        file.parent.touch()
        file.dump(data, formatter="json", indent=4)

    def name_of(self, branches: Sequence[int]) -> str:
        """Name of a job in the batch system."""
        return f"{self.task.job_group}-{label_of(branches)}"

    def make_job(self, number: int, branches: Sequence[int], again: bool = True) -> Job:
        """A job of some branches: the next one that is submitted, or the last one that was."""
        label = label_of(branches)
        attempt = next_attempt(self.directory, label)
        commands = [self.task.job_command(branch) for branch in branches]
        memory = self.job_data.memory.get(number, self.task.batch.memory)
        attempt = attempt if again else max(attempt - 1, 1)
        return Job(self.name_of(branches), label, self.directory, attempt, memory, commands)

    def submit(self, retry_jobs: Mapping[int, Sequence[int]] | None = None) -> Mapping[int, Any]:
        """Submit what is to be submitted, and of failed jobs those that law has not given up."""
        jobs, manager = self.job_data.jobs, self.job_manager
        again = {n: branches for n, branches in (retry_jobs or {}).items() if jobs[n]["status"] == manager.RETRY}
        if not again and not self.job_data.unsubmitted_jobs:
            return {}
        write_environment(self.directory / ENVIRONMENT, self.task.job_environment())
        submitted: Mapping[int, Any] = super().submit(again)
        number = sum(job["job_id"] != self.job_data.dummy_job_id for job in submitted.values())
        if number:
            word = f"job{'s' if number > 1 else ''}"
            print(f"{self.task.title}: {number} {word} submitted to {self.system}, in {self.directory}", flush=True)
        return submitted

    def _print_status_errors(self, failed_jobs: Mapping[int, Any]) -> None:
        """Law's hook for jobs that have just failed: tell why, and give more memory to those that had too little."""
        for shown, (number, job) in enumerate(failed_jobs.items()):
            log = Path(job["extra"].get("log", ""))
            end = tail(log)
            is_last = job["status"] == self.job_manager.FAILED
            then = "given up" if is_last else "to be submitted again"
            if self.had_too_little_memory(job["extra"], end) and not is_last:
                settings = self.task.batch
                memory = math.ceil(self.job_data.memory.get(number, settings.memory) * settings.memory_factor)
                self.job_data.memory[number] = memory
                then += f" with {memory} MiB of memory"
            if shown < SHOWN:
                which = label_of(job["branches"]).replace("-", " ")
                lines = [f"{self.task.title}: {which} failed ({job['error']}), {then}", *([f"  {log}:"] if end else [])]
                print("\n".join([*lines, *(f"  | {line}" for line in end)]), file=sys.stderr, flush=True)
        if len(failed_jobs) > SHOWN:
            print(f"{self.task.title}: and {len(failed_jobs) - SHOWN} more failed", file=sys.stderr, flush=True)
