"""Tasks of many branches, each of which runs on this machine or as a job of a batch system."""

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

OUTAGE = 3600.0
"""Seconds for which a batch system may fail to answer before a run gives up; its jobs go on."""


class Workflow(AframeTask, ContainerTask, law.LocalWorkflow, SlurmWorkflow, CondorWorkflow):
    """A task of many branches; ``[luigi_batch]`` of the ``.cfg``, or a section of its own, says where they run.

    Each branch runs in a container where an image is given: HTCondor starts its jobs in it, elsewhere the task does.
    """

    exclude_params_req: ClassVar = {"workflow"}

    @classmethod
    def modify_param_values(cls, params: dict[str, Any]) -> dict[str, Any]:
        """Fill law's parameters from the configuration; all jobs are waited for, whether or not some fail."""
        settings = current_run().config.batch_for(cls.__name__)
        if params.get("workflow") in (None, NO_STR):
            params["workflow"] = settings.workflow
        params |= {
            "retries": settings.retries,
            "poll_interval": settings.poll_interval / 60,
            "poll_fails": max(5, round(OUTAGE / settings.poll_interval)),
            "tasks_per_job": settings.branches_per_job,
            "parallel_jobs": settings.max_jobs or NO_INT,
            "tolerance": 1.0,
        }
        return dict(super().modify_param_values(params))

    @property
    def batch(self) -> Batch:
        """What a job may take."""
        settings = self.artifacts.config.batch_for(type(self).__name__)
        return replace(settings, image=settings.image and self.artifacts.config.resolve(settings.image))

    def deps(self) -> list[Any]:
        """What luigi must do first: in a job or a container nothing, as the run that started it has done it."""
        return [] if (is_batch_job() or is_inside()) and self.is_branch() else list(super().deps())

    @property
    def device(self) -> str:
        """Where networks compute: in a job, where the batch system lets them."""
        return given_device() if is_batch_job() else super().device

    @property
    def job_directory(self) -> str:
        """Local directory of the task's submit files and logs."""
        return storage.join(
            os.path.abspath(self.artifacts.directories.condor), self.as_workflow().title.replace(" ", "-")
        )

    @property
    def own_log(self) -> str:
        """Where the logs of its jobs are."""
        return self.job_directory if self.workflow != "local" and self.is_workflow() else ""

    @property
    def job_group(self) -> str:
        """What the names of its jobs begin with: no other run has such, nor this one with other branches."""
        return f"aframe-{self.control_output_postfix()}-{self.as_workflow().title.replace(' ', '-')}"

    def control_output_postfix(self) -> str:
        """Which jobs a record of law's is about: those of a run's directories and of these branches."""
        content = (asdict(self.artifacts.directories), self.title, sorted(self.branch_map.items()))
        return hashlib.sha256(repr(content).encode()).hexdigest()[:10]

    def job_command(self, branch: int) -> list[str]:
        """Arguments of ``law run`` that do one branch."""
        own = {name for name, _ in type(self).get_params()} - {name for name, _ in Workflow.get_params()}
        values = [(f"--{name}", str(getattr(self, name))) for name in sorted(own)]
        task = f"{type(self).__module__}.{type(self).__name__}"
        return [task, *(word for pair in values for word in pair), "--branch", str(branch), "--workers", "1"]

    def job_variables(self) -> dict[str, str]:
        """Environment variables that only this task's jobs need."""
        return {}

    def inside_variables(self) -> Mapping[str, str]:
        """What a job or container is told of the run, with paths that are absolute."""
        directories = asdict(self.artifacts.directories)
        where = {
            f"AFRAME_{name.upper()}_DIR": path if storage.is_remote(path) else os.path.abspath(path)
            for name, path in directories.items()
        }
        return where | {"LAW_CONFIG_FILE": str(self.artifacts.config.path)} | self.job_variables()

    def job_environment(self) -> Mapping[str, str]:
        """All environment variables that a job sets."""
        return passed_variables(os.environ, self.batch.starts_in_image) | dict(self.inside_variables())

    @property
    def image(self) -> str | None:
        """Image in which this process is to run a branch."""
        return self.batch.image if self.is_branch() and not self.batch.starts_in_image else None

    @property
    def has_gpus(self) -> bool:
        """Whether a branch sees GPUs: those that the batch system lets it, or on this machine those of the run."""
        return self.batch.gpus > 0 if is_batch_job() else bool(self.gpus)

    def inside_command(self) -> list[str]:
        """Arguments of ``law run`` in the container."""
        return [*self.job_command(self.branch), *(["--gpus", self.gpus] if self.gpus else [])]

    def inside_paths(self) -> list[str]:
        """The run's directories and what its ``.cfg`` names."""
        paths = self.artifacts.local_paths
        for path in paths:
            if not os.path.exists(path):
                os.makedirs(path)
        return paths

    def look_for_outputs(self) -> bool:
        """Have a network's file system look anew for what other machines have written, once per look at the jobs."""
        paths = (target.path for target in law.util.flatten(self.get_branch_tasks()[0].output()))
        for directory in {os.path.dirname(path) for path in paths if not storage.is_remote(path)}:
            if os.path.isdir(directory):
                os.listdir(directory)
        return True

    def modify_polling_status_line(self, status_line: str) -> str:
        """How many jobs do what, in words, without those that none does.

        >>> Workflow.modify_polling_status_line(None, "12:00:00: all: 5 (+0), running: 5 (+1), failed: 0")
        '5 jobs: 5 running'
        """
        counts = re.findall(r"(\w+): (\d+)", law.util.uncolored(status_line))
        told = [f"{number} {state}" for state, number in counts[1:] if number != "0"]
        return f"{counts[0][1]} job{'s' if counts[0][1] != '1' else ''}: {', '.join(told)}"

    def publish_message(self, msg: object, *args: object, **options: object) -> None:
        """Print how many jobs do what, when that has changed; law's other messages are not printed."""
        del args, options
        if re.match(r"\d+ jobs?: \d", str(msg)) and msg != getattr(self, "_told", None):
            self._told = msg
            print(f"{self.title}: {msg}", flush=True)
