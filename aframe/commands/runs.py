"""Functions with which commands find their run, and check where their outputs go."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import aframe
from aframe import storage
from aframe.errors import ConfigurationError, MistakesError
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.runs.stages import check_outputs
from aframe.settings import env_file
from aframe.settings.read import load_config

LONGEST_NAME = 255
"""Largest length of a file's name, bytes."""


def run_of(configuration: str | None, check: bool = True) -> Artifacts:
    """Load a run from a ``.cfg`` file and the environment.

    If the environment lacks a directory, the ``.env`` file beside the ``.cfg`` adds it.

    Args:
        configuration: Path of the ``.cfg``; None or empty for LAW_CONFIG_FILE.
        check: Whether to refuse outputs that were made with other parameters.

    Raises:
        ConfigurationError: If neither argument nor LAW_CONFIG_FILE names a configuration, or a directory is not set.
        MistakesError: If the ``.env`` file has mistakes.
        ParameterMismatchError: If an output was made with other parameters.
    """
    path = configuration or os.environ.get("LAW_CONFIG_FILE")
    if not path:
        raise ConfigurationError("which run? give --cfg FILE, or set LAW_CONFIG_FILE to the run's .cfg")
    path = storage.locate(path)
    beside = Path(path).absolute().with_name(".env")
    if beside.is_file() and Directories.read()[1]:
        for name, value in env_file.read(str(beside)).items():
            os.environ.setdefault(name, value)
    run = Artifacts(load_config(str(Path(path).absolute())), Directories.from_environment())
    if check:
        check_outputs(run)
    return run


def load_environment(directory: str) -> str:
    """Set the environment variables of the ``.env`` file of a run.

    Args:
        directory: Directory of the run.

    Returns:
        Path of the configuration.

    Raises:
        ConfigurationError: If the file does not exist.
        MistakesError: If the file has mistakes.
    """
    path, mistakes = begin_environment(directory)
    if mistakes:
        raise MistakesError(mistakes)
    return path


def begin_environment(directory: str) -> tuple[str, list[str]]:
    """Set the environment variables of all valid lines of the ``.env`` file of a run.

    Args:
        directory: Directory of the run.

    Returns:
        Path of the configuration, and the mistakes in the ``.env`` file.

    Raises:
        ConfigurationError: If the file does not exist.
    """
    path = Path(directory).absolute()
    variables, mistakes = env_file.read_all(str(path / ".env"))
    os.environ.update(variables)
    return str(path / "sandbox.cfg"), mistakes


def locate_model(text: str) -> str:
    """Path of a ``model.pt`` that a user names, also by the directory of its training or of its run.

    Args:
        text: Path of the file or the directory.
    """
    path = storage.locate(text)
    inside = [os.path.join(path, name) for name in ("model.pt", "train_run/model.pt")]
    return next(filter(os.path.isfile, inside), path)


def shipped_model() -> str:
    """Path of the network that a checkout has. Empty without one."""
    places = (Path("models/demo"), Path(aframe.__file__).parents[1] / "models" / "demo")
    return next((str(place / "model.pt") for place in places if (place / "model.pt").is_file()), "")


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Declare the directory of a run."""
    parser.add_argument("directory", type=storage.locate, help="directory of the run")


def add_cfg(parser: argparse.ArgumentParser) -> None:
    """Declare ``--cfg``."""
    parser.add_argument("--cfg", type=storage.locate, help="the run's .cfg (default: what LAW_CONFIG_FILE names)")


def check_output(option: str, path: str | None, suffixes: Sequence[str], kind: str) -> None:
    """Check, before any work, that an output can be written and has a suitable name.

    Args:
        option: The option that names it.
        path: The output; None or empty for none.
        suffixes: Suffixes that it may have.
        kind: What it is.

    Raises:
        ConfigurationError: If it cannot be written, or its suffix is wrong.
        StorageError: If it is to go to a store of another kind than S3, or to one that does not take it.
    """
    from aframe.checks.run import LEAST_FREE_BYTES_BEFORE_RUN

    if not path:
        return
    if not storage.has_suffix(path, tuple(suffixes)):
        raise ConfigurationError(f"{option} {path} is no {kind}: give a name that ends in {suffixes[0]}")
    _, inner = storage.filesystem_of(path)
    if storage.is_remote(path) and "/" not in inner:
        raise ConfigurationError(f"{option} {path} names a bucket and no file in it: give s3://bucket/key")
    if len(os.fsencode(Path(path).name)) > LONGEST_NAME:
        raise ConfigurationError(f"{option}: its name is longer than {LONGEST_NAME} bytes: give a shorter one")
    if storage.is_remote(path):
        storage.try_to_write(path)
        return
    if os.path.isdir(path):
        raise ConfigurationError(f"{option} {path} is a directory: give a file in it")
    reason = storage.why_not_written(Path(path).absolute().parent, LEAST_FREE_BYTES_BEFORE_RUN)
    if reason:
        raise ConfigurationError(f"{option} {path} cannot be written ({reason}): choose another place")
