"""The challenge's files of strain: their segments, and mistakes in them."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from aframe.challenge.strain_files import add, create_segment, read_segments
from aframe.errors import AframeError, DataError
from aframe.strain.segments import Segment


def write(path: Path, spans: dict[str, list[tuple[float, float]]]) -> str:
    with h5py.File(path, "w") as file:
        for ifo, pieces in spans.items():
            for start, duration in pieces:
                data = file.create_dataset(f"{ifo}/{start:.0f}", data=np.zeros(round(duration * 16)))
                data.attrs.update({"start_time": start, "delta_t": 1 / 16})
    return str(path)


def test_segments_are_those_of_the_datasets_in_order(tmp_path: Path) -> None:
    first = write(tmp_path / "a.hdf", {ifo: [(100.0, 50.0), (150.0, 20.0)] for ifo in ("H1", "L1")})
    second = write(tmp_path / "b.hdf", {ifo: [(20.0, 50.0)] for ifo in ("H1", "L1")})
    assert read_segments([first, second]) == [Segment(20.0, 70.0), Segment(100.0, 150.0), Segment(150.0, 170.0)]


def test_what_is_created_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf", "w") as file:
        create_segment(file, Segment(1238166018.0, 1238166020.0))
        assert file["L1/1238166018"].shape == (4096,)
    assert read_segments([str(tmp_path / "a.hdf")]) == [Segment(1238166018.0, 1238166020.0)]


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ({"H1": [(0.0, 10.0)], "L1": [(0.0, 20.0)]}, "H1 and L1 have different segments"),
        ({"H1": [(0.0, 0.0)]}, "has no strain"),
        ({}, "has no strain"),
        ({"H1": [(0.0, 10.0), (5.0, 10.0)]}, "overlap"),
        ({"H1": [(np.inf, 10.0)]}, "begins at inf"),
    ],
)
def test_bad_files_are_one_line(spans: dict[str, list[tuple[float, float]]], message: str, tmp_path: Path) -> None:
    with pytest.raises(AframeError, match=message):
        read_segments([write(tmp_path / "a.hdf", spans)])


def test_a_list_of_events_is_no_strain(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf", "w") as file:
        file["H1/x"] = np.zeros(3)
    with pytest.raises(DataError, match="H1/x is no series with the attributes start_time and delta_t"):
        read_segments([str(tmp_path / "a.hdf")])


@pytest.mark.parametrize(
    ("first", "expected"), [(0, "110000"), (4, "000011"), (-1, "100000"), (5, "000001"), (9, "0" * 6)]
)
def test_the_common_part_of_two_series_is_added(first: int, expected: str) -> None:
    data = np.zeros(6)
    add(data, 0, np.ones(2), first)
    assert "".join(f"{value:.0f}" for value in data) == expected
