import h5py
import numpy as np
import pytest
import torch

from aframe.errors import DataError
from aframe.events.cluster import Clustering, cluster
from aframe.inference import closeup as closeups
from aframe.inference.closeup import (
    Extent,
    closeup,
    needed_stretch,
    recorded_closeups,
    scores,
    whitened_background,
    whitened_recording,
)
from aframe.inference.engine import Engine
from aframe.inference.recorded import recordings_of, search_recorded
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.preprocessing import PHASES
from aframe.strain.files import write_background

RATE, START, DURATION = 256.0, 5000.0, 40.0
EXTENT = Extent(strain=0.5, scores=3.0, time_step=1 / 128)
PULSE = 3e-20 * np.exp(-0.5 * ((np.arange(64) - 32) / 1.5) ** 2) * np.cos(0.9 * (np.arange(64) - 32))


@pytest.fixture(params=["factorised", "coincidence"])
def model(request, make_model):
    return make_model(request.param, block_length=2.5)


@pytest.fixture
def clustering(model):
    return Clustering(4.0, 0.5, 4.0, model.preprocessing.coalescence_offset)


@pytest.fixture
def strain(make_strain):
    data = make_strain(("H1", "L1"), DURATION, 3)
    first = round((5021.375 - START) * RATE) - 32
    for series in data.values():
        series[first : first + 64] += PULSE
    return data


@pytest.fixture
def path(tmp_path, strain):
    write_background(str(tmp_path / "background-5000-40.hdf5"), strain, START, RATE)
    return str(tmp_path / "background-5000-40.hdf5")


def whole(model, strain):
    """Streams and scores of the whole file, as in a search."""
    grid = Grid(model.preprocessing, (0.0, 0.0))
    engine = Engine.from_strain(TorchScorer(model), strain, grid)
    return torch.stack([s.data for s in engine.streams]).numpy(), engine.scores(grid.slide(0, DURATION, 0))


@pytest.mark.parametrize("span", [(5020.3, 5022.9), (5011.5, 5011.75), (4990.0, 5060.0), (5039.0, 5039.4)])
@pytest.mark.parametrize("phase", PHASES)
def test_a_stretch_equals_that_of_the_search(make_model, strain, path, span, phase):
    low, high = span
    model = make_model("coincidence", block_length=2.5, phase=phase)
    stretch = whitened_background(path, model.preprocessing, low, high)
    streams, expected = whole(model, strain)
    first = round((stretch.start - START - 4.0) * RATE)
    size = stretch.streams.shape[-1]
    np.testing.assert_allclose(stretch.streams, streams[:, first : first + size], rtol=0, atol=1e-5)
    assert max(low, START + 4.0) - 0.25 < stretch.start <= max(low, START + 4.0)
    last = START + DURATION - model.preprocessing.whitening.after_length
    assert stretch.stop == pytest.approx(min(high, last), abs=1 / RATE)
    time, score = scores(model, stretch)
    window = (time - START - 4.0 - model.preprocessing.coalescence_offset) * 4
    np.testing.assert_allclose(window, np.round(window), atol=1e-6)  # the search's own windows
    np.testing.assert_allclose(score, expected[np.round(window).astype(int)], rtol=1e-4, atol=1e-5)


def test_little_more_than_the_psd_is_read(model, path, monkeypatch):
    read = []
    original = h5py.Dataset.__getitem__

    def count(dataset, key):
        if isinstance(key, slice) and dataset.name in ("/H1", "/L1"):
            read.append(key.stop - key.start)
        return original(dataset, key)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", count)
    whitened_background(path, model.preprocessing, 5030.0, 5030.5)
    assert len(read) == 2
    assert max(read) / RATE <= 4.0 + 2 * 2.5 + 0.5  # the PSD's, a block or two, half a filter


def test_the_averages_are_those_that_make_the_event(model, strain, path, clustering):
    statistic, time = cluster(whole(model, strain)[1], START + 4.0, clustering)
    for row in np.argsort(-statistic)[:4]:
        stretch = whitened_background(path, model.preprocessing, *needed_stretch(time[row], EXTENT, model, clustering))
        shown = closeup(model, stretch, clustering, time[row], EXTENT)
        near = np.abs(shown.statistic_time - time[row]) <= clustering.cluster_window_length / 2
        assert shown.statistic[near].max() == pytest.approx(statistic[row], rel=1e-4, abs=1e-5)
        for axis, values in ((shown.score_time, shown.score), (shown.statistic_time, shown.statistic)):
            assert len(axis) == len(values)
            assert np.abs(axis - time[row]).max() <= EXTENT.scores
        inside = START + 12 < time[row] < START + 30
        assert not inside or len(shown.score) >= 2 * EXTENT.scores * 4


