"""Read recorded strain from files, in HDF5 or as GWF frames."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from aframe import storage
from aframe.errors import DataError, StorageError
from aframe.strain import frame_files, hdf5_files
from aframe.strain.channels import NOT_CHOSEN, TOLERANCE, Choice, Recording, choose
from aframe.strain.gaps import Gap, Report, described, split_at_gaps
from aframe.strain.left_out import abridged, no_strain, sentences
from aframe.strain.notes import tell_once
from aframe.strain.plausible import note_of_start
from aframe.strain.resample import Stretch, ratio_of_rates, resample
from aframe.strain.samples import evenly, flaws, samples, typical
from aframe.strain.times import format_gps

SUFFIXES = (".hdf5", ".h5", ".hdf", ".gwf")
"""Suffixes of files of strain, in small or capital letters."""

MOST_LOOKED_AT = 3
"""Largest number of files of a channel whose values are looked at before a search."""

SIZE_OF_COMPARISON = 2**22
"""Number of samples of two recordings that are compared at once; before a run, of each overlap in all."""

NO_CHANNELS: Mapping[str, str] = {}
"""No choice of channels."""


def expand(patterns: Sequence[str]) -> list[str]:
    """Paths of the files that paths, directories and patterns such as ``data/*.hdf5`` name. Each appears once.

    Args:
        patterns: Local or s3. A path that exists is no pattern, whatever characters it has.

    Raises:
        StorageError: If nothing matches.
    """
    paths: dict[str, None] = {}
    for pattern in patterns:
        matches = storage.files_in(storage.locate(pattern), SUFFIXES)
        if not matches:
            raise StorageError(
                f"{pattern} is no {', '.join(SUFFIXES)} file, no directory of such, and no pattern of their names: "
                "mend the path (it does not exist, or holds other files)"
            )
        paths |= dict.fromkeys(matches)
    return list(paths)


def of_files(
    paths: Sequence[str],
    channels: Mapping[str, str] = NO_CHANNELS,
    tell: Callable[[str], object] | None = None,
) -> list[Recording]:
    """List the strain in files.

    Args:
        paths: HDF5 (local or s3) or GWF files (local).
        channels: Channels that the user chooses, by detector.
        tell: Called with a sentence about what is left out; None to say nothing.

    Raises:
        DataError: If no file holds strain, none holds a chosen channel, or two channels of a detector may be strain.
        StorageError: If a file is missing or damaged.
    """
    paths = storage.distinct(paths)
    contents = _contents(tuple((path, _stamp(path)) for path in paths), tuple(channels.items()))
    recordings = [recording for choice in contents.values() for recording in choice.recordings]
    for ifo, name in channels.items():
        if not any(recording.ifo == ifo for recording in recordings):
            left_out = [item for choice in contents.values() for item in choice.left_out.items()]
            names = dict.fromkeys(each for each, reason in left_out if reason == f"{NOT_CHOSEN} of {ifo}")
            advice = f"choose among {abridged([*names])}" if names else "give files of it, or leave it out"
            raise DataError(f"{abridged(paths)}: no file has the channel {ifo}:{name}: {advice}")
    if not recordings:
        path, choice = next(iter(contents.items()))
        raise DataError(no_strain(path, choice))
    if tell is not None:
        for sentence in (*sentences(contents), *_unusual_times(recordings)):
            tell(sentence)
    return recordings


def _unusual_times(recordings: Iterable[Recording]) -> Iterator[str]:
    """A sentence about recordings whose time no real data have."""
    unusual = [recording for recording in recordings if note_of_start(recording.start)]
    if unusual:
        ifos = ", ".join(dict.fromkeys(recording.ifo for recording in unusual))
        yield f"strain of {ifos} in {unusual[0].path} {note_of_start(unusual[0].start)}"


def in_directory(
    directory: str,
    where: str = "",
    channels: Mapping[str, str] = NO_CHANNELS,
    tell: Callable[[str], object] | None = None,
) -> list[Recording]:
    """List the strain in the files of a directory, or in those that a pattern names.

    Args:
        directory: Directory of the files, or a pattern.
        where: The user's option for the directory, for error messages. By default it is ``frames`` of the ``.cfg``.
        channels: Channels that the user chooses, by detector.
        tell: Called with a sentence about what is left out; None to say nothing.

    Raises:
        DataError: If there are no such files, or no strain is in them.
        StorageError: If a file is damaged.
    """
    paths = storage.files_in(directory, SUFFIXES)
    if not paths:
        lacking = f"{where or directory} holds no {', '.join(SUFFIXES)} file"
        raise DataError(f"{lacking}: {'give another directory' if where else 'mend frames in [luigi_data]'}")
    return of_files(paths, channels, tell)


def _stamp(path: str) -> int:
    """When a local file was changed last, ns; 0 for a remote one."""
    return 0 if storage.is_remote(path) or not os.path.exists(path) else os.stat(path).st_mtime_ns


@functools.cache
def _contents(stamped: tuple[tuple[str, int], ...], chosen: tuple[tuple[str, str], ...]) -> dict[str, Choice]:
    """Strain in each file, and what is left out. One process reads all frame files, another looks at all HDF5 files."""
    paths, channels = [path for path, _ in stamped], dict(chosen)
    frames = frame_files.series_in([path for path in paths if frame_files.is_frame_file(path)], channels)
    hdf5_files.check(path for path in paths if path not in frames)
    contents = {
        path: choose(frames[path] if path in frames else hdf5_files.series_in(path, None), channels, typical)
        for path in paths
    }
    _leave_out_other_values(list(contents.values()))
    return contents


def _leave_out_other_values(choices: Sequence[Choice]) -> None:
    """Leave out recordings whose values no strain has. Of many files of a channel some are looked at, or else all."""
    alike: dict[tuple[str, str], list[tuple[Choice, Recording]]] = {}
    for choice in choices:
        for recording in choice.recordings:
            alike.setdefault((recording.ifo, recording.channel), []).append((choice, recording))
    some = [recording for parts in alike.values() for _, recording in evenly(parts, MOST_LOOKED_AT)]
    wrong = {(r.ifo, r.channel) for r, flaw in zip(some, flaws(some), strict=True) if flaw}
    every = [part for channel, parts in alike.items() if channel in wrong for part in parts]
    for (choice, recording), flaw in zip(every, flaws([recording for _, recording in every]), strict=True):
        if flaw:
            choice.recordings.remove(recording)
            choice.left_out[recording.channel.lstrip("/")] = flaw


def inventory(path: str, ifo: str | None = None) -> list[Recording]:
    """List the strain in a file. It reads metadata alone.

    Args:
        path: HDF5 (local or s3) or GWF file (local).
        ifo: Detector to list, also of files that do not name their detector; None for all detectors.

    Raises:
        DataError: If the layout or the detector is unknown, or the file is of another detector.
        StorageError: If the file is missing or damaged.
    """
    if frame_files.is_frame_file(path):
        series = frame_files.series_in([path], {})[path]
    else:
        hdf5_files.check([path])
        series = hdf5_files.series_in(path, ifo)
    choice = choose(series, {}, typical)
    chosen = [recording for recording in choice.recordings if ifo in (None, recording.ifo)]
    if not chosen and choice.recordings:
        names = ", ".join(dict.fromkeys(recording.ifo for recording in choice.recordings))
        raise DataError(f"{path} holds strain of {names}, not of {ifo}: give the right file or detector")
    if not chosen:
        raise DataError(no_strain(path, choice))
    return chosen


def read(recording: Recording, start: float, stop: float) -> Stretch:
    """Read the part of a recording in [start, stop), with its gaps (NaN).

    Args:
        recording: Recording.
        start: Start of the part, GPS s.
        stop: End of the part, GPS s.

    Raises:
        StorageError: If the file is missing or damaged. The message names the time.
    """
    return _read([recording], start, stop)[0]


def _read(recordings: Sequence[Recording], start: float, stop: float) -> list[Stretch]:
    """Read the parts of recordings in [start, stop)."""
    lows = [max(0, round((start - r.start) * r.sample_rate)) if start > r.start else 0 for r in recordings]
    highs = [round((stop - r.start) * r.sample_rate) if stop < r.stop else r.size for r in recordings]
    data = samples(list(zip(recordings, lows, highs, strict=True)), tell_once)
    return [
        Stretch(r.ifo, r.start + low / r.sample_rate, r.sample_rate, samples)
        for r, low, samples in zip(recordings, lows, data, strict=True)
    ]


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
        DataError: With the detectors in the files, with the file and both rates, or with two files that have different
            strain of the same time.
    """
    recordings = list(recordings)
    recorded_ifos = sorted({recording.ifo for recording in recordings})
    missing = [ifo for ifo in ifos if ifo not in recorded_ifos]
    if missing:
        for ifo in recorded_ifos:
            check_apart([each for each in recordings if each.ifo == ifo], most=SIZE_OF_COMPARISON)
        raise DataError(f"{where} holds strain of {', '.join(recorded_ifos)}, none of {', '.join(missing)}: {mend}")
    for recording in recordings:
        if recording.ifo in ifos:
            try:
                ratio_of_rates(recording.ifo, recording.start, recording.sample_rate, sample_rate)
            except DataError as error:
                raise DataError(f"{recording.path}: {error}, or change sample_rate in [luigi_search]") from None
    for ifo in ifos:
        check_apart([recording for recording in recordings if recording.ifo == ifo], most=SIZE_OF_COMPARISON)


def check_apart(
    recordings: Iterable[Recording], start: float = -np.inf, stop: float = np.inf, most: int | None = None
) -> None:
    """Check that a detector's recordings of the same time, such as copies, have the same samples.

    Args:
        recordings: Recordings of one detector, in any order.
        start: Start of the time to check, GPS s.
        stop: End of the time to check, GPS s.
        most: Number of samples of each overlap that are read; None for all.

    Raises:
        DataError: With both files and channels.
    """
    last: Recording | None = None
    for recording in sorted(recordings, key=lambda r: r.start):
        if last is not None and recording.start < last.stop - TOLERANCE / recording.sample_rate:
            low, high = max(start, recording.start), min(stop, recording.stop, last.stop)
            if not _are_same(last, recording, low, high, most):
                raise DataError(
                    f"{last.path} ({last.channel}) and {recording.path} ({recording.channel}) have different strain of "
                    f"{recording.ifo} at {format_gps(recording.start)}: give each stretch of time once, mend the name "
                    "of the detector in one of them, or choose a channel (--channel, channel in [luigi_data])"
                )
        last = recording if last is None or recording.stop > last.stop else last


def _are_same(first: Recording, second: Recording, start: float, stop: float, most: int | None) -> bool:
    """Whether two recordings have the same samples between two times (GPS s), or the first ``most`` of them."""
    rate = second.sample_rate
    shift = (second.start - first.start) * rate
    if first.sample_rate != rate or abs(shift - round(shift)) > TOLERANCE:
        return False
    low, high = round((start - second.start) * rate), round((stop - second.start) * rate)
    high = high if most is None else min(high, low + most)
    for begin in range(low, high, SIZE_OF_COMPARISON):
        end = min(high, begin + SIZE_OF_COMPARISON)
        one, other = samples([(first, begin + round(shift), end + round(shift)), (second, begin, end)])
        if not np.array_equal(one, other, equal_nan=True):
            return False
    return True


def assemble(
    recordings: Iterable[Recording],
    sample_rate: float,
    start: float = -np.inf,
    stop: float = np.inf,
    report: Report | None = None,
) -> list[Stretch]:
    """Read one detector's recordings, join contiguous ones, split at gaps, and resample.

    Args:
        recordings: Recordings of one detector.
        sample_rate: Sampling rate of the result, Hz.
        start: Start of the strain to read, GPS s.
        stop: End of the strain to read, GPS s.
        report: Called with each gap within recordings; None to report none.

    Returns:
        Stretches without gaps, in order of time.

    Raises:
        DataError: If recordings overlap, or their rates do not allow resampling.
    """
    parts = [r for r in sorted(recordings, key=lambda r: r.start) if min(stop, r.stop) > max(start, r.start)]
    check_apart(parts, start, stop)
    runs: list[list[Stretch]] = []
    for whole in _read(parts, start, stop):
        previous = runs[-1][-1] if runs else None
        stretch = _after(whole, whole.start if previous is None else previous.stop)
        if not len(stretch.data):
            continue
        joins = previous is not None and abs(previous.stop - stretch.start) <= TOLERANCE / stretch.sample_rate
        if previous is not None and joins and previous.sample_rate == stretch.sample_rate:
            runs[-1].append(stretch)
        else:
            runs.append([stretch])
    joined = (Stretch(r[0].ifo, r[0].start, r[0].sample_rate, np.concatenate([s.data for s in r])) for r in runs)
    resampled = (resample(piece, sample_rate) for run in joined for piece in split_at_gaps(run, report))
    return [stretch for stretch in resampled if stretch is not None]


def _after(stretch: Stretch, time: float) -> Stretch:
    """The part of a stretch from a time (GPS s) on; all of it if it begins later."""
    first = max(0, round((time - stretch.start) * stretch.sample_rate))
    return replace(stretch, start=stretch.start + first / stretch.sample_rate, data=stretch.data[first:])


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
    hdf5_files.check(path for path in paths if not frame_files.is_frame_file(path))
    recordings = [recording for path in paths for recording in inventory(path, ifo)]
    result: dict[str, list[Stretch]] = {}
    for name in dict.fromkeys(recording.ifo for recording in recordings):
        gaps: list[Gap] = []
        result[name] = assemble([r for r in recordings if r.ifo == name], sample_rate, report=gaps.append)
        if not result[name]:
            raise DataError(
                f"{', '.join(r.path for r in recordings if r.ifo == name)}: strain of {name} is missing throughout "
                f"({described(gaps) or 'shorter than the anti-alias filter'}): give another stretch of time"
            )
    return result
