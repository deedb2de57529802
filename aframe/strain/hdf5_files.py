"""Series of numbers in HDF5 files: GWOSC's layout, and those of gwpy and PyCBC, in groups or not."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aframe import storage
from aframe.errors import DataError, StorageError
from aframe.strain.channels import NAMELESS, Recording, Series, detector, rate_of, units_per_second
from aframe.types import Array

TIMES = (("x0", "dx"), ("start_time", "delta_t"))
"""Attributes with start and sampling interval: of gwpy, and of PyCBC."""

UNITS = ("xunit", "Xunits")
"""Attributes with the unit of both: of gwpy, and of GWOSC."""

GWOSC_STRAIN = "strain/Strain"
"""Dataset of GWOSC's files. Their other datasets are no strain."""

META = ("Detector", "Observatory", "GPSstart", "Duration")
"""What GWOSC's files say of their strain, in the group meta."""

LARGEST_TIME_ERROR = 1.0
"""Largest difference between the times that a file says of its strain and those of the samples, s."""

RATE = "sample_rate"
"""Attribute with the sample rate, which some files have besides, Hz."""

LARGEST_RATE_ERROR = 1.0
"""Largest difference between the sample rates that a file says, Hz."""

FIRST_RECORDED, LAST_RECORDED = 1e8, 1e10
"""Times between which strain is recorded, GPS s: from 1983 to 2296. Simulated strain may begin at 0."""

LEAST_FINENESS = 1000.0
"""Units in a step, such as ns, from which on a step within one of them of a whole sample rate has that rate."""

LARGEST_ROUGH_START = 2.0**24
"""Largest time that single precision holds to a second, GPS s."""

DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
"""Errors of h5py at damaged bytes."""

WALK = "from aframe.strain.hdf5_walk import main; main()"
"""Program of the process that walks through files."""

_walked: set[tuple[str, int]] = set()


