"""Tasks with many branches. The branches run on this machine or as jobs of a batch system."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar

import law
from law.parameter import NO_INT, NO_STR

from aframe import storage
from aframe.batch.job import passed_variables
from aframe.machine.processes import is_batch_job
from aframe.settings.jobs import Batch
from aframe.steps.devices import given_device
from aframe.tasks.base import AframeTask, current_run
from aframe.tasks.containers import ContainerTask, is_inside
from aframe.tasks.htcondor import CondorWorkflow
from aframe.tasks.slurm import SlurmWorkflow


class Workflow(AframeTask, ContainerTask, law.LocalWorkflow, SlurmWorkflow, CondorWorkflow):
    """A task with many branches.

    ``[luigi_batch]`` of the ``.cfg``, or a section with the name of the task, determines where the branches run. If the
    configuration has an image, each branch runs in a container. HTCondor starts its jobs in the container; otherwise
    the task starts it.
    """

    exclude_params_req: ClassVar = {"workflow"}

    @classmethod
    def modify_param_values(cls, params: dict[str, Any]) -> dict[str, Any]:
        """Set law's parameters from the configuration. Law then waits for all jobs, even if some of them fail.

        Args:
            params: Law's parameters of the task.

        Returns:
            The parameters with the values of the configuration.
        """
        settings = current_run().config.batch_for(cls.__name__)
        if params.get("workflow") in (None, NO_STR):
            params["workflow"] = settings.workflow
        params |= {
            "retries": settings.retries,
            "poll_interval": settings.poll_interval / 60,
            "tasks_per_job": settings.branches_per_job,
            "parallel_jobs": settings.max_jobs or NO_INT,
            "tolerance": 1.0,
        }
        return dict(super().modify_param_values(params))

    @property
    def batch(self) -> Batch:
        """Settings of the batch system for this task, with the absolute path of the image."""
        settings = self.artifacts.config.batch_for(type(self).__name__)
        return replace(settings, image=settings.image and self.artifacts.config.resolve(settings.image))

    def deps(self) -> list[Any]:
        """Tasks that must be complete before this one.

        A branch in a job or a container has none, since the run that started it has completed them.
        """
        return [] if (is_batch_job() or is_inside()) and self.is_branch() else list(super().deps())

    @property
    def device(self) -> str:
        """Device for networks. In a job, it is the device that the batch system provides."""
        return given_device() if is_batch_job() else super().device

    @property
    def job_directory(self) -> str:
        """Local directory of submit files and logs of the task."""
        return storage.join(
            os.path.abspath(self.artifacts.directories.condor), self.as_workflow().title.replace(" ", "-")
        )

    @property
    def own_log(self) -> str:
        """Directory of the logs of the jobs; empty if the task submits none."""
        return self.job_directory if self.workflow != "local" and self.is_workflow() else ""

    @property
    def job_group(self) -> str:
        """Prefix of the names of the jobs. It is unique to the run and its branches."""
        return f"aframe-{self.control_output_postfix()}-{self.as_workflow().title.replace(' ', '-')}"

    def control_output_postfix(self) -> str:
        """Key of law's record of jobs. It depends on the directories of the run and on the branches."""
        content = (asdict(self.artifacts.directories), self.title, sorted(self.branch_map.items()))
        return hashlib.sha256(repr(content).encode()).hexdigest()[:10]

    def job_command(self, branch: int) -> list[str]:
        """Arguments of ``law run`` for one branch."""
        names = {name for name, _ in type(self).get_params()} - {name for name, _ in Workflow.get_params()}
        values = [(f"--{name}", str(getattr(self, name))) for name in sorted(names)]
        task = f"{type(self).__module__}.{type(self).__name__}"
        return [task, *(word for pair in values for word in pair), "--branch", str(branch), "--workers", "1"]

    def job_variables(self) -> dict[str, str]:
        """Environment variables that only jobs of this task need."""
        return {}

    def inside_variables(self) -> Mapping[str, str]:
        """Environment variables of the run for a job or container, with absolute paths."""
        directories = asdict(self.artifacts.directories)
        variables = {
            f"AFRAME_{name.upper()}_DIR": path if storage.is_remote(path) else os.path.abspath(path)
            for name, path in directories.items()
        }
        return variables | {"LAW_CONFIG_FILE": str(self.artifacts.config.path)} | self.job_variables()

    def job_environment(self) -> Mapping[str, str]:
        """All environment variables that a job sets."""
        return passed_variables(os.environ, self.batch.starts_in_image) | dict(self.inside_variables())

    @property
    def image(self) -> str | None:
        """Image in which this process must run a branch; None without a container."""
        return self.batch.image if self.is_branch() and not self.batch.starts_in_image else None

    @property
    def has_gpus(self) -> bool:
        """Whether a branch can use GPUs of the batch system or, on this machine, of the run."""
        return self.batch.gpus > 0 if is_batch_job() else bool(self.gpus)

    def inside_command(self) -> list[str]:
        """Arguments of ``law run`` in the container."""
        return [*self.job_command(self.branch), *(["--gpus", self.gpus] if self.gpus else [])]

    def inside_paths(self) -> list[str]:
        """Directories of the run, and paths in its ``.cfg``. Missing directories are created."""
        paths = self.artifacts.local_paths
        for path in paths:
            if not os.path.exists(path):
                os.makedirs(path)
        return paths

    def look_for_outputs(self) -> bool:
        """List the output directories once per query of the jobs.

        A network file system then shows the files that other machines have written.

        Returns:
            True, so that law checks the outputs of finished jobs.
        """
        paths = (target.path for target in law.util.flatten(self.get_branch_tasks()[0].output()))
        for directory in {os.path.dirname(path) for path in paths if not storage.is_remote(path)}:
            if os.path.isdir(directory):
                os.listdir(directory)
        return True

    def modify_polling_status_line(self, status_line: str) -> str:
        """Describe the number of jobs in each state, without empty states.

        >>> Workflow.modify_polling_status_line(None, "12:00:00: all: 5 (+0), running: 5 (+1), failed: 0")
        '5 jobs: 5 running'
        """
        counts = re.findall(r"(\w+): (\d+)", law.util.uncolored(status_line))
        states = [f"{number} {state}" for state, number in counts[1:] if number != "0"]
        return f"{counts[0][1]} job{'s' if counts[0][1] != '1' else ''}: {', '.join(states)}"

    def publish_message(self, msg: object, *args: object, **options: object) -> None:
        """Print the number of jobs in each state if it has changed. Other messages of law are not printed.

        Args:
            msg: Message of law.
            *args: Arguments of the message. They are not used.
            **options: Options of the message. They are not used.
        """
        del args, options
        if re.match(r"\d+ jobs?: \d", str(msg)) and msg != getattr(self, "_last_message", None):
            self._last_message = msg
            print(f"{self.title}: {msg}", flush=True)
