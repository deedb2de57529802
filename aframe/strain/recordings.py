"""Strain as others recorded it: GWOSC's, gwpy's and PyCBC's HDF5 layouts, and GWF frames."""

import functools
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aframe import storage
from aframe.errors import DataError, StorageError
from aframe.strain.resample import Stretch, ratio_of_rates, resample, split_at_gaps
from aframe.types import Array

SUFFIXES = (".hdf5", ".h5", ".hdf", ".gwf")
"""What files of strain are called."""

SITES: Mapping[str, str] = {"H": "H1", "L": "L1", "V": "V1", "K": "K1", "G": "G1"}
"""Detectors by the letter of their observatory."""


END_OF_FRAME_FILE_LENGTHS = (42, 46)
"""Bytes of the structure FrEndOfFile, which ends a frame file, in versions 6 and 8 of the format."""


@dataclass(frozen=True)
class Recording:
    """One detector's strain in one file, not read yet.

    Attributes:
        path: The file.
        ifo: Detector.
        channel: Dataset of an HDF5 file, or channel of a frame file.
        start: GPS seconds.
        sample_rate: Hz.
        size: Samples.
    """

    path: str
    ifo: str
    channel: str
    start: float
    sample_rate: float
    size: int

    @property
    def stop(self) -> float:
        """GPS seconds, one sample after the last."""
        return self.start + self.size / self.sample_rate


@dataclass(frozen=True, eq=False)
class Coincident:
    """Strain of several detectors on one time axis, without gaps.

    Attributes:
        start: GPS seconds of the first sample.
        sample_rate: Hz.
        strain: Per detector, shape (time,), double precision.
    """

    start: float
    sample_rate: float
    strain: dict[str, Array]

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(next(iter(self.strain.values()))) / self.sample_rate


def format_gps(time: float) -> str:
    """Seconds as text that loses nothing: whole ones without a fraction, others to the last bit.

    >>> format_gps(1126259446.0), format_gps(1126259446.25)
    ('1126259446', '1126259446.25')
    """
    return f"{time:.0f}" if float(time).is_integer() else repr(float(time))


def in_directory(directory: str, where: str = "") -> list[Recording]:
    """All strain in the files of a directory.

    Args:
        directory: Where they lie.
        where: What the user has named it by, where that is not ``frames`` of the ``.cfg``.

    Raises:
        DataError: If there is none, or a file's layout is unknown.
    """
    paths = [p for suffix in SUFFIXES for p in storage.glob(storage.join(directory, f"*{suffix}"))]
    if not paths:
        lacking = f"{where or directory} holds no {', '.join(SUFFIXES)} file"
        raise DataError(f"{lacking}: {'give another directory' if where else 'mend frames in [luigi_data]'}")
    return [recording for path in paths for recording in _remembered(path)]


def check_recordings(
    found: Iterable[Recording],
    ifos: Sequence[str],
    sample_rate: float,
    where: str,
    mend: str = "mend frames in [luigi_data], or ifos in [luigi_search]",
) -> None:
    """Refuse files that lack a detector, or that cannot be brought to a sample rate.

    Args:
        found: What the files hold.
        ifos: Detectors that are wanted.
        sample_rate: Hz that are wanted.
        where: What to call the files in an error.
        mend: What to do where a detector is lacking.

    Raises:
        DataError: Naming the detectors that there are; or the file, and both rates.
    """
    found = list(found)
    there = sorted({recording.ifo for recording in found})
    missing = [ifo for ifo in ifos if ifo not in there]
    if missing:
        raise DataError(f"{where} holds strain of {', '.join(there)}, none of {', '.join(missing)}: {mend}")
    for recording in found:
        if recording.ifo in ifos:
            try:
                ratio_of_rates(recording.ifo, recording.start, recording.sample_rate, sample_rate)
            except DataError as error:
                raise DataError(f"{recording.path}: {error}") from None


@functools.cache
def _remembered(path: str) -> tuple[Recording, ...]:
    return tuple(inventory(path))


