"""One job: its script, its files, and the environment that it takes along."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aframe.machine.processes import JOB, JOB_CORES
from aframe.progress.activity import LOG
from aframe.settings.jobs import Batch

PASSED = (
    "AFRAME_", "AWS_", "LAW_", "LAL_", "LIGO_", "GWDATAFIND_", "NDS", "DEFAULT_SEGMENT_SERVER", "X509_", "BEARER_TOKEN",
    "SCITOKEN", "KRB5", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY",
    "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
"""How the names of variables begin that a job takes along from the submitting process."""

INSTALLED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "LANG", "LC_ALL")
"""Variables that it takes along unless it starts in a container, which has its own."""

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Variables of libraries that would take all cores of a machine that is shared with others."""

ENVIRONMENT = "environment.sh"
"""Name of the file that sets a job's variables: for its owner alone, as credentials are among them."""

RUN_LAW = "import sys; from law.cli import run; sys.exit(run())"
"""What Python runs; ``python -m law`` would always end with 0."""


@dataclass(frozen=True)
class Job:
    """A job that is to be submitted.

    Attributes:
        name: Its name in the batch system, by which it is found again.
        label: Its name among the jobs of its task, fit for a file: ``branch-3``.
        directory: Local directory of the task's submit files and logs.
        attempt: How often the job is submitted with this one.
        memory: It may take, MiB.
        commands: Arguments of ``law`` for each of its branches.
    """

    name: str
    label: str
    directory: Path
    attempt: int
    memory: int
    commands: Sequence[Sequence[str]]

    @property
    def script(self) -> Path:
        """What it runs."""
        return self.directory / f"attempt-{self.attempt}" / f"{self.label}.sh"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.script.with_suffix(".log")


def next_attempt(directory: Path, label: str) -> int:
    """Number of the first attempt, from 1, of which a job has no script yet."""
    attempt = 1
    while (directory / f"attempt-{attempt}" / f"{label}.sh").exists():
        attempt += 1
    return attempt


def write_script(job: Job, settings: Batch, header: Sequence[str], environment: str) -> None:
    """Write a job's script, executable by its owner.

    Args:
        job: The job.
        settings: What it may take.
        header: Lines between the first one and the commands: a batch system's directives.
        environment: Path, as the job sees it, of the file that sets its variables.
    """
    job.script.parent.mkdir(parents=True, exist_ok=True)
    job.script.write_text("\n".join(["#!/bin/bash", *header, *body(job, settings, environment)]) + "\n")
    job.script.chmod(0o700)


def body(job: Job, settings: Batch, environment: str) -> list[str]:
    """Lines of a job's script: all its branches, whether or not one fails; it fails when one does."""
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
    """Write the file that sets a job's variables; only its owner can read it.

    Args:
        path: Of the file.
        variables: Their values.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
    temporary.replace(path)


def passed_variables(environment: Mapping[str, str], in_container: bool) -> dict[str, str]:
    """Variables that a job takes along.

    Args:
        environment: Of the submitting process.
        in_container: Whether the job starts where there is other software.
    """
    passed = {
        name: value
        for name, value in environment.items()
        if name not in (JOB, JOB_CORES) and name.isidentifier()
        if name.startswith(PASSED) or (name in INSTALLED and not in_container)
    }
    if "PYTHONPATH" in passed:
        parts = passed["PYTHONPATH"].split(os.pathsep)
        passed["PYTHONPATH"] = os.pathsep.join(os.path.abspath(part) for part in parts if part)
    return passed


def label_of(branches: Sequence[int]) -> str:
    """Name of a job among those of its task.

    >>> label_of([3]), label_of([3, 4, 7])
    ('branch-3', 'branches-3-4-7')
    """
    return f"branch{'es' if len(branches) > 1 else ''}-{'-'.join(str(branch) for branch in branches)}"


def tail(path: Path, lines: int = 15, size: int = 16384) -> list[str]:
    """Last lines of a log; empty where there is none.

    Args:
        path: Of the log.
        lines: At most.
        size: Bytes at its end that are looked at.
    """
    if not path.is_file():
        return []
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - size, 0))
        text = file.read().decode("utf-8", "replace")
    return [line for line in text.splitlines() if line.strip()][-lines:]
