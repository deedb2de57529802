"""Read GWF frame files with LAL, in a process of its own: on damaged files, LAL's frame library crashes or never ends.

``aframe.strain.frame_files`` starts the process. It sends pickled questions, and gets a pickled answer to each.
``aframe.strain.live_frames`` starts one that waits for further questions.
"""

import contextlib
import os
import pickle
import resource
import sys
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import lalframe
import numpy as np

from aframe.errors import DataError
from aframe.machine.processes import limit_processor_time
from aframe.strain.channels import STRAIN_UNITS, is_strain_name, rate_of
from aframe.types import Array

LEAST_MEMORY, MEMORY_PER_BYTE = 2**32, 32
"""Bytes of memory that a reader may take, and those for each byte of its file: damaged files ask for any amount."""

LEAST_TIME, LEAST_SPEED = 30.0, 1e6
"""Processor time that a reader may take, s, and bytes for which it may take another second."""

NO_SUCH_CHANNEL = "Wrong name"
"""What LAL says of a channel that a frame lacks. Of a damaged frame it says other things."""

LARGEST_RATE_ERROR = 1e-6
"""Largest relative difference between the sample rates of a file's frames, which is rounding."""

READERS: Mapping[int, Any] = {
    lalframe.FRAMEU_FR_VECT_8R: lalframe.FrFileReadREAL8TimeSeries,
    lalframe.FRAMEU_FR_VECT_4R: lalframe.FrFileReadREAL4TimeSeries,
}
"""Readers of the types of floating-point numbers, the usual one first."""

STATE_READERS = tuple(
    getattr(lalframe, f"FrFileRead{kind}TimeSeries") for kind in ("UINT4", "INT4", "UINT2", "INT2", "UINT8", "INT8")
)
"""Readers of the types of whole numbers, the usual one of state vectors first."""

_last: dict[tuple[str, str, int], Any] = {}


def main() -> None:
    """Answer all questions of standard input on standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what LAL prints is no answer
    questions = pickle.load(sys.stdin.buffer)
    _limit_memory(max((os.path.getsize(path) for _, path, *_ in questions), default=0))
    limit_processor_time(LEAST_TIME + sum(os.path.getsize(path) for _, path, *_ in questions) / LEAST_SPEED)
    for question, *arguments in questions:
        _answer(question, arguments, answers)


def serve() -> None:
    """Answer questions of standard input one after the other, until it is closed."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what LAL prints is no answer
    while True:
        try:
            question, path, *arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        size = os.path.getsize(path) if os.path.exists(path) else 0
        _limit_memory(size)
        limit_processor_time(LEAST_TIME + size / LEAST_SPEED)
        _answer(question, [path, *arguments], answers)


def _limit_memory(size: int) -> None:
    """Let a file of a size (bytes) have no more memory than a sound one needs."""
    memory = LEAST_MEMORY + MEMORY_PER_BYTE * size
    _, largest = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory if largest < 0 else min(memory, largest), largest))


def _answer(question: str, arguments: Sequence[Any], answers: BinaryIO) -> None:
    """Write the answer to a question, or the error instead."""
    try:
        answer: Any = QUESTIONS[question](*arguments)
    except DataError as error:
        answer = error
    except Exception as error:  # LAL's errors have many types, and not all of them can be pickled
        answer = RuntimeError(str(error))
    pickle.dump(answer, answers)
    answers.flush()


def contents(
    path: str, patterns: tuple[str, ...], chosen: tuple[str, ...]
) -> tuple[list[tuple[float, float]], dict[str, dict[str, Any] | None], list[str]]:
    """Frames, channels and detectors of a file.

    Args:
        path: Local path.
        patterns: Patterns of the names of channels whose metadata are read, without their detector.
        chosen: Names of further channels whose metadata are read.

    Returns:
        Start (GPS s) and duration (s) of each frame in order of time. The metadata of each channel; they are None for
        channels of other names. The detectors that the frames name, such as H1.
    """
    file = lalframe.FrameUFrFileOpen(path, "r")
    table = lalframe.FrameUFrTOCRead(file)
    frames = [
        (sum(lalframe.FrameUFrTOCQueryGTimeModf(table, k)), lalframe.FrameUFrTOCQueryDt(table, k))
        for k in range(lalframe.FrameUFrTOCQueryNFrame(table))
    ]
    channels: dict[str, dict[str, Any] | None] = {}
    for kind in ("Adc", "Proc", "Sim"):
        query = getattr(lalframe, f"FrameUFrTOCQuery{kind}Name")
        for k in range(getattr(lalframe, f"FrameUFrTOCQuery{kind}N")(table)):
            name = query(table, k)
            is_read = name in chosen or is_strain_name(name, patterns)
            channels[name] = _metadata(file, name, len(frames)) if is_read else None
    return sorted(frames), channels, _detectors(file, table)