def test_a_pulse_is_seen_in_every_view(make_model, path):
    model = make_model("coincidence", block_length=2.5)
    clustering = Clustering(4.0, 0.5, 4.0, model.preprocessing.coalescence_offset)
    time = 5021.375
    stretch = whitened_background(path, model.preprocessing, *needed_stretch(time, EXTENT, model, clustering))
    shown = closeup(model, stretch, clustering, time, EXTENT)
    assert list(shown.whitened) == list(shown.q_transforms) == ["H1", "L1"]
    assert len({transform.q for transform in shown.q_transforms.values()}) == 1
    for ifo, series in shown.whitened.items():
        assert shown.time[np.abs(series).argmax()] == pytest.approx(time, abs=0.02)
        assert len(shown.time) == len(series) == round(2 * EXTENT.strain * RATE)
        transform = shown.q_transforms[ifo]
        row, column = np.unravel_index(transform.energy.argmax(), transform.energy.shape)
        assert transform.time[column] == pytest.approx(time, abs=0.02)
        assert 25 < transform.frequency[row] < 60  # 37 Hz, as wide as it is high
        assert transform.energy.max() > 50
    assert shown.statistic_time[shown.statistic.argmax()] == pytest.approx(time, abs=0.2)


@pytest.mark.parametrize("time", [5004.1, 5039.3])
def test_at_an_edge_less_is_shown(model, path, clustering, time):
    stretch = whitened_background(path, model.preprocessing, *needed_stretch(time, EXTENT, model, clustering))
    shown = closeup(model, stretch, clustering, time, EXTENT)
    assert 0 < len(shown.time) < 2 * EXTENT.strain * RATE
    assert shown.time.min() >= START + 4.0
    assert shown.time.max() <= START + DURATION - 0.5


def test_outside_the_file_is_refused(model, path):
    with pytest.raises(DataError, match=r"it has between 5004 and 5039\.5"):
        whitened_background(path, model.preprocessing, 5041.0, 5042.0)


def test_any_recording_can_be_looked_at(model, path, strain):
    recordings = recordings_of([path], model.preprocessing.ifos)
    stretch = whitened_recording(recordings, model.preprocessing, 5020.3, 5022.9)
    first = round((stretch.start - START - 4.0) * RATE)
    expected = whole(model, strain)[0][:, first : first + stretch.streams.shape[-1]]
    np.testing.assert_allclose(stretch.streams, expected, rtol=0, atol=1e-5)
    with pytest.raises(DataError, match=r"no strain of H1, L1 at 6000\.500"):
        whitened_recording(recordings, model.preprocessing, 6000.0, 6001.0)


@pytest.mark.parametrize("gap", [None, (12.0, 13.0), (24.0, 33.0)])
def test_each_event_of_a_recording_is_shown_with_its_statistic(model, path, clustering, gap):
    if gap is not None:
        with h5py.File(path, "r+") as file:
            file["L1"][round(gap[0] * RATE) : round(gap[1] * RATE)] = np.nan
    recordings = recordings_of([path], model.preprocessing.ifos)
    searched = search_recorded(TorchScorer(model), recordings, clustering)
    shown = dict(recorded_closeups(searched, recordings, model, clustering, range(1, 6)))
    assert list(shown) == [1, 2, 3, 4, 5][: len(searched.events)]
    for rank, event in shown.items():
        time, statistic = (searched.events[name][rank - 1] for name in ("detection_time", "detection_statistic"))
        near = np.abs(event.statistic_time - time) <= clustering.cluster_window_length / 2
        assert event.statistic[near].max() == pytest.approx(statistic, rel=1e-4, abs=1e-5)


def test_a_long_recording_is_read_about_the_event_alone(model, path, monkeypatch):
    recordings = recordings_of([path], model.preprocessing.ifos)
    read = []
    between = closeups.strain_between
    monkeypatch.setattr(closeups, "PIECE_LENGTH", 10.0)
    monkeypatch.setattr(closeups, "strain_between", lambda *args: read.append(args[2:]) or between(*args))
    stretch = whitened_recording(recordings, model.preprocessing, 5020.0, 5022.0)
    assert read == [(5011.0, 5030.0)]  # psd_length is 4 s, of which the search has two behind and before
    assert stretch.start == pytest.approx(5020.0, abs=0.25)
    assert stretch.stop == pytest.approx(5022.0, abs=1 / RATE)


def test_gw150914_chirps(data_directory, make_model):
    model = make_model("energy", rate=2048.0)
    clustering = Clustering(4.0, 0.5, 8.0, model.preprocessing.coalescence_offset)
    paths = [str(data_directory / "strain" / f"{ifo[0]}-{ifo}_LOSC_4_V2-1126259446-32.hdf5") for ifo in ("H1", "L1")]
    time, extent = 1126259462.4, Extent(strain=0.5, scores=4.0, time_step=1 / 512)
    span = needed_stretch(time, extent, model, clustering)
    recordings = recordings_of(paths, model.preprocessing.ifos)
    shown = closeup(model, whitened_recording(recordings, model.preprocessing, *span), clustering, time, extent)
    for transform in shown.q_transforms.values():
        row, column = np.unravel_index(transform.energy.argmax(), transform.energy.shape)
        assert transform.time[column] == pytest.approx(1126259462.42, abs=0.03)
        assert 60 < transform.frequency[row] < 250
        assert transform.energy.max() > 30
        early = transform.energy[:, (transform.time > 1126259462.33) & (transform.time < 1126259462.38)].mean(axis=1)
        assert transform.frequency[early.argmax()] < 80  # it sweeps upwards
    assert shown.statistic_time[shown.statistic.argmax()] == pytest.approx(1126259462.42, abs=0.2)
