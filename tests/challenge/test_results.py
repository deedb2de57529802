"""The table of a score on the terminal and in files."""

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest

from aframe.challenge.data_sets import SECONDS_PER_MONTH
from aframe.challenge.injections import Injections
from aframe.challenge.results import curve, printed, write_score
from aframe.challenge.score import RATES, Score, Trial, score


@pytest.fixture
def made() -> tuple[Trial, Score]:
    """A month with a hundred background events, so that 100 and 1000 a month cannot be measured."""
    tc = np.arange(200) * 24.0
    injections = Injections(tc, np.full(200, 20.0), np.linspace(1000, 3000, 200))
    trial = Trial(np.arange(100.0)[::-1], SECONDS_PER_MONTH, np.linspace(0, 200, 200), injections)
    return trial, score(trial, RATES, np.random.default_rng(1))


def test_the_table_says_what_cannot_be_measured(made: tuple[Trial, Score]) -> None:
    lines = printed(*made).splitlines()
    assert lines[0] == "200 signals count, 100 background events in 2592000 s (1 months of 30 days)"
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:6]}
    assert rows["1"][:2] == ["98", "102"]
    assert float(rows["1"][2]) == pytest.approx(3000 * np.cbrt(102 / 200), abs=1)
    assert rows["100"] == rows["1000"] == ["–"] * 4
    assert lines[6].startswith("–: the background is too short, or has too few events")


def test_csv_and_hdf5_have_the_same_numbers(made: tuple[Trial, Score], tmp_path: Path) -> None:
    trial, result = made
    for name in ("score.csv", "score.hdf"):
        write_score(str(tmp_path / name), trial, result, {"seed": 1})
    with (tmp_path / "score.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["distance_mpc"] == "" for row in rows] == [False, False, True, True]
    with h5py.File(tmp_path / "score.hdf") as file:
        for row, value in zip(rows[:2], file["rates/distance_mpc"][()], strict=False):
            assert float(row["distance_mpc"]) == pytest.approx(value)
        assert file["rates/low_mpc"].attrs["unit"] == "Mpc"
        assert file["curve/threshold"][0] == 99
        assert file.attrs["num_signals"] == 200


def test_the_curve_has_the_distance_of_each_background_event(made: tuple[Trial, Score]) -> None:
    rows = curve(made[0])
    assert rows["far_per_month"].tolist() == list(range(100))
    assert (np.diff(rows["distance_mpc"]) >= 0).all()
    assert rows["distance_mpc"][1] == pytest.approx(made[1].distance_mpc[0])
