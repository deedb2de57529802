import csv
from pathlib import Path

import numpy as np
import pytest

from aframe import storage
from aframe.constants import SECONDS_PER_YEAR
from aframe.events.candidates import CandidateTable, candidates, utc, write_candidates
from aframe.events.significance import Background
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
