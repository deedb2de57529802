import re
from pathlib import Path

import numpy as np
import pytest

from aframe.inference.recorded import SearchedRecordings, Span
from aframe.report import recordings_page
from aframe.report.gather import gather
from aframe.report.recordings_page import recordings_html
from aframe.tables import EventTable

STATISTIC = np.array([11.5, 6.0, -0.25])


@pytest.fixture
def result() -> SearchedRecordings:
    columns = {"detection_statistic": STATISTIC, "detection_time": 1126259462.4 - 10 * np.arange(3)}
    events = EventTable({**columns, "shift": np.zeros((3, 2))}, attributes={"Tb": 7200.0})
    spans = (Span(1126259400.0, 1126259430.0, "PSD, filter and window at its start"), Span(1126259430.0, 1126266630.0))
    return SearchedRecordings(events, spans)


def cells(page: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows if "<td" in row]


def test_the_page_has_events_and_searched_time(result: SearchedRecordings) -> None:
    page = recordings_html(result, {}, "model.pt")
    assert "model.pt finds 3 events in 2 hours of strain" in page
    assert cells(page) == [
        ["1", "2015-09-14 09:50:45.400", "11.500", "1126259462.400"],
        ["2", "2015-09-14 09:50:35.400", "6.000", "1126259452.400"],
        ["3", "2015-09-14 09:50:25.400", "-0.250", "1126259442.400"],
        ["PSD, filter and window at its start", "1126259400", "1126259430", "30"],
        ["searched", "1126259430", "1126266630", "7200"],
    ]
    assert "False alarm rate" not in page
    assert "<summary>" not in page


def test_the_loudest_unfold_with_their_rates(result: SearchedRecordings, run_directory: Path) -> None:
    result.events.parameters["far_per_year"] = np.array([0.5, 0.5, 730.5])
    result.events.parameters["far_is_upper_limit"] = np.array([True, False, False])
    shown = gather(str(run_directory / "results"), None).closeups
    page = recordings_html(result, {rank: shown[rank] for rank in (1, 3)}, "model.pt")
    assert re.findall(r"<summary>(.*?)</summary>", page) == [
        "1 · 2015-09-14 09:50:45.400 · statistic 11.500 · FAR &lt; 1 per 2 years",
        "3 · 2015-09-14 09:50:25.400 · statistic -0.250 · FAR 2 per day",
    ]
    assert [row[3] for row in cells(page)[:3]] == ["&lt; 1 per 2 years", "1 per 2 years", "2 per day"]
    assert "<script src=" not in page
    assert '<link rel="stylesheet' not in page


def test_more_can_be_looked_at_than_the_table_has(
    result: SearchedRecordings, run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result.events.parameters["far_per_year"] = np.array([0.5, 0.5, 730.5])
    result.events.parameters["far_is_upper_limit"] = np.zeros(3, bool)
    monkeypatch.setattr(recordings_page, "LOUDEST", 1)
    page = recordings_html(result, {3: gather(str(run_directory / "results"), None).closeups[3]}, "model.pt")
    assert "3 · 2015-09-14 09:50:25.400 · statistic -0.250 · FAR 2 per day" in page
    assert [row[0] for row in cells(page)[:2]] == ["1", "PSD, filter and window at its start"]


def test_the_table_has_the_first_of_many_stretches(result: SearchedRecordings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings_page, "MOST_SPANS", 1)
    page = recordings_html(result, {}, "model.pt")
    assert len(cells(page)) == 4
    assert "And 1 more." in page
