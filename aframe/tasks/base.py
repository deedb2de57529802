"""Base of all tasks: configuration, signed outputs, and errors of one line."""

import argparse
import functools
import json
import logging
import multiprocessing
import os
import re
import signal
import sys
from datetime import UTC, datetime
from typing import Any

import law
import luigi
import luigi.configuration
import luigi.interface

from aframe import storage
from aframe.errors import AframeError, ConfigurationError, ProcessError
from aframe.machine import versions
from aframe.machine.console_records import End, emit
from aframe.machine.processes import begin_collection, cores, die_with_parent
from aframe.machine.shared_set import SharedSet
from aframe.progress import activity
from aframe.progress.lines import Progress
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.runs.stages import BY_TASK, RunStage
from aframe.settings.read import load_config
from aframe.steps.devices import use_one_gpu, use_one_thread
from aframe.storage.files import Parameters

FAILURES = (
    "already_running", "missing_data", "not_run", "task_failed", "scheduling_error", "unhandled_exception",
)  # fmt: skip
"""Ways in which luigi can end without success, as its options for exit codes name them."""

DEFAULTS = {
    "retcode": dict.fromkeys(FAILURES, "1"),
    "core": {
        "local_scheduler": "true",
        "log_level": "INFO" if os.environ.get("AFRAME_DEBUG") else "WARNING",
        "no_lock": "true",  # luigi locks a command line, not a directory: see machine.locks
        "workers": str(cores()),
    },
    "worker": {"task_process_context": "aframe.tasks.base.TaskProcess"},
}
"""Default settings of luigi. The user's luigi configuration overrides them."""

for section, settings in DEFAULTS.items():
    for name, value in settings.items():
        if not luigi.configuration.get_config().has_option(section, name):
            luigi.configuration.get_config().set(section, name, value)
luigi.interface.core.workers.always_in_help = True

TRACEBACK_END = re.compile(r"^aframe\.errors\.\w+: (.+)", re.MULTILINE)
"""Matches the line of a formatted traceback that holds the error for the user."""

VARIABLE = re.compile(r"\S*[/\d]\S*")
"""Matches paths and numbers. Errors with the same cause differ only in these words."""


class TaskProcess:
    """Context in which luigi runs each task.

    The task computes on one thread. A process that luigi forks for a task ends when luigi ends, and at Ctrl-C.

    Args:
        process: The process object of luigi. It is not used.
    """

    def __init__(self, process: object) -> None:
        del process

    def __enter__(self) -> None:
        die_with_parent()
        if multiprocessing.parent_process() is not None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # luigi's main process informs the user
        begin_collection()
        use_one_thread()

    def __exit__(self, *error: object) -> None:
        pass


class OneLineErrors(logging.Filter):
    """Prints the error of a failed task as one line for the user.

    If many tasks fail with the same cause, it prints only the first error.
    """

    def __init__(self) -> None:
        super().__init__()
        self.printed = SharedSet()

    def filter(self, record: logging.LogRecord) -> bool:
        """Print the error of a log record as one line.

        Args:
            record: Log record of luigi.

        Returns:
            Whether the logger should print the record itself: True if it contains no error for the user.
        """
        if os.environ.get("AFRAME_DEBUG"):
            return True
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, AframeError):
            if not (isinstance(error, ProcessError) and error.is_reported):
                self.tell(str(error))
            return False
        texts = TRACEBACK_END.findall(record.getMessage())
        if texts:
            self.tell(texts[-1])
        return not texts

    def tell(self, text: str) -> None:
        """Print an error, unless an earlier one differs only in paths and numbers."""
        if self.printed.add(VARIABLE.sub("…", text)):
            print(f"error: {text}", file=sys.stderr, flush=True)


ERRORS = OneLineErrors()
logging.getLogger("luigi-interface").addFilter(ERRORS)


def configuration_path() -> str:
    """Path of the ``.cfg`` file in LAW_CONFIG_FILE.

    Raises:
        ConfigurationError: If LAW_CONFIG_FILE is not set.
    """
    path = os.environ.get("LAW_CONFIG_FILE")
    if not path:
        raise ConfigurationError("LAW_CONFIG_FILE is not set: set it to the run's .cfg, or use `aframe run DIR`")
    return path


@functools.cache
def current_run() -> Artifacts:
    """The run that LAW_CONFIG_FILE and the environment variables describe."""
    return Artifacts(load_config(configuration_path()), Directories.from_environment())


