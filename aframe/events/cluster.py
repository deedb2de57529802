"""Cluster a series of scores into events.

The functions average the scores, keep local maxima, and estimate the coalescence time of each signal.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy.lib.stride_tricks import sliding_window_view

from aframe.errors import ConfigurationError, DataError
from aframe.preprocessing import to_samples
from aframe.types import Array

GROUP_SIZE = 2**18
"""Number of windows in one group of time slides. A group fits a CPU cache; the size does not affect results."""

LARGEST_STATISTIC = 1e12
"""Largest average score. Strain that a detector measured is at most some 1e9 times louder than the noise in band."""


@dataclass(frozen=True)
class Clustering:
    """Settings of the clustering of scores into events.

    Attributes:
        sampling_rate: Windows per second, Hz.
        integration_window_length: Length of the moving average over scores, s.
        cluster_window_length: Length of the clustering window, s. An event is the largest average in a window of
            this length around it.
        coalescence_offset: Time in s from the start of a window to the middle of the interval in which training places
            coalescences.
    """

    sampling_rate: float
    integration_window_length: float
    cluster_window_length: float
    coalescence_offset: float

    @property
    def integration_size(self) -> int:
        """Number of scores in an average.

        Raises:
            ConfigurationError: If the integration window holds no score.
        """
        size = to_samples(self.integration_window_length, self.sampling_rate, "integration_window_length")
        if size < 1:
            raise ConfigurationError(
                f"integration_window_length = {self.integration_window_length} s holds no score: "
                f"it must be at least {1 / self.sampling_rate} s"
            )
        return size

    @property
    def half_width_size(self) -> int:
        """Number of averages on either side of an event that must not exceed it."""
        return to_samples(self.cluster_window_length / 2, self.sampling_rate, "cluster_window_length / 2")


def cluster(
    scores: Float32[Array, " windows"], start_time: float, clustering: Clustering
) -> tuple[Float[Array, " events"], Float[Array, " events"]]:
    """Cluster the scores of one time slide of one segment into events.

    Args:
        scores: Shape (windows,). Score i belongs to the window that starts at ``start_time + i / sampling_rate``.
        start_time: Start of the first window, GPS s.
        clustering: Window lengths and sampling rate.

    Returns:
        Detection statistic (average score) and coalescence time (GPS s) of each event, in order of time.

    Raises:
        DataError: If a score is not finite, or larger than any signal's.
    """
    statistic, time, _ = cluster_slides(scores[None], start_time, clustering)
    return statistic, time


def cluster_slides(
    scores: Float32[Array, "slides windows"], start_time: float, clustering: Clustering
) -> tuple[Float[Array, " events"], Float[Array, " events"], Int[Array, " events"]]:
    """Cluster the scores of several time slides of one segment into events. Slides do not affect each other.

    Averages cover full integration windows only. A shorter average at the edge would have a larger variance, and
    padding would insert values that noise does not produce. Both would create false events. A slide of n windows
    therefore has ``n - integration_size + 1`` averages, each at the centre of its windows. A slide shorter than the
    integration window has no events.

    An average is an event if it exceeds all earlier averages, and no later average exceeds it, within half of
    ``cluster_window_length``. The response to a signal is approximately a boxcar in window start. The averages
    therefore form a trapezoid, and their maximum can lie anywhere on its plateau. The time estimate is the middle
    between the two points where the averages cross half of the peak's prominence, with linear interpolation. For a
    symmetric response this is the centre.

    Args:
        scores: Shape (slides, windows), all on one time axis.
        start_time: Start of the first window, GPS s.
        clustering: Window lengths and sampling rate.

    Returns:
        Detection statistic, coalescence time (GPS s) and row of ``scores`` of each event, in order of row and time.

    Raises:
        DataError: If a score is not finite, or larger than any signal's.
    """
    slides, windows = scores.shape
    rows = max(1, GROUP_SIZE // max(1, windows))
    parts = [_cluster_group(scores[first : first + rows], clustering) for first in range(0, slides, rows)]
    statistic, position, slide = (np.concatenate([np.empty(0), *(part[k] for part in parts)]) for k in range(3))
    counts = [len(part[0]) for part in parts]
    slide = slide.astype(np.int64) + np.repeat(np.arange(len(parts)) * rows, counts)
    return statistic, start_time + position / clustering.sampling_rate + clustering.coalescence_offset, slide


def _cluster_group(scores: Array, clustering: Clustering) -> tuple[Array, Array, Array]:
    """Statistic, position (in windows from the start of the first window) and row of each event."""
    size, half = clustering.integration_size, clustering.half_width_size
    if scores.shape[1] < size:
        return np.empty(0), np.empty(0), np.empty(0, np.int64)
    if not np.isfinite(scores).all():
        row, column = np.argwhere(~np.isfinite(scores))[0]
        raise DataError(
            f"score {column} of row {row} is {scores[row, column]}: score this segment again with another engine or in "
            "float32, or leave the strain there out of the segments"
        )
    series = moving_average(scores, size)
    if max(series.max(), -series.min()) > LARGEST_STATISTIC:
        row, column = np.unravel_index(np.abs(series).argmax(), series.shape)
        raise DataError(
            f"score {column} of row {row} is {series[row, column]:.3g}, which no signal of finite SNR "
            "gives: leave the strain there out of the segments, or mend the network"
        )
    neighbourhood, row, column = _local_maxima(series, half)
    position = column + (size - 1) / 2 + centre(neighbourhood, half)
    return series[row, column], position, row


def moving_average(scores: Float32[Array, "slides windows"], size: int) -> Float[Array, "slides averages"]:
    """Average ``size`` successive scores in double precision.

    Sums of 2, 4, 8, … scores build the total. Equal sequences of scores therefore have bitwise equal averages at any
    position.

    Args:
        scores: Shape (slides, windows).
        size: Number of scores in an average.

    Returns:
        Shape (slides, windows − size + 1).
    """
    partial_sum = scores.astype(np.float64)
    total: Array | None = None
    summed, width = 0, 1
    count = scores.shape[1] - size + 1
    while True:
        if size & width:
            term = partial_sum[:, summed : summed + count]
            total = term.copy() if total is None else np.add(total, term, out=total)
            summed += width
        width *= 2
        if width > size:
            assert total is not None
            return np.divide(total, size, out=total)
        partial_sum = partial_sum[:, : -width // 2] + partial_sum[:, width // 2 :]


def _local_maxima(series: Array, half: int) -> tuple[Array, Array, Array]:
    """Neighbourhoods (events, 2 * half + 1), rows and columns of the local maxima.

    Two events are more than ``half`` apart. Among ``half + 1`` successive values, only the first maximum can therefore
    be an event.
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
    is_event = (before < peak) & (after <= peak)
    return neighbourhood[is_event], row[is_event], column[is_event]


