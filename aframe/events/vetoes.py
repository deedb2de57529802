"""Vetoes: which events happen in time that is not trusted, and how much live time goes with them.

At slide time t, detector k's data of time t + shifts[k] are seen. So an event at t is vetoed if t + shifts[k] lies in
vetoed time of detector k, for any k; and a slide loses the measure of the union of all detectors' intervals, each
shifted by −shifts[k]. Times are those of coalescence: a window that merely touches vetoed time is kept.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from aframe.errors import DataError
from aframe.strain.segments import Segment
from aframe.tables import EventTable, InjectionTable, RecoveredTable, RejectedTable
from aframe.types import Array

CHUNK_ROWS = 2**20
"""Events, or intervals of slides, that are looked at together: bounds memory, changes no result."""

LIVETIME_TOLERANCE = 1e-6
"""Relative; two sums of the same live times may differ by rounding."""

Intervals = Mapping[str, Float[Array, "n 2"]]
"""Vetoed time of each detector: start and stop (GPS s, half open), in order and disjoint, as ``merged`` makes it."""


@dataclass(frozen=True, eq=False)
class Veto:
    """Time of one detector that one source vetoes.

    Attributes:
        name: What a person calls the source.
        ifo: Detector.
        intervals: Start and stop, GPS s, half open; in any order, and they may overlap or be infinite.
        in_zero_lag: Whether it holds for unshifted data, too, and not for time slides alone.
    """

    name: str
    ifo: str
    intervals: Float[Array, "n 2"]
    in_zero_lag: bool = True

    @classmethod
    def of(cls, name: str, ifo: str, segments: Iterable[Segment], margin: float, in_zero_lag: bool = True) -> "Veto":
        """A veto of segments, each made longer by ``margin`` seconds at both ends."""
        times = [(segment.start - margin, segment.stop + margin) for segment in segments]
        return cls(name, ifo, np.array(times, dtype=np.float64).reshape(-1, 2), in_zero_lag)


@dataclass(frozen=True, eq=False)
class SlideSpans:
    """The stretches of slide time in which the events of some slides can be.

    Attributes:
        start: GPS seconds.
        duration: Seconds: a slide's live time.
        shift: Seconds by which each detector's data are shifted.
    """

    start: Float[Array, " slides"]
    duration: Float[Array, " slides"]
    shift: Float[Array, "slides ifos"]


def merged(intervals: Float[Array, "n 2"]) -> Float[Array, "m 2"]:
    """The same time in order and disjoint: what touches or overlaps is made one, what is empty is dropped.

    >>> merged(np.array([[5.0, 6.0], [1.0, 3.0], [2.0, 4.0], [8.0, 8.0]])).tolist()
    [[1.0, 4.0], [5.0, 6.0]]
    """
    intervals = intervals[intervals[:, 1] > intervals[:, 0]]
    intervals = intervals[np.argsort(intervals[:, 0], kind="stable")]
    if len(intervals) == 0:
        return intervals
    stop = np.maximum.accumulate(intervals[:, 1])
    first = np.concatenate([[True], intervals[1:, 0] > stop[:-1]])
    return np.stack([intervals[first, 0], stop[np.concatenate([first[1:], [True]])]], axis=1)


def union(vetoes: Iterable[Veto], ifos: Sequence[str], zero_lag: bool) -> dict[str, Array]:
    """All vetoed time of each detector.

    Args:
        vetoes: Of any detectors; those of others are left out.
        ifos: Detectors.
        zero_lag: Whether for unshifted data.
    """
    chosen = [veto for veto in vetoes if veto.in_zero_lag or not zero_lag]
    empty = np.empty((0, 2))
    return {ifo: merged(np.concatenate([empty, *(v.intervals for v in chosen if v.ifo == ifo)])) for ifo in ifos}


def vetoed(
    time: Float[Array, " events"], shift: Float[Array, "events ifos"], ifos: Sequence[str], vetoes: Intervals
) -> Bool[Array, " events"]:
    """Which events happen in vetoed time of any detector, in O(N log V).

    Args:
        time: Slide time, GPS s; one that is not a number is never vetoed.
        shift: Seconds by which each detector's data are shifted.
        ifos: Detectors, in the order of ``shift``.
        vetoes: Vetoed time of each.
    """
    result = np.zeros(len(time), dtype=bool)
    for ifo, column in zip(ifos, shift.T, strict=True):
        edges = vetoes[ifo].ravel()  # start, stop, start, stop, …: an odd number of edges passed is inside
        for first in range(0, len(time) if len(edges) else 0, CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            result[rows] |= np.searchsorted(edges, time[rows] + column[rows], side="right") % 2 == 1
    return result


def reasons(
    time: Float[Array, " events"], shift: Float[Array, "events ifos"], ifos: Sequence[str], vetoes: Iterable[Veto]
) -> list[str]:
    """By whom each event is vetoed, such as ``L1 gate; L1 CBC_CAT2``; empty where by nobody.

    Args:
        time: Slide time, GPS s.
        shift: Seconds by which each detector's data are shifted.
        ifos: Detectors, in the order of ``shift``.
        vetoes: Sources.
    """
    found: list[list[str]] = [[] for _ in time]
    for veto in vetoes:
        if veto.ifo not in ifos:
            continue
        column = shift[:, [list(ifos).index(veto.ifo)]]
        for row in np.flatnonzero(vetoed(time, column, [veto.ifo], {veto.ifo: merged(veto.intervals)})):
            found[row].append(f"{veto.ifo} {veto.name}")
    return ["; ".join(names) for names in found]


def live_spans(
    spans: SlideSpans, ifos: Sequence[str], vetoes: Intervals
) -> tuple[SlideSpans, Int[Array, " stretches"]]:
    """The stretches of slides in which no detector's data are vetoed, and the slide that each is of.

    Exact, each second once. Only the intervals that a slide can see are looked at, about a million at a time:
    O(n log n) in their number.

    Args:
        spans: Slides.
        ifos: Detectors, in the order of the slides' shifts.
        vetoes: Vetoed time of each.
    """
    ranges, seen = [], np.full(len(spans.start), 2)
    for ifo, column in zip(ifos, spans.shift.T, strict=True):
        low = spans.start + column
        first = np.searchsorted(vetoes[ifo][:, 1], low, side="right")
        last = np.searchsorted(vetoes[ifo][:, 0], low + spans.duration, side="left")
        ranges.append((first, np.maximum(last, first)))
        seen += 2 * (ranges[-1][1] - first)
    groups = np.cumsum(seen) // CHUNK_ROWS
    parts = [(SlideSpans(spans.start[:0], spans.duration[:0], spans.shift[:0]), groups[:0])]
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        own = SlideSpans(spans.start[rows], spans.duration[rows], spans.shift[rows])
        live, slide = _live_spans(own, [(first[rows], last[rows]) for first, last in ranges], ifos, vetoes)
        parts.append((live, rows[slide]))
    columns = [np.concatenate([getattr(p, name) for p, _ in parts]) for name in ("start", "duration", "shift")]
    return SlideSpans(*columns), np.concatenate([slide for _, slide in parts])


def _live_spans(
    spans: SlideSpans, ranges: Sequence[tuple[Array, Array]], ifos: Sequence[str], vetoes: Intervals
) -> tuple[SlideSpans, Array]:
    """The stretches between edges behind which no interval is open; a slide's own ends are edges, too."""
    every = np.arange(len(spans.start))
    slides, edges = [every, every], [np.zeros(len(every)), spans.duration]
    steps = [np.zeros(len(every), np.int64)] * 2
    for column, (ifo, (first, last)) in enumerate(zip(ifos, ranges, strict=True)):
        count = last - first
        slide = np.repeat(every, count)
        interval = np.arange(len(slide)) - np.repeat(np.cumsum(count) - count - first, count)
        offset = spans.start[slide] + spans.shift[slide, column]
        inside = np.clip(vetoes[ifo][interval] - offset[:, None], 0.0, spans.duration[slide][:, None])
        slides += [slide, slide]
        edges += [inside[:, 0], inside[:, 1]]
        steps += [np.ones(len(slide), np.int64), -np.ones(len(slide), np.int64)]
    slide, edge = np.concatenate(slides), np.concatenate(edges)
    order = np.lexsort((edge, slide))
    slide, edge, is_open = slide[order], edge[order], np.cumsum(np.concatenate(steps)[order]) > 0
    length = np.diff(edge)
    live = np.flatnonzero(~is_open[:-1] & (slide[1:] == slide[:-1]) & (length > 0))
    owner = slide[live]
    return SlideSpans(spans.start[owner] + edge[live], length[live], spans.shift[owner]), owner


