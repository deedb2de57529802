"""Commands that run a program in an image with Apptainer: bound paths and environment variables."""

import os
import shutil
from collections.abc import Mapping, Sequence

from aframe import storage
from aframe.batch.job import ONE_THREAD, PASSED, RUN_LAW
from aframe.errors import ConfigurationError
from aframe.machine.processes import JOB, JOB_CORES

PROGRAMS = {"apptainer": "APPTAINERENV_", "singularity": "SINGULARITYENV_"}
"""Programs that run an image, in order of preference, and their prefixes of variables.

A program sets a variable with this prefix inside the container. Other users of the machine cannot read variables, but
they can read options.
"""

ALSO_PASSED = (JOB, JOB_CORES, "CUDA_VISIBLE_DEVICES", "TMPDIR", *ONE_THREAD)
"""Variables of the process that a task has in the container, in addition to those of every job."""

INSIDE_VARIABLES = {"PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1"}
"""Variables that exist only in the container. The bound home directory may contain packages for another Python."""


def installed_programs() -> list[str]:
    """Those of ``PROGRAMS`` that are on PATH, in order of preference."""
    return [name for name in PROGRAMS if shutil.which(name)]


def program(image: str) -> str:
    """Find the program that runs an image on this machine.

    Raises:
        ConfigurationError: If no program is on PATH.
    """
    programs = installed_programs()
    if programs:
        return programs[0]
    raise ConfigurationError(
        f"image = {image}: neither {' nor '.join(PROGRAMS)} is on PATH: install one, or leave image out"
    )


def check_image(image: str) -> None:
    """Check that an image exists.

    Args:
        image: Path, or address in a registry with ``://``. An address is not checked.

    Raises:
        ConfigurationError: If the path does not exist.
    """
    if not storage.is_remote(image) and not os.path.exists(image):
        raise ConfigurationError(
            f"image = {image} does not exist: give a .sif file, a directory of an image's files, or docker://NAME"
        )


def passed_inside(environment: Mapping[str, str]) -> dict[str, str]:
    """Select the variables of a process that a task has in the container.

    >>> passed_inside({"PATH": "/bin", "AWS_PROFILE": "ligo", "AFRAME_JOB": "a-branch-3"})
    {'AWS_PROFILE': 'ligo', 'AFRAME_JOB': 'a-branch-3'}
    """
    return {
        name: value
        for name, value in environment.items()
        if name.isidentifier() and (name.startswith(PASSED) or name in ALSO_PASSED)
    }


def bound(paths: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """Paths to bind in the container, at the same place as outside.

    They include the targets of symbolic links. A path in another bound path is left out.

    Args:
        paths: Directories and files that a task reads or writes.
        variables: Environment variables of the task. Paths in them, such as those of tokens and certificates, are also
            bound.

    Raises:
        ConfigurationError: If a path contains a character that separates paths for Apptainer.
    """
    parts = [part for value in variables.values() for part in value.split(os.pathsep)]
    requested = [*paths]
    requested += [part for part in parts if os.path.isabs(part) and part != os.sep and os.path.exists(part)]
    places = {os.path.abspath(path) for path in requested}
    places |= {os.path.realpath(path) for path in places}
    for path in sorted(places):
        if set(path) & set(":,"):
            raise ConfigurationError(f"{path} cannot be bound in a container for its colon or comma: rename it")
    return [path for path in sorted(places) if not any(path.startswith(f"{other}{os.sep}") for other in places)]


def command(name: str, image: str, paths: Sequence[str], directory: str, has_gpus: bool) -> list[str]:
    """Words of a command line that runs a command in an image. The command itself follows them.

    Args:
        name: One of ``PROGRAMS``.
        image: Path or address of the image.
        paths: Paths to bind.
        directory: Working directory. It is one of ``paths`` or inside one.
        has_gpus: Whether the command can use the GPUs of the machine.
    """
    binds = [word for path in paths for word in ("--bind", path)]
    return [name, "exec", "--cleanenv", *(["--nv"] if has_gpus else []), *binds, "--pwd", directory, image]


def python(arguments: Sequence[str]) -> list[str]:
    """Words of a command that runs ``law run`` with arguments, with the Python of the image."""
    return ["python", "-P", "-c", RUN_LAW, "run", *arguments]


def injected(name: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Variables with which a program sets variables in the container.

    Args:
        name: One of ``PROGRAMS``.
        variables: Variables in the container.

    >>> injected("apptainer", {"AWS_PROFILE": "ligo"})["APPTAINERENV_AWS_PROFILE"]
    'ligo'
    """
    return {f"{PROGRAMS[name]}{key}": value for key, value in (INSIDE_VARIABLES | dict(variables)).items()}