def _detectors(file: Any, table: Any) -> list[str]:
    """Detectors that the frames of a file name."""
    detectors = []
    for k in range(lalframe.FrameUFrTOCQueryDetectorN(table)):
        with contextlib.suppress(RuntimeError):  # frames may name detectors and not describe them
            described = lalframe.FrameUFrDetectorRead(file, lalframe.FrameUFrTOCQueryDetectorName(table, k))
            detectors.append(lalframe.FrameUFrDetectorQueryPrefix(described))
    return sorted(set(detectors))


def _metadata(file: Any, name: str, count: int) -> dict[str, Any]:
    """Metadata of a channel, in the first of ``count`` frames that has it."""
    channel = next(filter(None, (_channel(file, name, k) for k in range(count))), None)
    if channel is None:
        raise RuntimeError(f"no frame has {name}, which is in the table of contents")
    return {
        "step": lalframe.FrameUFrChanVectorQueryDx(channel, 0),
        "step_unit": lalframe.FrameUFrChanVectorQueryUnitX(channel, 0),
        "unit": lalframe.FrameUFrChanVectorQueryUnitY(channel),
        "dimensions": lalframe.FrameUFrChanVectorQueryNDim(channel),
        "is_real": lalframe.FrameUFrChanVectorQueryType(channel) in READERS,
    }


def _channel(file: Any, name: str, number: int) -> Any:
    """A channel in a frame; None if the frame lacks it.

    Raises:
        RuntimeError: If the frame is damaged.
    """
    try:
        return lalframe.FrameUFrChanRead(file, name, number)
    except RuntimeError as error:
        if str(error) != NO_SUCH_CHANNEL:
            raise
    return None


def _series(path: str, opened: Any, file: Any, name: str, number: int) -> Any:
    """Time series of a channel in a frame; None if the frame lacks it. A reader refuses all other types.

    The last one is kept, since a frame may be as long as an hour and parts of it may be read one after the other.

    Raises:
        RuntimeError: If the frame is damaged.
    """
    if (path, name, number) not in _last:
        _last.clear()
        _last[path, name, number] = _read_series(opened, file, name, number)
    return _last[path, name, number]


def _read_series(opened: Any, file: Any, name: str, number: int) -> Any:
    for reader in READERS.values():
        with contextlib.suppress(RuntimeError):
            return reader(file, name, number)
    if _channel(opened, name, number) is not None:
        raise RuntimeError(f"{name} has no floating-point numbers in frame {number}")
    return None