def clean_events(
    events: EventTable, spans: SlideSpans, ifos: Sequence[str], vetoes: Intervals
) -> tuple[EventTable, SlideSpans]:
    """The events outside vetoed time, and the stretches of live time that are left.

    Args:
        events: Of all the slides.
        spans: The slides.
        ifos: Detectors, in the order of the shifts.
        vetoes: Vetoed time of each.

    Returns:
        The events: attribute ``Tb`` is what is left of the live time, ``Tb_before_vetoes`` what it was, s; and the live
        time.

    Raises:
        DataError: If the live times of events and slides differ, or nothing is left.
    """
    total = float(spans.duration.sum())
    if abs(total - events.livetime) > LIVETIME_TOLERANCE * max(total, events.livetime):
        raise DataError(
            f"the events are of {events.livetime:g} s, the slides that the configuration plans are {total:g} s long: "
            "score the slides anew, or restore the configuration"
        )
    live, _ = live_spans(spans, ifos, vetoes)
    left = float(live.duration.sum())
    if left <= LIVETIME_TOLERANCE * total:
        raise DataError(
            f"all of the {total:.0f} s of live time are vetoed: give fewer vetoes in [luigi_vetoes], or other data"
        )
    table = events.rows(~vetoed(events["detection_time"], events["shift"], ifos, vetoes))
    table.attributes |= {"Tb": left, "Tb_before_vetoes": events.livetime}
    return table, live


