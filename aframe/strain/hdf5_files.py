"""Series of numbers in HDF5 files: GWOSC's layout, and those of gwpy and PyCBC, in groups or not."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aframe import storage
from aframe.errors import DataError, StorageError
from aframe.strain.channels import NAMELESS, SITES, TIME_UNIT, Recording, Series, detector, rate_of
from aframe.strain.times import scale_of
from aframe.types import Array

TIMES = (("x0", "dx"), ("start_time", "delta_t"))
"""Attributes with start and sampling interval: of gwpy, and of PyCBC."""

GWOSC_STRAIN = "strain/Strain"
"""Dataset of GWOSC's files. Their other datasets are no strain."""

LARGEST_TIME_ERROR = 1.0
"""Largest difference between the times that a file says of its strain and those of the samples, s."""

LARGEST_ROUGH_START = 2.0**24
"""Largest time that single precision holds to a second, GPS s."""

TOLERANCE = 0.1
"""Largest error of evenly spaced times, in samples."""

UNEVEN = "uneven"
"""Interval of times that are not evenly spaced."""

DAMAGE = (OSError, RuntimeError, KeyError, ValueError)
"""Errors of h5py at damaged bytes."""


def series_in(path: str, ifo: str | None) -> list[Series]:
    """List the series of numbers in a file. It reads metadata alone.

    Args:
        path: Local or s3 path.
        ifo: Detector of series that nothing else names; None if unknown.

    Raises:
        DataError: If a GWOSC file lacks metadata, or a compression is not installed.
        StorageError: If the file is missing or damaged.
    """
    with storage.open_hdf5(path) as file:
        try:
            if GWOSC_STRAIN in file:
                return [_gwosc_series(path, file, ifo)]
            return list(_series_below(path, file, (), ifo, set()))
        except DAMAGE as error:
            raise StorageError(f"{path} is damaged ({' '.join(str(error).split())}): fetch it again") from None


def read(recording: Recording, low: int, high: int) -> Array:
    """Read samples of a recording.

    Args:
        recording: Recording.
        low: First sample.
        high: Sample after the last one.

    Returns:
        Strain in double precision, shape (high - low,).

    Raises:
        StorageError: If the file is missing or damaged. The message names the dataset and the time.
    """
    with storage.open_hdf5(recording.path) as file:
        try:
            return np.asarray(file[recording.channel][low:high], dtype=np.float64)
        except DAMAGE as error:
            bad = _first_unreadable(file, recording.channel, low, high)
            raise StorageError(
                f"{recording.path} is damaged: {recording.channel} cannot be read at GPS "
                f"{recording.start + bad / recording.sample_rate:.3f} ({' '.join(str(error).split())}): fetch it again"
            ) from None


def _first_unreadable(file: h5py.File, name: str, low: int, high: int) -> int:
    """Sample with which the first chunk that cannot be read begins."""
    first = low
    with contextlib.suppress(*DAMAGE):
        size = (file[name].chunks or (high - low,))[0]
        for first in range(low - low % size, high, size):
            file[name][first : first + size]
    return max(low, first)


def _gwosc_series(path: str, file: h5py.File, ifo: str | None) -> Series:
    dataset = file[GWOSC_STRAIN]
    meta = {name: _text(file["meta"][name][()]) for name in ("Detector", "Observatory") if f"meta/{name}" in file}
    name = meta.get("Detector") or SITES.get(meta.get("Observatory", "")) or ifo
    start = dataset.attrs.get("Xstart", file["meta/GPSstart"][()] if "meta/GPSstart" in file else None)
    if name is None or start is None or "Xspacing" not in dataset.attrs:
        raise DataError(
            f"{path} lacks meta/Detector, meta/GPSstart or the attribute Xspacing: fetch it again from GWOSC"
        )
    series = _series(path, dataset, name, (start, dataset.attrs["Xspacing"]), (GWOSC_STRAIN,))
    said = {each: file["meta"][each][()] for each in ("GPSstart", "Duration") if f"meta/{each}" in file}
    of_data = {"GPSstart": series.recording.start, "Duration": series.recording.stop - series.recording.start}
    for each, value in said.items():
        if not series.flaw and not abs(_number(value) - of_data[each]) < LARGEST_TIME_ERROR:
            raise DataError(
                f"{path} contradicts itself: meta/{each} is {_text(value)}, and {GWOSC_STRAIN} has {of_data[each]}: "
                "fetch it again"
            )
    return series


