"""The directories of a run, from the environment."""

import dataclasses
import functools
import os
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aframe.settings.jobs import BATCH_TASKS, Batch, Kubernetes
from aframe.settings.cfg_file import CfgFile
from aframe.settings.together import impossible
from aframe.constants import AUTO
from aframe.errors import MistakesError
from aframe.settings.keys import Mistake, closest, fields_of, key, nearest
from aframe.preprocessing import Whitening, to_samples


@dataclass(frozen=True, kw_only=True)
class Directories:
    """The five directories of a run, each local or ``s3://…`` (the batch system's is local)."""

    train_data: str
    test_data: str
    train_run: str
    condor: str
    results: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Directories":
        """Read ``AFRAME_TRAIN_DATA_DIR`` and its four siblings.

        Raises:
            MistakesError: Naming every variable that is unset or empty, or one of a kind that cannot be used.
        """
        directories, mistakes = cls.read(environment)
        if mistakes:
            raise MistakesError(mistakes)
        return directories

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> tuple["Directories", list[str]]:
        """The directories, of which some are not there (as attributes) if there are mistakes; and these."""
        names = {f.name: f"AFRAME_{f.name.upper()}_DIR" for f in dataclasses.fields(cls)}
        missing = [variable for variable in names.values() if not environment.get(variable)]
        mistakes = []
        if missing:
            mistakes.append(
                f"environment variable {', '.join(missing)} is not set: set it to a directory or s3:// prefix, "
                "or load the .env file that `aframe init` wrote, with `set -a; . DIR/.env; set +a`"
            )
        directories = object.__new__(cls)
        for name, variable in names.items():
            value = environment.get(variable, "")
            scheme, found, _ = value.partition("://")
            if found and (scheme != "s3" or name == "condor"):
                kinds = "local directory" if name == "condor" else "local directory or s3://bucket/prefix"
                mistakes.append(f"{variable} = {value} is no {kinds}: choose one")
            elif value:
                object.__setattr__(directories, name, value.rstrip("/"))
        return directories, mistakes
