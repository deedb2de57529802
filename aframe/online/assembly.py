"""Put one detector's strain in order as it arrives, find its gaps, and resample it.

The result equals that of ``aframe.strain.recordings.assemble`` for the same strain in files.
"""

import math
from collections import Counter, deque
from dataclasses import dataclass, field, replace

import numpy as np

from aframe.online.arrivals import Arrival
from aframe.strain.channels import TOLERANCE
from aframe.strain.gaps import LEAST_SIZE, split_at_gaps
from aframe.strain.resample import EDGE_DURATION, Stretch, resample
from aframe.types import Array

CONTEXT = 1.0
"""Seconds of strain before new samples that tell what is usual, and so what is a gap."""

MOST_GAPS = 64
"""Number of the latest gaps that are remembered, to tell strain that is late from strain that came before."""


@dataclass
class Account:
    """What became of a detector's strain, s.

    Attributes:
        received: Length of all strain that was taken.
        missing: Time of which nothing came, or only too late.
        unusable: Length of strain that is missing in what came, or is not to be searched.
        repeated: Length of strain that came again.
        late: Length of strain that came after it was given up.
        gaps: Number of gaps, by reason.
    """

    received: float = 0.0
    missing: float = 0.0
    unusable: float = 0.0
    repeated: float = 0.0
    late: float = 0.0
    gaps: Counter[str] = field(default_factory=Counter)


@dataclass
class Line:
    """One detector's strain, as far as it is complete.

    Attributes:
        ifo: Detector.
        sample_rate: Sampling rate of the search, Hz.
        patience: Seconds of newer strain until strain that is missing is given up.
        reach: Time up to which all has come or is given up, GPS s; minus infinity before anything came.
        account: What became of the strain.
    """

    ifo: str
    sample_rate: float
    patience: float
    reach: float = -math.inf
    account: Account = field(default_factory=Account)
    _waiting: list[Arrival] = field(default_factory=list)
    _raw: Stretch | None = None
    _given_until: float = -math.inf
    _ends_unusable: bool = False
    _lost: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MOST_GAPS))

    def add(self, arrival: Arrival) -> None:
        """Take strain, in any order."""
        self._waiting.append(arrival)

    def reset(self) -> None:
        """Drop what was not given yet."""
        self._waiting, self._raw = [], None

    def take(self, latest: float) -> list[Stretch]:
        """Strain that is complete and new, at the search's rate, in order and without gaps in each stretch.

        Args:
            latest: End of the newest strain of any detector, GPS s; infinity if nothing more will come.

        Raises:
            DataError: If the sample rate is below the search's, or the ratio of both is no simple fraction.
        """
        stretches: list[Stretch] = []
        self._waiting.sort(key=lambda arrival: arrival.start)
        while self._waiting:
            first = self._waiting[0]
            if first.start > self.reach + TOLERANCE / first.sample_rate and not self._give_up(first, latest):
                break
            if self._raw is not None and not self._joins(first):
                stretches += self._advance(is_end=True)
                self._raw = None
            self._append(self._waiting.pop(0))
        if self._raw is not None and not self._waiting and latest - self.reach >= self.patience:
            stretches += self._advance(is_end=True)
            self._raw = None
        if not self._waiting and math.isfinite(self.reach) and self.patience <= latest - self.reach < math.inf:
            self._lose(latest - self.patience)
        return stretches + (self._advance(is_end=False) if self._raw is not None else [])

    def _give_up(self, following: Arrival, latest: float) -> bool:
        """Give up what is missing before some strain, if that is due, and return whether all of it is."""
        if self.reach == -math.inf:
            self.reach = following.start
        if latest - self.reach >= self.patience:
            self._lose(min(following.start, latest - self.patience))
        return following.start <= self.reach + TOLERANCE / following.sample_rate

    def _lose(self, until: float) -> None:
        if until > self.reach:
            self.account.gaps["no data"] += not (self._lost and self._lost[-1][1] == self.reach)
            self._lost.append((self.reach, until))
            self.account.missing += until - self.reach
            self.reach = until

    def _joins(self, arrival: Arrival) -> bool:
        raw = self._raw
        assert raw is not None
        rate = arrival.sample_rate
        if arrival.stop <= self.reach + TOLERANCE / rate:
            return True  # it has nothing new
        samples = (raw.stop - arrival.start) * rate
        is_on_grid = abs(samples - round(samples)) <= TOLERANCE
        return raw.sample_rate == rate and is_on_grid and abs(raw.stop - self.reach) < TOLERANCE / rate

    def _append(self, arrival: Arrival) -> None:
        """Append the samples of an arrival from ``reach`` on."""
        rate = arrival.sample_rate
        begin = max(self.reach, arrival.start)
        first = min(len(arrival.strain), max(0, round((begin - arrival.start) * rate)))
        if first:
            middle = arrival.start + first / (2 * rate)
            name = "late" if any(low <= middle < high for low, high in self._lost) else "repeated"
            setattr(self.account, name, getattr(self.account, name) + first / rate)
        data = arrival.strain[first:]
        if not len(data):
            return
        self.account.received += len(data) / rate
        is_unusable = ~np.isfinite(data)
        self.account.unusable += float(np.count_nonzero(is_unusable)) / rate
        self.account.gaps["not to be searched"] += _runs(is_unusable, self._ends_unusable)
        self._ends_unusable = bool(is_unusable[-1])
        if self._raw is None:
            self._raw = Stretch(self.ifo, arrival.start + first / rate, rate, data)
        else:
            self._raw = replace(self._raw, data=np.concatenate([self._raw.data, data]))
        self.reach = self._raw.stop

    def _advance(self, is_end: bool) -> list[Stretch]:
        """Resampled strain that was not given before.

        Args:
            is_end: Whether no more samples will join those that are there.
        """
        raw = self._raw
        assert raw is not None
        held = 0 if is_end else _flat_end(raw.data)
        usable = replace(raw, data=raw.data[: len(raw.data) - held])
        tolerance, stretches = TOLERANCE / self.sample_rate, []
        for piece in split_at_gaps(usable):
            stretch = resample(piece, self.sample_rate)
            if stretch is None or stretch.stop <= self._given_until + tolerance:
                continue
            known = self._given_until - stretch.start
            first = round(known * self.sample_rate) if known > 0 else 0
            begin = stretch.start + first / self.sample_rate
            stretches.append(replace(stretch, start=begin, data=stretch.data[first:]))
            self._given_until = stretch.stop
        keep = min(max(self._given_until - EDGE_DURATION, raw.stop - 2 * EDGE_DURATION), raw.stop) - CONTEXT
        drop = int(math.floor(max(0.0, keep - raw.start)) * raw.sample_rate)  # whole seconds are exact
        self._raw = replace(raw, start=raw.start + drop / raw.sample_rate, data=raw.data[drop:])
        return stretches


def _runs(flags: Array, before: bool) -> int:
    """Number of runs of true values that begin, if the value before the first is ``before``."""
    return int(np.count_nonzero(flags & ~np.concatenate([[before], flags[:-1]])))


def _flat_end(data: Array) -> int:
    """Number of samples at the end that may begin a stretch of one value, which is a gap if it goes on."""
    if len(data) < LEAST_SIZE or data[-1] != data[-2]:
        return 0
    differs = np.flatnonzero(data[:-1] != data[-1])
    size = len(data) - 1 - int(differs[-1]) if len(differs) else len(data)
    return size if size >= LEAST_SIZE else 0
