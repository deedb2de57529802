"""The record of a precision that a machine chose, which all other machines of a run keep to."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from aframe import storage
from aframe.errors import StorageError

_READ: dict[str, str] = {}
"""Precisions that were read, by path: what is recorded does not change, and S3 is slow to ask."""


def recorded(path: str, allowed: Collection[str]) -> str | None:
    """The precision of a record; None where there is no record yet.

    Args:
        path: Of the record, local or on S3.
        allowed: Precisions that may stand there.

    Raises:
        StorageError: If it is damaged, or names another precision.
    """
    if path not in _READ and storage.exists(path):
        _READ[path] = _read(storage.read_text(path), path, allowed)
    return _READ.get(path)


def record_first(path: str, chosen: str, measured: Mapping[str, Any], allowed: Collection[str]) -> str:
    """Record a precision unless another machine has done so meanwhile.

    Args:
        path: Of the record, local or on S3.
        chosen: By this machine.
        measured: What it has measured.
        allowed: Precisions that another machine may have recorded.

    Returns:
        The precision that stands in the record.

    Raises:
        StorageError: If the record of another machine is damaged, or names another precision.
    """
    text = storage.write_first(path, json.dumps({"precision": chosen, **measured}))
    _READ[path] = _read(text, path, allowed)
    return _READ[path]


def _read(text: str, path: str, allowed: Collection[str]) -> str:
    try:
        precision = json.loads(text)["precision"]
    except (ValueError, TypeError, KeyError):
        precision = None
    if precision not in allowed:
        raise StorageError(
            f"{path} is no record of a precision ({' or '.join(allowed)}): delete it to choose anew, "
            "or write in it the precision of what the run has made"
        )
    return str(precision)
