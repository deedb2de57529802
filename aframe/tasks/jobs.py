"""Submission, retries and resumption of the jobs of a workflow.

Law submits jobs, queries their states and decides on retries. This module defines the jobs and the messages to the
user.
"""

import functools
import getpass
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import law
from law.workflow.remote import JobData

from aframe.batch.job import ENVIRONMENT, Job, label_of, next_attempt, tail, write_environment
from aframe.errors import AframeError, BatchError

Answer = TypeVar("Answer")

COMMAND_TIMEOUT = 300
"""Seconds within which a command of the batch system must end."""

MAX_OUTAGE = 3600.0
"""Seconds without an answer of the batch system after which a run gives up. Its jobs continue."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two questions to a batch system that does not answer. Each pause is twice the one before."""

UNREACHABLE = re.compile(
    "timed out|unable to contact|connect|temporarily|zero bytes|standby|secman|failed to fetch|address of",
    re.IGNORECASE,
)
"""Words of sbatch and condor_submit if no server answers. Other errors are the job's own, such as a wrong partition."""

MAX_SHOWN_LOGS = 5
"""Maximum number of failed jobs whose logs are shown after one query."""


def ask(command: Sequence[str], harmless_error: str = "") -> str:
    """Run a command of the batch system.

    Args:
        command: The command line.
        harmless_error: Words on stderr, in lower case. If the command fails with them, its output counts as empty.

    Returns:
        What the command prints on stdout.

    Raises:
        BatchError: If the command fails, or does not end within ``COMMAND_TIMEOUT``.
    """
    try:
        process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BatchError(f"{command[0]} cannot be asked: {error}") from None
    if process.returncode == 0:
        return process.stdout
    if harmless_error and harmless_error in process.stderr.lower():
        return ""
    raise BatchError(f"{command[0]} failed: {' '.join(process.stderr.split()) or f'exit code {process.returncode}'}")


def ask_patiently(question: Callable[[], Answer]) -> Answer:
    """Ask a batch system again and again while it does not answer, for ``MAX_OUTAGE``.

    Args:
        question: Asks once, by ``ask``.

    Raises:
        BatchError: The error of the last question.
    """
    pause, deadline, is_told = FIRST_PAUSE, time.monotonic() + MAX_OUTAGE, False
    while True:
        try:
            return question()
        except BatchError as error:
            if time.monotonic() + pause > deadline:
                raise
            if not is_told:
                print(f"note: {error}: asking again for up to {MAX_OUTAGE:.0f} s", file=sys.stderr, flush=True)
                is_told = True
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def submit_patiently(submission: Callable[[], Answer]) -> Answer:
    """Submit jobs as soon as the batch system answers, within ``MAX_OUTAGE``.

    Args:
        submission: Submits once, by law.

    Raises:
        BatchError: If the batch system does not answer.
    """

    def submit() -> Answer:
        try:
            return submission()
        except Exception as error:  # law raises no other kind
            if UNREACHABLE.search(str(error)):
                raise BatchError(" ".join(str(error).split())) from None
            raise

    return ask_patiently(submit)


class PatientManager:
    """Asks a batch system again while it does not answer. Goes before law's manager of its jobs.

    Law itself prints the error of each question, waits as long as between any two, and counts failures.
    """

    def states(self, numbers: Sequence[Any]) -> dict[Any, dict[str, Any]]:
        """Law's status of jobs, by number.

        Args:
            numbers: Numbers of the jobs.

        Raises:
            BatchError: If the batch system does not answer.
        """
        raise NotImplementedError

    def submit(self, *arguments: Any, **options: Any) -> Any:
        """Submit jobs as law does, as soon as the batch system answers."""
        return submit_patiently(functools.partial(super().submit, *arguments, **options))  # type: ignore[misc]

    def query(self, job_id: Sequence[Any], **_: object) -> dict[Any, dict[str, Any]]:
        """Query the states of jobs, as soon as the batch system answers.

        Args:
            job_id: Numbers of the jobs.

        Returns:
            Law's status of each job, by number.

        Raises:
            BatchError: If it does not answer within ``MAX_OUTAGE``.
        """
        return ask_patiently(functools.partial(self.states, list(job_id)))

    def query_batch(self, *arguments: Any, **options: Any) -> dict[Any, dict[str, Any]]:
        """Query the states of all jobs as law does, except that no answer ends the run.

        Raises:
            BatchError: If the batch system does not answer.
        """
        answers: dict[Any, Any] = super().query_batch(*arguments, **options)  # type: ignore[misc]
        error = next((each for each in answers.values() if isinstance(each, BatchError)), None)
        if error is not None:
            raise error
        return answers


def user() -> str:
    """Name of the user who submits the jobs."""
    return getpass.getuser()


class Submitted(JobData):
    """Law's record of the jobs of a workflow, with the raised memory (MiB) of jobs that had too little."""

    attributes = JobData.attributes | {"memory": {}}

    def update(self, other: Mapping[str, Any]) -> None:
        """Update the record from the content of its JSON file, whose keys are strings.

        Args:
            other: Content of the file.
        """
        memory = {int(number): value for number, value in other.get("memory", {}).items()}
        super().update(dict(other) | {"memory": memory})