def centre(neighbourhood: Array, half: int) -> Array:
    """Offset (in windows) from each peak to the middle between the crossings of half its prominence.

    Each side of the peak has a lowest value. The prominence is the height of the peak above the higher of the two. A
    peak at the edge of the series has no values on one side; its offset is zero.
    """
    peak = neighbourhood[:, half]
    finite = np.where(np.isfinite(neighbourhood), neighbourhood, np.inf)
    left, right = neighbourhood[:, half::-1], neighbourhood[:, half:]
    base = np.maximum(finite[:, : half + 1].min(-1, initial=np.inf), finite[:, half:].min(-1, initial=np.inf))
    prominent = base < peak
    level = np.where(prominent, (peak + base) / 2, peak)
    return np.where(prominent, (_crossing(right, level) - _crossing(left, level)) / 2, 0.0)


def _crossing(side: Array, level: Array) -> Array:
    """Distance (in windows) from the peak, ``side[:, 0]``, to the first crossing below a level."""
    below = side < level[:, None]
    outer = below.argmax(-1)
    index = np.arange(len(side))
    inner = np.maximum(outer - 1, 0)
    drop = side[index, inner] - side[index, outer]
    fraction = np.divide(side[index, inner] - level, drop, out=np.zeros(len(side)), where=drop > 0)
    return inner + fraction
