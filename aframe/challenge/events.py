"""The challenge's files of events: time, ranking statistic, and the time within which a signal must lie."""

from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import numpy as np
from jaxtyping import Float

from aframe import storage
from aframe.errors import DataError
from aframe.types import Array

COLUMNS = ("time", "stat", "var")
"""Datasets of an event file."""

DURATION = "duration"
"""Attribute with the length of the strain that was searched, s. Files of other searches lack it."""


@dataclass(frozen=True)
class Events:
    """Events of a search, in order of time. All arrays have shape (events,).

    Attributes:
        time: GPS s.
        stat: Ranking statistic: larger for what is more like a signal.
        var: Largest time from an event to the merger that it is of, s.
        duration: Length of the strain that was searched, s; None if the file does not tell.
    """

    time: Float[Array, " events"]
    stat: Float[Array, " events"]
    var: Float[Array, " events"]
    duration: float | None = None


def write_events(path: str, events: Events, made_with: storage.Parameters) -> None:
    """Write an event file, in order of time and in double precision, as the challenge's evaluation reads it.

    Args:
        path: Local or s3 path.
        events: Events in any order.
        made_with: Parameters of the search.
    """
    order = np.argsort(events.time, kind="stable")
    with storage.create_hdf5(path, made_with) as file:
        for name in COLUMNS:
            file[name] = np.asarray(getattr(events, name)[order], np.float64)
        if events.duration is not None:
            file.attrs[DURATION] = events.duration


def read_events(paths: Sequence[str]) -> Events:
    """Read event files of the challenge, and join them.

    Args:
        paths: Local or s3 paths, each of another stretch of time.

    Raises:
        DataError: If a column is missing or has another length than the others, a value is not finite, or ``var`` is
            negative.
        StorageError: If a file is missing or damaged.
    """
    parts = [_read(path) for path in paths]
    durations = [duration for _, duration in parts]
    table = np.concatenate([columns for columns, _ in parts], axis=1)
    table = table[:, np.argsort(table[0], kind="stable")]
    known = None if None in durations else float(sum(duration or 0.0 for duration in durations))
    return Events(table[0], table[1], table[2], known)


def _read(path: str) -> tuple[Array, float | None]:
    """Columns of a file, shape (3, events), and the length of its strain, s."""
    with storage.open_hdf5(path) as file:
        missing = [name for name in COLUMNS if not isinstance(file.get(name), h5py.Dataset)]
        if missing:
            raise DataError(
                f"{path} lacks {', '.join(missing)} (it has {', '.join(file) or 'nothing'}): give what "
                "`aframe challenge search` writes, or another file with time, stat and var"
            )
        columns = [np.asarray(file[name][()], np.float64) for name in COLUMNS]
        duration = file.attrs.get(DURATION)
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
        shapes = ", ".join(f"{name} {column.shape}" for name, column in zip(COLUMNS, columns, strict=True))
        raise DataError(f"{path}: time, stat and var must be equally long rows of numbers, these are {shapes}")
    for name, column in zip(COLUMNS, columns, strict=True):
        is_wrong = ~np.isfinite(column) | (column < 0) & (name == "var")
        if is_wrong.any():
            raise DataError(
                f"{path}: {name} is {column[is_wrong][0]} in row {is_wrong.argmax()}: leave such events out, "
                "or search again"
            )
    return np.stack(columns), None if duration is None else float(duration)
