"""Remove events and live time in vetoed time.

Slide time t corresponds to the time t + shifts[k] in the data of detector k. An event at t is vetoed if t + shifts[k]
lies in vetoed time of any detector k. A slide loses the union of all detectors' intervals, each shifted by −shifts[k].
Vetoes apply to coalescence times. A window that only touches vetoed time stays.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from aframe.errors import DataError
from aframe.events.spans import SlideSpans
from aframe.strain.segments import Segment
from aframe.tables import EventTable, InjectionTable, RecoveredTable, RejectedTable
from aframe.types import Array

CHUNK_ROWS = 2**20
"""Number of events, or of intervals of slides, in one chunk. It bounds memory and does not affect results."""

LIVETIME_TOLERANCE = 1e-6
"""Relative difference by which rounding may change a sum of live times."""

Intervals = Mapping[str, Float[Array, "n 2"]]
"""Vetoed time of each detector: start and stop (GPS s, half open), in order and disjoint, as ``merged`` returns it."""


@dataclass(frozen=True, eq=False)
class Veto:
    """Vetoed time of one detector from one source.

    Attributes:
        name: Display name of the source.
        ifo: Detector.
        intervals: Start and stop, GPS s, half open, shape (intervals, 2). They may be unordered, overlap, or be
            infinite.
        in_zero_lag: Whether the veto also applies to unshifted data. Otherwise it applies to time slides alone.
    """

    name: str
    ifo: str
    intervals: Float[Array, "n 2"]
    in_zero_lag: bool = True

    @classmethod
    def of(cls, name: str, ifo: str, segments: Iterable[Segment], margin: float, in_zero_lag: bool = True) -> "Veto":
        """Veto segments and a margin on both sides of each.

        Args:
            name: Display name of the source.
            ifo: Detector.
            segments: Vetoed segments, GPS s.
            margin: Extension of each segment at both ends, s.
            in_zero_lag: Whether the veto also applies to unshifted data.
        """
        times = [(segment.start - margin, segment.stop + margin) for segment in segments]
        return cls(name, ifo, np.array(times, dtype=np.float64).reshape(-1, 2), in_zero_lag)


def merged(intervals: Float[Array, "n 2"]) -> Float[Array, "m 2"]:
    """Sort intervals, merge those that touch or overlap, and drop empty ones.

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
    """Combine vetoes into the vetoed time of each detector.

    Args:
        vetoes: Vetoes of any detectors. Those of detectors not in ``ifos`` have no effect.
        ifos: Detectors.
        zero_lag: True for unshifted data, False for time slides.

    Returns:
        Merged intervals of each detector.
    """
    chosen = [veto for veto in vetoes if veto.in_zero_lag or not zero_lag]
    empty = np.empty((0, 2))
    return {ifo: merged(np.concatenate([empty, *(v.intervals for v in chosen if v.ifo == ifo)])) for ifo in ifos}


