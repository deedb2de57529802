"""Match injections with the events that recover them."""

import numpy as np
from jaxtyping import Float, Int

from aframe.tables import EventTable, InjectionTable, RecoveredTable
from aframe.types import Array

SHIFT_RESOLUTION = 1e-6
"""Tolerance in seconds. Two shifts that agree to it belong to the same time slide, despite rounding."""


def recover(
    injections: tuple[Float[Array, " injections"], Float[Array, "injections ifos"]],
    events: tuple[Float[Array, " events"], Float[Array, "events ifos"]],
    statistic: Float[Array, " events"],
    window: float,
) -> Int[Array, " injections"]:
    """Find the event that recovers each injection: the nearest in time in the same time slide.

    If two events are equally far from an injection, the louder one is nearest, then the earlier one. An event
    recovers at most one injection. If it is nearest to several injections, it recovers the closest, then the first
    row. The cost is O((N + M) log(N + M)) for N injections and M events.

    Args:
        injections: Times (GPS s), shape (injections,), and shifts (s), shape (injections, ifos).
        events: Times (GPS s), shape (events,), and shifts (s), shape (events, ifos). Events of one slide have
            different times.
        statistic: Detection statistic of each event, shape (events,).
        window: Largest time difference between an injection and its event, s.

    Returns:
        Row of the event for each injection, −1 without an event; shape (injections,).
    """
    injection_time, event_time = injections[0], events[0]
    before, after = _neighbours(injections, events)
    candidates = np.stack([before, after])
    distance = np.full(candidates.shape, np.inf)
    loudness = np.full(candidates.shape, -np.inf)
    for k, candidate in enumerate(candidates):
        exists = candidate >= 0
        distance[k, exists] = np.abs(event_time[candidate[exists]] - injection_time[exists])
        loudness[k, exists] = statistic[candidate[exists]]
    later = (distance[1] < distance[0]) | ((distance[1] == distance[0]) & (loudness[1] > loudness[0]))
    chosen, gap = np.where(later, after, before), np.where(later, distance[1], distance[0])
    chosen = np.where(gap <= window, chosen, -1)
    rows = np.flatnonzero(chosen >= 0)
    rows = rows[np.lexsort((gap[rows], chosen[rows]))]
    first = np.diff(chosen[rows], prepend=-1) > 0
    result = np.full(len(injection_time), -1, dtype=np.int64)
    result[rows[first]] = chosen[rows[first]]
    return result


def recovered_table(injections: InjectionTable, events: EventTable, window: float) -> RecoveredTable:
    """Add to each injection the statistic and time of the event that recovers it, and drop waveforms.

    An injection without an event stays in the table, because the sensitive volume counts all injections. Its statistic
    is −inf and its time NaN.

    Args:
        injections: Accepted injections with ``injection_time`` and ``shift``.
        events: Events of the same time slides.
        window: Largest time difference between an injection and its event, s.

    Returns:
        One row per injection, in the order of ``injections``.
    """
    index = recover(
        (injections["injection_time"], injections["shift"]),
        (events["detection_time"], events["shift"]),
        events["detection_statistic"],
        window,
    )
    is_recovered = index >= 0
    statistic, time = np.full(len(index), -np.inf), np.full(len(index), np.nan)
    statistic[is_recovered] = events["detection_statistic"][index[is_recovered]]
    time[is_recovered] = events["detection_time"][index[is_recovered]]
    columns = {"detection_statistic": statistic, "detection_time": time, **injections.parameters}
    return RecoveredTable(columns, attributes=dict(injections.attributes))


def _neighbours(injections: tuple[Array, Array], events: tuple[Array, Array]) -> tuple[Array, Array]:
    """Rows of the last event up to, and the first event after, each injection in its slide; −1 without one."""
    (injection_time, injection_shift), (event_time, event_shift) = injections, events
    count, total = len(event_time), len(event_time) + len(injection_time)
    slide = _slides(np.concatenate([event_shift, injection_shift]))
    time = np.concatenate([event_time, injection_time])
    order = np.lexsort((np.arange(total) >= count, time, slide))  # at equal times events come first
    is_event, slide = order < count, slide[order]
    position = np.arange(total)
    last = np.maximum.accumulate(np.where(is_event, position, -1))
    following = np.minimum.accumulate(np.where(is_event, position, total)[::-1])[::-1]
    injection_positions = np.flatnonzero(~is_event)
    rows = order[injection_positions] - count

    def in_the_same_slide(neighbour: Array, exists: Array) -> Array:
        inside = np.where(exists, neighbour, 0)
        row = np.full(len(injection_time), -1, dtype=np.int64)
        row[rows] = np.where(exists & (slide[inside] == slide[injection_positions]), order[inside], -1)
        return row

    last, following = last[injection_positions], following[injection_positions]
    return in_the_same_slide(last, last >= 0), in_the_same_slide(following, following < total)


def _slides(shift: Array) -> Array:
    """Number of the time slide of each row. Rows with equal shifts have equal numbers."""
    result = np.zeros(len(shift), dtype=np.int64)
    for column in np.rint(shift / SHIFT_RESOLUTION).astype(np.int64).T:
        values, code = np.unique(column, return_inverse=True)
        result = result * len(values) + code
    return result
