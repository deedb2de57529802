"""A background without the loud candidates themselves: hierarchical removal.

A signal is in each detector's data in every time slide, where it meets the others' noise: loud candidates make the
background of all quieter ones louder than noise alone. The loudest candidate is ranked against the whole background; if
it is significant, its surroundings in each detector are taken out of the time slides before the next one is ranked, and
so on. What that gives and costs: with the candidates left in, rates are conservative and self-consistent; with them
removed they are unbiased in the mean (Capano et al., arXiv:1708.06710). Hence both are reported.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError, DataError
from aframe.events.significance import Background
from aframe.tables import EventTable
from aframe.types import Array

COLUMNS = ("detection_statistic", "detection_time", "shift")

LEAST_LEFT = 0.5
"""Share of the background's live time that must be left."""

TOLERANCE = 1e-6
"""Relative difference between a background's live time and that of its spans that rounding may make."""


@dataclass(frozen=True)
class LiveSpans:
    """Stretches of slide time in which there can be events: at time t, detector k's data of time t + shift[k] are seen.

    Attributes:
        start: Slide time of each stretch's start, s.
        stop: Slide time of its end, s.
        shift: Shift of each detector, s.
    """

    start: Float[Array, " spans"]
    stop: Float[Array, " spans"]
    shift: Float[Array, "spans ifos"]

    @property
    def livetime(self) -> float:
        """Seconds of all stretches together."""
        return float((self.stop - self.start).sum())


@dataclass(frozen=True)
class Removal:
    """Candidates ranked against a background without the louder ones.

    Attributes:
        background: The background without any of the removed candidates.
        removed: Whether each candidate was removed.
        count: Background events at least as loud, n_b, when it was the candidate's turn.
        livetime: Seconds of background at that time.
    """

    background: Background
    removed: Bool[Array, " candidates"]
    count: Int[Array, " candidates"]
    livetime: Float[Array, " candidates"]

    @property
    def far_per_year(self) -> Float[Array, " candidates"]:
        """False alarm rate of each candidate, max(n_b, 1) / T_b, in events per Julian year."""
        return np.asarray(np.maximum(self.count, 1) / self.livetime * SECONDS_PER_YEAR)

    def significance(self, livetime: float) -> Float[Array, " candidates"]:
        """Probability that noise makes one such event in some seconds of observation (arXiv:1508.02357, eq. 17)."""
        return np.asarray(-np.expm1(-livetime * (1 + self.count) / self.livetime))


def remove_candidates(
    candidates: tuple[Float[Array, " candidates"], Float[Array, " candidates"]],
    events: EventTable,
    spans: LiveSpans,
    window: float,
    far_per_year: float,
) -> Removal:
    """Rank candidates, the loudest first, each against a background without those before it.

    A candidate whose false alarm rate, when it is its turn, is at most ``far_per_year`` is removed before the next one:
    all background events that see, in any detector, data within ``window`` of its time, and that time itself from the
    slides' live time. The first candidate with a higher rate ends the removal.

    Args:
        candidates: Statistics and times (GPS s), loudest first.
        events: Background events with ``detection_time`` and ``shift``.
        spans: Live time of the slides.
        window: Seconds on either side of a candidate.
        far_per_year: Events per Julian year.

    Raises:
        DataError: If the spans are not the background's.
        ConfigurationError: If so many candidates are removed that half of the background goes with them.
    """
    if abs(spans.livetime - events.livetime) > TOLERANCE * events.livetime:
        raise DataError(
            f"the time slides have {spans.livetime:.1f} s, the background says {events.livetime:.1f} s: it was made of "
            "other segments or slides; make it anew"
        )
    statistic, time = candidates
    whole = Background(events["detection_statistic"], events.livetime)
    near, live = _Surroundings(events, window), _LiveTime(spans, window)
    loudness, in_whole = events["detection_statistic"], whole.count(statistic)
    gone, taken = np.zeros(len(events), dtype=bool), np.empty(0)
    removed = np.zeros(len(statistic), dtype=bool)
    count, livetime = np.empty(len(statistic), dtype=np.int64), np.empty(len(statistic))
    for k in range(len(statistic)):
        count[k:] = in_whole[k:] - (len(taken) - np.searchsorted(taken, statistic[k:], side="left"))
        livetime[k:] = live.left
        if max(count[k], 1) / live.left * SECONDS_PER_YEAR > far_per_year:
            break
        removed[k] = True
        rows = near.rows(time[k])
        taken = np.sort(np.append(taken, loudness[rows[~gone[rows]]]))
        gone[rows] = True
        live.remove(time[k])
        if live.left < LEAST_LEFT * events.livetime:
            raise ConfigurationError(
                f"removing {k + 1} candidates with false alarm rates up to {far_per_year:g} per year takes more than "
                "half of the background: lower removal_far_per_year or removal_window"
            )
    return Removal(Background(loudness[~gone], live.left), removed, count, livetime)


class _Surroundings:
    """Background events by the time at which each detector sees them.

    Args:
        events: With ``detection_time`` and ``shift``.
        window: Seconds.
    """

    def __init__(self, events: EventTable, window: float) -> None:
        self.window = window
        self._seen = events["detection_time"][:, None] + events["shift"]
        self._order: list[Array] = []

    def rows(self, time: float) -> Array:
        """Rows that see, in any detector, data within the window of a time."""
        if not self._order:  # sorted when first asked: most backgrounds have nothing to be removed
            self._order = [np.argsort(seen) for seen in self._seen.T]
            self._seen = np.take_along_axis(self._seen, np.stack(self._order, axis=-1), axis=0)
        found = []
        for seen, order in zip(self._seen.T, self._order, strict=True):
            low = np.searchsorted(seen, time - self.window, side="left")
            found.append(order[low : np.searchsorted(seen, time + self.window, side="right")])
        return np.unique(np.concatenate(found))


class _LiveTime:
    """What is left of the slides' live time.

    Args:
        spans: The slides.
        window: Seconds.
    """

    def __init__(self, spans: LiveSpans, window: float) -> None:
        self.spans, self.window = spans, window
        self.times = np.empty(0)
        self.removed = np.zeros(len(spans.start))

    @property
    def left(self) -> float:
        """Seconds."""
        return self.spans.livetime - float(self.removed.sum())

    def remove(self, time: float) -> None:
        """Remove the window about a time as each detector sees it: the union of all windows, cut to each stretch."""
        self.times = np.append(self.times, time)
        centre = time - self.spans.shift
        touches = (centre > self.spans.start[:, None] - self.window) & (centre < self.spans.stop[:, None] + self.window)
        rows = np.flatnonzero(touches.any(axis=1))
        centres = self.times[:, None] - self.spans.shift[rows, None]
        centres = np.sort(centres.reshape(len(rows), centres.shape[1] * centres.shape[2]), axis=1)
        start, stop = self.spans.start[rows, None], self.spans.stop[rows, None]
        low, high = (np.clip(centres + sign * self.window, start, stop) for sign in (-1, 1))
        low[:, 1:] = np.maximum(low[:, 1:], high[:, :-1])  # windows are equally long: the one before ends last
        self.removed[rows] = np.maximum(high - low, 0.0).sum(axis=1)
