"""What all tasks share: the configuration, signed outputs, and errors of one line."""

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
from aframe.machine.processes import cores, die_with_parent
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
"""Ends of luigi's that are no success."""

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
"""Settings of luigi, where the user's configuration of it says nothing."""

for section, settings in DEFAULTS.items():
    for name, value in settings.items():
        if not luigi.configuration.get_config().has_option(section, name):
            luigi.configuration.get_config().set(section, name, value)
luigi.interface.core.workers.always_in_help = True

TRACEBACK_END = re.compile(r"^aframe\.errors\.\w+: (.+)", re.MULTILINE)
"""Where an error for the user stands in a traceback that luigi has made text of."""


VARIABLE = re.compile(r"\S*[/\d]\S*")
"""Words in which errors of one cause differ: paths and numbers."""


class TaskProcess:
    """What luigi does around each task: one thread each; a process forked for one dies with luigi, or at Ctrl-C.

    Args:
        process: Luigi's.
    """

    def __init__(self, process: object) -> None:
        del process

    def __enter__(self) -> None:
        die_with_parent()
        if multiprocessing.parent_process() is not None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # luigi's own process tells the user
        use_one_thread()

    def __exit__(self, *error: object) -> None:
        pass


class OneLineErrors(logging.Filter):
    """Prints of a failed task the one line that is for the user, and of many tasks that fail alike the first one's."""

    def __init__(self) -> None:
        super().__init__()
        self.printed = SharedSet()

    def filter(self, record: logging.LogRecord) -> bool:
        """Print the line; keep the record only where it is none for the user."""
        if os.environ.get("AFRAME_DEBUG"):
            return True
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, AframeError):
            if not (isinstance(error, ProcessError) and error.is_told):
                self.tell(str(error))
            return False
        texts = TRACEBACK_END.findall(record.getMessage())
        if texts:
            self.tell(texts[-1])
        return not texts

    def tell(self, text: str) -> None:
        """Print an error, unless one was printed that differs only in paths and numbers."""
        if self.printed.add(VARIABLE.sub("…", text)):
            print(f"error: {text}", file=sys.stderr, flush=True)


ERRORS = OneLineErrors()
logging.getLogger("luigi-interface").addFilter(ERRORS)


def configuration_path() -> str:
    """The ``.cfg`` that LAW_CONFIG_FILE names."""
    path = os.environ.get("LAW_CONFIG_FILE")
    if not path:
        raise ConfigurationError("LAW_CONFIG_FILE is not set: set it to the run's .cfg, or use `aframe run DIR`")
    return path


@functools.cache
def current_run() -> Artifacts:
    """The run that LAW_CONFIG_FILE and the environment describe."""
    return Artifacts(load_config(configuration_path()), Directories.from_environment())


class Output(law.target.base.Target):
    """A local or remote file or directory.

    Args:
        path: Where it lies.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__()

    def exists(self) -> bool:
        """Whether it is there."""
        return storage.exists(self.path)

    def remove(self, silent: bool = True) -> None:
        """Delete it."""
        storage.remove(self.path)

    def uri(self, return_all: bool = False) -> Any:
        """Its path."""
        return [self.path] if return_all else self.path

    def _repr_pairs(self) -> list[tuple[str, str]]:
        return [("path", self.path)]


class AframeTask(law.Task):
    """A task whose outputs carry the parameters that made them."""

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
        """What the table of a run's stages says of this task."""
        return BY_TASK[self.title_of_stage]

    @property
    def made_with(self) -> Parameters:
        """Parameters that decide this task's outputs."""
        return self.stage_of_run.made_with(self.artifacts)

    def output(self) -> dict[str, Output]:
        """Its outputs, by name; a task of many branches says for each what it writes."""
        outputs = self.stage_of_run.outputs
        assert outputs is not None, f"{self.title_of_stage} writes an output for each branch"
        return {name: Output(path) for name, path in outputs(self.artifacts).items()}

    @property
    def device(self) -> str:
        """Where networks compute: the CPU, or a GPU that this worker has for itself."""
        return use_one_gpu(self.gpus)

    def complete(self) -> bool:
        """Whether all outputs are there; refuses those that were made with other parameters."""
        if not super().complete():
            return False
        if not isinstance(self, law.BaseWorkflow) or self.is_branch():
            for target in law.util.flatten(self.output()):
                storage.check_parameters(target.path, self.made_with)
        return True

    @property
    def title_of_stage(self) -> str:
        """What the user calls it, whatever its branch: its name, and ``train`` or ``test`` where it exists for both."""
        name = self.task_family.rpartition(".")[2]
        return f"{name} {self.stage}" if hasattr(self, "stage") else name

    @property
    def title(self) -> str:
        """What the user calls it: its name, and its stage and branch where it has them."""
        if isinstance(self, law.BaseWorkflow) and self.is_branch():
            return f"{self.title_of_stage} {self.branch + 1}/{len(self.branch_map)}"
        return self.title_of_stage

    @property
    def own_log(self) -> str:
        """Where its lines are, if not in the run's log."""
        return ""

    @property
    def progress(self) -> Progress:
        """A line on the terminal that follows long work."""
        return Progress(self.title)


