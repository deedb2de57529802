"""Remove loud candidates from the background, one after the other (hierarchical removal).

Every time slide contains the signals of each detector, next to noise of the other detectors. Loud candidates thus make
the background louder than noise alone. The loudest candidate is ranked against the whole background. If it is
significant, the data around it in each detector leave the time slides. Then the next candidate is ranked, and so on.
With all candidates in the background, rates are conservative and self-consistent. With candidates removed, rates are
unbiased in the mean (Capano et al., arXiv:1708.06710). The search reports both.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from aframe.errors import ConfigurationError, DataError
from aframe.events.significance import Background, false_alarm_probability, false_alarm_rate
from aframe.events.spans import SlideSpans
from aframe.tables import EventTable
from aframe.types import Array

REMOVAL_COLUMNS = ("detection_statistic", "detection_time", "shift")
"""Columns of the background events that the removal reads."""

LEAST_REMAINING_SHARE = 0.5
"""Smallest share of the background's live time that must remain."""

LIVETIME_TOLERANCE = 1e-6
"""Relative difference by which rounding may change a sum of live times."""


@dataclass(frozen=True)
class Removal:
    """Ranking of candidates against a background without the louder candidates.

    Attributes:
        background: Background without all removed candidates.
        removed: Whether each candidate was removed.
        count: Number of background events at least as loud, n_b, after the removal of louder candidates.
        livetime: Live time of that background, s.
    """

    background: Background
    removed: Bool[Array, " candidates"]
    count: Int[Array, " candidates"]
    livetime: Float[Array, " candidates"]

    @property
    def far_per_year(self) -> Float[Array, " candidates"]:
        """False alarm rate of each candidate, in events per Julian year."""
        return false_alarm_rate(self.count, self.livetime)

    def significance(self, livetime: float) -> Float[Array, " candidates"]:
        """Probability of at least one noise event as loud during ``livetime`` s."""
        return false_alarm_probability(self.count, self.livetime, livetime)


def remove_candidates(
    candidates: tuple[Float[Array, " candidates"], Float[Array, " candidates"]],
    events: EventTable,
    spans: SlideSpans,
    window: float,
    far_per_year: float,
) -> Removal:
    """Rank candidates, loudest first, and remove each significant one from the background of the next.

    A candidate is significant if its false alarm rate is at most ``far_per_year``. Its removal takes away background
    events whose time in any detector is within ``window`` of the candidate, and the same time from the slides' live
    time. The first candidate with a higher rate ends the removal.

    Args:
        candidates: Statistics and times (GPS s), loudest first, each of shape (candidates,).
        events: Background events with ``detection_statistic``, ``detection_time`` and ``shift``.
        spans: Live time of the slides.
        window: Time to remove on either side of a candidate, s.
        far_per_year: Largest false alarm rate of a removed candidate, events per Julian year.

    Returns:
        Ranking of all candidates, and the remaining background.

    Raises:
        DataError: If the live times of spans and events differ.
        ConfigurationError: If the removal takes more than half of the background.
    """
    if abs(spans.livetime - events.livetime) > LIVETIME_TOLERANCE * events.livetime:
        raise DataError(
            f"the time slides have {spans.livetime:.1f} s, but the background has {events.livetime:.1f} s: it comes "
            "from other segments or slides; generate it again"
        )
    statistic, time = candidates
    whole = Background(events["detection_statistic"], events.livetime)
    near, live = _Surroundings(events, window), _LiveTime(spans, window)
    loudness, in_whole = events["detection_statistic"], whole.count(statistic)
    is_removed, removed_statistics = np.zeros(len(events), dtype=bool), np.empty(0)
    removed = np.zeros(len(statistic), dtype=bool)
    count, livetime = np.empty(len(statistic), dtype=np.int64), np.empty(len(statistic))
    for k in range(len(statistic)):
        removed_count = len(removed_statistics) - np.searchsorted(removed_statistics, statistic[k:], side="left")
        count[k:] = in_whole[k:] - removed_count
        livetime[k:] = live.remaining
        if false_alarm_rate(count[k], live.remaining) > far_per_year:
            break
        removed[k] = True
        rows = near.rows(time[k])
        removed_statistics = np.sort(np.append(removed_statistics, loudness[rows[~is_removed[rows]]]))
        is_removed[rows] = True
        live.remove(time[k])
        if live.remaining < LEAST_REMAINING_SHARE * events.livetime:
            raise ConfigurationError(
                f"removing {k + 1} candidates with false alarm rates up to {far_per_year:g} per year takes more than "
                "half of the background: lower removal_far_per_year or removal_window"
            )
    return Removal(Background(loudness[~is_removed], live.remaining), removed, count, livetime)


class _Surroundings:
    """Background events, sorted by their time in each detector.

    Args:
        events: Events with ``detection_time`` and ``shift``.
        window: Half width of the time around a candidate, s.
    """

    def __init__(self, events: EventTable, window: float) -> None:
        self.window = window
        self._times = events["detection_time"][:, None] + events["shift"]
        self._order: list[Array] = []

    def rows(self, time: float) -> Array:
        """Rows of events whose time in any detector is within the window of ``time``."""
        if not self._order:  # the first call sorts, because most searches remove no candidate
            self._order = [np.argsort(times) for times in self._times.T]
            self._times = np.take_along_axis(self._times, np.stack(self._order, axis=-1), axis=0)
        rows = []
        for times, order in zip(self._times.T, self._order, strict=True):
            low = np.searchsorted(times, time - self.window, side="left")
            rows.append(order[low : np.searchsorted(times, time + self.window, side="right")])
        return np.unique(np.concatenate(rows))


class _LiveTime:
    """Remaining live time of the slides.

    Args:
        spans: Live time of the slides before any removal.
        window: Half width of the time around a candidate, s.
    """

    def __init__(self, spans: SlideSpans, window: float) -> None:
        self.spans, self.window = spans, window
        self.times = np.empty(0)
        self.removed = np.zeros(len(spans.start))

    @property
    def remaining(self) -> float:
        """Remaining live time, s."""
        return self.spans.livetime - float(self.removed.sum())

    def remove(self, time: float) -> None:
        """Remove the window around a time in each detector: the union of all windows, clipped to each stretch."""
        self.times = np.append(self.times, time)
        centre = time - self.spans.shift
        touches = (centre > self.spans.start[:, None] - self.window) & (centre < self.spans.stop[:, None] + self.window)
        rows = np.flatnonzero(touches.any(axis=1))
        centres = self.times[:, None] - self.spans.shift[rows, None]
        centres = np.sort(centres.reshape(len(rows), centres.shape[1] * centres.shape[2]), axis=1)
        start, stop = self.spans.start[rows, None], self.spans.stop[rows, None]
        low, high = (np.clip(centres + sign * self.window, start, stop) for sign in (-1, 1))
        low[:, 1:] = np.maximum(low[:, 1:], high[:, :-1])  # all windows have equal lengths: ends are in order
        self.removed[rows] = np.maximum(high - low, 0.0).sum(axis=1)
