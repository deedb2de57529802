"""The ``.env`` of a run, read without a shell and as the one that runs ``run.sh`` reads it."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from aframe import storage
from aframe.errors import ConfigurationError, MistakesError, StorageError

LINE = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)=
    (?:"(?P<double>(?:[^"\\`]|\\.)*)"|'(?P<single>[^']*)'|(?P<bare>(?:[^\s"'\\`;&|<>()\#][^\s"'\\`;&|<>()]*)?))
    (?:\s+\#.*)?\s*""",
    re.VERBOSE,
)
"""NAME=value, with quotes of either kind or none, and perhaps a comment."""

KNOWN = (
    *(f"AFRAME_{name}_DIR" for name in ("TRAIN_DATA", "TEST_DATA", "TRAIN_RUN", "CONDOR", "RESULTS", "CACHE")),
    "AFRAME_RUN_DIR",
    "AFRAME_S3_PATIENCE",
    "AFRAME_DEBUG",
    "AFRAME_QUIET",
)
"""Our variables that a run takes; others are the user's own, but one that is almost called so is meant to be one."""

ALIKE = 0.9
"""How alike two names are of which one is taken for the other, of 1."""

REFERENCE = re.compile(r"(?<!\\)\$(?:\{(\w+)\}|([A-Za-z_]\w*))")
"""A variable in a value that is not in single quotes."""


def read(path: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a run's ``.env`` sets.

    Args:
        path: The file.
        environment: What its values may name, besides the variables of earlier lines.

    Raises:
        ConfigurationError: If there is no such file.
        MistakesError: All that ``read_all`` finds to be wrong.
    """
    found, mistakes = read_all(path, environment)
    if mistakes:
        raise MistakesError(mistakes)
    return found


def read_all(path: str, environment: Mapping[str, str] = os.environ) -> tuple[dict[str, str], list[str]]:
    """What a run's ``.env`` sets, and what is wrong with it.

    Args:
        path: The file.
        environment: What its values may name, besides the variables of earlier lines.

    Returns:
        The variables; and a line for each that is more than a value for a name, names a variable that is not set, sets
        one of ours that there is not, or says that the file lies elsewhere: the run was moved or copied; or one line,
        where the file cannot be read.

    Raises:
        ConfigurationError: If there is no such file.
    """
    if not os.path.exists(path):
        raise ConfigurationError(f"{path} does not exist: write the run's files with `aframe init {Path(path).parent}`")
    found: dict[str, str] = {}
    mistakes: list[str] = []
    try:
        text = storage.read_text(path)
    except StorageError as error:
        return found, [str(error)]
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name, value = variable(line, {**environment, **found})
        except ValueError as error:
            mistakes.append(f"{path}:{number}: {error}")
        else:
            found[name] = value
            meant = difflib.get_close_matches(name, KNOWN, n=1, cutoff=ALIKE)
            if meant and name not in KNOWN:
                mistakes.append(f"{path}:{number}: aframe knows no variable {name} (did you mean {meant[0]}?)")
            if name == "AFRAME_RUN_DIR" and not _is_directory_of(value, path):
                told = f"AFRAME_RUN_DIR = {value} is not the directory of this file: if the run was moved or copied"
                mistakes.append(f"{path}:{number}: {told}, set it to {Path(path).absolute().parent}")
    return found, mistakes


def _is_directory_of(directory: str, path: str) -> bool:
    """Whether a file lies in a directory, whatever links lead there."""
    return os.path.realpath(directory) == os.path.realpath(Path(path).parent)


def variable(line: str, known: Mapping[str, str]) -> tuple[str, str]:
    r"""Name and value of a line.

    >>> variable('export AFRAME_RESULTS_DIR="$DATA/results"  # where', {"DATA": "s3://bucket"})
    ('AFRAME_RESULTS_DIR', 's3://bucket/results')

    Raises:
        ValueError: If it is no NAME=value, or names a variable that is not among the known ones.
    """
    match = LINE.fullmatch(line)
    if match is None or (match["single"] is None and "$(" in line):
        raise ValueError('this is no NAME="value": mend the line, or set what a command has to find out in the shell')
    if match["single"] is not None:
        return match["name"], match["single"]
    unset = [
        name for name in map(_named, REFERENCE.finditer(match["double"] or match["bare"] or "")) if name not in known
    ]
    if unset:
        raise ValueError(f"{match['name']} names {', '.join(unset)}, which is not set: set it, or write the value")
    if match["double"] is not None:
        return match["name"], re.sub(r'\\([$`"\\])', r"\1", _expanded(match["double"], known))
    return match["name"], os.path.expanduser(_expanded(match["bare"] or "", known))


def _named(reference: re.Match[str]) -> str:
    return reference[1] or reference[2]


def _expanded(value: str, known: Mapping[str, str]) -> str:
    return REFERENCE.sub(lambda reference: known[_named(reference)], value)
