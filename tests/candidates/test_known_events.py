"""Known events by name, from the list in the package, and what a search makes of them."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from aframe.candidates.known_events import KnownEvent, event_of, events_between, listed
from aframe.candidates.verdicts import printed, to_csv, verdict
from aframe.errors import UnknownNameError
from aframe.strain.observing_runs import observing_run
from aframe.tables import EventTable

TOLD: list[str] = []


def test_an_event_has_the_snr_and_the_rate_of_its_latest_version(data_directory: Path) -> None:
    path = data_directory / "catalog/gwosc_event_versions.csv"
    with path.open(encoding="utf-8") as file:
        published = {(row["name"], int(row["version"])): row for row in csv.DictReader(file)}
    for event in listed().values():
        row = published[event.name, event.version]
        for value, text in ((event.snr, row["network_matched_filter_snr"]), (event.far_per_year, row["far"])):
            assert value == float(text) if text else math.isnan(value)


@pytest.mark.parametrize(
    ("typed", "name"),
    [("GW150914", "GW150914"), ("gw200129", "GW200129_065458"), ("GW170817-v3", "GW170817"), ("GW190521", "GW190521")],
)
def test_names_as_people_type_them(typed: str, name: str) -> None:
    assert event_of(typed, None, TOLD.append).name == name


@pytest.mark.parametrize(
    ("typed", "names"),
    [("GW150915", "GW150914"), ("GW190828", "GW190828_063405, GW190828_065509"), ("GW1908", "GW190803_022701")],
)
def test_the_nearest_names_of_an_unknown_one(typed: str, names: str) -> None:
    with pytest.raises(UnknownNameError, match=f"^{typed}: .* no such event: the nearest names are {names}"):
        event_of(typed, None, TOLD.append)


def test_the_events_of_a_run() -> None:
    span = observing_run("O1").whole
    names = [event.name for event in events_between(span.start, span.stop, None, TOLD.append)]
    assert names[0] == "GW150914"
    assert {"GW151012", "GW151226"} <= set(names)
    assert "GW170104" not in names


def found(times: list[float], statistics: list[float], rates: list[float] | None = None) -> EventTable:
    columns = {"detection_time": np.array(times), "detection_statistic": np.array(statistics)}
    columns["shift"] = np.zeros((len(times), 2))
    if rates is not None:
        columns |= {"far_per_year": np.array(rates), "far_is_upper_limit": np.array(rates) < 3}
    return EventTable(columns, attributes={"Tb": 32.0})


def test_what_counts_as_found() -> None:
    event = KnownEvent("GW1", 1000.0, far_per_year=0.5)
    loud, quiet = (
        verdict(event, found([1000.2, 990.0], [9.0, 1.0]), 1.0, 12.0),
        found([990.0, 999.5, 1000.9], [9, 8, 7]),
    )
    assert (loud.is_found, loud.rank, loud.time) == (True, 1, 1000.2)
    assert (verdict(event, quiet, 1.0, 12.0).is_found, verdict(event, quiet, 1.0, 12.0).rank) == (False, 2)
    nothing = verdict(event, found([990.0], [9.0]), 1.0, 12.0)
    assert (nothing.is_found, nothing.rank, math.isnan(nothing.time)) == (False, 0, True)
    rated = [verdict(event, found([990.0, 1000.0], [9.0, 8.0], [1.0, rate]), 1.0, 12.0) for rate in (2.0, 12.0, 13.0)]
    assert [each.is_found for each in rated] == [True, True, False]
    assert [each.far_is_upper_limit for each in rated] == [True, False, False]
    assert to_csv([rated[0], nothing]).splitlines()[1:] == [
        "GW1,1000.000,1,8.0000,2,1000.000,2,1,,,0.5,",
        "GW1,1000.000,0,,,,,,,,0.5,",
    ]
    assert printed([rated[0]]).splitlines()[1].split() == ["GW1", "yes", "8.000", "2", "+0.000", "<", "2", "-", "0.5"]
