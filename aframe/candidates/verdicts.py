"""What a search says of known events, beside their catalogue."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aframe.candidates.known_events import KnownEvent
from aframe.tables import EventTable

COLUMNS = (
    "event", "gps", "found", "statistic", "rank", "time", "far_per_year", "far_is_upper_limit", "catalogue",
    "catalogue_snr", "catalogue_far_per_year", "problem",
)  # fmt: skip
"""Columns of the table of verdicts."""


@dataclass(frozen=True)
class Verdict:
    """What a search says of a known event.

    Attributes:
        event: The event.
        is_found: Whether the search found it.
        time: Time of the search's event, GPS s; NaN if none is near.
        statistic: Its detection statistic; NaN if none is near.
        rank: Its rank among the events of the searched strain, from 1 on; 0 if none is near.
        far_per_year: Its false alarm rate; NaN without a background.
        far_is_upper_limit: Whether no background event is as loud.
        problem: Why the event was not searched for; empty if it was.
    """

    event: KnownEvent
    is_found: bool = False
    time: float = math.nan
    statistic: float = math.nan
    rank: int = 0
    far_per_year: float = math.nan
    far_is_upper_limit: bool = False
    problem: str = ""


def verdict(event: KnownEvent, found: EventTable, window: float, highest_far_per_year: float) -> Verdict:
    """Compare a known event with the events of a search.

    With false alarm rates, it is found if one of them lies near and is rare, or louder than all background. Without
    them, it is found if the loudest of them lies near.

    Args:
        event: The event.
        found: Events of the search, loudest first.
        window: Largest time between both, s.
        highest_far_per_year: Highest false alarm rate of what counts as found, 1/yr.
    """
    near = np.flatnonzero(np.abs(found["detection_time"] - event.gps) <= window)
    if not len(near):
        return Verdict(event)
    row = int(near[0])
    far, is_limit = math.nan, False
    if "far_per_year" in found.parameters:
        far, is_limit = float(found["far_per_year"][row]), bool(found["far_is_upper_limit"][row])
    is_rare = row == 0 if math.isnan(far) else is_limit or far <= highest_far_per_year
    time, statistic = float(found["detection_time"][row]), float(found["detection_statistic"][row])
    return Verdict(event, is_rare, time, statistic, row + 1, far, is_limit)


def to_csv(verdicts: Sequence[Verdict]) -> str:
    """Format verdicts as comma-separated values with a header. NaN becomes an empty text."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in verdicts:
        event = each.event
        is_limit = "" if math.isnan(each.far_per_year) else int(each.far_is_upper_limit)
        writer.writerow([
            event.name, _text(event.gps, ".3f"), "" if each.problem else int(each.is_found),
            _text(each.statistic, ".4f"), each.rank or "", _text(each.time, ".3f"),
            _text(each.far_per_year, ".6g"), is_limit, event.catalog, _text(event.snr, "g"),
            _text(event.far_per_year, "g"), each.problem,
        ])  # fmt: skip
    return stream.getvalue()


def printed(verdicts: Sequence[Verdict]) -> str:
    """Format verdicts as lines for the terminal, under a heading."""
    width = max([len(each.event.name) for each in verdicts] + [len("event")])
    lines = [
        f"{'event':{width}}  {'found':6}{'statistic':>10}{'rank':>6}{'time - catalogue (s)':>22}{'FAR (per year)':>16}"
        f"{'catalogue: SNR':>16}{'FAR (per year)':>16}"
    ]
    for each in verdicts:
        if each.problem:
            lines.append(f"{each.event.name:{width}}  not searched")
            continue
        far = _text(each.far_per_year, ".3g") or "-"
        lines.append(
            f"{each.event.name:{width}}  {'yes' if each.is_found else 'no':6}{_text(each.statistic, '.3f') or '-':>10}"
            f"{each.rank or '-':>6}{_text(each.time - each.event.gps, '+.3f') or '-':>22}"
            f"{('< ' if each.far_is_upper_limit else '') + far:>16}"
            f"{_text(each.event.snr, 'g') or '-':>16}{_text(each.event.far_per_year, '.3g') or '-':>16}"
        )
    return "\n".join(lines)


def _text(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)
