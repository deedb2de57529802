"""Series of numbers in GWF frame files."""

import io
import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from aframe import storage
from aframe.errors import DataError, StorageError
from aframe.machine.processes import environment_of_child
from aframe.strain.channels import (
    ANY_STRAIN,
    NAMELESS,
    STRAIN_NAMES,
    TIME_UNIT,
    Recording,
    Series,
    detector,
    rate_of,
    units_per_second,
)
from aframe.types import Array

HDF5_SIGNATURE = b"\x89HDF"
"""First bytes of an HDF5 file."""

MAGIC = b"IGWD\0"
"""First bytes of a frame file."""

END_OF_FRAME_FILE_LENGTHS = (42, 46)
"""Length in bytes of the structure FrEndOfFile, the last of a frame file, in versions 6 and 8 of the format."""

READER = "from aframe.strain.frame_reader import main; main()"
"""Program of the process that reads frames."""


def is_frame_file(path: str) -> bool:
    """Whether a local file begins as a frame file, or says so by its name and is no HDF5 file."""
    if storage.is_remote(path) or not Path(path).is_file():
        return storage.has_suffix(path, ".gwf")
    try:
        with open(path, "rb") as stream:
            head = stream.read(len(MAGIC))
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror}): mend its permissions or the path") from None
    return head.startswith(MAGIC) or (storage.has_suffix(path, ".gwf") and not head.startswith(HDF5_SIGNATURE))


def is_whole_frame_file(path: str) -> bool:
    """Whether a file has the head, the end structure and the length of LIGO-T970130 (versions 6 to 8)."""
    size = Path(path).stat().st_size
    with open(path, "rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC and size in _lengths(stream, size)


def _lengths(stream: BinaryIO, size: int) -> list[int]:
    """Lengths of a frame file that the structure at its end states, if there is one.

    Args:
        stream: The open file.
        size: Its length in bytes.
    """
    stream.seek(max(0, size - max(END_OF_FRAME_FILE_LENGTHS)))
    tail = stream.read()
    ends = (tail[-length:] for length in END_OF_FRAME_FILE_LENGTHS if length <= len(tail))
    fields = ((*struct.unpack(order + "Q10xQ", end[:26]), len(end)) for end in ends for order in "<>")
    return [total for stated, total, length in fields if length == stated]


def _is_joined(path: str) -> bool:
    """Whether a file ends in a whole frame file that begins behind something else."""
    size = Path(path).stat().st_size
    with open(path, "rb") as stream:
        for total in _lengths(stream, size):
            stream.seek(max(0, size - total))
            if total < size and stream.read(len(MAGIC)) == MAGIC:
                return True
    return False


def series_in(paths: Sequence[str], channels: Mapping[str, str]) -> dict[str, list[Series]]:
    """List the series of numbers in files, by path.

    Args:
        paths: Local paths.
        channels: Channels that the user chooses, by detector.

    Raises:
        DataError: If a path is remote.
        StorageError: If a file is missing or damaged.
    """
    for path in paths:
        _check_file(path)
    patterns = {name for names in STRAIN_NAMES.values() for name in names} | {ANY_STRAIN}
    chosen = tuple(text for ifo, name in channels.items() for text in (f"{ifo}:{name}", name))
    answers = _answers([("contents", path, tuple(sorted(patterns)), chosen) for path in paths])
    return {path: list(_series(path, *answer)) for path, answer in zip(paths, answers, strict=True)}


def read(parts: Sequence[tuple[Recording, int, int]], tell: Callable[[str], object] | None = None) -> list[Array]:
    """Read samples of recordings.

    Args:
        parts: Recordings, each with its first sample to read and the one after the last.
        tell: Called with a sentence about frames that lack the channel; None to say nothing.

    Returns:
        Strain in double precision, each of shape (last - first,).

    Raises:
        DataError: If the frames of a file differ in their sample rate, unit, or samples of the same time.
        StorageError: If a file is missing or damaged.
    """
    answers = _answers(
        [
            ("samples", r.path, r.channel, r.start + first / r.sample_rate, r.sample_rate, last - first)
            for r, first, last in parts
        ]
    )
    for (recording, _, _), (_, lacking) in zip(parts, answers, strict=True):
        if lacking and tell is not None:
            more = f", and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            frame = "the frame from GPS {:.0f} to {:.0f}".format(*lacking[0])
            tell(f"{recording.path}: the channel {recording.channel} is missing in {frame}{more}")
    return [data for data, _ in answers]


def states(path: str, channel: str) -> list[tuple[float, float, Array]]:
    """State vector in all frames of a file.

    Args:
        path: Local path.
        channel: Name of the channel.

    Returns:
        Start (GPS s), sample rate (Hz) and samples of each frame.

    Raises:
        DataError: If a frame lacks the channel, or it holds no whole numbers.
        StorageError: If the file is missing or damaged.
    """
    _check_file(path)
    found: list[tuple[float, float, Array]] = _answers([("states", path, channel)])[0]
    return found


def _check_file(path: str) -> None:
    if storage.is_remote(path):
        raise DataError(f"{path}: frame files are read from local disks only: copy it, or use HDF5 files on s3")
    if not Path(path).is_file():
        raise StorageError(f"{path} does not exist: mend the path")
    try:
        is_whole = is_whole_frame_file(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror}): mend its permissions or the path") from None
    if not is_whole and _is_joined(path):
        raise StorageError(f"{path} is several frame files one behind the other: give each file by itself")
    if not is_whole:
        raise StorageError(f"{path} is no complete frame file: it may be truncated; fetch it again")