class Output(law.target.base.Target):
    """A local or remote file or directory.

    Args:
        path: Local or remote path.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__()

    def exists(self) -> bool:
        """Whether the path exists."""
        return storage.exists(self.path)

    def remove(self, silent: bool = True) -> None:
        """Delete the file or directory.

        Args:
            silent: Part of law's interface. It is not used.
        """
        storage.remove(self.path)

    def uri(self, return_all: bool = False) -> Any:
        """The path.

        Args:
            return_all: Whether to return a list of all paths instead of one path.
        """
        return [self.path] if return_all else self.path

    def _repr_pairs(self) -> list[tuple[str, str]]:
        return [("path", self.path)]


class AframeTask(law.Task):
    """A task that records in its outputs the parameters that made them."""

    task_namespace = "aframe"

    gpus = luigi.Parameter(
        default="",
        significant=False,
        description="GPUs, as in CUDA_VISIBLE_DEVICES: training uses all, each inference worker one; empty for the CPU",
    )

    @property
    def artifacts(self) -> Artifacts:
        """Paths, configuration and provenance of the run."""
        return current_run()

    @property
    def stage_of_run(self) -> RunStage:
        """Entry of this task in the table of stages of a run."""
        return BY_TASK[self.title_of_stage]

    @property
    def made_with(self) -> Parameters:
        """Parameters that determine the outputs of this task."""
        return self.stage_of_run.made_with(self.artifacts)

    def output(self) -> dict[str, Output]:
        """Outputs by name. A task with many branches overrides this with the outputs of one branch."""
        outputs = self.stage_of_run.outputs
        assert outputs is not None, f"{self.title_of_stage} writes an output for each branch"
        return {name: Output(path) for name, path in outputs(self.artifacts).items()}

    @property
    def device(self) -> str:
        """Device for networks: the CPU, or a GPU that no other worker uses."""
        return use_one_gpu(self.gpus)

    def complete(self) -> bool:
        """Whether all outputs exist.

        Raises:
            ParameterMismatchError: If an output was made with other parameters.
        """
        if not super().complete():
            return False
        if not isinstance(self, law.BaseWorkflow) or self.is_branch():
            for target in law.util.flatten(self.output()):
                storage.check_parameters(target.path, self.made_with)
        return True

    @property
    def title_of_stage(self) -> str:
        """Title without the branch: the name of the task, and ``train`` or ``test`` if the task exists for both."""
        name = self.task_family.rpartition(".")[2]
        return f"{name} {self.stage}" if hasattr(self, "stage") else name

    @property
    def title(self) -> str:
        """Title for the user: name of the task, with stage and branch if it has them."""
        if isinstance(self, law.BaseWorkflow) and self.is_branch():
            return f"{self.title_of_stage} {self.branch + 1}/{len(self.branch_map)}"
        return self.title_of_stage

    @property
    def own_log(self) -> str:
        """Path of the task's own log. Empty if its lines are in the log of the run."""
        return ""

    @property
    def progress(self) -> Progress:
        """Progress line on the terminal for long work."""
        return Progress(self.title)


class DerivedTask(AframeTask):
    """A task that is complete only while its inputs exist.

    If an input was deleted, law makes the input and this task again. For all other tasks, law does not check the inputs
    of a complete task. Therefore the user may delete strain, waveforms and scored slides.
    """

    def complete(self) -> bool:
        """Whether this task and its inputs are complete."""
        return super().complete() and all(task.complete() for task in self.requires().values())


def does_work(task: AframeTask) -> bool:
    """Whether a task computes something itself, and does not only wait for other tasks."""
    return not isinstance(task, law.WrapperTask) and not (isinstance(task, law.BaseWorkflow) and task.is_workflow())


@AframeTask.event_handler(luigi.Event.START)
def tell_started(task: AframeTask) -> None:
    """Record that this process has started a task. ``aframe status`` reads the record."""
    if does_work(task):
        activity.begin(task.artifacts.activity(task.title), task.title)


@AframeTask.event_handler(luigi.Event.FAILURE)
def tell_failed(task: AframeTask, error: BaseException) -> None:
    """Record the error of a failed task. ``aframe status`` reads the record.

    Args:
        task: The task.
        error: Its error.
    """
    is_reported = isinstance(error, ProcessError) and error.is_reported
    if not isinstance(task, law.WrapperTask) and not is_reported:
        message = str(error) if isinstance(error, AframeError) else f"{type(error).__name__}: {error}"
        activity.fail(task.artifacts.activity(task.title), task.title, " ".join(message.split()), task.own_log)


@AframeTask.event_handler(luigi.Event.PROCESSING_TIME)
def tell_done(task: AframeTask, duration: float) -> None:
    """Print the duration of a task, and record it for the report.

    Args:
        task: The task.
        duration: Duration, s.
    """
    if does_work(task) and not (
        isinstance(task, law.SandboxTask) and not task.is_sandboxed()
    ):  # the process inside the container prints it
        name = " ".join(word for word in task.title.split() if "/" not in word)
        ended = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        record = {"task": name, "seconds": duration, "ended": ended, "code": versions.code()}
        storage.write_text(task.artifacts.run_time(task.title), json.dumps(record))
        emit(End(task.title, duration))
    if not isinstance(task, law.WrapperTask):
        activity.end(task.artifacts.activity(task.title))


@AframeTask.event_handler(luigi.Event.PROCESS_FAILURE)
def tell_killed(task: AframeTask, message: str) -> None:
    """Print that the process of a task was killed. After Ctrl-C the run prints a message instead.

    Args:
        task: The task.
        message: How the process ended, in luigi's words.
    """
    if message.endswith(f"exit code {-signal.SIGINT}"):
        return
    error = f"{task.title} was killed ({message}): perhaps memory ran out; use fewer --workers"
    ERRORS.tell(error)
    activity.fail(task.artifacts.activity(task.title), task.title, error)


HELP = {
    "print_deps": "print the tasks to this depth, and end",
    "print_status": "print which outputs of the tasks to this depth exist, and end",
    "print_output": "print the outputs' paths of the tasks to this depth, and end",
    "remove_output": "delete outputs of the tasks to this depth: asks first",
}
"""Parameters of law that the help shows, and their descriptions."""

for name, parameter in AframeTask.get_params():
    if name != "gpus":
        parameter.description = HELP.get(name, argparse.SUPPRESS)
