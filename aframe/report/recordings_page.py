"""What a model found in strain files, as a page of its own: what was searched, events, and the loudest closely."""

from collections.abc import Mapping, Sequence
from html import escape

from aframe.candidates.table import utc
from aframe.inference.closeup import Closeup
from aframe.inference.recorded import SearchedRecordings, Span
from aframe.report.candidates import LOUDEST
from aframe.report.closeups import unfolding
from aframe.report.html import Cell, Figures, sortable_table, table
from aframe.report.page import simple_page
from aframe.report.text import duration, number, rate
from aframe.strain.recordings import format_gps
from aframe.tables import EventTable

SPANS = 100
"""Stretches of time in the table, at most."""


def recordings_html(found: SearchedRecordings, closeups: Mapping[int, Closeup], model: str) -> str:
    """A self-contained HTML page of what was found in recordings.

    Args:
        found: Events, loudest first, with ``far_per_year`` and ``far_is_upper_limit`` where they are known.
        closeups: What the loudest of them look like, by rank, which begins at 1.
        model: By which they were found.
    """
    plots: Figures = {}
    events = found.events
    rates = _rates(events, max([LOUDEST, *closeups]))
    shown = {rank: text for rank, text in enumerate(rates, 1) if rank in closeups}
    searched = duration(events.attributes["Tb"])
    content = (
        f"<p>{escape(model)} finds {number(len(events))} events in {escape(searched)} of strain. An event is a local "
        "maximum of the detection statistic, so that there are always some: how rare one is in noise, background tells."
        "</p>"
        + _events(events, rates)
        + (unfolding(closeups, events, shown, plots) if closeups else "")
        + _spans(found.spans)
    )
    return simple_page("Events in strain files", content, plots)


def _rates(events: EventTable, size: int) -> list[str]:
    """False alarm rates in words; none where they are not known."""
    if "far_per_year" not in events.parameters:
        return []
    columns = (events[name][:size] for name in ("far_per_year", "far_is_upper_limit"))
    return [rate(float(far), bool(is_limit)) for far, is_limit in zip(*columns, strict=True)]


def _events(events: EventTable, rates: Sequence[str]) -> str:
    names = ("detection_time", "detection_statistic")
    rows = []
    for row in range(min(LOUDEST, len(events))):
        time, statistic = (float(events[name][row]) for name in names)
        cells = [Cell(str(row + 1), row + 1.0), Cell(utc(time)), Cell(f"{statistic:.3f}", statistic)]
        cells += [Cell(rates[row], float(events["far_per_year"][row]))] if rates else []
        rows.append([*cells, Cell(f"{time:.3f}", time)])
    header = ["", "UTC", "Statistic", *(["False alarm rate"] if rates else []), "GPS (s)"]
    return sortable_table("events", header, rows)


def _spans(spans: Sequence[Span]) -> str:
    """What became of all time in the files."""
    rows = [
        [span.reason or "searched", format_gps(span.start), format_gps(span.stop), f"{span.stop - span.start:.6g}"]
        for span in spans[:SPANS]
    ]
    more = f"<p>And {number(len(spans) - SPANS)} more.</p>" if len(spans) > SPANS else ""
    header = ["", "From (GPS s)", "To (GPS s)", "Length (s)"]
    return "<h3>What was searched, and why the rest was not</h3>" + table(header, rows) + more
