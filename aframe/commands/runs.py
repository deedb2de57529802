"""How commands find the run that they are about."""

import argparse
import os
from pathlib import Path

from aframe import config, env_file
from aframe.artifacts import Artifacts
from aframe.errors import ConfigurationError


def run_of(configuration: str, check: bool = True) -> Artifacts:
    """The run of a ``.cfg`` and of the environment.

    Args:
        configuration: Path of the ``.cfg``; LAW_CONFIG_FILE where empty.
        check: Whether to refuse artifacts that were made with other parameters.

    Raises:
        ConfigurationError: If neither option nor LAW_CONFIG_FILE names a configuration, or a directory is not set.
    """
    path = configuration or os.environ.get("LAW_CONFIG_FILE", "")
    if not path:
        raise ConfigurationError("which run? give --cfg FILE, or set LAW_CONFIG_FILE to the run's .cfg")
    run = Artifacts(config.load(str(Path(path).absolute())), config.Directories.from_environment())
    if check:
        run.check()
    return run


def load_environment(directory: str) -> str:
    """Set what the run's ``.env`` sets; path of its configuration."""
    path = Path(directory).absolute()
    os.environ.update(env_file.read(str(path / ".env")))
    return str(path / "sandbox.cfg")


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Declare the directory of a run."""
    parser.add_argument("directory", help="directory of the run")


def add_cfg(parser: argparse.ArgumentParser) -> None:
    """Declare ``--cfg``."""
    parser.add_argument("--cfg", default="", help="the run's .cfg (default: what LAW_CONFIG_FILE names)")