def check(paths: Iterable[str]) -> None:
    """Check that the HDF5 library gets through the metadata of files. One other process walks through all.

    A file is looked at once, until it changes. Remote files are not looked at.

    Args:
        paths: Local or remote paths.

    Raises:
        StorageError: If the library crashes on a file, or does not end.
    """
    files = {path: os.stat(path).st_mtime_ns for path in paths if not storage.is_remote(path) and os.path.isfile(path)}
    new = [path for path, stamp in files.items() if (path, stamp) not in _walked]
    if not new:
        return
    child = subprocess.run(
        [sys.executable, "-P", "-c", WALK], input=b"\0".join(map(os.fsencode, new)), capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    numbers = child.stdout.split()
    if child.returncode < 0 and numbers:
        crash = signal.Signals(-child.returncode).name
        what = "never ends with it" if crash == "SIGXCPU" else f"crashes on it with {crash}"
        raise StorageError(f"{new[int(numbers[-1])]} is damaged (HDF5 {what}): fetch it again")
    _walked.update((path, files[path]) for path in new)


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
        StorageError: If the file is missing or damaged, or has changed. The message names the dataset and the time.
    """
    whole = recording.size + recording.left_out
    low, high = low + recording.first, high + recording.first
    with storage.open_hdf5(recording.path) as file:
        try:
            size = file[recording.channel].size
            data = np.asarray(file[recording.channel][low:high], dtype=np.float64)
        except DAMAGE as error:
            bad = _first_unreadable(file, recording.channel, low, high) - recording.first
            raise StorageError(
                f"{recording.path} is damaged: {recording.channel} cannot be read at GPS "
                f"{recording.start + bad / recording.sample_rate:.3f} ({' '.join(str(error).split())}): fetch it again"
            ) from None
    if size != whole:
        raise StorageError(
            f"{recording.path} has changed while it was in use: {recording.channel} had {whole} samples, and "
            f"now has {size}: wait until nothing writes it, and run the same command again"
        )
    return data


def times_of(dataset: h5py.Dataset) -> tuple[float, float] | None:
    """Start (GPS s) and step (s) of a time series; None for other datasets.

    Args:
        dataset: Dataset with the attributes of its times.
    """
    times = _times(dataset.attrs)
    start, step, flaw = (0.0, 0.0, "none") if times is None else _in_seconds(times, _unit(dataset.attrs))
    return None if flaw else (start, step)


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
    texts = {each: _text(file["meta"][each][()]) for each in META if f"meta/{each}" in file}
    _check_detectors(path, {f"meta/{each}": [texts[each]] for each in META[:2] if each in texts})
    name = detector(*(texts.get(each, "") for each in META[:2]), file=Path(path).name) or ifo
    start, step = dataset.attrs.get("Xstart", texts.get("GPSstart")), dataset.attrs.get("Xspacing")
    if start is None or step is None:
        raise DataError(f"{path} lacks meta/GPSstart or the attribute Xspacing: fetch it again from GWOSC")
    if abs(_number(start) - _number(texts.get("GPSstart"))) < LARGEST_TIME_ERROR:  # in s, whatever the steps are in
        start = _number(start) * (units_per_second(_unit(dataset.attrs)) or 1.0)
    series = _series(path, dataset, name, (start, step), (GWOSC_STRAIN,))
    of_data = {"GPSstart": series.recording.start, "Duration": series.recording.stop - series.recording.start}
    for each, value in of_data.items():
        if not series.flaw and each in texts and not abs(_number(texts[each]) - value) < LARGEST_TIME_ERROR:
            raise DataError(
                f"{path} contradicts itself: meta/{each} is {texts[each]}, and {GWOSC_STRAIN} has {value:.10g}: "
                "fetch it again"
            )
    return series


def _series_below(
    path: str, group: h5py.Group, groups: tuple[str, ...], ifo: str | None, seen: set[tuple[str, int]]
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
        place = (os.path.realpath(item.file.filename), h5py.h5o.get_info(item.id).addr)
        if place in seen:
            continue
        seen.add(place)
        if isinstance(item, h5py.Group):
            yield from _series_below(path, item, (*groups, key), ifo, seen)
            continue
        attributes = item.attrs if isinstance(item, h5py.Dataset) else {}
        times = _times(attributes)
        if times is not None:
            labels = tuple(_text(attributes[name]) for name in ("name", "channel") if name in attributes)
            names = ("/".join((*groups, key)), key, *labels)
            _check_times(path, key, attributes)
            _check_detectors(path, {"name or channel": labels, "dataset": (key,), "group": groups[::-1]})
            name = detector(*labels[::-1], key, *groups[::-1], file=Path(path).name) or ifo
            yield _series(path, item, name, times, tuple(dict.fromkeys(names)))


def _check_detectors(path: str, texts: Mapping[str, Sequence[str]]) -> None:
    """Refuse a series that is of two detectors. A small v1 is usually a version, and a dataset may be called h.

    Args:
        path: Path of the file.
        texts: What the file says, by where it says it.

    Raises:
        DataError: If two texts name different detectors.
    """
    said = [
        (where, text, detector(text))
        for where, each in texts.items()
        for text in each
        if not text.startswith("v1") and (len(text) > 1 or where.startswith("meta"))
    ]
    named = [each for each in said if each[2]]
    for one, other in itertools.pairwise(named):
        if one[2] != other[2]:
            raise DataError(
                f"{path} contradicts itself: the {one[0]} {one[1]!r} is of {one[2]}, and the {other[0]} {other[1]!r} "
                f"of {other[2]}: mend one of them"
            )


def _check_times(path: str, name: str, attributes: Mapping[str, Any]) -> None:
    """Refuse a series whose attributes say two starts or two sample rates.

    Args:
        path: Path of the file.
        name: Name of the series.
        attributes: Its attributes. Those with a unit other than s are not compared.

    Raises:
        DataError: With both.
    """
    numbers = {each: _number(attributes[each]) for each in (*itertools.chain(*TIMES), RATE) if each in attributes}
    starts = {each: value for each, value in numbers.items() if each in dict(TIMES)}
    rates = {
        each: value if each == RATE else 1 / value for each, value in numbers.items() if each not in starts and value
    }
    for said, largest in ((starts, LARGEST_TIME_ERROR), (rates, LARGEST_RATE_ERROR)):
        if units_per_second(_unit(attributes)) == 1 and said and np.ptp([*said.values()]) > largest:
            texts = " and ".join(f"{each} = {_text(attributes[each])}" for each in said)
            raise DataError(f"{path} contradicts itself: {name} has {texts}: mend or delete one of them")


def _times(attributes: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """Start and step of a time series as they are written, or of an array of its times; None for other datasets."""
    for start, step in TIMES:
        if start in attributes and step in attributes:
            return attributes[start], attributes[step]
    index = np.asarray(attributes.get("xindex", ()))
    if index.ndim != 1 or len(index) < 2 or index.dtype.kind not in "iuf":
        return None
    mean = (index[-1] - index[0]) / (len(index) - 1)
    return index[0], mean if np.abs(np.diff(index) - mean).max() < 0.1 * mean else "different lengths"


def _in_seconds(times: tuple[Any, Any], unit: str) -> tuple[float, float, str]:
    """Start (GPS s) and step (s) of a series, and why they cannot be those of strain.

    Args:
        times: Start and step, as they are written.
        unit: Unit of both.
    """
    count = units_per_second(unit)
    if count is None:
        return np.nan, np.nan, f"is in steps of {unit}, no time series"
    start, step = (_number(time) / count for time in times)
    rate = round(1 / step) if 0 < step < np.inf else 0
    if count > LEAST_FINENESS * rate > 0 and abs(count / rate - _number(times[1])) < 1:  # cut to whole ns, say
        step = 1 / rate
    if not (np.isfinite(start) and 0 < step < np.inf):
        begin, interval = map(_text, times)
        return start, step, f"begins at {begin} with steps of {interval}: write a GPS time and an interval, as numbers"
    if count > 1 and start < FIRST_RECORDED < _number(times[0]) < LAST_RECORDED:
        return start, step, f"begins at {_text(times[0])} {unit}, which seems a time in s: write start and step in s"
    if start > LAST_RECORDED:
        return start, step, f"begins at {start:.0f} s: write GPS seconds, or the unit of its times as {UNITS[0]}"
    return start, step, ""


def _series(
    path: str, dataset: h5py.Dataset, ifo: str | None, times: tuple[Any, Any], names: tuple[str, ...]
) -> Series:
    start, step, no_times = _in_seconds(times, _unit(dataset.attrs))
    size = 0 if dataset.shape is None else int(np.prod(dataset.shape))
    flaw = axis_flaw(*times, _unit(dataset.attrs)) or _flaw(dataset)
    if not flaw and ifo is None:
        flaw = NAMELESS
    rate = np.nan if no_times else rate_of(step)
    return Series(
        Recording(path, ifo or "", f"/{names[0]}", start, rate, size), names, _text(dataset.attrs.get("unit", "")), flaw
    )


def axis_flaw(start: Any, step: Any, unit: str = "") -> str:
    """Why attributes cannot be the start and the step of a time series; empty if they can.

    Args:
        start: GPS time, as it is written.
        step: Time from one sample to the next.
        unit: Unit of both; seconds if there is none.
    """
    first, _, flaw = _in_seconds((start, step), unit)
    if not flaw and np.asarray(start).dtype in (np.float16, np.float32) and first > LARGEST_ROUGH_START:
        return "begins at a GPS time in single precision, which is wrong by up to 32 s: write it as a double"
    return flaw


def _flaw(dataset: h5py.Dataset) -> str:
    """Why a dataset cannot be strain, whatever its times; empty if it can.

    Raises:
        DataError: If it may be strain, and its compression is not installed.
    """
    if dataset.dtype.kind != "f" or dataset.ndim != 1:
        shape = "" if dataset.ndim == 1 else f" in {dataset.ndim} dimensions"
        return f"is of {dataset.dtype}{shape}: strain must be floating-point numbers, in one dimension"
    if not len(dataset):
        return "has no samples"
    folder = os.path.dirname(os.path.realpath(dataset.file.filename))
    sources = {each.file_name for each in dataset.virtual_sources()} if dataset.is_virtual else set()
    for source in sorted(name for name in sources - {"."} if "%" not in name):  # with one, it is a pattern
        if not any(os.path.exists(os.path.join(place, source)) for place in (folder, "")):
            return f"is virtual, and its source {source} does not exist: put it there"
    missing = [source for source, _, _ in dataset.external or () if not os.path.exists(source)]
    if missing:
        return f"has its samples in {missing[0]}, which does not exist: put it there, or run in its directory"
    filters = dataset.id.get_create_plist()
    codes = {code: name for code, _, _, name in map(filters.get_filter, range(filters.get_nfilters()))}
    lacking = [code for code in codes if not h5py.h5z.filter_avail(code)]
    if lacking and not _is_readable(dataset):
        name = codes[lacking[0]].decode() or "a filter"
        raise DataError(
            f"{dataset.file.filename}: {dataset.name} is compressed with {name} (HDF5 filter {lacking[0]}), which is "
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


def _unit(attributes: Mapping[str, Any]) -> str:
    """Unit of the times of a series; empty if none is written."""
    return next((_text(attributes[name]) for name in UNITS if name in attributes), "")


def _number(value: Any) -> float:
    """A number, also one that is written as text or in an array; NaN for anything else."""
    try:
        return float(np.asarray(value).item())
    except (TypeError, ValueError):
        return np.nan


def _text(value: Any) -> str:
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
