from pathlib import Path

import numpy as np
import pytest
from gwpy.timeseries import TimeSeries

from aframe import storage
from aframe.errors import DataError, StorageError
from aframe.strain import files

START, RATE = 1126259446.5, 2048.0


@pytest.fixture
def strain():
    rng = np.random.default_rng(0)
    return {ifo: 1e-21 * rng.standard_normal(8 * 2048) for ifo in ("H1", "L1")}


@pytest.fixture
def path(tmp_path, strain):
    path = files.background_path(str(tmp_path), START, 8.0)
    files.write_background(path, strain, START, RATE, made_with={"search.seed": 1})
    return path


@pytest.mark.parametrize(
    ("start", "duration", "name"),
    [
        (1126259446.0, 4096.0, "background-1126259446-4096.hdf5"),
        (1126259446.25, 0.5, "background-1126259446.25-0.5.hdf5"),
        (1126259446 + 3 / 16384, 100.0, f"background-{1126259446 + 3 / 16384!r}-100.hdf5"),
    ],
)
def test_names_lose_nothing(start, duration, name):
    path = files.background_path("s3://bucket/train", start, duration)
    assert path == f"s3://bucket/train/background/{name}"
    assert files.parse_background_path(path) == (start, duration)


def test_other_names_are_refused():
    with pytest.raises(DataError, match="rename it"):
        files.parse_background_path("background-1126259446.hdf5")


def test_round_trip(path, strain):
    with files.open_background(path) as background:
        assert background.ifos == ("H1", "L1")
        assert (background.start, background.duration, background.sample_rate) == (START, 8.0, RATE)
        np.testing.assert_array_equal(background.read("L1"), strain["L1"])
        part = background.read("H1", START + 1, START + 2.5)
        np.testing.assert_array_equal(part, strain["H1"][2048 : 2048 + 3072])
    assert storage.made_with(path) == {"search.seed": 1}


def test_gwpy_reads_it(path, strain):
    series = TimeSeries.read(path, format="hdf5", path="H1")
    assert (series.t0.value, series.sample_rate.value) == (START, RATE)
    np.testing.assert_array_equal(series.value, strain["H1"])


def test_other_detectors_and_times_are_refused(path):
    with files.open_background(path) as background:
        with pytest.raises(DataError, match="holds H1, L1, not V1"):
            background.read("V1")
        with pytest.raises(DataError, match=r"covers 1126259446\.5 to 1126259454\.5"):
            background.read("H1", START - 1)


def test_missing_samples_never_reach_a_file(tmp_path, strain):
    strain["L1"][5] = np.nan
    path = files.background_path(str(tmp_path), START, 8.0)
    with pytest.raises(DataError, match=r"L1 .*not finite"):
        files.write_background(path, strain, START, RATE)
    with pytest.raises(DataError, match="one length"):
        files.write_background(path, {"H1": np.zeros(3), "L1": np.zeros(4)}, START, RATE)
    assert not storage.exists(path)


def test_truncated_and_foreign_files(path, tmp_path):
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])
    with pytest.raises(StorageError, match="truncated"), files.open_background(path):
        pass
    with storage.create_hdf5(str(tmp_path / "other.hdf5")) as file:
        file["data"] = np.zeros(4)
    with (
        pytest.raises(StorageError, match="not a background file"),
        files.open_background(str(tmp_path / "other.hdf5")),
    ):
        pass
