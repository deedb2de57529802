"""Read recorded strain: GWOSC's, gwpy's and PyCBC's HDF5 layouts, and GWF frames."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aframe import storage
from aframe.errors import DataError, StorageError
from aframe.strain.frame_files import is_whole_frame_file
from aframe.strain.resample import Stretch, ratio_of_rates, resample, split_at_gaps
from aframe.types import Array

SUFFIXES = (".hdf5", ".h5", ".hdf", ".gwf")
"""Suffixes of files of strain."""

SITES: Mapping[str, str] = {"H": "H1", "L": "L1", "V": "V1", "K": "K1", "G": "G1"}
"""Detectors by the letter of their observatory."""


@dataclass(frozen=True)
class Recording:
    """Metadata of one detector's strain in one file.

    Attributes:
        path: Path of the file.
        ifo: Detector.
        channel: Dataset of an HDF5 file, or channel of a frame file.
        start: Time of the first sample, GPS s.
        sample_rate: Sampling rate, Hz.
        size: Number of samples.
    """

    path: str
    ifo: str
    channel: str
    start: float
    sample_rate: float
    size: int

    @property
    def stop(self) -> float:
        """Time one sample after the last, GPS s."""
        return self.start + self.size / self.sample_rate


@dataclass(frozen=True, eq=False)
class Coincident:
    """Strain of several detectors on one time axis, without gaps.

    Attributes:
        start: Time of the first sample, GPS s.
        sample_rate: Sampling rate, Hz.
        strain: Strain of each detector, double precision, shape (time,).
    """

    start: float
    sample_rate: float
    strain: dict[str, Array]

    @property
    def duration(self) -> float:
        """Duration, s."""
        return len(next(iter(self.strain.values()))) / self.sample_rate


def format_gps(time: float) -> str:
    """Format seconds without loss of precision. Whole seconds have no fraction.

    >>> format_gps(1126259446.0), format_gps(1126259446.25)
    ('1126259446', '1126259446.25')
    """
    return f"{time:.0f}" if float(time).is_integer() else repr(float(time))


def in_directory(directory: str, where: str = "") -> list[Recording]:
    """List all strain in the files of a directory.

    Args:
        directory: Directory of the files, or pattern of their names.
        where: The user's option for the directory, for error messages. By default it is ``frames`` of the ``.cfg``.

    Raises:
        DataError: If the directory has no such files, or a file's layout is unknown.
    """
    paths = storage.files_in(directory, SUFFIXES)
    if not paths:
        lacking = f"{where or directory} holds no {', '.join(SUFFIXES)} file"
        raise DataError(f"{lacking}: {'give another directory' if where else 'mend frames in [luigi_data]'}")
    return [recording for path in paths for recording in _cached_inventory(path)]


def check_recordings(
    recordings: Iterable[Recording],
    ifos: Sequence[str],
    sample_rate: float,
    where: str,
    mend: str = "mend frames in [luigi_data], or ifos in [luigi_search]",
) -> None:
    """Check that recordings include all detectors, and that their sample rates allow resampling.

    Args:
        recordings: Recordings of all files.
        ifos: Required detectors.
        sample_rate: Sampling rate after resampling, Hz.
        where: Name of the files, for error messages.
        mend: Advice in case of a missing detector.

    Raises:
        DataError: With the detectors in the files, or with the file and both rates.
    """
    recordings = list(recordings)
    recorded_ifos = sorted({recording.ifo for recording in recordings})
    missing = [ifo for ifo in ifos if ifo not in recorded_ifos]
    if missing:
        raise DataError(f"{where} holds strain of {', '.join(recorded_ifos)}, none of {', '.join(missing)}: {mend}")
    for recording in recordings:
        if recording.ifo in ifos:
            try:
                ratio_of_rates(recording.ifo, recording.start, recording.sample_rate, sample_rate)
            except DataError as error:
                raise DataError(f"{recording.path}: {error}") from None


@functools.cache
def _cached_inventory(path: str) -> tuple[Recording, ...]:
    return tuple(inventory(path))


def inventory(path: str, ifo: str | None = None) -> list[Recording]:
    """List the strain in a file. It reads metadata alone.

    Args:
        path: HDF5 (local or s3) or GWF file (local).
        ifo: Detector to list, also of files that do not name their detector; None for all detectors.

    Raises:
        DataError: If the layout or the detector is unknown, or the file is of another detector.
        StorageError: If the file is missing or damaged.
    """
    recordings = _frame_inventory(path) if path.endswith(".gwf") else _hdf5_inventory(path, ifo)
    chosen = [recording for recording in recordings if ifo in (None, recording.ifo)]
    if not chosen:
        names = ", ".join(dict.fromkeys(recording.ifo for recording in recordings))
        raise DataError(f"{path} holds strain of {names}, not of {ifo}: give the right file or detector")
    return chosen


def read(recording: Recording, start: float, stop: float) -> Stretch:
    """Read the part of a recording in [start, stop), with its gaps (NaN).

    Args:
        recording: Recording.
        start: Start of the part, GPS s.
        stop: End of the part, GPS s.
    """
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
    """Read one detector's recordings, join contiguous ones, split at gaps, and resample.

    Args:
        recordings: Recordings of one detector.
        sample_rate: Sampling rate of the result, Hz.
        start: Start of the strain to read, GPS s.
        stop: End of the strain to read, GPS s.

    Returns:
        Stretches without gaps, in order of time.

    Raises:
        DataError: If recordings overlap, or their rates do not allow resampling.
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
    """Read strain of files, at the search's sample rate and without gaps.

    Args:
        paths: HDF5 or GWF files of one or more detectors, in any order. Contiguous files are joined.
        ifo: Detector to read, also of files that do not name their detector; None for all detectors.
        sample_rate: Sampling rate of the result, Hz.

    Returns:
        Stretches of each detector, in order of time.

    Raises:
        DataError: If a layout is unknown, files overlap, or no finite strain of sufficient length remains.
        StorageError: If a file is missing or damaged.
    """
    recordings = [recording for path in paths for recording in inventory(path, ifo)]
    result: dict[str, list[Stretch]] = {}
    for name in dict.fromkeys(recording.ifo for recording in recordings):
        result[name] = assemble([r for r in recordings if r.ifo == name], sample_rate)
        if not result[name]:
            raise DataError(
                f"{', '.join(r.path for r in recordings if r.ifo == name)}: strain of {name} is missing (NaN) "
                "throughout, or shorter than the anti-alias filter: give another stretch of time"
            )
    return result


