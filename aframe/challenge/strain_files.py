"""The challenge's files of strain: a dataset for each detector and segment."""

import itertools
from collections.abc import Iterator, Sequence

import h5py
import numpy as np

from aframe import storage
from aframe.challenge.data_sets import IFOS, SAMPLE_RATE
from aframe.errors import DataError, StorageError
from aframe.strain.segments import Segment
from aframe.types import Array

TIMES = ("start_time", "delta_t")
"""Attributes of a dataset: GPS time of its first sample, and time between samples, s."""


def create_segment(file: h5py.File, segment: Segment) -> dict[str, h5py.Dataset]:
    """Create the datasets of a segment, ``<ifo>/<start>``, in double precision.

    Args:
        file: The open file.
        segment: The segment, which begins at a whole second.

    Returns:
        Datasets of shape (segment.duration * SAMPLE_RATE,), by detector.
    """
    datasets = {}
    for ifo in IFOS:
        data = file.create_dataset(f"{ifo}/{segment.start:.0f}", (round(segment.duration * SAMPLE_RATE),), np.float64)
        data.attrs.update({"start_time": segment.start, "delta_t": 1 / SAMPLE_RATE})
        datasets[ifo] = data
    return datasets


def read_segments(paths: Sequence[str]) -> list[Segment]:
    """List the segments in files of strain, in order of time. It reads metadata alone.

    Args:
        paths: Local or s3 paths.

    Raises:
        DataError: If a file has no segment, its detectors have different ones, or segments overlap.
        StorageError: If a file is missing or damaged.
    """
    segments = sorted(segment for path in paths for segment in _segments(path))
    for before, after in itertools.pairwise(segments):
        if after.start < before.stop - 0.5 / SAMPLE_RATE:
            raise DataError(
                f"{', '.join(paths)}: segments from {before.start:.10g} and {after.start:.10g} (GPS s) overlap: give "
                "each stretch of time once"
            )
    return segments


def _segments(path: str) -> set[Segment]:
    """Segments of a file."""
    by_detector: dict[str, set[Segment]] = {}
    with storage.open_hdf5(path) as file:
        for ifo, group in file.items():
            if isinstance(group, h5py.Group):
                by_detector[ifo] = set(_of_detector(path, group))
    if not any(by_detector.values()):
        raise DataError(f"{path} has no strain: give a file with datasets such as H1/1238205077")
    first, *others = by_detector.values()
    if any(other != first for other in others):
        raise DataError(f"{path}: {' and '.join(by_detector)} have different segments: make the file again")
    return first


def _of_detector(path: str, group: h5py.Group) -> Iterator[Segment]:
    for name, data in group.items():
        if not isinstance(data, h5py.Dataset) or not {*TIMES} <= {*data.attrs} or data.ndim != 1:
            raise DataError(f"{path}: {group.name}/{name} is no series with the attributes {' and '.join(TIMES)}")
        start, step = (float(data.attrs[each]) for each in TIMES)
        if not (np.isfinite(start) and 0 < step < np.inf):
            raise StorageError(f"{path}: {group.name}/{name} begins at {start} with steps of {step} s: make it again")
        if len(data):
            yield Segment(start, start + len(data) * step)


def add(data: Array, first: int, other: Array, other_first: int) -> None:
    """Add the part of a series that lies in another one, in place.

    Args:
        data: Series that changes, shape (time,).
        first: Number of its first sample.
        other: Series that is added, shape (other time,).
        other_first: Number of its first sample.
    """
    low, high = max(first, other_first), min(first + len(data), other_first + len(other))
    if low < high:
        data[low - first : high - first] += other[low - other_first : high - other_first]