def inventory(path: str, ifo: str | None = None) -> list[Recording]:
    """What strain a file holds, from its metadata alone.

    Args:
        path: HDF5 (local or s3) or GWF file (local).
        ifo: Detector, where the file does not say.

    Raises:
        DataError: If the layout is unknown, or the detector is another or cannot be told.
        StorageError: If the file is missing or damaged.
    """
    found = _frame_inventory(path) if path.endswith(".gwf") else _hdf5_inventory(path, ifo)
    chosen = [recording for recording in found if ifo in (None, recording.ifo)]
    if not chosen:
        names = ", ".join(dict.fromkeys(recording.ifo for recording in found))
        raise DataError(f"{path} holds strain of {names}, not of {ifo}: give the right file or detector")
    return chosen


def read(recording: Recording, start: float, stop: float) -> Stretch:
    """What of a recording lies in [start, stop), gaps (NaN) included."""
    rate = recording.sample_rate
    low = max(0, round((start - recording.start) * rate))
    high = min(recording.size, round((stop - recording.start) * rate))
    if recording.path.endswith(".gwf"):
        data = _read_frame(recording)[low:high]
    else:
        with storage.open_hdf5(recording.path) as file:
            data = np.asarray(file[recording.channel][low:high], dtype=np.float64)
    return Stretch(recording.ifo, recording.start + low / rate, rate, data)


def assemble(
    recordings: Iterable[Recording], sample_rate: float, start: float = -np.inf, stop: float = np.inf
) -> list[Stretch]:
    """Read one detector's recordings, join those that follow each other, split at gaps, and resample.

    Args:
        recordings: Of one detector.
        sample_rate: Hz of the result.
        start: GPS seconds; strain before it is not read.
        stop: GPS seconds; strain after it is not read.

    Raises:
        DataError: If recordings overlap or their rates do not allow it.
    """
    runs: list[list[Stretch]] = []
    for recording in sorted(recordings, key=lambda r: r.start):
        low, high = max(start, recording.start), min(stop, recording.stop)
        if high <= low:
            continue
        stretch = read(recording, low, high)
        previous = runs[-1][-1] if runs else None
        tolerance = 0.1 / recording.sample_rate
        if previous is not None and previous.stop > stretch.start + tolerance:
            raise DataError(
                f"{recording.path} has strain of {recording.ifo} at {stretch.start:.3f} that another file has too: "
                "give each stretch of time once"
            )
        joins = previous is not None and abs(previous.stop - stretch.start) <= tolerance
        if previous is not None and joins and previous.sample_rate == stretch.sample_rate:
            runs[-1].append(stretch)
        else:
            runs.append([stretch])
    joined = (Stretch(r[0].ifo, r[0].start, r[0].sample_rate, np.concatenate([s.data for s in r])) for r in runs)
    resampled = (resample(piece, sample_rate) for run in joined for piece in split_at_gaps(run))
    return [stretch for stretch in resampled if stretch is not None]


def read_strain(paths: Sequence[str], ifo: str | None, sample_rate: float) -> dict[str, list[Stretch]]:
    """Strain of any files, per detector, at the search's sample rate and without gaps.

    Args:
        paths: HDF5 or GWF files of one or more detectors, in any order; those that follow each other are joined.
        ifo: The only detector to read, and whose strain a file holds that does not say; None for all.
        sample_rate: Hz.

    Raises:
        DataError: If a layout is unknown, files overlap, or nothing finite that is long enough is left.
        StorageError: If a file is missing or damaged.
    """
    found = [recording for path in paths for recording in inventory(path, ifo)]
    result: dict[str, list[Stretch]] = {}
    for name in dict.fromkeys(recording.ifo for recording in found):
        result[name] = assemble([r for r in found if r.ifo == name], sample_rate)
        if not result[name]:
            raise DataError(
                f"{', '.join(r.path for r in found if r.ifo == name)}: strain of {name} is missing (NaN) throughout, "
                "or shorter than the anti-alias filter: give another stretch of time"
            )
    return result


