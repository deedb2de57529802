"""What a search is doing: the text and the data of ``aframe online status``."""

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aframe import storage
from aframe.candidates.table import utc
from aframe.online.documents import nulled
from aframe.online.health import DetectorHealth, Health
from aframe.online.live_event import LiveEvent
from aframe.online.outbox import EVENTS, stored_events
from aframe.progress.activity import utc as utc_of_unix
from aframe.progress.lines import in_words
from aframe.report.text import aligned, duration, number, rate

SILENCE = 30.0
"""Age of the record, s, from which the search is taken to be dead: it writes one every few seconds."""

LATEST = 5
"""Number of the latest events in the text."""

NOT_KNOWN = "–"

NONE: Mapping[str, LiveEvent] = {}


class Status(NamedTuple):
    """What a search is doing.

    Attributes:
        text: For a terminal.
        document: JSON data: ``state`` (``running``, ``silent`` or ``over``), ``silent_s``, ``health`` and ``events``.
    """

    text: str
    document: dict[str, Any]


def status(directory: str, now: float | None = None) -> Status:
    """Look at the output directory of a search.

    Args:
        directory: Output directory.
        now: Unix time, s; None for the present.

    Raises:
        StorageError: If no search has run there.
    """
    health = Health.read(directory)
    silent = (time.time() if now is None else now) - health.written
    state = "over" if health.is_over else "silent" if silent > SILENCE else "running"
    events = list(latest_events(directory, LATEST).values())
    lines = [f"{directory}: {headline(health, state, silent)}", *_lines(health, events)]
    document = {
        "state": state,
        "silent_s": silent,
        "health": health.document(),
        "events": [event.document() for event in events],
    }
    return Status("\n".join(lines), dict(nulled(document)))


def latest_events(directory: str, size: int, known: Mapping[str, LiveEvent] = NONE) -> dict[str, LiveEvent]:
    """The last revisions of the latest signals by name, the latest first.

    Args:
        directory: Output directory of a search.
        size: Largest number of events.
        known: Events that were read before. Their files are not read again.
    """
    last = {name.rpartition("-")[0]: name for name in stored_events(directory)}
    names = list(last.values())[::-1][:size]
    return {name: known.get(name) or LiveEvent.read(storage.join(directory, EVENTS, f"{name}.json")) for name in names}


def headline(health: Health, state: str, silent: float) -> str:
    """State of a search in one line.

    Args:
        health: Its record.
        state: ``running``, ``silent`` or ``over``.
        silent: Age of the record, s.
    """
    if state == "over":
        return f"over since {utc_of_unix(health.written)}"
    if state == "silent":
        return f"no sign of life for {in_words(silent)}: it was killed, or its machine is down"
    return f"running since {utc_of_unix(health.started)}"


def detector_rows(health: Health) -> list[list[str]]:
    """Rows of the table of detectors: name, state, last strain, range, searched share, gaps. The header is first."""
    header = ["detector", "state", "last strain (GPS s)", "range (Mpc)", "searched", "gaps"]
    return [header, *(_detector(ifo, each) for ifo, each in health.detectors.items())]


def latency_rows(health: Health) -> list[list[str]]:
    """Rows of the table of latencies: part, median, and what 95 % do not exceed. The header is first."""
    rows = [[name, f"{each.median:.2f}", f"{each.high:.2f}"] for name, each in health.latency.items()]
    return [["latency", "median (s)", "95 % (s)"], *rows]


def rate_rows(health: Health) -> list[list[str]]:
    """Rows of the table of rates: threshold, events above it, and what noise gives. The header is first."""
    rows = [
        [rate(each.far_per_year), str(each.seen), number(each.expected), "out of line" if each.is_out_of_line else ""]
        for each in health.rates
    ]
    return [["false alarm rate below", "events", "of noise alone", ""], *rows]


def _detector(ifo: str, health: DetectorHealth) -> list[str]:
    return [
        ifo,
        health.state,
        NOT_KNOWN if math.isnan(health.last_gps) else f"{health.last_gps:.3f}",
        NOT_KNOWN if math.isnan(health.range_mpc) else f"{health.range_mpc:.0f}",
        f"{100 * health.searched_fraction:.1f} %",
        listed(health.gaps) or "none",
    ]


def listed(numbers: Mapping[str, int]) -> str:
    """Numbers by name, in one line.

    >>> listed({"late": 2, "missing": 0, "broken": 1})
    'late 2, broken 1'
    """
    return ", ".join(f"{name} {value}" for name, value in numbers.items() if value)


def _lines(health: Health, events: list[LiveEvent]) -> Iterator[str]:
    until = NOT_KNOWN if math.isnan(health.searched_until) else utc(health.searched_until)
    yield f"searched   {duration(health.searched)}, until {until} UTC"
    yield f"background {health.background or 'none'}, live time {duration(health.background_livetime)}"
    yield f"counts     {listed(health.counts) or 'none'}"
    yield f"to send    {listed(health.waiting) or 'nothing'}"
    yield from (f"trouble    {trouble}" for trouble in health.troubles)
    for rows in (detector_rows(health), latency_rows(health), rate_rows(health), _event_rows(events)):
        if len(rows) > 1:
            yield ""
            yield from aligned(rows)


def _event_rows(events: list[LiveEvent]) -> list[list[str]]:
    rows = [
        [each.name, utc(each.time), f"{each.statistic:.3f}", rate(each.far_per_year, each.far_is_upper_limit)]
        for each in events
    ]
    return [["latest events", "UTC", "statistic", "false alarm rate"], *rows]
