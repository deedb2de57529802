"""Read the ``.env`` of a run as the shell of ``run.sh`` does, but without a shell."""

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
"""NAME=value, in single, double or no quotes, with an optional comment."""

COMMAND = re.compile(r"(?<!\\)\$\(")
"""Beginning of a command whose output is the value."""

RUN_VARIABLES = (
    *(f"AFRAME_{name}_DIR" for name in ("TRAIN_DATA", "TEST_DATA", "TRAIN_RUN", "CONDOR", "RESULTS", "CACHE")),
    "AFRAME_RUN_DIR",
    "AFRAME_S3_PATIENCE",
    "AFRAME_DEBUG",
    "AFRAME_QUIET",
)
"""Variables of aframe that a run reads. A similar name of another variable is a mistake."""

LEAST_SIMILARITY = 0.9
"""Smallest similarity of two names of which one is a misspelling, between 0 and 1."""

ESCAPED_OR_REFERENCE = re.compile(r'\\([$`"\\])|\$(?:\{(\w+)\}|([A-Za-z_]\w*))')
"""An escaped character, or a variable, in a value without single quotes."""


def read(path: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Read the variables of a run's ``.env``.

    Args:
        path: The file.
        environment: Variables that the values can use, in addition to those of earlier lines.

    Raises:
        ConfigurationError: If the file does not exist.
        MistakesError: All mistakes that ``read_all`` finds.
    """
    variables, mistakes = read_all(path, environment)
    if mistakes:
        raise MistakesError(mistakes)
    return variables


def read_all(path: str, environment: Mapping[str, str] = os.environ) -> tuple[dict[str, str], list[str]]:
    """Read the variables of a run's ``.env``, and find its mistakes.

    A line is a mistake if it is more than NAME=value, uses a variable that is not set, sets an unknown variable of
    aframe, or has a path that law cannot read. A line is also a mistake if it names another directory for this file:
    the run was then moved or copied.

    Args:
        path: The file.
        environment: Variables that the values can use, in addition to those of earlier lines.

    Returns:
        The variables, and a message for each mistake. One message if the file cannot be read.

    Raises:
        ConfigurationError: If the file does not exist.
    """
    if not os.path.exists(path):
        raise ConfigurationError(f"{path} does not exist: write the run's files with `aframe init {Path(path).parent}`")
    variables: dict[str, str] = {}
    mistakes: list[str] = []
    try:
        text = storage.read_text(path)
    except StorageError as error:
        return variables, [str(error)]
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name, value = variable(line, {**environment, **variables})
        except ValueError as error:
            mistakes.append(f"{path}:{number}: {error}")
        else:
            variables[name] = value
            meant = difflib.get_close_matches(name, RUN_VARIABLES, n=1, cutoff=LEAST_SIMILARITY)
            if meant and name not in RUN_VARIABLES:
                mistakes.append(f"{path}:{number}: aframe knows no variable {name} (did you mean {meant[0]}?)")
            if name == "LAW_HOME" and "%" in value:
                mistakes.append(
                    f"{path}:{number}: LAW_HOME = {value} has a %, at which law fails: rename the directory"
                )
            if name == "AFRAME_RUN_DIR" and not _is_directory_of(value, path):
                problem = f"AFRAME_RUN_DIR = {value} is not the directory of this file: if the run was moved or copied"
                mistakes.append(f"{path}:{number}: {problem}, set it to {Path(path).absolute().parent}")
    return variables, mistakes


def _is_directory_of(directory: str, path: str) -> bool:
    """Whether a file lies in a directory. Links are resolved."""
    return os.path.realpath(directory) == os.path.realpath(Path(path).parent)


def variable(line: str, values: Mapping[str, str]) -> tuple[str, str]:
    """Parse a line.

    >>> variable('export AFRAME_RESULTS_DIR="$DATA/results"  # where', {"DATA": "s3://bucket"})
    ('AFRAME_RESULTS_DIR', 's3://bucket/results')

    Args:
        line: The line.
        values: Values of the variables that the line can use.

    Returns:
        Name and value.

    Raises:
        ValueError: If the line is not NAME=value, or uses an unknown variable.
    """
    match = LINE.fullmatch(line)
    if match is None or (match["single"] is None and COMMAND.search(line)):
        raise ValueError('this is no NAME="value": mend the line, or set the output of a command in the shell')
    if match["single"] is not None:
        return match["name"], match["single"]
    references = ESCAPED_OR_REFERENCE.finditer(match["double"] or match["bare"] or "")
    names = [reference[2] or reference[3] for reference in references if not reference[1]]
    unset = [name for name in names if name not in values]
    if unset:
        raise ValueError(f"{match['name']} names {', '.join(unset)}, which is not set: set it, or write the value")
    if match["double"] is not None:
        return match["name"], _expanded(match["double"], values)
    return match["name"], os.path.expanduser(_expanded(match["bare"] or "", values))


def _expanded(value: str, values: Mapping[str, str]) -> str:
    """Replace variables by their values, and escaped characters by themselves."""
    return ESCAPED_OR_REFERENCE.sub(lambda match: match[1] or values[match[2] or match[3]], value)


def escaped(value: str) -> str:
    r"""Write a value for double quotes.

    >>> print(escaped("/data/a$HOME"))
    /data/a\$HOME
    """
    return re.sub(r'([$`"\\])', r"\\\1", value)
