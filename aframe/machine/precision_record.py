"""The record of a precision that a machine chose, which all other machines of a run keep to."""

import json
from collections.abc import Mapping
from typing import Any

from aframe import storage

_READ: dict[str, str] = {}
"""Precisions that were read, by path: what is recorded does not change, and S3 is slow to ask."""


def recorded(path: str) -> str | None:
    """The precision of a record; None where there is no record yet."""
    if path not in _READ and storage.exists(path):
        _READ[path] = str(json.loads(storage.read_text(path))["precision"])
    return _READ.get(path)


def record_first(path: str, chosen: str, measured: Mapping[str, Any]) -> str:
    """Record a precision unless another machine has done so meanwhile.

    Args:
        path: Of the record, local or on S3.
        chosen: By this machine.
        measured: What it has measured.

    Returns:
        The precision that stands in the record.
    """
    record = json.loads(storage.write_first(path, json.dumps({"precision": chosen, **measured})))
    _READ[path] = str(record["precision"])
    return _READ[path]
