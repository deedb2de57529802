from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aframe import storage
from aframe.errors import StorageError
from aframe.events.cluster import Clustering
from aframe.inference.closeup import Closeup, Extent, closeup, needed_stretch, whitened_background
from aframe.inference.closeup_files import HIGHEST_ENERGY, read_closeups, write_closeups
from aframe.strain.files import write_background


@pytest.fixture
def shown(make_model, make_strain, tmp_path: Path) -> Closeup:
    """Close-up of noise."""
    model = make_model("factorised")
    clustering = Clustering(4.0, 0.5, 4.0, model.preprocessing.coalescence_offset)
    path, time, extent = str(tmp_path / "background-5000-40.hdf5"), 5021.0, Extent(0.5, 3.0, 1 / 128)
    write_background(path, make_strain(("H1", "L1"), 40.0, 3), 5000.0, 256.0)
    stretch = whitened_background(path, model.preprocessing, *needed_stretch(time, extent, model, clustering))
    return closeup(model, stretch, clustering, time, extent)


def test_closeups_are_read_as_written(shown: Closeup, tmp_path: Path) -> None:
    path = str(tmp_path / "closeups.hdf5")
    loud = replace(shown, statistic_time=np.empty(0), statistic=np.empty(0))
    transform = replace(shown.q_transforms["L1"], energy=1e6 * shown.q_transforms["L1"].energy)
    loud.q_transforms["L1"] = transform
    write_closeups(path, [(2, shown), (10, loud), (1, shown)], {"key": 1})
    again = read_closeups(path)
    assert list(again) == [1, 2, 10]
    assert storage.made_with(path) == {"key": 1}
    for name in ("time", "score_time", "score", "statistic_time", "statistic"):
        np.testing.assert_array_equal(getattr(again[2], name), getattr(shown, name))
        assert len(getattr(again[2], name)) > 0
    assert list(again[2].whitened) == list(again[2].q_transforms) == ["H1", "L1"]
    for ifo, series in shown.whitened.items():
        np.testing.assert_array_equal(again[2].whitened[ifo], series)
    read, written = again[2].q_transforms["H1"], shown.q_transforms["H1"]
    np.testing.assert_array_equal(read.time, written.time)
    np.testing.assert_array_equal(read.frequency, written.frequency)
    np.testing.assert_allclose(read.energy, written.energy, rtol=1e-3, atol=1e-6)
    assert read.q == written.q
    assert len(again[10].statistic) == 0
    assert again[10].q_transforms["L1"].energy.max() == HIGHEST_ENERGY  # and not infinite


def test_a_file_of_no_candidates_is_a_file(tmp_path: Path) -> None:
    write_closeups(str(tmp_path / "closeups.hdf5"), [])
    assert read_closeups(str(tmp_path / "closeups.hdf5")) == {}


def test_half_a_file_is_none(shown: Closeup, tmp_path: Path) -> None:
    def fails() -> Iterator[tuple[int, Closeup]]:
        yield 1, shown
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_closeups(str(tmp_path / "closeups.hdf5"), fails())
    with pytest.raises(StorageError, match=r"closeups\.hdf5 does not exist"):
        read_closeups(str(tmp_path / "closeups.hdf5"))
