"""Pages of known events: one about a search around an event, and a table of several."""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from aframe.candidates.table import utc
from aframe.candidates.verdicts import Verdict
from aframe.inference.closeup import Closeup
from aframe.inference.recorded import SearchedRecordings
from aframe.report.html import Cell, fill, sortable_table, table
from aframe.report.page import simple_page
from aframe.report.recordings_page import recordings_html
from aframe.report.text import number, rate


def event_html(verdict: Verdict, result: SearchedRecordings, closeups: Mapping[int, Closeup], model: str) -> str:
    """Build the self-contained HTML page of a search around a known event.

    Args:
        verdict: What the search says of the event.
        result: Events, loudest first, and searched time.
        closeups: Close-ups of events by rank. Ranks start at 1.
        model: Name of the model that searched.
    """
    event, times = verdict.event, (verdict.event.gps, verdict.time)
    rows = [
        ["Time, UTC", *("–" if math.isnan(time) else utc(time) for time in times)],
        ["Time, GPS s", *("–" if math.isnan(time) else f"{time:.3f}" for time in times)],
        ["Found", "", "yes" if verdict.is_found else "no"],
        ["Rank in the searched strain", "", str(verdict.rank or "–")],
        ["SNR in the catalogue, statistic of the search", number(event.snr), number(verdict.statistic, 4)],
        ["False alarm rate", _rate(event.far_per_year), _rate(verdict.far_per_year, verdict.far_is_upper_limit)],
    ]
    source = fill('<p><a href="{{ page }}">{{ name }} at GWOSC</a></p>', page=event.page, name=event.name)
    head = table(["", event.catalog or "Asked for", "This search"], rows) + (source if event.page else Markup())
    return recordings_html(result, closeups, model, event.name, head)


def verdicts_html(verdicts: Sequence[Verdict], pages: Mapping[str, str], model: str) -> str:
    """Build the self-contained HTML page of several known events.

    Args:
        verdicts: What the search says of each.
        pages: Address of the page of each event that has one, by its name.
        model: Name of the model that searched.
    """
    searched = [each for each in verdicts if not each.problem]
    count = sum(each.is_found for each in searched)
    text = fill(
        "<p>{{ model }} finds {{ count }} of {{ searched }} events. {{ others }}</p>",
        model=model, count=count, searched=len(searched),
        others=f"{len(verdicts) - len(searched)} were not searched for." if len(searched) < len(verdicts) else "",
    )  # fmt: skip
    header = ["Event", "UTC", "Found", "Statistic", "Rank", "False alarm rate", "Catalogue: SNR", "False alarm rate"]
    rows = [_row(each, pages.get(each.event.name, "")) for each in verdicts]
    return simple_page("Known events", text + sortable_table("verdicts", header, rows), {})


def _row(verdict: Verdict, page: str) -> list[Cell]:
    event = verdict.event
    found = "not searched" if verdict.problem else "yes" if verdict.is_found else "no"
    return [
        Cell(event.name, link=page),
        Cell("–" if math.isnan(event.gps) else utc(event.gps)),
        Cell(found, title=verdict.problem),
        Cell(number(verdict.statistic, 4), _sortable(verdict.statistic, -math.inf)),
        Cell(str(verdict.rank or "–"), float(verdict.rank or math.inf)),
        Cell(_rate(verdict.far_per_year, verdict.far_is_upper_limit), _sortable(verdict.far_per_year, math.inf)),
        Cell(number(event.snr), _sortable(event.snr, -math.inf)),
        Cell(_rate(event.far_per_year), _sortable(event.far_per_year, math.inf), title=event.catalog),
    ]


def _sortable(value: float, absent: float) -> float:
    return absent if math.isnan(value) else value


def _rate(far_per_year: float, is_upper_limit: bool = False) -> str:
    return rate(far_per_year, is_upper_limit) if far_per_year > 0 else "–"
