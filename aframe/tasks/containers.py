"""Tasks that run in a container, as law's sandboxes do: outside, the task starts a container; inside, it does its work.

Law's sandbox for Singularity would write all variables, credentials among them, on a command line that everybody on the
machine can read, start a second container to learn the first one's environment, and need law's files bound.
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
    """Whether this process is a task's own in its container."""
    return os.environ.get(INSIDE) == "1"


class Apptainer(law.singularity.SingularitySandbox):
    """An image in which a task runs, by Apptainer or Singularity."""

    sandbox_type = "apptainer"

    def run_law(self, arguments: Sequence[str], paths: Sequence[str], has_gpus: bool, extra: Mapping[str, str]) -> int:
        """Run ``law run`` in the image; its exit code.

        Args:
            arguments: Of ``law run``.
            paths: What the task reads and writes; the first is where it starts.
            has_gpus: Whether it sees GPUs.
            extra: Variables, besides those that this process passes on.
        """
        name = container.program(self.image)
        variables = container.passed_inside(os.environ) | dict(extra)
        words = container.command(name, self.image, container.bound(paths, variables), paths[0], has_gpus)
        told = {key: str(value) for key, value in self._get_env().items()}
        process = subprocess.Popen(
            [*words, *container.python(arguments)],
            env=os.environ | container.injected(name, variables | told),
            stdin=subprocess.DEVNULL,
            preexec_fn=functools.partial(die_with, os.getpid(), signal.SIGTERM),  # noqa: PLW1509 - no lock is needed
        )
        return process.wait()


class ContainerProxy(SandboxProxy):
    """What a task does outside its container."""

    def run(self) -> None:
        """Run the task inside.

        Raises:
            ContainerError: If that fails; the task says inside why, unless it has not come so far.
        """
        task, sandbox = self.task, self.sandbox_inst
        code = sandbox.run_law(task.inside_command(), task.inside_paths(), task.has_gpus, task.inside_variables())
        if code:
            said = activity.read([task.artifacts.activity(task.title)])
            message = f"{task.title} failed in {sandbox.image} with exit code {code}: why stands above"
            raise ContainerError(message, is_told=any(each.state == "failed" for each in said))


class ContainerTask(law.SandboxTask):
    """A task that runs in a container where it has an image."""

    allow_empty_sandbox = True

    @property
    def image(self) -> str | None:
        """Path or address of the image in which this process is to run the task; None for none."""
        raise NotImplementedError

    @property
    def sandbox(self) -> str:
        """Law's name of it."""
        return f"{Apptainer.sandbox_type}::{self.image}" if self.image else law.NO_STR

    @property
    def has_gpus(self) -> bool:
        """Whether the task sees GPUs."""
        raise NotImplementedError

    def inside_command(self) -> list[str]:
        """Arguments of ``law run`` that do the task."""
        raise NotImplementedError

    def inside_paths(self) -> list[str]:
        """What it reads and writes; first, where it starts."""
        raise NotImplementedError

    def inside_variables(self) -> Mapping[str, str]:
        """Variables that it has, besides those of this process that are passed on."""
        raise NotImplementedError

    def _initialize_sandbox(self, force: bool = False) -> None:
        """Law's, with a proxy that prints no banners."""
        super()._initialize_sandbox(force=force)
        if self._sandbox_proxy is not None and not isinstance(self._sandbox_proxy, ContainerProxy):
            self._sandbox_proxy: Any = ContainerProxy(task=self)
