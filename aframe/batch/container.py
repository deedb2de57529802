"""How Apptainer is told to run a command in an image: what is bound, and what the command's environment has."""

import os
import shutil
from collections.abc import Mapping, Sequence

from aframe import storage
from aframe.batch.job import ONE_THREAD, PASSED, RUN_LAW
from aframe.errors import ConfigurationError
from aframe.machine.processes import JOB, JOB_CORES

PROGRAMS = {"apptainer": "APPTAINERENV_", "singularity": "SINGULARITYENV_"}
"""Programs that run an image, in the order in which they are looked for, and what the names of variables begin with
that they set inside: unlike options, others on the machine cannot read them."""

ALSO_PASSED = (JOB, JOB_CORES, "CUDA_VISIBLE_DEVICES", "TMPDIR", *ONE_THREAD)
"""Variables of its process that a task has inside too, besides those of any job."""

OWN = {"PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1"}
"""Variables that only a task inside has: the home, which is bound, may hold packages for the Python outside."""


def program(image: str) -> str:
    """The program that runs an image on this machine.

    Raises:
        ConfigurationError: If there is none.
    """
    for name in PROGRAMS:
        if shutil.which(name):
            return name
    raise ConfigurationError(
        f"image = {image}: neither {' nor '.join(PROGRAMS)} is on PATH: install one, or leave image out"
    )


def check_image(image: str) -> None:
    """Refuse an image that is not there.

    Args:
        image: A path, or an address of a registry, with ``://``.

    Raises:
        ConfigurationError: If it is a path at which there is nothing.
    """
    if not storage.is_remote(image) and not os.path.exists(image):
        raise ConfigurationError(
            f"image = {image} does not exist: give a .sif file, a directory of an image's files, or docker://NAME"
        )


def passed_inside(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables of a process that a task inside has too.

    >>> passed_inside({"PATH": "/bin", "AWS_PROFILE": "ligo", "AFRAME_JOB": "a-branch-3"})
    {'AWS_PROFILE': 'ligo', 'AFRAME_JOB': 'a-branch-3'}
    """
    return {
        name: value
        for name, value in environment.items()
        if name.isidentifier() and (name.startswith(PASSED) or name in ALSO_PASSED)
    }


def bound(paths: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """What is bound, at the same place inside: outermost directories alone, and where symbolic links lead.

    Args:
        paths: Directories and files that a task reads or writes.
        variables: That it has; paths in them, such as those of tokens and certificates, are bound too.

    Raises:
        ConfigurationError: If a path has a character that separates paths for Apptainer.
    """
    parts = [part for value in variables.values() for part in value.split(os.pathsep)]
    wanted = [*paths]
    wanted += [part for part in parts if os.path.isabs(part) and part != os.sep and os.path.exists(part)]
    places = {os.path.abspath(path) for path in wanted}
    places |= {os.path.realpath(path) for path in places}
    for path in sorted(places):
        if set(path) & set(":,"):
            raise ConfigurationError(f"{path} cannot be bound in a container for its colon or comma: rename it")
    return [path for path in sorted(places) if not any(path.startswith(f"{other}{os.sep}") for other in places)]


def command(name: str, image: str, paths: Sequence[str], directory: str, has_gpus: bool) -> list[str]:
    """Words, up to those of the command itself, that run one in an image.

    Args:
        name: One of ``PROGRAMS``.
        image: Path or address.
        paths: What is bound.
        directory: Where it starts; one of ``paths``, or in one.
        has_gpus: Whether it sees the machine's GPUs.
    """
    binds = [word for path in paths for word in ("--bind", path)]
    return [name, "exec", "--cleanenv", *(["--nv"] if has_gpus else []), *binds, "--pwd", directory, image]


def python(arguments: Sequence[str]) -> list[str]:
    """Words that run ``law run`` with some arguments, by the Python of the image."""
    return ["python", "-P", "-c", RUN_LAW, "run", *arguments]


def injected(name: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Variables by which a program is told to set some inside.

    >>> injected("apptainer", {"AWS_PROFILE": "ligo"})["APPTAINERENV_AWS_PROFILE"]
    'ligo'
    """
    return {f"{PROGRAMS[name]}{key}": value for key, value in (OWN | dict(variables)).items()}
