"""A job: its script, its files and its environment."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aframe.machine.console_records import CONSOLE
from aframe.machine.processes import JOB, JOB_CORES
from aframe.progress.activity import LOG
from aframe.settings.jobs import Batch

PASSED = (
    "AFRAME_", "AWS_", "LAW_", "LAL_", "LIGO_", "GWDATAFIND_", "NDS", "DEFAULT_SEGMENT_SERVER", "X509_", "BEARER_TOKEN",
    "SCITOKEN", "KRB5", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY",
    "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
"""Prefixes of variables that a job inherits from the submitting process."""

INSTALLED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "LANG", "LC_ALL")
"""Variables that a job inherits, unless it starts in a container with its own software."""

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Variables that limit the threads of libraries. Otherwise the libraries use all cores of the machine."""

ENVIRONMENT = "environment.sh"
"""Name of the file that sets the variables of a job. Only its owner can read it, since it contains credentials."""

RUN_LAW = "import sys; from aframe.tasks.law_start import run; sys.exit(run())"
"""Code with which Python runs law. ``python -m law`` always ends with exit code 0."""


@dataclass(frozen=True)
class Job:
    """A job to be submitted.

    Attributes:
        name: Name in the batch system. It identifies the job after an interruption.
        label: Name among the jobs of the task, suitable for a file: ``branch-3``.
        directory: Local directory of submit files and logs of the task.
        attempt: Number of the attempt, from 1.
        memory: Requested memory, MiB.
        commands: Arguments of ``law`` for each branch.
    """

    name: str
    label: str
    directory: Path
    attempt: int
    memory: int
    commands: Sequence[Sequence[str]]

    @property
    def script(self) -> Path:
        """Path of the script."""
        return self.directory / f"attempt-{self.attempt}" / f"{self.label}.sh"

    @property
    def log(self) -> Path:
        """Path of the log."""
        return self.script.with_suffix(".log")


def next_attempt(directory: Path, label: str) -> int:
    """Number of the next attempt of a job, from 1.

    Args:
        directory: Directory of submit files and logs of the task.
        label: Label of the job.
    """
    attempt = 1
    while (directory / f"attempt-{attempt}" / f"{label}.sh").exists():
        attempt += 1
    return attempt


def write_script(job: Job, settings: Batch, header: Sequence[str], environment: str) -> None:
    """Write the script of a job. Its owner can execute it.

    Args:
        job: The job.
        settings: Resources of the job.
        header: Lines between the first line and the commands, such as directives of a batch system.
        environment: Path of the file that sets the variables, as the job sees it.
    """
    job.script.parent.mkdir(parents=True, exist_ok=True)
    job.script.write_text("\n".join(["#!/bin/bash", *header, *body(job, settings, environment)]) + "\n")
    job.script.chmod(0o700)


def body(job: Job, settings: Batch, environment: str) -> list[str]:
    """Lines of the script of a job. It runs all branches, and fails if at least one branch fails.

    Args:
        job: The job.
        settings: Resources of the job.
        environment: Path of the file that sets the variables, as the job sees it.
    """
    python = "python" if settings.starts_in_image else sys.executable
    lines = [
        "set -u",
        f". {shlex.quote(environment)} || exit 1",
        f"export {JOB}={shlex.quote(job.name)} {JOB_CORES}={settings.cpus} {LOG}={shlex.quote(str(job.log))}",
        "export " + " ".join(f"{name}=1" for name in ONE_THREAD),
    ]
    if settings.gpus == 0:
        lines.append("export CUDA_VISIBLE_DEVICES=")
    lines.append("status=0")
    for command in job.commands:
        lines.append(shlex.join([python, "-P", "-c", RUN_LAW, "run", *command]) + " || status=1")
    return [*lines, "exit $status"]


def write_environment(path: Path, variables: Mapping[str, str]) -> None:
    """Write the file that sets the variables of a job. Only its owner can read it.

    Args:
        path: Path of the file.
        variables: Values by name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
    temporary.replace(path)


def passed_variables(environment: Mapping[str, str], in_container: bool) -> dict[str, str]:
    """Select the variables that a job inherits.

    Args:
        environment: Environment of the submitting process.
        in_container: Whether the job starts in a container with its own software.
    """
    passed = {
        name: value
        for name, value in environment.items()
        if name not in (JOB, JOB_CORES, CONSOLE) and name.isidentifier()
        if name.startswith(PASSED) or (name in INSTALLED and not in_container)
    }
    if "PYTHONPATH" in passed:
        parts = passed["PYTHONPATH"].split(os.pathsep)
        passed["PYTHONPATH"] = os.pathsep.join(os.path.abspath(part) for part in parts if part)
    return passed


def label_of(branches: Sequence[int]) -> str:
    """Label of a job with branches.

    >>> label_of([3]), label_of([3, 4, 7])
    ('branch-3', 'branches-3-4-7')
    """
    return f"branch{'es' if len(branches) > 1 else ''}-{'-'.join(str(branch) for branch in branches)}"


def tail(path: Path, lines: int = 15, size: int = 16384) -> list[str]:
    """Read the last lines of a log.

    Args:
        path: Path of the log.
        lines: Maximum number of lines.
        size: Maximum number of bytes that are read from the end.

    Returns:
        Lines that are not blank; empty if the log does not exist.
    """
    if not path.is_file():
        return []
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - size, 0))
        text = file.read().decode("utf-8", "replace")
    return [line for line in text.splitlines() if line.strip()][-lines:]
