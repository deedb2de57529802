"""The challenge's files of events."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from aframe import storage
from aframe.challenge.events import Events, read_events, write_events
from aframe.errors import DataError, StorageError


def write(path: Path, **columns: object) -> str:
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file[name] = column
    return str(path)


def test_events_are_written_in_order_of_time_in_double_precision(tmp_path: Path) -> None:
    path = str(tmp_path / "events.hdf")
    made = Events(np.array([30.0, 10.0, 20.0]), np.array([1.0, 2.0, 3.0]), np.full(3, 0.3), 100.0)
    write_events(path, made, {"model": "m"})
    with h5py.File(path) as file:
        assert sorted(file) == ["stat", "time", "var"]
        assert {file[name].dtype for name in file} == {np.dtype("float64")}
        assert file["time"][()].tolist() == [10.0, 20.0, 30.0]
        assert file["stat"][()].tolist() == [2.0, 3.0, 1.0]
    read = read_events([path])
    assert read.duration == 100
    assert read.time.tolist() == [10.0, 20.0, 30.0]
    with h5py.File(path) as file:
        assert json.loads(file.attrs[storage.PARAMETERS_ATTRIBUTE]) == {"model": "m"}


def test_files_of_several_stretches_are_one_search(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{k}.hdf") for k in range(2)]
    for path, time in zip(paths, (50.0, 5.0), strict=True):
        write_events(path, Events(np.array([time]), np.array([time]), np.ones(1), 10.0), {})
    joined = read_events(paths)
    assert (joined.time.tolist(), joined.duration) == ([5.0, 50.0], 20.0)


def test_files_of_other_searches_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "e.hdf", time=np.array([3, 1]), stat=np.array([1, 2], np.float32), var=np.ones(2))
    read = read_events([path])
    assert (read.time.tolist(), read.stat.tolist(), read.duration) == ([1.0, 3.0], [2.0, 1.0], None)
    empty = read_events([write(tmp_path / "none.hdf", time=np.zeros(0), stat=np.zeros(0), var=np.zeros(0))])
    assert len(empty.time) == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"time": [1.0], "stat": [1.0]}, "lacks var .it has stat, time."),
        ({"time": [1.0], "stat": [np.nan], "var": [0.3]}, "stat is nan in row 0"),
        ({"time": [1.0, np.inf], "stat": [1.0, 2.0], "var": [0.3, 0.3]}, "time is inf in row 1"),
        ({"time": [1.0], "stat": [1.0], "var": [-0.3]}, "var is -0.3 in row 0"),
        ({"time": [1.0, 2.0], "stat": [1.0], "var": [0.3]}, "must be equally long"),
    ],
)
def test_bad_files_are_one_line(columns: dict[str, list[float]], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "events.hdf", **{name: np.array(column) for name, column in columns.items()})
    with pytest.raises(DataError, match=message):
        read_events([path])


def test_a_file_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "events.hdf").write_text("time,stat,var")
    with pytest.raises(StorageError):
        read_events([str(tmp_path / "events.hdf")])