def _series_below(
    path: str, group: h5py.Group, groups: tuple[str, ...], ifo: str | None, seen: set[tuple[int, int]]
) -> Iterator[Series]:
    """Series in a group and in the groups within it. Links are followed, each object is visited once."""
    for key in group:
        try:
            item = group[key]
        except (KeyError, RuntimeError):  # the second where a link leads to itself
            link = group.get(key, getlink=True)
            if isinstance(link, h5py.HardLink):
                raise
            target = getattr(link, "filename", "") or getattr(link, "path", "")
            yield Series(
                Recording(path, detector(key) or "", "/".join((*groups, key)), 0.0, 1.0, 0), (key,),
                flaw=f"is a link to {target}, which cannot be opened",
            )  # fmt: skip
            continue
        place = h5py.h5o.get_info(item.id)
        if (place.fileno, place.addr) in seen:
            continue
        seen.add((place.fileno, place.addr))
        if isinstance(item, h5py.Group):
            yield from _series_below(path, item, (*groups, key), ifo, seen)
            continue
        attributes = item.attrs if isinstance(item, h5py.Dataset) else {}
        times = next(((attributes[a], attributes[b]) for a, b in TIMES if a in attributes and b in attributes), None)
        if times is None and "xindex" in attributes:
            times = _of_index(np.asarray(attributes["xindex"]))
        if times is not None:
            labels = tuple(_text(attributes[name]) for name in ("name", "channel") if name in attributes)
            names = ("/".join((*groups, key)), key, *labels)
            texts = (*labels[::-1], key, *groups[::-1], Path(path).name)
            name = next((each for each in map(detector, texts) if each), None) or ifo
            yield _series(path, item, name, times, tuple(dict.fromkeys(names)))


def _series(
    path: str, dataset: h5py.Dataset, ifo: str | None, times: tuple[Any, Any], names: tuple[str, ...]
) -> Series:
    start, step = map(_number, times)
    size = 0 if dataset.shape is None else int(np.prod(dataset.shape))
    flaw = _flaw(dataset, times)
    if not flaw and ifo is None:
        flaw = NAMELESS
    recording = Recording(path, ifo or "", f"/{names[0]}", start, rate_of(step) if step > 0 else np.nan, size)
    return Series(recording, names, _text(dataset.attrs.get("unit", "")), flaw)


def axis_flaw(start: Any, step: Any) -> str:
    """Why attributes cannot be a start in GPS seconds and an interval in seconds; empty if they can."""
    first, interval = _number(start), _number(step)
    if not (np.isfinite(first) and 0 < interval < np.inf):
        return f"has no start and interval in seconds (here {_text(start)} and {_text(step)})"
    if scale_of(first):
        return f"begins at {_text(start)}, which seems to be in {scale_of(first)}: write GPS seconds"
    if np.asarray(start).dtype in (np.float16, np.float32) and first > LARGEST_ROUGH_START:
        return "begins at a GPS time in single precision, which is wrong by up to 32 s: write it as a double"
    return ""


def _number(value: Any) -> float:
    """Number of an attribute; NaN for dates and other texts, and for several numbers."""
    try:
        return float(np.asarray(value).item())
    except (TypeError, ValueError):
        return np.nan


def _of_index(times: Array) -> tuple[Any, Any]:
    """Start and interval of the times of all samples."""
    if times.ndim != 1 or times.dtype.kind not in "iuf" or len(times) < 2:
        return times, UNEVEN
    step = (times[-1] - times[0]) / (len(times) - 1)
    is_even = np.abs(times - times[0] - step * np.arange(len(times))).max() < TOLERANCE * abs(step)
    return times[0], step if is_even else UNEVEN


def _flaw(dataset: h5py.Dataset, times: tuple[Any, Any]) -> str:
    """Why a dataset cannot be strain; empty if it can.

    Raises:
        DataError: If it may be strain, and its compression is not installed.
    """
    unit = _text(dataset.attrs.get("xunit", ""))
    if not TIME_UNIT.fullmatch(unit):
        return f"is in steps of {unit}, no time series"
    if dataset.dtype.kind != "f" or dataset.ndim != 1:
        shape = "" if dataset.ndim == 1 else f" in {dataset.ndim} dimensions"
        return f"is of {dataset.dtype}{shape}: strain must be floating-point numbers, in one dimension"
    flaw = axis_flaw(*times) if len(dataset) else "has no samples"
    if flaw:
        return flaw
    filters = dataset.id.get_create_plist()
    codes = {code: name for code, _, _, name in map(filters.get_filter, range(filters.get_nfilters()))}
    missing = [code for code in codes if not h5py.h5z.filter_avail(code)]
    if missing and not _is_readable(dataset):
        name = codes[missing[0]].decode() or "a filter"
        raise DataError(
            f"{dataset.file.filename}: {dataset.name} is compressed with {name} (HDF5 filter {missing[0]}), which is "
            "not installed: let HDF5_PLUGIN_PATH name its directory, or write the file with gzip"
        )
    return ""


def _is_readable(dataset: h5py.Dataset) -> bool:
    """Whether the first sample can be read: single chunks may be stored without an optional filter."""
    try:
        dataset[:1]
    except DAMAGE:
        return False
    return True


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
