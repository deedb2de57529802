"""Samples of recordings, of either kind of file, and whether they can be strain."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from aframe.errors import DataError, StorageError
from aframe.strain import frame_files, hdf5_files
from aframe.strain.channels import Recording
from aframe.strain.plausible import flaw_of_values
from aframe.types import Array

SIZE_OF_TYPICAL = 2**12
"""Number of samples of which a usual value is taken."""

SIZE_OF_LOOK, LOOKS = 2**10, 8
"""Number of samples of a part of a recording that is looked at, and of such parts."""

Part = TypeVar("Part")


def samples(parts: Sequence[tuple[Recording, int, int]], tell: Callable[[str], object] | None = None) -> list[Array]:
    """Samples of parts of recordings, each given by its first sample and the one after its last.

    Args:
        parts: The parts.
        tell: Called with a sentence about frames that lack the channel; None to say nothing.
    """
    are_frames = [frame_files.is_frame_file(recording.path) for recording, _, _ in parts]
    frames = iter(frame_files.read([part for part, is_frame in zip(parts, are_frames, strict=True) if is_frame], tell))
    return [
        next(frames) if is_frame else hdf5_files.read(*part) for part, is_frame in zip(parts, are_frames, strict=True)
    ]


def typical(recording: Recording) -> float:
    """Median absolute value of some samples in the middle of a recording; NaN if none is finite."""
    low = max(0, (recording.size - SIZE_OF_TYPICAL) // 2)
    data = np.abs(samples([(recording, low, min(recording.size, low + SIZE_OF_TYPICAL))])[0])
    return float(np.median(data[np.isfinite(data)])) if np.isfinite(data).any() else np.nan


def flaws(recordings: Sequence[Recording]) -> list[str]:
    """Why the values of recordings are no strain's; empty texts where they may be, and where they cannot be read."""
    pieces = []
    for recording in recordings:
        size = min(SIZE_OF_LOOK, recording.size)
        lows = dict.fromkeys(np.linspace(0, recording.size - size, LOOKS).astype(int).tolist())
        pieces.append([(recording, low, low + size) for low in lows])
    try:
        read = iter(samples([piece for group in pieces for piece in group]))
    except (DataError, StorageError):  # what reads the samples later says it of their time
        return [""] * len(recordings)
    return [flaw_of_values([next(read) for _ in group]) for group in pieces]


def evenly(parts: Sequence[Part], most: int) -> list[Part]:
    """At most some of a sequence, the first and the last among them."""
    return [parts[k] for k in dict.fromkeys(np.linspace(0, len(parts) - 1, most).astype(int).tolist())]
