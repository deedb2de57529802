"""Segments are searched each by itself."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from small_networks import small_networks

from aframe.challenge.search import search_segments
from aframe.challenge.strain_files import read_segments
from aframe.errors import DataError
from aframe.events.cluster import Clustering
from aframe.inference.recorded import recordings_of, search_recorded
from aframe.inference.scorers import TorchScorer
from aframe.preprocessing import Preprocessing, Whitening
from aframe.tables import EventTable
from aframe.train.model import Model

RATE, CLUSTERING = 256.0, Clustering(4.0, 0.25, 4.0, 0.5)


@pytest.fixture
def scorer() -> TorchScorer:
    whitening = Whitening(RATE, 4.0, 1.0, 1.0, 4.0, 20.0, None)
    preprocessing = Preprocessing(("H1", "L1"), 1.0, 4.0, (0.25, 0.75), whitening)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = small_networks(2, preprocessing.kernel_size)["factorised"]()
    return TorchScorer(Model(network.eval().requires_grad_(False), preprocessing))


def write(path: Path, pieces: list[tuple[float, float, float]]) -> str:
    """Noise of given starts, durations (s) and levels."""
    with h5py.File(path, "w") as file:
        for ifo in ("H1", "L1"):
            for start, duration, level in pieces:
                rng = np.random.default_rng([round(start), ord(ifo[0])])
                noise = level * rng.standard_normal(round(duration * RATE))
                file[f"{ifo}/{start:.0f}"] = noise
                file[f"{ifo}/{start:.0f}"].attrs.update({"start_time": start, "delta_t": 1 / RATE})
    return str(path)


def searched(scorer: TorchScorer, path: str) -> EventTable:
    return search_segments(scorer, recordings_of([path], ("H1", "L1")), read_segments([path]), CLUSTERING)


def test_noise_of_one_segment_does_not_reach_the_next(scorer: TorchScorer, tmp_path: Path) -> None:
    start = 1238166018.0
    both = searched(scorer, write(tmp_path / "a.hdf", [(start, 60.0, 1e-20), (start + 60, 40.0, 1e-21)]))
    path = write(tmp_path / "b.hdf", [(start + 60, 40.0, 1e-21)])
    alone = search_recorded(scorer, recordings_of([path], ("H1", "L1")), CLUSTERING).events
    second = both["detection_time"] > start + 60
    assert 0 < second.sum() < len(second)
    for name in ("detection_time", "detection_statistic"):
        np.testing.assert_array_equal(both[name][second], alone[name])
    assert alone.livetime < both.livetime < 100


def test_short_segments_are_left_out(scorer: TorchScorer, tmp_path: Path) -> None:
    start = 1238166018.0
    some = searched(scorer, write(tmp_path / "a.hdf", [(start, 1.5, 1e-21), (start + 60, 40.0, 1e-21)]))
    assert (some["detection_time"] > start + 60).all()
    with pytest.raises(DataError, match=r"no segment is 2\.25 s long, which this model needs: the longest has 1\.5 s"):
        searched(scorer, write(tmp_path / "b.hdf", [(start, 1.5, 1e-21)]))


def test_progress_goes_from_none_to_all(scorer: TorchScorer, tmp_path: Path) -> None:
    path, told = write(tmp_path / "a.hdf", [(1e9, 20.0, 1e-21), (2e9, 30.0, 1e-21)]), []
    recordings, segments = recordings_of([path], ("H1", "L1")), read_segments([path])
    search_segments(scorer, recordings, segments, CLUSTERING, lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (50.0, 50.0)