def coincident(stretches: Mapping[str, Sequence[Stretch]]) -> list[Coincident]:
    """The stretches of time that all detectors have.

    Args:
        stretches: Per detector, at one sample rate, each list in order.

    Raises:
        DataError: If there is no common time, or the detectors' samples do not coincide.
    """
    names = list(stretches)
    cuts = [[stretch] for stretch in stretches[names[0]]]
    for name in names[1:]:
        cuts = [
            [*chosen, other]
            for chosen in cuts
            for other in stretches[name]
            if min(s.stop for s in [*chosen, other]) > max(s.start for s in [*chosen, other])
        ]
    if not cuts:
        spans = "; ".join(f"{n} {s[0].start:.3f} to {s[-1].stop:.3f}" for n, s in stretches.items() if s)
        raise DataError(f"the detectors have no time in common ({spans or 'no strain'}): give files of the same time")
    return [_common(chosen) for chosen in cuts]


def _common(chosen: Sequence[Stretch]) -> Coincident:
    start, rate = max(s.start for s in chosen), chosen[0].sample_rate
    offsets = [(start - s.start) * rate for s in chosen]
    if any(abs(offset - round(offset)) > 0.01 for offset in offsets):
        raise DataError(
            f"samples of {', '.join(s.ifo for s in chosen)} at {start:.3f} were not taken at the same times: "
            "give files that start a whole number of samples apart"
        )
    size = min(len(s.data) - round(offset) for s, offset in zip(chosen, offsets, strict=True))
    pieces = {s.ifo: s.data[round(o) : round(o) + size] for s, o in zip(chosen, offsets, strict=True)}
    return Coincident(start, rate, pieces)


def _hdf5_inventory(path: str, ifo: str | None) -> list[Recording]:
    with storage.open_hdf5(path) as file:
        if "strain/Strain" in file:
            return [_gwosc_recording(path, file, ifo)]
        found = [
            _series_recording(path, name, file[name], ifo) for name in file if isinstance(file[name], h5py.Dataset)
        ]
        others = {
            name: file[name].dtype for name in file if isinstance(file[name], h5py.Dataset) and _times(file[name])
        }
    recordings = [recording for recording in found if recording is not None]
    if not recordings and others:
        name, kind = next(iter(others.items()))
        raise DataError(f"{path}: {name!r} is of {kind}: strain must be floating-point numbers, in one dimension")
    if not recordings:
        raise DataError(
            f"{path} holds no strain in a layout that is known: GWOSC's (strain/Strain), or datasets at the root with "
            "attributes x0 and dx (gwpy) or start_time and delta_t (PyCBC)"
        )
    return recordings


def _gwosc_recording(path: str, file: h5py.File, ifo: str | None) -> Recording:
    dataset = file["strain/Strain"]
    meta = {name: _text(file["meta"][name][()]) for name in ("Detector", "Observatory") if f"meta/{name}" in file}
    detector = meta.get("Detector") or SITES.get(meta.get("Observatory", "")) or ifo
    start = dataset.attrs.get("Xstart", file["meta/GPSstart"][()] if "meta/GPSstart" in file else None)
    if detector is None or start is None or "Xspacing" not in dataset.attrs:
        raise DataError(
            f"{path} lacks meta/Detector, meta/GPSstart or the attribute Xspacing: fetch it anew from GWOSC"
        )
    return Recording(path, detector, dataset.name, float(start), _rate(dataset.attrs["Xspacing"]), dataset.shape[0])


def _series_recording(path: str, name: str, dataset: h5py.Dataset, ifo: str | None) -> Recording | None:
    attributes, times = dataset.attrs, _times(dataset)
    if times is None or dataset.ndim != 1 or dataset.dtype.kind != "f":
        return None
    start, step = times
    names = (_text(attributes.get("channel", "")), _text(attributes.get("name", "")), name, Path(path).name)
    detector = next((d for d in map(_detector, names) if d), None) or ifo
    if detector is None:
        raise DataError(
            f"{path} does not say whose strain {name!r} is: name the file as H-H1_ANYTHING-START-DURATION.hdf5, or the "
            "dataset as H1, with its detector"
        )
    return Recording(path, detector, dataset.name, float(start), _rate(step), dataset.shape[0])


def _times(dataset: h5py.Dataset) -> tuple[Any, Any] | None:
    """Start and step of a time series, s, as gwpy or PyCBC write them; None where it has none."""
    for start, step in (("x0", "dx"), ("start_time", "delta_t")):
        if start in dataset.attrs and step in dataset.attrs:
            return dataset.attrs[start], dataset.attrs[step]
    return None