def _series(
    path: str,
    frames: Sequence[tuple[float, float]],
    channels: Mapping[str, Mapping[str, Any] | None],
    detectors: Sequence[str],
) -> Iterator[Series]:
    """Series of a file. A channel has one for each stretch of frames without a hole.

    Args:
        path: Path of the file.
        frames: Start (GPS s) and duration (s) of each frame.
        channels: Metadata of each channel.
        detectors: Names of the detectors of the frames.
    """
    stretches: list[list[float]] = []
    for start, duration in frames:
        if stretches and start < stretches[-1][1] + 1e-6:
            stretches[-1][1] = max(stretches[-1][1], start + duration)
        else:
            stretches.append([start, start + duration])
    for name, metadata in channels.items():
        ifo = detector(name, *(detectors if len(detectors) == 1 else ()), file=Path(path).name) or ""
        if metadata is None:
            yield Series(Recording(path, ifo, name, 0.0, 1.0, 0), (name,), flaw="is no known name of strain")
            continue
        flaw = "" if ifo else NAMELESS
        if metadata["dimensions"] != 1 or not metadata["is_real"]:
            flaw = "is no series of floating-point numbers"
        elif units_per_second(metadata["step_unit"]) is None:
            flaw = f"is in steps of {metadata['step_unit']}, no time series"
        elif not TIME_UNIT.fullmatch(metadata["step_unit"]):
            flaw = f"is in steps of {metadata['step_unit']}: write frames in s"
        rate = rate_of(metadata["step"]) if metadata["step"] > 0 else 1.0
        for start, stop in stretches:
            recording = Recording(path, ifo, name, start, rate, round((stop - start) * rate))
            yield Series(recording, (name,), metadata["unit"], flaw)


def _answers(questions: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Ask another process about files, since LAL's frame library may crash.

    Args:
        questions: Name of a function of ``frame_reader``, path, and other arguments.

    Raises:
        DataError: If a file's frames do not fit together.
        StorageError: If a file is damaged.
    """
    if not questions:
        return []
    child = subprocess.run(
        [sys.executable, "-P", "-c", READER], input=pickle.dumps(questions), capture_output=True, check=False,
        env=environment_of_child(),
    )  # fmt: skip
    if os.environ.get("AFRAME_DEBUG"):
        print(child.stderr.decode(errors="replace"), end="", file=sys.stderr)
    stream, answers = io.BytesIO(child.stdout), []
    while stream.tell() < len(child.stdout):
        answers.append(pickle.load(stream))
        if isinstance(answers[-1], DataError):
            raise answers[-1]
        if isinstance(answers[-1], Exception):
            _refuse(questions[len(answers) - 1][1], f"LAL says: {answers[-1]}")
    if len(answers) < len(questions):
        last_line = (child.stderr.decode(errors="replace").splitlines() or ["nothing"])[-1]
        crash = signal.Signals(-child.returncode).name if child.returncode < 0 else last_line
        ending = "never ends" if crash == "SIGXCPU" else f"ends with {crash}"
        _refuse(questions[len(answers)][1], f"LAL's frame library {ending}")
    return answers


def _refuse(path: str, reason: str) -> None:
    raise StorageError(f"{path} is damaged ({reason}): fetch it again")
