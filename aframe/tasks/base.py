"""What all tasks share: the configuration, signed outputs, and errors of one line."""

import functools
import logging
import os
from typing import Any

import law
import luigi
import luigi.interface
from luigi.retcodes import retcode

from aframe import config, storage
from aframe.artifacts import Artifacts
from aframe.progress import Progress
from aframe.errors import AframeError, ConfigurationError
from aframe.storage import Parameters

for failure in (retcode.task_failed, retcode.scheduling_error, retcode.not_run, retcode.unhandled_exception):
    failure._default = 1
luigi.interface.core.local_scheduler._default = True
luigi.interface.core.log_level._default = "WARNING"


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
def current_run() -> Artifacts:
    """The run that LAW_CONFIG_FILE and the environment describe."""
    path = os.environ.get("LAW_CONFIG_FILE")
    if not path:
        raise ConfigurationError("LAW_CONFIG_FILE is not set: set it to the run's .cfg, or use `aframe run DIR`")
    return Artifacts(config.load(path), config.Directories.from_environment())


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
        description="GPUs for training and inference, as in CUDA_VISIBLE_DEVICES; empty for the CPU",
    )

    @property
    def artifacts(self) -> Artifacts:
        """Paths, configuration and provenance of the run."""
        return current_run()

    @property
    def made_with(self) -> Parameters:
        """Parameters that decide this task's outputs."""
        raise NotImplementedError

    @property
    def device(self) -> str:
        """Where networks compute."""
        return "cuda" if self.gpus else "cpu"

    def complete(self) -> bool:
        """Whether all outputs are there; refuses those that were made with other parameters."""
        if not super().complete():
            return False
        if not isinstance(self, law.BaseWorkflow) or self.is_branch():
            for target in law.util.flatten(self.output()):
                storage.check_parameters(target.path, self.made_with)
        return True

    @property
    def progress(self) -> Progress:
        """A line on the terminal that follows long work."""
        return Progress(self.task_family.removeprefix(f"{self.task_namespace}."))