def vetoed(
    time: Float[Array, " events"], shift: Float[Array, "events ifos"], ifos: Sequence[str], vetoes: Intervals
) -> Bool[Array, " events"]:
    """Whether each event lies in vetoed time of any detector. The cost is O(N log V) for N events and V intervals.

    Args:
        time: Slide time of each event, GPS s, shape (events,). NaN is never vetoed.
        shift: Shift of each detector's data, s, shape (events, ifos).
        ifos: Detectors, in the order of ``shift``.
        vetoes: Vetoed time of each detector.

    Returns:
        Shape (events,).
    """
    result = np.zeros(len(time), dtype=bool)
    for ifo, column in zip(ifos, shift.T, strict=True):
        edges = vetoes[ifo].ravel()  # start, stop, start, stop, …: a time after an odd number of edges is inside
        for first in range(0, len(time) if len(edges) else 0, CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            result[rows] |= np.searchsorted(edges, time[rows] + column[rows], side="right") % 2 == 1
    return result


def reasons(
    time: Float[Array, " events"], shift: Float[Array, "events ifos"], ifos: Sequence[str], vetoes: Iterable[Veto]
) -> list[str]:
    """List the detectors and sources that veto each event, such as ``L1 gate; L1 CBC_CAT2``.

    Args:
        time: Slide time of each event, GPS s, shape (events,).
        shift: Shift of each detector's data, s, shape (events, ifos).
        ifos: Detectors, in the order of ``shift``.
        vetoes: Vetoes of all sources.

    Returns:
        One text per event, empty for an event without a veto.
    """
    names_of_events: list[list[str]] = [[] for _ in time]
    for veto in vetoes:
        if veto.ifo not in ifos:
            continue
        column = shift[:, [list(ifos).index(veto.ifo)]]
        for row in np.flatnonzero(vetoed(time, column, [veto.ifo], {veto.ifo: merged(veto.intervals)})):
            names_of_events[row].append(f"{veto.ifo} {veto.name}")
    return ["; ".join(names) for names in names_of_events]


def live_spans(
    spans: SlideSpans, ifos: Sequence[str], vetoes: Intervals
) -> tuple[SlideSpans, Int[Array, " stretches"]]:
    """Remove vetoed time from slides.

    The result is exact and counts each second once. Each slide is compared only with the intervals that overlap it. A
    chunk holds about a million intervals. The cost is O(n log n) for n intervals.

    Args:
        spans: Live time of the slides.
        ifos: Detectors, in the order of the slides' shifts.
        vetoes: Vetoed time of each detector.

    Returns:
        Stretches without vetoed time in any detector, and the row of ``spans`` of each stretch.
    """
    ranges, edge_count = [], np.full(len(spans.start), 2)
    for ifo, column in zip(ifos, spans.shift.T, strict=True):
        low = spans.start + column
        first = np.searchsorted(vetoes[ifo][:, 1], low, side="right")
        last = np.searchsorted(vetoes[ifo][:, 0], low + spans.duration, side="left")
        ranges.append((first, np.maximum(last, first)))
        edge_count += 2 * (ranges[-1][1] - first)
    groups = np.cumsum(edge_count) // CHUNK_ROWS
    parts = [(SlideSpans(spans.start[:0], spans.duration[:0], spans.shift[:0]), groups[:0])]
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        chunk = SlideSpans(spans.start[rows], spans.duration[rows], spans.shift[rows])
        live, slide = _live_spans(chunk, [(first[rows], last[rows]) for first, last in ranges], ifos, vetoes)
        parts.append((live, rows[slide]))
    columns = [np.concatenate([getattr(p, name) for p, _ in parts]) for name in ("start", "duration", "shift")]
    return SlideSpans(*columns), np.concatenate([slide for _, slide in parts])


def _live_spans(
    spans: SlideSpans, ranges: Sequence[tuple[Array, Array]], ifos: Sequence[str], vetoes: Intervals
) -> tuple[SlideSpans, Array]:
    """Gaps between vetoed intervals in each slide, limited by the slide's start and end."""
    all_slides = np.arange(len(spans.start))
    slides, edges = [all_slides, all_slides], [np.zeros(len(all_slides)), spans.duration]
    steps = [np.zeros(len(all_slides), np.int64)] * 2
    for column, (ifo, (first, last)) in enumerate(zip(ifos, ranges, strict=True)):
        count = last - first
        slide = np.repeat(all_slides, count)
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
    """Remove events and live time in vetoed time.

    Args:
        events: Events of all slides.
        spans: Live time of the slides.
        ifos: Detectors, in the order of the shifts.
        vetoes: Vetoed time of each detector.

    Returns:
        Events outside vetoed time, and the remaining live time. Attribute ``Tb`` of the events is the remaining live
        time in s, and ``Tb_before_vetoes`` the original one.

    Raises:
        DataError: If the live times of events and slides differ, or no live time remains.
    """
    total = spans.livetime
    if abs(total - events.livetime) > LIVETIME_TOLERANCE * max(total, events.livetime):
        raise DataError(
            f"the events have a live time of {events.livetime:g} s, but the slides of the configuration have "
            f"{total:g} s: score the slides again, or restore the configuration"
        )
    live, _ = live_spans(spans, ifos, vetoes)
    remaining = live.livetime
    if remaining <= LIVETIME_TOLERANCE * total:
        raise DataError(
            f"all {total:.0f} s of live time are vetoed: give fewer vetoes in [luigi_vetoes], or other data"
        )
    table = events.rows(~vetoed(events["detection_time"], events["shift"], ifos, vetoes))
    table.attributes |= {"Tb": remaining, "Tb_before_vetoes": events.livetime}
    return table, live


def clean_injections(recovered: RecoveredTable, ifos: Sequence[str], vetoes: Intervals) -> RecoveredTable:
    """Remove injections in vetoed time, together with their draws.

    An injection represents ``num_draws`` draws: itself and the draws rejected before it. Rejected draws have no times,
    so they leave with their injection. ``num_injections`` counts the remaining draws. The sensitive volume is therefore
    that of the remaining time, for any vetoed share in any segments. If an injection lies outside vetoed time but its
    event lies inside, the injection is missed, because the search does not report that event.

    Args:
        recovered: All injections, with the events that recovered them.
        ifos: Detectors, in the order of the shifts.
        vetoes: Vetoed time of each detector.

    Returns:
        Injections outside vetoed time. A missed injection has statistic −inf and time NaN.

    Raises:
        DataError: If the injections lack the column ``num_draws``, or none remains.
    """
    if "num_draws" not in recovered.parameters:
        raise DataError(
            "the injections lack the column num_draws, which vetoes need to remove rejected draws: an earlier version "
            "wrote them; generate them again"
        )
    table = recovered.rows(~vetoed(recovered["injection_time"], recovered["shift"], ifos, vetoes))
    if len(table) == 0 < len(recovered):
        raise DataError(
            f"all {len(recovered)} injections lie in vetoed time: give fewer vetoes in [luigi_vetoes], or other data"
        )
    is_missed = vetoed(table["detection_time"], table["shift"], ifos, vetoes)
    columns = {"detection_statistic": -np.inf, "detection_time": np.nan}
    table.parameters |= {name: np.where(is_missed, value, table[name]) for name, value in columns.items()}
    table.attributes["num_injections"] = int(table["num_draws"].sum())
    return table


def clean_rejected(
    rejected: Iterable[RejectedTable], injections: InjectionTable, kept: RecoveredTable
) -> Iterator[RejectedTable]:
    """Select the rejected draws that belong to the remaining injections.

    Args:
        rejected: All rejected draws in pieces, in the order of drawing.
        injections: Columns ``injection_time``, ``shift`` and ``num_draws`` of all injections, in the same order.
        kept: Remaining injections, in any order.

    Yields:
        The selected draws of each piece.

    Raises:
        DataError: If the draws do not belong to the injections.
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
            f"the rejected draws are not the {len(mask)} that belong to the injections: the two files come from "
            "different sets of injections; generate both again"
        )


def _placements(table: InjectionTable | RecoveredTable) -> Array:
    """Time and shifts of each row as one comparable value."""
    # adding zero removes negative zeros, because the comparison is of bytes
    columns = np.column_stack([table["injection_time"], table["shift"]]) + 0.0
    return np.ascontiguousarray(columns).view(f"V{columns.itemsize * columns.shape[1]}").ravel()