def clean_injections(recovered: RecoveredTable, ifos: Sequence[str], vetoes: Intervals) -> RecoveredTable:
    """The injections outside vetoed time, as if no other had been made.

    An injection stands for all the draws that were made for it (``num_draws``): itself and those rejected on the way,
    which have no time but its. So they leave together, ``num_injections`` counts the draws that stay, and the sensitive
    volume is that of the time that is left, whatever share of it is vetoed and in which segments. An injection outside
    vetoed time whose event lies inside is not found: the search would not report that event.

    Args:
        recovered: All injections, with the events that recovered them.
        ifos: Detectors, in the order of the shifts.
        vetoes: Vetoed time of each.

    Raises:
        DataError: If the injections do not tell their draws, or none is left.
    """
    if "num_draws" not in recovered.parameters:
        raise DataError(
            "the injections do not tell how many draws were made for each (column num_draws), without which vetoes "
            "cannot take rejected draws away: an earlier version made them; make them anew"
        )
    table = recovered.rows(~vetoed(recovered["injection_time"], recovered["shift"], ifos, vetoes))
    if len(table) == 0 < len(recovered):
        raise DataError(
            f"all {len(recovered)} injections lie in vetoed time: give fewer vetoes in [luigi_vetoes], or other data"
        )
    lost = vetoed(table["detection_time"], table["shift"], ifos, vetoes)
    columns = {"detection_statistic": -np.inf, "detection_time": np.nan}
    table.parameters |= {name: np.where(lost, value, table[name]) for name, value in columns.items()}
    table.attributes["num_injections"] = int(table["num_draws"].sum())
    return table


def clean_rejected(
    rejected: Iterable[RejectedTable], injections: InjectionTable, kept: RecoveredTable
) -> Iterator[RejectedTable]:
    """The rejected draws that were made for the injections that stay.

    Args:
        rejected: All rejected draws, in the order in which they were drawn, in pieces.
        injections: Columns ``injection_time``, ``shift`` and ``num_draws`` of all injections, in that order, too.
        kept: The injections that stay, in any order.

    Raises:
        DataError: If the draws are not those of the injections.
    """
    stays = np.isin(_placements(injections), _placements(kept))
    mask = np.repeat(stays, injections["num_draws"] - 1)
    row = 0
    for piece in rejected:
        stay = mask[row : row + len(piece)]
        row += len(piece)
        if row > len(mask):
            break
        yield piece.rows(stay)
    if row != len(mask):
        raise DataError(
            f"the rejected draws are not the {len(mask)} that were made for the injections: the two files belong to "
            "different sets of injections; make both anew"
        )


def _placements(table: InjectionTable | RecoveredTable) -> Array:
    """Time and shifts of each row as one comparable value."""
    columns = np.column_stack([table["injection_time"], table["shift"]]) + 0.0  # no negative zero: bytes are compared
    return np.ascontiguousarray(columns).view(f"V{columns.itemsize * columns.shape[1]}").ravel()
