"""Frames as they lie in shared memory at a site: one file a second and detector, with strain and a state vector."""

from collections.abc import Mapping
from pathlib import Path

import lal
import lalframe
import numpy as np

from aframe.types import Array

STRAIN, STATE = "GDS-CALIB_STRAIN", "GDS-CALIB_STATE_VECTOR"
"""Names of the channels, behind the detector's."""

STATE_RATE, GOOD = 16, 0b111
"""Samples of the state vector per second, and its value where strain may be searched: bits 0 to 2."""


def frame_path(directory: Path, ifo: str, start: int, length: int = 1) -> Path:
    """Where the frame of a detector lies that begins at a GPS second."""
    return directory / ifo / f"{ifo[0]}-{ifo}_llhoft-{start}-{length}.gwf"


def write_frame(path: Path, ifo: str, start: int, strain: Array, state: Array) -> None:
    """Write a frame, which appears when it is whole.

    Args:
        path: Where it appears.
        ifo: Detector.
        start: GPS s.
        strain: Of the whole frame.
        state: Unsigned integers, ``STATE_RATE`` a second.
    """
    length, gps = len(state) / STATE_RATE, lal.LIGOTimeGPS(start)
    frame = lalframe.FrameNew(gps, length, "LIGO", 0, 0, 0)
    name, step = f"{ifo}:{STRAIN}", length / len(strain)
    data = lal.CreateREAL8TimeSeries(name, gps, 0.0, step, lal.Unit("strain"), len(strain))
    data.data.data = strain
    lalframe.FrameAddREAL8TimeSeriesProcData(frame, data)
    bits = lal.CreateUINT4TimeSeries(f"{ifo}:{STATE}", gps, 0.0, 1 / STATE_RATE, lal.Unit(""), len(state))
    bits.data.data = state.astype(np.uint32)
    lalframe.FrameAddUINT4TimeSeriesProcData(frame, bits)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    lalframe.FrameWrite(frame, str(temporary))
    temporary.rename(path)


def write_frames(
    directory: Path,
    strain: Mapping[str, Array],
    start: int,
    rate: float,
    *,
    bad: Mapping[str, Array] | None = None,
    length: int = 1,
) -> None:
    """Write the frames of a stretch.

    Args:
        directory: Gets a directory for each detector.
        strain: Of each detector, a whole number of frames.
        start: GPS s.
        rate: Samples of strain per second.
        bad: For each detector the seconds (GPS) whose state vector forbids a search.
        length: Of a frame, s.
    """
    size = round(length * rate)
    for ifo, data in strain.items():
        for first in range(0, len(data), size):
            second = start + round(first / rate)
            seconds = np.repeat(second + np.arange(length), STATE_RATE)
            state = np.where(np.isin(seconds, (bad or {}).get(ifo, ())), GOOD & ~1, GOOD)
            write_frame(frame_path(directory, ifo, second, length), ifo, second, data[first : first + size], state)
