"""Page of a search of strain files: events, close-ups of the loudest, and the searched time."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from aframe.candidates.table import utc
from aframe.inference.closeup import Closeup
from aframe.inference.recorded import SearchedRecordings, Span
from aframe.report.candidates import LOUDEST
from aframe.report.closeups import unfolding
from aframe.report.html import Cell, Figures, fill, sortable_table, table
from aframe.report.page import simple_page
from aframe.report.text import duration, number, rate
from aframe.strain.times import format_gps
from aframe.tables import EventTable

MOST_SPANS = 100
"""Largest number of stretches of time in the table."""

NOTHING = Markup()


def recordings_html(
    result: SearchedRecordings,
    closeups: Mapping[int, Closeup],
    model: str,
    title: str = "Events in strain files",
    head: Markup = NOTHING,
) -> str:
    """Build the self-contained HTML page of a search of recordings.

    Args:
        result: Events, loudest first, and searched time. The events may have ``far_per_year`` and
            ``far_is_upper_limit``.
        closeups: Close-ups of the loudest events, by rank. Ranks start at 1.
        model: Name of the model that searched.
        title: Heading of the page.
        head: HTML below the heading.
    """
    plots: Figures = {}
    events = result.events
    rates = _rates(events, max([LOUDEST, *closeups]))
    shown = {rank: text for rank, text in enumerate(rates, 1) if rank in closeups}
    searched = duration(events.attributes["Tb"])
    content = (
        head
        + fill(
            "<p>{{ model }} finds {{ number }} events in {{ searched }} of strain. An event is a local maximum of the "
            "detection statistic, so noise makes events too. A background measures how rare an event is in noise.</p>",
            model=model,
            number=number(len(events)),
            searched=searched,
        )
        + _events(events, rates)
        + (unfolding(closeups, events, shown, plots) if closeups else Markup())
        + _spans(result.spans)
    )
    return simple_page(title, content, plots)


def _rates(events: EventTable, size: int) -> list[str]:
    """False alarm rates as texts; empty if the events have none."""
    if "far_per_year" not in events.parameters:
        return []
    columns = (events[name][:size] for name in ("far_per_year", "far_is_upper_limit"))
    return [rate(float(far), bool(is_limit)) for far, is_limit in zip(*columns, strict=True)]


def _events(events: EventTable, rates: Sequence[str]) -> Markup:
    names = ("detection_time", "detection_statistic")
    rows = []
    for row in range(min(LOUDEST, len(events))):
        time, statistic = (float(events[name][row]) for name in names)
        cells = [Cell(str(row + 1), row + 1.0), Cell(utc(time)), Cell(f"{statistic:.3f}", statistic)]
        cells += [Cell(rates[row], float(events["far_per_year"][row]))] if rates else []
        rows.append([*cells, Cell(f"{time:.3f}", time)])
    header = ["", "UTC", "Statistic", *(["False alarm rate"] if rates else []), "GPS (s)"]
    return sortable_table("events", header, rows)


def _spans(spans: Sequence[Span]) -> Markup:
    """HTML of the table of searched time, and of the reasons why other time was not searched."""
    rows = [
        [span.reason or "searched", format_gps(span.start), format_gps(span.stop), f"{span.stop - span.start:.6g}"]
        for span in spans[:MOST_SPANS]
    ]
    rest = fill("<p>And {{ number }} more.</p>", number=number(len(spans) - MOST_SPANS))
    header = ["", "From (GPS s)", "To (GPS s)", "Length (s)"]
    heading = Markup("<h3>Searched time, and reasons for other time</h3>")
    return heading + table(header, rows) + (rest if len(spans) > MOST_SPANS else Markup())