class Jobs(law.workflow.remote.BaseRemoteWorkflowProxy):
    """Jobs of a workflow, independent of the batch system."""

    system = ""

    @property
    def job_data_cls(self) -> type[Submitted]:
        """Class of law's record."""
        return Submitted

    @property
    def directory(self) -> Path:
        """Directory of submit files and logs."""
        return Path(self.task.job_directory)

    def create_job_file_factory(self, **_: object) -> None:
        """Create no factory, since ``aframe.batch`` writes the scripts."""

    def live_jobs(self) -> Mapping[str, Any]:
        """Numbers, by name, of jobs that have not ended. They include at least all such jobs of this task."""
        raise NotImplementedError

    def had_too_little_memory(self, extra: Mapping[str, Any], log: Sequence[str]) -> bool:
        """Whether a job failed because it had too little memory.

        Args:
            extra: Data from the query of the job.
            log: Last lines of the job's log.
        """
        raise NotImplementedError

    def run(self) -> None:
        """Submit the jobs for all missing outputs, and wait for them.

        Raises:
            BatchError: If jobs failed in all their attempts.
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
        """Correct law's record after an interrupted run.

        Live jobs are followed. Jobs whose outputs exist are finished. All other jobs are submitted again.
        """
        file = self.get_cached_output()["jobs"]
        data = self.job_data_cls(tasks_per_job=self.task.tasks_per_job)
        prefix = f"{self.task.job_group}-"
        live = {name: number for name, number in ask_patiently(self.live_jobs).items() if name.startswith(prefix)}
        if file.exists():
            data.update(file.load(formatter="json"))
        elif live:
            chunks = law.util.iter_chunks(sorted(self.task.branch_map), self.task.tasks_per_job)
            data.unsubmitted_jobs = dict(enumerate(chunks, start=1))
        else:
            return
        waiting = (None, self.job_manager.PENDING, self.job_manager.RUNNING)
        done, followed = self._get_existing_branches(sync=True), 0
        recorded = {number: job["branches"] for number, job in data.jobs.items()} | dict(data.unsubmitted_jobs)
        for number, branches in recorded.items():
            job, live_number = data.jobs.pop(number, None), live.get(self.name_of(branches))
            data.unsubmitted_jobs.pop(number, None)
            is_followed = (
                job is not None and job["status"] in waiting and job["job_id"] not in (None, data.dummy_job_id)
            )
            if done.issuperset(branches):
                data.jobs[number] = data.job_data(branches=branches, status=self.job_manager.FINISHED)
                continue
            if live_number is not None and (not is_followed or job["job_id"] != live_number):
                log = self.make_job(number, branches, again=False).log
                job = data.job_data(job_id=live_number, branches=branches, extra={"log": str(log)})
            if live_number is not None or is_followed:
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
        """Make a job of branches.

        Args:
            number: Law's number of the job.
            branches: Branches of the job.
            again: Whether the job is a new attempt; otherwise it is the last attempt.
        """
        label = label_of(branches)
        attempt = next_attempt(self.directory, label)
        commands = [self.task.job_command(branch) for branch in branches]
        memory = self.job_data.memory.get(number, self.task.batch.memory)
        attempt = attempt if again else max(attempt - 1, 1)
        return Job(self.name_of(branches), label, self.directory, attempt, memory, commands)

    def submit(self, retry_jobs: Mapping[int, Sequence[int]] | None = None) -> Mapping[int, Any]:
        """Submit new jobs, and failed jobs that have attempts left.

        Args:
            retry_jobs: Branches of each failed job, by law's number of the job.

        Returns:
            Law's data of each submitted job, by number.
        """
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

    def _raise_memory(self, number: int) -> int:
        """Give the next attempt of a job ``memory_factor`` times its memory; the new memory, MiB."""
        settings = self.task.batch
        memory = math.ceil(self.job_data.memory.get(number, settings.memory) * settings.memory_factor)
        self.job_data.memory[number] = memory
        return memory

    def _print_status_errors(self, failed_jobs: Mapping[int, Any]) -> None:
        """Print why jobs have failed, and raise the memory of jobs that had too little.

        This is law's hook for jobs that failed since its last query.
        """
        for index, (number, job) in enumerate(failed_jobs.items()):
            log = Path(job["extra"].get("log", ""))
            log_end = tail(log)
            is_last = job["status"] == self.job_manager.FAILED
            consequence = "given up" if is_last else "to be submitted again"
            if self.had_too_little_memory(job["extra"], log_end) and not is_last:
                consequence += f" with {self._raise_memory(number)} MiB of memory"
            if index < MAX_SHOWN_LOGS:
                label = label_of(job["branches"]).replace("-", " ")
                lines = [
                    f"{self.task.title}: {label} failed ({job['error']}), {consequence}",
                    *([f"  {log}:"] if log_end else []),
                ]
                print("\n".join([*lines, *(f"  | {line}" for line in log_end)]), file=sys.stderr, flush=True)
        if len(failed_jobs) > MAX_SHOWN_LOGS:
            print(
                f"{self.task.title}: and {len(failed_jobs) - MAX_SHOWN_LOGS} more failed", file=sys.stderr, flush=True
            )