class DerivedTask(AframeTask):
    """A task that is done only while what it is made of is there: that is made anew if it was deleted, and so is this.

    Of other tasks, law looks no further once they are done: strain, waveforms and scored slides may be deleted.
    """

    def complete(self) -> bool:
        """Whether this and what it is made of are done."""
        return super().complete() and all(task.complete() for task in self.requires().values())


def does_work(task: AframeTask) -> bool:
    """Whether a task does work of its own, and does not only wait for others."""
    return not isinstance(task, law.WrapperTask) and not (isinstance(task, law.BaseWorkflow) and task.is_workflow())


@AframeTask.event_handler(luigi.Event.START)
def tell_started(task: AframeTask) -> None:
    """Let those who look on know what this process does."""
    if does_work(task):
        activity.begin(task.artifacts.activity(task.title), task.title)


@AframeTask.event_handler(luigi.Event.FAILURE)
def tell_failed(task: AframeTask, error: BaseException) -> None:
    """Leave the error for those who look on."""
    is_told = isinstance(error, ProcessError) and error.is_told
    if not isinstance(task, law.WrapperTask) and not is_told:
        told = str(error) if isinstance(error, AframeError) else f"{type(error).__name__}: {error}"
        activity.fail(task.artifacts.activity(task.title), task.title, " ".join(told.split()), task.own_log)


@AframeTask.event_handler(luigi.Event.PROCESSING_TIME)
def tell_done(task: AframeTask, duration: float) -> None:
    """Print, and record for the report, how long a task took."""
    if does_work(task) and not (isinstance(task, law.SandboxTask) and not task.is_sandboxed()):  # told inside
        name = " ".join(word for word in task.title.split() if "/" not in word)
        ended = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        record = {"task": name, "seconds": duration, "ended": ended, "code": versions.code()}
        storage.write_text(task.artifacts.run_time(task.title), json.dumps(record))
        print(f"{task.title}: done in {duration:.{0 if duration >= 10 else 1}f} s", flush=True)
    if not isinstance(task, law.WrapperTask):
        activity.end(task.artifacts.activity(task.title))


@AframeTask.event_handler(luigi.Event.PROCESS_FAILURE)
def tell_killed(task: AframeTask, message: str) -> None:
    """Print that a task's process did not end by itself, unless by Ctrl-C, of which the run tells."""
    if message.endswith(f"exit code {-signal.SIGINT}"):
        return
    told = f"{task.title} was killed ({message}): perhaps memory ran out; use fewer --workers"
    ERRORS.tell(told)
    activity.fail(task.artifacts.activity(task.title), task.title, told)


HELP = {
    "print_deps": "print the tasks to this depth, and end",
    "print_status": "print which outputs of the tasks to this depth exist, and end",
    "print_output": "print the outputs' paths of the tasks to this depth, and end",
    "remove_output": "delete outputs of the tasks to this depth: asks first",
}
"""Law's own parameters that help shows, and what it says of them."""

for name, parameter in AframeTask.get_params():
    if name != "gpus":
        parameter.description = HELP.get(name, argparse.SUPPRESS)
