"""From a series of scores to events: integrate, keep local maxima, estimate when each signal merged."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy.lib.stride_tricks import sliding_window_view

from aframe.errors import ConfigurationError, DataError
from aframe.preprocessing import to_samples
from aframe.types import Array

GROUP_SIZE = 2**18
"""Windows that are clustered at once where there are several rows: fits a cache, changes no result."""


@dataclass(frozen=True)
class Clustering:
    """How scores become events.

    Attributes:
        sampling_rate: Windows per second, Hz.
        integration_window_length: Seconds over which scores are averaged.
        cluster_window_length: Seconds; an event is the largest within half of it on either side.
        coalescence_offset: Seconds from a window's start to the middle of the interval in which training
            places coalescences.
    """

    sampling_rate: float
    integration_window_length: float
    cluster_window_length: float
    coalescence_offset: float

    @property
    def integration_size(self) -> int:
        """Scores in an average."""
        size = to_samples(self.integration_window_length, self.sampling_rate, "integration_window_length")
        if size < 1:
            raise ConfigurationError(
                f"integration_window_length = {self.integration_window_length} s holds no score: "
                f"it must be at least {1 / self.sampling_rate} s"
            )
        return size

    @property
    def half_width_size(self) -> int:
        """Averages on either side of an event that must not exceed it."""
        return to_samples(self.cluster_window_length / 2, self.sampling_rate, "cluster_window_length / 2")


def cluster(
    scores: Float32[Array, " windows"], start_time: float, clustering: Clustering
) -> tuple[Float[Array, " events"], Float[Array, " events"]]:
    """Events in the scores of one time slide of one segment.

    Args:
        scores: Score i belongs to the window that starts at ``start_time + i / sampling_rate``.
        start_time: GPS seconds.
        clustering: Lengths and rates.

    Returns:
        Detection statistic (average score) and time of coalescence (GPS s) of each event, in order of time.

    Raises:
        DataError: If a score is not a number.
    """
    statistic, time, _ = cluster_slides(scores[None], start_time, clustering)
    return statistic, time


def cluster_slides(
    scores: Float32[Array, "slides windows"], start_time: float, clustering: Clustering
) -> tuple[Float[Array, " events"], Float[Array, " events"], Int[Array, " events"]]:
    """Events in the scores of several time slides of one segment, each slide on its own.

    The average takes full integration windows only: a shorter average at the edge would have a larger variance, and
    padding a value that noise does not have, so both would make events out of nothing. The averages of a slide of n
    windows are therefore ``n - integration_size + 1``, each at the centre of the windows that it averages; a signal at
    the edge is found as far as full averages contain it. A slide shorter than the integration has no events.

    An average is an event if it is larger than all that precede it, and no smaller than all that follow it, within
    half of ``cluster_window_length``. The response to a signal is about a boxcar in window start, so the averages
    make a trapezoid whose largest sample lies anywhere on its plateau: the time is therefore the middle
    between the two places where the averages cross half of the peak's prominence, interpolated linearly. For any
    symmetric response that is its centre.

    Args:
        scores: Shape (slides, windows), all on one time axis.
        start_time: GPS seconds of the first window's start.
        clustering: Lengths and rates.

    Returns:
        Detection statistic, time of coalescence (GPS s) and row of ``scores`` of each event, in order of row and time.

    Raises:
        DataError: If a score is not a number.
    """
    slides, windows = scores.shape
    rows = max(1, GROUP_SIZE // max(1, windows))
    parts = [_cluster_group(scores[first : first + rows], clustering) for first in range(0, slides, rows)]
    statistic, position, slide = (np.concatenate([np.empty(0), *(part[k] for part in parts)]) for k in range(3))
    counts = [len(part[0]) for part in parts]
    slide = slide.astype(np.int64) + np.repeat(np.arange(len(parts)) * rows, counts)
    return statistic, start_time + position / clustering.sampling_rate + clustering.coalescence_offset, slide


def _cluster_group(scores: Array, clustering: Clustering) -> tuple[Array, Array, Array]:
    """Statistic, position (in windows from the first one's start) and row of the events of some rows."""
    size, half = clustering.integration_size, clustering.half_width_size
    if scores.shape[1] < size:
        return np.empty(0), np.empty(0), np.empty(0, np.int64)
    series = moving_average(scores, size)
    if np.isnan(series).any():
        row, column = np.argwhere(np.isnan(scores))[0]
        raise DataError(f"score {column} of time slide {row} is not a number: score this segment again")
    neighbourhood, row, column = _local_maxima(series, half)
    position = column + (size - 1) / 2 + _centre(neighbourhood, half)
    return series[row, column], position, row


def moving_average(scores: Float32[Array, "slides windows"], size: int) -> Float[Array, "slides averages"]:
    """Averages over ``size`` successive scores, in double precision, full windows only.

    The sums are built by doubling, so that equal windows have equal averages to the last bit, wherever they stand.
    """
    power = scores.astype(np.float64)
    total: Array | None = None
    done, width = 0, 1
    count = scores.shape[1] - size + 1
    while True:
        if size & width:
            piece = power[:, done : done + count]
            total = piece.copy() if total is None else np.add(total, piece, out=total)
            done += width
        width *= 2
        if width > size:
            assert total is not None
            return np.divide(total, size, out=total)
        power = power[:, : -width // 2] + power[:, width // 2 :]


def _local_maxima(series: Array, half: int) -> tuple[Array, Array, Array]:
    """Neighbourhoods (events, 2 * half + 1), rows and columns of the local maxima.

    Two events are more than ``half`` apart, so of ``half + 1`` successive values only the first largest can be one.
    """
    rows, count = series.shape
    block = half + 1
    blocks = -(-count // block)
    padded = np.full((rows, half + blocks * block + half), -np.inf)
    padded[:, half : half + count] = series
    inner = padded[:, half : half + blocks * block].reshape(rows, blocks, block)
    column = (inner.argmax(-1) + np.arange(blocks) * block).ravel()
    row = np.repeat(np.arange(rows), blocks)
    neighbourhood = sliding_window_view(padded, 2 * half + 1, axis=-1)[row, column]
    peak = neighbourhood[:, half]
    before = neighbourhood[:, :half].max(-1, initial=-np.inf)
    after = neighbourhood[:, half + 1 :].max(-1, initial=-np.inf)
    found = (before < peak) & (after <= peak)
    return neighbourhood[found], row[found], column[found]


def _centre(neighbourhood: Array, half: int) -> Array:
    """Offset (in windows) from each peak to the middle between its crossings of half its prominence.

    Prominence is the height over the higher of the two lowest values on either side. A peak at the very edge has
    none on one side and is left where it is.
    """
    peak = neighbourhood[:, half]
    measured = np.where(np.isfinite(neighbourhood), neighbourhood, np.inf)
    left, right = neighbourhood[:, half::-1], neighbourhood[:, half:]
    base = np.maximum(measured[:, : half + 1].min(-1, initial=np.inf), measured[:, half:].min(-1, initial=np.inf))
    prominent = base < peak
    level = np.where(prominent, (peak + base) / 2, peak)
    return np.where(prominent, (_crossing(right, level) - _crossing(left, level)) / 2, 0.0)


def _crossing(side: Array, level: Array) -> Array:
    """Distance (in windows) from the peak, ``side[:, 0]``, to where the values first fall below a level."""
    below = side < level[:, None]
    outer = below.argmax(-1)
    index = np.arange(len(side))
    inner = np.maximum(outer - 1, 0)
    drop = side[index, inner] - side[index, outer]
    fraction = np.divide(side[index, inner] - level, drop, out=np.zeros(len(side)), where=drop > 0)
    return inner + fraction
