"""Cluster scores into events as they come. An event is known at its first maximum, and may grow.

After the last window that can change it, an event is exactly that of ``aframe.events.cluster.cluster``.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from aframe.errors import DataError
from aframe.events.cluster import LARGEST_STATISTIC, Clustering, centre, moving_average
from aframe.types import Array


@dataclass(frozen=True)
class Sighting:
    """An event as far as it is known.

    Attributes:
        first: Time of its first maximum, GPS s, on the grid of windows.
        time: Coalescence, GPS s: see ``aframe.events.cluster.cluster``.
        statistic: Detection statistic.
        window: Start (GPS s) of the loudest window.
        is_final: Whether no later window can change it.
    """

    first: float
    time: float
    statistic: float
    window: float
    is_final: bool


@dataclass(frozen=True)
class _Peak:
    """A maximum that may become an event.

    Attributes:
        first: Number of the average at which its chain of growing maxima began.
        at: Number of the average.
    """

    first: int
    at: int


class Tracker:
    """Finds events in scores as they come.

    Args:
        clustering: Settings that turn scores into events.
    """

    def __init__(self, clustering: Clustering) -> None:
        self.clustering = clustering
        self._size, self._half = clustering.integration_size, clustering.half_width_size
        self._begin(0.0)

    def _begin(self, start: float) -> None:
        """Begin a series whose first window starts at a time (GPS s)."""
        self._start, self._first = start, 0
        self._scores, self._averages = np.empty(0, np.float32), np.empty(0)
        self._peak: _Peak | None = None
        self._told: _Peak | None = None

    def add(self, start: float, scores: Float32[Array, " windows"], goes_on: bool, threshold: float) -> list[Sighting]:
        """Take scores.

        Args:
            start: Start of the first window, GPS s.
            scores: Scores.
            goes_on: Whether they follow those before without a gap.
            threshold: Statistic that an event must exceed.

        Returns:
            Events that are new, or louder than before, or final.

        Raises:
            DataError: If a score is larger than any signal's.
        """
        seen: list[Sighting] = []
        if not goes_on:
            seen += self.close()
            self._begin(start)
        series = np.concatenate([self._scores, scores])
        known = self._first + len(self._averages)
        if len(series) >= self._size:
            averages = moving_average(series[None], self._size)[0]
            if np.abs(averages).max() > LARGEST_STATISTIC:
                raise DataError(f"a score at GPS {start:.3f} is larger than any signal's")
            self._averages = np.concatenate([self._averages, averages])
        self._scores = series[max(0, len(series) - self._size + 1) :]
        stop = self._first + len(self._averages)
        for number in known + np.flatnonzero(self._averages[known - self._first :] > threshold):
            seen += self._settle(int(number))
            if self._is_maximum(int(number)):
                is_louder = self._peak is not None
                self._peak = _Peak(self._peak.first if is_louder and self._peak else int(number), int(number))
        seen += self._settle(stop)
        if self._peak is not None and self._peak != self._told:
            seen.append(self._sighting(self._peak, is_final=False))
            self._told = self._peak
        self._forget(stop)
        return seen

    def close(self) -> list[Sighting]:
        """End the series, and return the event that is not final, if there is one."""
        peak, self._peak = self._peak, None
        return [] if peak is None else [self._sighting(peak, is_final=True)]

    def _is_maximum(self, number: int) -> bool:
        """Whether an average is larger than all in half a clustering window before it."""
        place = number - self._first
        before = self._averages[max(0, place - self._half) : place]
        return bool(self._averages[place] > before.max(initial=-math.inf))

    def _settle(self, number: int) -> list[Sighting]:
        """The event that is final once there are averages up to a number (exclusive); none if it may still grow."""
        if self._peak is None or number - self._peak.at <= self._half:
            return []
        peak, self._peak = self._peak, None
        return [self._sighting(peak, is_final=True)]

    def _sighting(self, peak: _Peak, is_final: bool) -> Sighting:
        place, half = peak.at - self._first, self._half
        low, high = max(0, place - half), min(len(self._averages), place + half + 1)
        around = np.full((1, 2 * half + 1), -np.inf)
        around[0, low - place + half : high - place + half] = self._averages[low:high]
        middle = (self._size - 1) / 2
        rate, offset = self.clustering.sampling_rate, self.clustering.coalescence_offset
        position = peak.at + middle + float(centre(around, half)[0])
        return Sighting(
            first=self._start + (peak.first + middle) / rate + offset,
            time=self._start + position / rate + offset,
            statistic=float(self._averages[place]),
            window=self._start + (peak.at + self._size // 2) / rate,
            is_final=is_final,
        )

    def _forget(self, stop: int) -> None:
        """Drop averages that no later event needs."""
        oldest = stop if self._peak is None else self._peak.at
        drop = max(0, oldest - self._half - self._first)
        self._averages, self._first = self._averages[drop:], self._first + drop
