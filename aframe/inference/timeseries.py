"""Compressed files of score series, by segment and slide. A run writes them with ``return_timeseries = true``."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import h5py
import numpy as np
from jaxtyping import Float, Float32

from aframe import storage
from aframe.errors import DataError
from aframe.types import Array

Kind = Literal["background", "foreground"]
"""background is without injections, foreground is with them."""


@dataclass(frozen=True, eq=False)
class ScoreSeries:
    """Scores of one slide of one segment.

    Attributes:
        kind: background (zero lag and time slides), or foreground (the same with the slide's injections).
        segment: Index of the background file, in order of time.
        number: Number of the slide; 0 is zero lag.
        shifts: Shift of each detector, s.
        start: Slide time (GPS s) at which the first window starts.
        sampling_rate: Windows per second, Hz.
        scores: Logits, dimensionless.
    """

    kind: Kind
    segment: int
    number: int
    shifts: tuple[float, ...]
    start: float
    sampling_rate: float
    scores: Float32[Array, " windows"]

    @property
    def times(self) -> Float[Array, " windows"]:
        """Slide times (GPS s) at which the windows start."""
        return self.start + np.arange(len(self.scores)) / self.sampling_rate


def write_series(file: h5py.File, series: ScoreSeries) -> None:
    """Write a series to an open file: dataset ``<segment>/<slide>/<kind>``, single precision, in gwpy's layout.

    Scores of noise hardly compress: the file shrinks by 10 to 20 %.

    Args:
        file: File open for writing.
        series: Scores of one slide of one segment.
    """
    dataset = file.create_dataset(
        _name(series.segment, series.number, series.kind),
        data=np.asarray(series.scores, np.float32),
        chunks=(max(1, min(len(series.scores), 2**18)),),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
    )
    rate = series.sampling_rate
    dataset.attrs.update({"x0": series.start, "dx": 1 / rate, "xunit": "s", "unit": "", "shift": series.shifts})


def read_series(paths: Iterable[str], segment: int, number: int, kind: Kind = "background") -> ScoreSeries:
    """Read the scores of one slide of one segment.

    Args:
        paths: Files of score series. Those of a run are ``units/timeseries-*.hdf5``.
        segment: Index of the background file, in order of time.
        number: Number of the slide.
        kind: background or foreground.

    Raises:
        DataError: If no file has these scores.
    """
    name = _name(segment, number, kind)
    paths = list(paths)
    for path in paths:
        with storage.open_hdf5(path) as file:
            if name in file:
                dataset = file[name]
                rate, shifts = 1 / float(dataset.attrs["dx"]), tuple(map(float, dataset.attrs["shift"]))
                return ScoreSeries(kind, segment, number, shifts, float(dataset.attrs["x0"]), rate, dataset[:])
    raise DataError(
        f"none of {len(paths)} files has the {kind} scores of slide {number} of segment {segment}: "
        "they are kept with return_timeseries = true in [luigi_inference]"
    )


def _name(segment: int, number: int, kind: Kind) -> str:
    return f"{segment:05d}/{number:05d}/{kind}"