def samples(
    path: str, channel: str, start: float, sample_rate: float, size: int
) -> tuple[Array, list[tuple[float, float]]]:
    """Samples of a channel.

    Args:
        path: Local path.
        channel: Name of the channel.
        start: Time of the first sample, GPS s.
        sample_rate: Sampling rate, Hz.
        size: Number of samples.

    Returns:
        Samples in double precision, shape (size,); NaN where no frame has any. Start and stop (GPS s) of the frames
        that lack the channel.

    Raises:
        DataError: If a frame has another sample rate or unit, or two frames have different samples of the same time.
        RuntimeError: If a frame is damaged.
    """
    data, is_read = np.full(size, np.nan), np.zeros(size, bool)
    lacking, unit = [], None
    opened = lalframe.FrameUFrFileOpen(path, "r")  # the table of contents lasts as long as this
    table = lalframe.FrameUFrTOCRead(opened)
    file = lalframe.FrFileOpenURL(path)
    for k in range(lalframe.FrameUFrTOCQueryNFrame(table)):
        begin, duration = sum(lalframe.FrameUFrTOCQueryGTimeModf(table, k)), lalframe.FrameUFrTOCQueryDt(table, k)
        is_outside = begin >= start + size / sample_rate or begin + duration <= start
        if is_outside and unit is not None:
            continue
        series = _series(path, opened, file, channel, k)
        if series is None:
            lacking += [] if is_outside else [(begin, begin + duration)]
            continue
        own_unit = str(series.sampleUnits)
        unit = own_unit if unit is None else unit  # that of the file's first frame
        if is_outside:
            continue
        if own_unit != unit and not {own_unit, unit} <= set(STRAIN_UNITS):
            raise DataError(
                f"{path}: {channel} is in {own_unit or 'no unit'} in the frame at GPS {begin:.0f}, and in "
                f"{unit or 'no unit'} in the file's first: give files of one unit"
            )
        if abs(series.deltaT * sample_rate - 1) > LARGEST_RATE_ERROR:
            raise DataError(
                f"{path}: {channel} has {1 / series.deltaT:g} Hz in the frame at GPS {begin:.0f}, and {sample_rate:g} "
                "Hz before: give files of one sample rate"
            )
        first = round((float(series.epoch) - start) * sample_rate)
        part = series.data.data[max(0, -first) : max(0, size - first)]
        place = slice(max(0, first), max(0, first) + len(part))
        if not np.array_equal(data[place][is_read[place]], part[is_read[place]], equal_nan=True):
            raise DataError(
                f"{path}: {channel} has two frames with different samples from GPS {begin:.0f} on: give each stretch "
                "of time once"
            )
        data[place], is_read[place] = part, True
    return data, lacking


def live(
    path: str, channels: Mapping[str, str], states: Mapping[str, str]
) -> list[tuple[str, float, float, Array, tuple[float, Array] | None]]:
    """Strain of all frames of a file, with the state of its detector.

    Args:
        path: Local path.
        channels: Strain channel of each detector.
        states: Channel of each detector's state vector. Detectors without one have none.

    Returns:
        For each frame and detector: detector, start (GPS s), sample rate (Hz), samples, and rate (Hz) and samples of
        its state; None for no state.

    Raises:
        DataError: If a frame lacks a channel.
        RuntimeError: If a frame is damaged.
    """
    opened = lalframe.FrameUFrFileOpen(path, "r")
    table, file, parts = lalframe.FrameUFrTOCRead(opened), lalframe.FrFileOpenURL(path), []
    for k in range(lalframe.FrameUFrTOCQueryNFrame(table)):
        for ifo, name in channels.items():
            series = _read_series(opened, file, name, k)
            if series is None:
                raise DataError(f"{path} has no channel {name}")
            state = None
            if ifo in states:
                state = _state(path, opened, file, states[ifo], k)[1:]
            strain = np.array(series.data.data, dtype=np.float64)
            parts.append((ifo, float(series.epoch), rate_of(series.deltaT), strain, state))
    return parts


def states(path: str, channel: str) -> list[tuple[float, float, Array]]:
    """State vector in all frames of a file: start (GPS s), rate (Hz) and samples of each frame.

    Args:
        path: Local path.
        channel: Name of the channel.

    Raises:
        DataError: If a frame lacks the channel, or it holds no whole numbers.
        RuntimeError: If a frame is damaged.
    """
    opened = lalframe.FrameUFrFileOpen(path, "r")
    table, file = lalframe.FrameUFrTOCRead(opened), lalframe.FrFileOpenURL(path)
    return [_state(path, opened, file, channel, k) for k in range(lalframe.FrameUFrTOCQueryNFrame(table))]


def _state(path: str, opened: Any, file: Any, name: str, number: int) -> tuple[float, float, Array]:
    series = _state_series(opened, file, name, number)
    if series is None:
        raise DataError(f"{path} has no channel {name}")
    return float(series.epoch), 1 / series.deltaT, np.array(series.data.data, dtype=np.int64)


def _state_series(opened: Any, file: Any, name: str, number: int) -> Any:
    """Whole numbers of a channel in a frame; None if the frame lacks it."""
    for reader in STATE_READERS:
        with contextlib.suppress(RuntimeError):
            return reader(file, name, number)
    if _channel(opened, name, number) is not None:
        raise RuntimeError(f"{name} has no whole numbers in frame {number}")
    return None


QUESTIONS: Mapping[str, Any] = {"contents": contents, "samples": samples, "live": live, "states": states}
