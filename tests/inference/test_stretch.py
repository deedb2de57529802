import numpy as np
import pytest
import torch

from aframe.errors import DataError
from aframe.events.cluster import Clustering, cluster
from aframe.inference.engine import Engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.inference.stretch import slide_stretch
from aframe.inference.timeseries import ScoreSeries
from aframe.strain.files import background_path, open_background, write_background
from aframe.whitening import whiten_stream

RATE, START, DURATION = 256.0, 1_000_000.0, 90.0


@pytest.mark.parametrize("shifts", [(0.0, 0.0), (0.0, 2.0), (3.0, 1.5), (0.0, -2.0)])
@pytest.mark.parametrize("is_kept", [True, False])
def test_a_stretch_of_a_slide_equals_that_of_the_search(make_model, make_strain, tmp_path, shifts, is_kept):
    model = make_model("factorised")
    strain = make_strain(("H1", "L1"), DURATION, 5)
    path = background_path(str(tmp_path), START, DURATION)
    write_background(path, strain, START, RATE)
    grid, clustering = Grid(model.preprocessing, shifts), Clustering(4.0, 0.5, 4.0, 0.5)
    slide = grid.slide(0, DURATION, 1)
    scores = Engine.from_strain(TorchScorer(model), strain, grid).scores(slide)
    begin = START + 4.0 - min(shifts)
    kept = ScoreSeries("background", 0, 1, shifts, begin, 4.0, scores) if is_kept else None
    low, high = START + 40.3, START + 52.9
    shown = slide_stretch(model, clustering, path, slide, low, high, kept)
    time = begin + np.arange(len(scores)) / 4 + 0.5
    np.testing.assert_allclose(shown.score_time, time[(time >= low) & (time < high)], rtol=0, atol=1e-9)
    np.testing.assert_allclose(shown.score, scores[(time >= low) & (time < high)], atol=1e-4)
    statistic, event_time = cluster(scores, begin, clustering)
    inside = (event_time >= low) & (event_time < high)
    assert inside.sum() > 1
    np.testing.assert_allclose(shown.event_time, event_time[inside], rtol=0, atol=1e-3)
    np.testing.assert_allclose(shown.event_statistic, statistic[inside], atol=1e-4)
    assert set(shown.event_statistic) <= set(shown.statistic)
    assert abs(shown.time[0] - low) <= 1 / 4
    for ifo, shift in zip(("H1", "L1"), shifts, strict=True):
        first = round((shown.time[0] + shift - START) * RATE)
        np.testing.assert_array_equal(shown.strain[ifo], strain[ifo][first : first + len(shown.time)])
        stream = whiten_stream(torch.from_numpy(strain[ifo]), model.preprocessing.whitening).data
        np.testing.assert_allclose(shown.whitened[ifo], stream[first - 1024 :][: len(shown.time)], atol=1e-5)


def test_a_stretch_without_windows_is_refused(make_model, make_strain, tmp_path):
    model = make_model("factorised")
    path = background_path(str(tmp_path), START, DURATION)
    write_background(path, make_strain(("H1", "L1"), DURATION, 5), START, RATE)
    slide = Grid(model.preprocessing, (0.0, 2.0)).slide(0, DURATION, 1)
    with open_background(path) as file:
        assert file.duration == DURATION
    with pytest.raises(DataError, match=r"has no window between .* between 1000004 and 1000087\.5"):
        slide_stretch(model, Clustering(4.0, 0.5, 4.0, 0.5), path, slide, START - 20, START + 4.5)
