import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from aframe import storage
from aframe.candidates.removal import Removal
from aframe.candidates.table import CandidateTable, candidates, utc, write_candidates
from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.events.tail import fit_tail
from aframe.tables import EventTable


def test_utc_knows_leap_seconds() -> None:
    assert utc(1126259462.4) == "2015-09-14 09:50:45.400"  # GW150914, arXiv:1602.03837
    assert utc(1187008882.43) == "2017-08-17 12:41:04.430"  # GW170817, arXiv:1710.05832
    assert utc(1000000000.9999) == "2011-09-14 01:46:26.000"


def test_candidates_are_ranked_and_written(tmp_path: Path) -> None:
    zero_lag = EventTable(
        {
            "detection_statistic": np.array([1.5, 12.0, 2.5]),
            "detection_time": 1126259462.0 + np.arange(3),
            "shift": np.zeros((3, 2)),
        },
        attributes={"Tb": 86400.0},
    )
    background = Background(np.array([1.0, 2.0, 3.0]), SECONDS_PER_YEAR)
    table = candidates(zero_lag, background)
    np.testing.assert_array_equal(table["detection_statistic"], [12.0, 2.5, 1.5])
    np.testing.assert_array_equal(table["far_per_year"], [1.0, 1.0, 2.0])
    np.testing.assert_allclose(table["significance"], 1 - np.exp(-86400 / SECONDS_PER_YEAR * np.array([1, 2, 3])))
    write_candidates(table, str(tmp_path))
    rows = list(csv.DictReader(storage.read_text(str(tmp_path / "candidates.csv")).splitlines()))
    assert rows[0]["utc"] == "2015-09-14 09:50:46.000"
    assert float(rows[0]["gps_time_s"]) == 1126259463.0
    again = CandidateTable.read(str(tmp_path / "candidates.hdf5"))
    assert again.attributes == {"Tb": SECONDS_PER_YEAR, "T0": pytest.approx(86400.0)}
    np.testing.assert_array_equal(again["detection_time"], table["detection_time"])
    assert again["far_is_upper_limit"].tolist() == [True, False, False]
    assert list(rows[0])[:5] == ["utc", "gps_time_s", "detection_statistic", "far_per_year", "significance"]
    assert [row["far_is_upper_limit"] for row in rows] == ["True", "False", "False"]
    assert rows[0]["far_extrapolated_per_year"] == ""  # three events have no tail
    assert float(rows[1]["far_interpolated_per_year"]) == pytest.approx(2**0.5, rel=1e-5)
    assert "far_cleaned_per_year" not in rows[0]


def events(statistic: NDArray, livetime: float) -> EventTable:
    count = len(statistic)
    columns = {"detection_statistic": statistic, "detection_time": 1e9 + 10.0 * np.arange(count)}
    return EventTable({**columns, "shift": np.zeros((count, 2))}, attributes={"Tb": livetime})


def test_the_fitted_tail_comes_with_the_table(tmp_path: Path) -> None:
    search = Background(np.random.default_rng(3).exponential(size=20_000), 2 * SECONDS_PER_YEAR)
    table = candidates(events(np.array([30.0]), 1e5), search)
    write_candidates(table, str(tmp_path))
    again = CandidateTable.read(str(tmp_path / "candidates.hdf5"))
    assert again.tail == table.tail == fit_tail(search)
    assert again.tail is not None
    assert again.tail.far_extrapolated_per_year(30.0) == pytest.approx(again["far_extrapolated_per_year"][0])
    assert candidates(events(np.array([30.0]), 1e5), Background(np.arange(9.0), 1e7)).tail is None


def test_an_extrapolated_rate_cannot_be_taken_for_a_measured_one() -> None:
    search = Background(np.random.default_rng(0).exponential(size=20_000), 2 * SECONDS_PER_YEAR)
    table = candidates(events(np.array([30.0, 8.0, 2.0]), 1e5), search)
    assert table["is_extrapolated"].tolist() == [True, False, False]
    assert table["far_per_year"][0] == search.lowest_far_per_year
    assert table["far_extrapolated_per_year"][0] == pytest.approx(20_000 / 2 * np.exp(-30), rel=20)
    assert table["far_extrapolated_per_year"][1] == pytest.approx(20_000 / 2 * np.exp(-8), rel=0.5)
    assert table["far_extrapolated_per_year"][2] == table["far_interpolated_per_year"][2]
    low, high = table["far_extrapolated_low_per_year"], table["far_extrapolated_high_per_year"]
    assert np.isfinite(low).tolist() == np.isfinite(high).tolist() == [True, True, False]
    assert low[0] < 20_000 / 2 * np.exp(-30) < high[0]


def test_both_backgrounds_are_reported(tmp_path: Path) -> None:
    cleaned = Background(np.array([1.0, 2.0]), 0.5 * SECONDS_PER_YEAR)
    livetime = SECONDS_PER_YEAR * np.array([1.0, 0.5])
    removal = Removal(cleaned, np.array([True, False]), np.array([2, 0]), livetime)
    search = Background(np.array([1.0, 2.0, 9.0, 9.5]), SECONDS_PER_YEAR)
    table = candidates(events(np.array([9.2, 3.0]), 1e5), search, removal)
    assert table["far_per_year"].tolist() == [1.0, 2.0]
    np.testing.assert_allclose(table["far_cleaned_per_year"], [2.0, 2.0])
    assert table["far_cleaned_is_upper_limit"].tolist() == [False, True]
    assert table["is_removed"].tolist() == [True, False]
    np.testing.assert_allclose(table["significance_cleaned"], removal.significance(1e5))
    assert table.attributes["Tb_cleaned"] == 0.5 * SECONDS_PER_YEAR
    write_candidates(table, str(tmp_path))
    rows = list(csv.DictReader(storage.read_text(str(tmp_path / "candidates.csv")).splitlines()))
    assert float(rows[1]["far_cleaned_per_year"]) == 2.0


def test_names_and_times_of_detectors_survive_writing(tmp_path: Path) -> None:
    table = candidates(events(np.array([5.0, 3.0]), 1e5), Background(np.array([1.0]), SECONDS_PER_YEAR))
    table.parameters |= {
        "p_astro": np.array([0.987654321, np.nan]),
        "vetoes": np.array(["", "CAT2 H1"]),
        "catalogue_event": np.array(["GW150914", ""]),
        "detector_time": np.array([[1e9 + 0.00312, 1e9 + 0.01], [np.nan, np.nan]]),
    }
    table.attributes["ifos"] = ["H1", "L1"]
    write_candidates(table, str(tmp_path))
    rows = list(csv.DictReader(storage.read_text(str(tmp_path / "candidates.csv")).splitlines()))
    assert [row["catalogue_event"] for row in rows] == ["GW150914", ""]
    assert [row["vetoes"] for row in rows] == ["", "CAT2 H1"]
    assert [row["p_astro"] for row in rows] == ["0.987654", ""]
    assert rows[0]["gps_time_h1_s"] == "1000000000.0031"
    assert rows[1]["gps_time_l1_s"] == ""
    again = CandidateTable.read(str(tmp_path / "candidates.hdf5"))
    assert again["catalogue_event"].tolist() == ["GW150914", ""]
    assert again["vetoes"].tolist() == ["", "CAT2 H1"]
    with h5py.File(tmp_path / "candidates.hdf5") as file:
        units = {name: file[f"parameters/{name}"].attrs["unit"] for name in ("far_per_year", "detector_time")}
    assert units == {"far_per_year": "1 / yr", "detector_time": "s"}