def _detector(text: str) -> str | None:
    """The detector that a channel or file name begins with: H1:GDS-…, H-H1_LOSC-….hdf5, H1."""
    head = text[2:] if len(text) > 4 and text[1] == "-" else text
    boundary = head[2:3] in ("", ":", "_", "-", ".")
    return head[:2] if boundary and head[:1].isupper() and head[1:2].isdigit() else None


def _rate(step: Any) -> float:
    """Sample rate of a sampling interval in seconds; whole where it is whole to rounding."""
    rate = 1.0 / float(step)
    return float(round(rate)) if abs(rate - round(rate)) < 1e-6 * rate else rate


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _frame_inventory(path: str) -> list[Recording]:
    import lalframe

    if storage.is_remote(path):
        raise DataError(f"{path}: frame files are read from local disks only: copy it, or use HDF5 files on s3")
    if not Path(path).is_file():
        raise StorageError(f"{path} does not exist: mend the path")
    try:
        is_whole = _is_whole_frame_file(path)  # the frame library crashes on others
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror}): mend its permissions or the path") from None
    if not is_whole:
        raise StorageError(f"{path} is no complete frame file: it may be truncated; fetch it anew")
    try:
        file = lalframe.FrameUFrFileOpen(path, "r")
        contents = lalframe.FrameUFrTOCRead(file)
        count = lalframe.FrameUFrTOCQueryNFrame(contents)
        starts = [sum(lalframe.FrameUFrTOCQueryGTimeModf(contents, i)) for i in range(count)]
        channels = _strain_channels(lalframe, contents)
        heads = {name: lalframe.FrameUFrChanRead(file, name, 0) for name in channels}
        steps = {n: lalframe.FrameUFrChanVectorQueryDx(head, 0) for n, head in heads.items()}
        stop = starts[-1] + lalframe.FrameUFrTOCQueryDt(contents, count - 1)
    except (RuntimeError, IndexError) as error:
        raise StorageError(f"{path} is no complete frame file ({error}): fetch it anew") from None
    if not channels or len({name[:2] for name in channels}) < len(channels):
        raise DataError(
            f"{path} must have one strain channel per detector, such as H1:GWOSC-4KHZ_R1_STRAIN; it has "
            f"{', '.join(channels) or 'none'}: extract the one that you want"
        )
    rates = {name: _rate(step) for name, step in steps.items()}
    return [Recording(path, n[:2], n, starts[0], r, round((stop - starts[0]) * r)) for n, r in rates.items()]


def _is_whole_frame_file(path: str) -> bool:
    """Whether a file begins and ends as LIGO-T970130 (versions 6 to 8) says and is as long as its end says."""
    size = Path(path).stat().st_size
    with open(path, "rb") as stream:
        magic = stream.read(5)
        stream.seek(max(0, size - max(END_OF_FRAME_FILE_LENGTHS)))
        tail = stream.read()
    ends = (tail[-length:] for length in END_OF_FRAME_FILE_LENGTHS if length <= len(tail))
    fields = ((*struct.unpack(order + "Q10xQ", end[:26]), len(end)) for end in ends for order in "<>")
    return magic == b"IGWD\0" and any(length == own and total == size for own, total, length in fields)


def _strain_channels(lalframe: Any, contents: Any) -> list[str]:
    names = []
    for kind in ("Adc", "Proc", "Sim"):
        count = getattr(lalframe, f"FrameUFrTOCQuery{kind}N")(contents)
        query = getattr(lalframe, f"FrameUFrTOCQuery{kind}Name")
        names += [query(contents, i) for i in range(count)]
    return [name for name in names if _detector(name) and "STRAIN" in name.upper()]


def _read_frame(recording: Recording) -> Array:
    from gwpy.timeseries import TimeSeries

    try:
        series = TimeSeries.read(recording.path, recording.channel, format="gwf")
    except (RuntimeError, OSError) as error:
        raise StorageError(f"{recording.path} is no complete frame file ({error}): fetch it anew") from None
    return np.asarray(series.value, dtype=np.float64)
