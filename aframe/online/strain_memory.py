"""The latest strain as it arrived, for the hand-over of events."""

import math
from collections.abc import Iterable

import numpy as np

from aframe.online.arrivals import Arrival
from aframe.strain.resample import Stretch

TOLERANCE = 1e-3
"""Largest distance of a time from a sample, in samples."""


class StrainMemory:
    """Keeps the latest strain of each detector, and forgets older strain.

    Args:
        duration: Time that is kept, s.
    """

    def __init__(self, duration: float) -> None:
        self._duration = duration
        self._kept: dict[str, list[Arrival]] = {}
        self.latest = -math.inf

    def add(self, arrivals: Iterable[Arrival]) -> None:
        """Keep strain, in any order. Strain that is there already is not kept twice.

        Args:
            arrivals: What arrived.
        """
        for arrival in arrivals:
            kept = self._kept.setdefault(arrival.ifo, [])
            if not any(each.start <= arrival.start and arrival.stop <= each.stop for each in kept):
                kept.append(arrival)
            self.latest = max(self.latest, arrival.stop)
        for ifo, kept in self._kept.items():
            self._kept[ifo] = [each for each in kept if each.stop > self.latest - self._duration]

    def stretch(self, ifo: str, start: float, stop: float) -> Stretch | None:
        """Strain of a detector between two times; None if any of it is missing or not to be searched.

        Args:
            ifo: Detector.
            start: GPS s.
            stop: GPS s.
        """
        kept = [each for each in self._kept.get(ifo, ()) if each.stop > start and each.start < stop]
        if len({each.sample_rate for each in kept}) != 1:
            return None
        rate = kept[0].sample_rate
        first = kept[0].start + math.ceil((start - kept[0].start) * rate - TOLERANCE) / rate
        data = np.full(max(0, math.floor((stop - first) * rate + TOLERANCE)), np.nan)
        for each in kept:
            low = round((each.start - first) * rate)
            begin, end = max(0, low), min(len(data), low + len(each.strain))
            part = each.strain[begin - low : end - low]
            data[begin:end] = np.where(np.isnan(data[begin:end]), part, data[begin:end])
        return None if not len(data) or np.isnan(data).any() else Stretch(ifo, first, rate, data)
