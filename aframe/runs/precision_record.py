"""Record of the precision that one machine chose for all machines of a run."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from aframe import storage
from aframe.errors import StorageError

_READ: dict[str, str] = {}
"""Precisions from earlier reads, by path. Records do not change, and S3 is slow."""


def recorded(path: str, allowed: Collection[str]) -> str | None:
    """Read the precision of a record.

    Args:
        path: Path of the record, local or on S3.
        allowed: Valid precisions.

    Returns:
        The precision. None if the record does not exist yet.

    Raises:
        StorageError: If the record is damaged, or has another precision.
    """
    if path not in _READ and storage.exists(path):
        _READ[path] = _read(storage.read_text(path), path, allowed)
    return _READ.get(path)


def record_first(path: str, chosen: str, measured: Mapping[str, Any], allowed: Collection[str]) -> str:
    """Record a precision, unless another machine recorded one before.

    Args:
        path: Path of the record, local or on S3.
        chosen: Choice of this machine.
        measured: Measurements of this machine, which are stored too.
        allowed: Valid precisions.

    Returns:
        The precision in the record.

    Raises:
        StorageError: If the record of another machine is damaged, or has another precision.
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
            "or write the precision of the run's outputs in it"
        )
    return str(precision)
