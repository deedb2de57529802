"""How commands find the run that they are about."""

import argparse
import os
from pathlib import Path

from aframe.errors import ConfigurationError, MistakesError
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.runs.stages import check_outputs
from aframe.settings import env_file
from aframe.settings.read import load_config


def run_of(configuration: str, check: bool = True) -> Artifacts:
    """The run of a ``.cfg`` and of the environment, or where that lacks something of the ``.env`` beside it.

    Args:
        configuration: Path of the ``.cfg``; LAW_CONFIG_FILE where empty.
        check: Whether to refuse artifacts that were made with other parameters.

    Raises:
        ConfigurationError: If neither option nor LAW_CONFIG_FILE names a configuration, or a directory is not set.
        MistakesError: If something is wrong with that ``.env``.
    """
    path = configuration or os.environ.get("LAW_CONFIG_FILE", "")
    if not path:
        raise ConfigurationError("which run? give --cfg FILE, or set LAW_CONFIG_FILE to the run's .cfg")
    beside = Path(path).absolute().with_name(".env")
    if beside.is_file() and Directories.read()[1]:
        for name, value in env_file.read(str(beside)).items():
            os.environ.setdefault(name, value)
    run = Artifacts(load_config(str(Path(path).absolute())), Directories.from_environment())
    if check:
        check_outputs(run)
    return run


def load_environment(directory: str) -> str:
    """Set what the run's ``.env`` sets; path of its configuration.

    Raises:
        ConfigurationError: If there is no such file.
        MistakesError: If something is wrong with it.
    """
    path, mistakes = begin_environment(directory)
    if mistakes:
        raise MistakesError(mistakes)
    return path


def begin_environment(directory: str) -> tuple[str, list[str]]:
    """Set what can be understood of a run's ``.env``; path of its configuration, and what is wrong with the ``.env``.

    Raises:
        ConfigurationError: If there is no such file.
    """
    path = Path(directory).absolute()
    found, mistakes = env_file.read_all(str(path / ".env"))
    os.environ.update(found)
    return str(path / "sandbox.cfg"), mistakes


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Declare the directory of a run."""
    parser.add_argument("directory", help="directory of the run")


def add_cfg(parser: argparse.ArgumentParser) -> None:
    """Declare ``--cfg``."""
    parser.add_argument("--cfg", default="", help="the run's .cfg (default: what LAW_CONFIG_FILE names)")
