"""Directories of a run, from the environment."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass

from aframe import storage
from aframe.errors import ConfigurationError, MistakesError
from aframe.settings.keys import partial


@dataclass(frozen=True, kw_only=True)
class Directories:
    """The five directories of a run. Each is local or ``s3://…``; that of the batch system is local."""

    train_data: str
    test_data: str
    train_run: str
    condor: str
    results: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Directories":
        """Read ``AFRAME_TRAIN_DATA_DIR`` and the four similar variables.

        Raises:
            MistakesError: If a variable is not set, empty, or has an unusable kind of path.
        """
        directories, mistakes = cls.read(environment)
        if mistakes:
            raise MistakesError(mistakes)
        return directories

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> tuple["Directories", list[str]]:
        """Read the variables, and list their mistakes.

        Returns:
            The directories and the mistakes. Access to an unknown directory raises ``UnknownValueError``.
        """
        names = {f.name: f"AFRAME_{f.name.upper()}_DIR" for f in dataclasses.fields(cls)}
        missing = [variable for variable in names.values() if not environment.get(variable)]
        mistakes = []
        if missing:
            mistakes.append(
                f"environment variable {', '.join(missing)} is not set: set it to a directory or s3:// prefix, "
                "or load the .env file that `aframe init` wrote, with `set -a; . DIR/.env; set +a`"
            )
        values = {}
        for name, variable in names.items():
            try:
                value = storage.locate(environment[variable]) if environment.get(variable) else ""
            except ConfigurationError as error:
                mistakes.append(f"{variable} = {error}")
                continue
            scheme, separator, _ = value.partition("://")
            if separator and (scheme != "s3" or name == "condor"):
                kinds = "local directory" if name == "condor" else "local directory or s3://bucket/prefix"
                mistakes.append(f"{variable} = {value} is no {kinds}: choose one")
            elif value:
                values[name] = value.rstrip("/")
        return (partial(cls, values) if mistakes else cls(**values)), mistakes