def coincident(stretches: Mapping[str, Sequence[Stretch]]) -> list[Coincident]:
    """Cut strain to the stretches of time that all detectors share.

    Args:
        stretches: Stretches of each detector, in order of time, at one sample rate.

    Raises:
        DataError: If the detectors share no time, or their samples do not coincide.
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
        series = [
            _series_recording(path, name, file[name], ifo) for name in file if isinstance(file[name], h5py.Dataset)
        ]
        others = {
            name: file[name].dtype for name in file if isinstance(file[name], h5py.Dataset) and _times(file[name])
        }
    recordings = [recording for recording in series if recording is not None]
    if not recordings and others:
        name, kind = next(iter(others.items()))
        raise DataError(f"{path}: {name!r} is of {kind}: strain must be floating-point numbers, in one dimension")
    if not recordings:
        raise DataError(
            f"{path} holds no strain in a known layout: GWOSC's (strain/Strain), or datasets at the root with "
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
            f"{path} lacks meta/Detector, meta/GPSstart or the attribute Xspacing: fetch it again from GWOSC"
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
            f"{path} does not name the detector of {name!r}: name the file as H-H1_ANYTHING-START-DURATION.hdf5, or "
            "the dataset as H1, with its detector"
        )
    return Recording(path, detector, dataset.name, float(start), _rate(step), dataset.shape[0])


def _times(dataset: h5py.Dataset) -> tuple[Any, Any] | None:
    """Start and step of a time series, s, in the attributes of gwpy or PyCBC; None without such attributes."""
    for start, step in (("x0", "dx"), ("start_time", "delta_t")):
        if start in dataset.attrs and step in dataset.attrs:
            return dataset.attrs[start], dataset.attrs[step]
    return None


def _detector(text: str) -> str | None:
    """Detector at the beginning of a channel or file name, such as H1:GDS-…, H-H1_LOSC-….hdf5 or H1."""
    head = text[2:] if len(text) > 4 and text[1] == "-" else text
    boundary = head[2:3] in ("", ":", "_", "-", ".")
    return head[:2] if boundary and head[:1].isupper() and head[1:2].isdigit() else None


def _rate(step: Any) -> float:
    """Sample rate in Hz of a sampling interval in s, rounded if it is a whole number up to rounding errors."""
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
        is_whole = is_whole_frame_file(path)  # the frame library crashes on incomplete files
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror}): mend its permissions or the path") from None
    if not is_whole:
        raise StorageError(f"{path} is no complete frame file: it may be truncated; fetch it again")
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
        raise StorageError(f"{path} is no complete frame file ({error}): fetch it again") from None
    if not channels or len({name[:2] for name in channels}) < len(channels):
        raise DataError(
            f"{path} must have one strain channel per detector, such as H1:GWOSC-4KHZ_R1_STRAIN; it has "
            f"{', '.join(channels) or 'none'}: extract one channel per detector"
        )
    rates = {name: _rate(step) for name, step in steps.items()}
    return [Recording(path, n[:2], n, starts[0], r, round((stop - starts[0]) * r)) for n, r in rates.items()]


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
        raise StorageError(f"{recording.path} is no complete frame file ({error}): fetch it again") from None
    return np.asarray(series.value, dtype=np.float64)
