"""Which event, if any, recovered each injection."""

import numpy as np
from jaxtyping import Float, Int

from aframe.tables import EventTable, InjectionTable, RecoveredTable
from aframe.types import Array

SHIFT_RESOLUTION = 1e-6
"""Seconds; two shifts that agree to this are the same time slide, whatever arithmetic made them."""


def recover(
    injections: tuple[Float[Array, " injections"], Float[Array, "injections ifos"]],
    events: tuple[Float[Array, " events"], Float[Array, "events ifos"]],
    statistic: Float[Array, " events"],
    window: float,
) -> Int[Array, " injections"]:
    """The event that recovers each injection: the nearest one in time, in the same time slide.

    An event recovers one injection at most: of those that it is nearest to, the nearest in time, then the first row.
    Of two events equally far from an injection the louder one counts, then the earlier one.

    Args:
        injections: Times (GPS s) and shifts (s).
        events: Times (GPS s) and shifts (s); the events of one slide have different times.
        statistic: Detection statistic of each event.
        window: Largest distance in seconds from an injection to its event.

    Returns:
        Row of the event for each injection, −1 where there is none. O((N + M) log(N + M)).
    """
    injection_time, event_time = injections[0], events[0]
    before, after = _neighbours(injections, events)
    candidates = np.stack([before, after])
    distance = np.full(candidates.shape, np.inf)
    loudness = np.full(candidates.shape, -np.inf)
    for k, candidate in enumerate(candidates):
        there = candidate >= 0
        distance[k, there] = np.abs(event_time[candidate[there]] - injection_time[there])
        loudness[k, there] = statistic[candidate[there]]
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
    """All injections, each with the statistic and time of the event that recovered it, without waveforms.

    An injection without an event stays, with statistic −inf and time NaN: it belongs to the denominator.

    Args:
        injections: Accepted injections with ``injection_time`` and ``shift``.
        events: Events of the same time slides.
        window: Largest distance in seconds from an injection to its event.
    """
    index = recover(
        (injections["injection_time"], injections["shift"]),
        (events["detection_time"], events["shift"]),
        events["detection_statistic"],
        window,
    )
    found = index >= 0
    statistic, time = np.full(len(index), -np.inf), np.full(len(index), np.nan)
    statistic[found] = events["detection_statistic"][index[found]]
    time[found] = events["detection_time"][index[found]]
    columns = {"detection_statistic": statistic, "detection_time": time, **injections.parameters}
    return RecoveredTable(columns, attributes=dict(injections.attributes))


def _neighbours(injections: tuple[Array, Array], events: tuple[Array, Array]) -> tuple[Array, Array]:
    """Rows of the last event not after, and of the first event after, each injection in its slide; −1 if none."""
    (injection_time, injection_shift), (event_time, event_shift) = injections, events
    count, total = len(event_time), len(event_time) + len(injection_time)
    slide = _slides(np.concatenate([event_shift, injection_shift]))
    time = np.concatenate([event_time, injection_time])
    order = np.lexsort((np.arange(total) >= count, time, slide))  # at equal times events come first
    is_event, slide = order < count, slide[order]
    position = np.arange(total)
    last = np.maximum.accumulate(np.where(is_event, position, -1))
    following = np.minimum.accumulate(np.where(is_event, position, total)[::-1])[::-1]
    wanted = np.flatnonzero(~is_event)
    rows = order[wanted] - count

    def in_the_same_slide(neighbour: Array, there: Array) -> Array:
        inside = np.where(there, neighbour, 0)
        row = np.full(len(injection_time), -1, dtype=np.int64)
        row[rows] = np.where(there & (slide[inside] == slide[wanted]), order[inside], -1)
        return row

    last, following = last[wanted], following[wanted]
    return in_the_same_slide(last, last >= 0), in_the_same_slide(following, following < total)


def _slides(shift: Array) -> Array:
    """A number for each row, equal where all shifts are equal."""
    result = np.zeros(len(shift), dtype=np.int64)
    for column in np.rint(shift / SHIFT_RESOLUTION).astype(np.int64).T:
        values, code = np.unique(column, return_inverse=True)
        result = result * len(values) + code
    return result
