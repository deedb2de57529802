"""What all tasks share: the configuration, signed outputs, and errors of one line."""

import functools
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

import law
import luigi
from luigi.retcodes import retcode

from aframe import config, storage
from aframe.errors import AframeError, ConfigurationError
from aframe.storage import Parameters

retcode.task_failed._default = 1
retcode.scheduling_error._default = 1
retcode.not_run._default = 1
retcode.unhandled_exception._default = 1
retcode.missing_data._default = 1


class OneLineErrors(logging.Filter):
    """Shortens what luigi logs of a failed task to the error's own line, where the error is one for the user."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place; keep it."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, AframeError) and not os.environ.get("AFRAME_DEBUG"):
            record.msg, record.args, record.exc_info = f"error: {error}", (), None
        return True


logging.getLogger("luigi-interface").addFilter(OneLineErrors())


@functools.cache
def configuration() -> config.Config:
    """The run's configuration, from the file that LAW_CONFIG_FILE names."""
    path = os.environ.get("LAW_CONFIG_FILE")
    if not path:
        raise ConfigurationError("LAW_CONFIG_FILE is not set: set it to the run's .cfg, or use `aframe run DIR`")
    return config.load(path)


@functools.cache
def directories() -> config.Directories:
    """The run's directories, from the environment."""
    return config.Directories.from_environment()


class Output(law.Target):
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
        description="GPUs for training and inference, as in CUDA_VISIBLE_DEVICES; empty for the CPU",
    )

    exclude_params_req: frozenset[str] = frozenset()

    @property
    def config(self) -> config.Config:
        """The run's configuration."""
        return configuration()

    @property
    def directories(self) -> config.Directories:
        """The run's directories."""
        return directories()

    @property
    def made_with(self) -> Parameters:
        """Parameters that decide this task's outputs."""
        raise NotImplementedError

    def outputs(self) -> Mapping[str, Output]:
        """Outputs by name, whether or not the task is a branch."""
        return dict(self.output())

    def check(self) -> None:
        """Refuse outputs that were made with other parameters."""
        for target in self.outputs().values():
            if target.exists():
                storage.check_parameters(target.path, self.made_with)

    @property
    def progress(self) -> "Progress":
        """A line on the terminal that follows long work."""
        return Progress(self.task_family.removeprefix(f"{self.task_namespace}."))


class Progress:
    """Prints how far a piece of work has come, a few times a minute, in plain lines.

    Args:
        name: What is being done.
        interval: Least time between two lines, s.
    """

    def __init__(self, name: str, interval: float = 5.0) -> None:
        import time

        self.name, self.interval, self.clock = name, interval, time.monotonic
        self.start = self.last = self.clock()

    def __call__(self, done: float, total: float) -> None:
        """Report ``done`` of ``total``."""
        now = self.clock()
        if now - self.last >= self.interval and done > 0:
            self.last = now
            left = (now - self.start) * (total - done) / done
            print(f"{self.name}: {done:.0f} of {total:.0f} ({100 * done / total:.0f} %), {left:.0f} s left", flush=True)


def fail(error: AframeError) -> None:
    """End the process with one line, as every command of the project does."""
    if os.environ.get("AFRAME_DEBUG"):
        raise error
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(1)
