"""Tasks that run in a container, as law sandboxes.

Outside the container, a task starts the container. Inside, it does its work. Law's own sandbox for Singularity is not
suitable: it writes all variables, including credentials, on a command line that every user of the machine can read. It
also starts a second container to read the environment, and requires that law's files are bound.
"""

import functools
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import law
from law.sandbox.base import SandboxProxy

from aframe.batch import container
from aframe.errors import ContainerError
from aframe.machine.processes import die_with
from aframe.progress import activity

law.contrib.load("singularity")

INSIDE = "LAW_SANDBOX_SWITCHED"
"""Environment variable that law sets inside a container."""


def is_inside() -> bool:
    """Whether this process runs a task inside its container."""
    return os.environ.get(INSIDE) == "1"


class Apptainer(law.singularity.SingularitySandbox):
    """A container image in which Apptainer or Singularity runs a task."""

    sandbox_type = "apptainer"

    def run_law(self, arguments: Sequence[str], paths: Sequence[str], has_gpus: bool, extra: Mapping[str, str]) -> int:
        """Run ``law run`` in the image.

        Args:
            arguments: Arguments of ``law run``.
            paths: Paths that the task reads and writes. The first is the working directory.
            has_gpus: Whether the task can use GPUs.
            extra: Variables in addition to those that this process passes on.

        Returns:
            Exit code.
        """
        name = container.program(self.image)
        variables = container.passed_inside(os.environ) | dict(extra)
        words = container.command(name, self.image, container.bound(paths, variables), paths[0], has_gpus)
        law_variables = {key: str(value) for key, value in self._get_env().items()}
        process = subprocess.Popen(
            [*words, *container.python(arguments)],
            env=os.environ | container.injected(name, variables | law_variables),
            stdin=subprocess.DEVNULL,
            preexec_fn=functools.partial(die_with, os.getpid(), signal.SIGTERM),  # noqa: PLW1509 - no lock is needed
        )
        return process.wait()


class ContainerProxy(SandboxProxy):
    """The part of a task that runs outside its container."""

    def run(self) -> None:
        """Run the task in its container.

        Raises:
            ContainerError: If the container fails. The task inside prints the reason, if it has started.
        """
        task, sandbox = self.task, self.sandbox_inst
        code = sandbox.run_law(task.inside_command(), task.inside_paths(), task.has_gpus, task.inside_variables())
        if code:
            activities = activity.read([task.artifacts.activity(task.title)])
            message = f"{task.title} failed in {sandbox.image} with exit code {code}: why stands above"
            raise ContainerError(message, is_reported=any(each.state == "failed" for each in activities))


class ContainerTask(law.SandboxTask):
    """A task that runs in a container if it has an image."""

    allow_empty_sandbox = True

    @property
    def image(self) -> str | None:
        """Path or address of the image in which this process must run the task; None without a container."""
        raise NotImplementedError

    @property
    def sandbox(self) -> str:
        """Law's name of the sandbox."""
        return f"{Apptainer.sandbox_type}::{self.image}" if self.image else law.NO_STR

    @property
    def has_gpus(self) -> bool:
        """Whether the task can use GPUs."""
        raise NotImplementedError

    def inside_command(self) -> list[str]:
        """Arguments of ``law run`` for the task in the container."""
        raise NotImplementedError

    def inside_paths(self) -> list[str]:
        """Paths that the task reads and writes. The first is the working directory."""
        raise NotImplementedError

    def inside_variables(self) -> Mapping[str, str]:
        """Variables of the task in addition to those that this process passes on."""
        raise NotImplementedError

    def _initialize_sandbox(self, force: bool = False) -> None:
        """Replace law's proxy by one that prints no banners."""
        super()._initialize_sandbox(force=force)
        if self._sandbox_proxy is not None and not isinstance(self._sandbox_proxy, ContainerProxy):
            self._sandbox_proxy: Any = ContainerProxy(task=self)
