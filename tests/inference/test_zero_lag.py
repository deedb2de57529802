"""Noise alone: unshifted data have as many events of each false alarm rate as time slides promise."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import poisson

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.cluster import Clustering
from aframe.events.significance import Background
from aframe.inference.run import Searcher, Unit, score_unit
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.strain.files import background_path, write_background
from aframe.strain.simulate import simulate

RATE, START, DURATION, SLIDES = 256.0, 1_000_000.0, 600.0, 20
CURVE = (np.array([1.0, 2000.0]), np.array([1e-23, 1e-23]))


def searched_noise(searcher: Searcher, directory: Path, seed: int) -> tuple[NDArray, float, float]:
    """Rates (per year) of a segment's unshifted events, its live time (s), and the rate of all events of slides."""
    directory.mkdir()
    ifos = searcher.scorer.preprocessing.ifos
    path = background_path(str(directory), START, DURATION)
    strain = {ifo: simulate(CURVE, ifo, START, START + DURATION, RATE, seed=seed) for ifo in ifos}
    write_background(path, strain, START, RATE)
    slides = [searcher.grid.slide(0, DURATION, number) for number in range(SLIDES + 1)]
    events, _ = score_unit(searcher, Unit(path, slides, None))
    unshifted = (events["shift"] == 0).all(axis=1)
    background = Background(events["detection_statistic"][~unshifted], searcher.grid.livetime(slides[1:]))
    rates = background.far_per_year(events["detection_statistic"][unshifted])
    return rates, searcher.grid.livetime(slides[:1]), float(background.far_per_year(background.statistics[0]))


@pytest.mark.parametrize(
    ("ifos", "seeds"),
    [(("H1", "L1"), 8), pytest.param(("H1", "L1"), 100, marks=pytest.mark.thorough),
     pytest.param(("H1", "L1", "V1"), 100, marks=pytest.mark.thorough)],
)  # fmt: skip
def test_unshifted_noise_is_as_rare_as_its_rate_says(make_model, tmp_path: Path, ifos, seeds: int) -> None:
    model = make_model("coincidence", ifos)
    shifts = tuple(3.0 * k for k in range(len(ifos)))
    clustering = Clustering(4.0, 0.5, 4.0, model.preprocessing.coalescence_offset)
    searcher = Searcher(TorchScorer(model), Grid(model.preprocessing, shifts), clustering, 0.5)
    parts = [searched_noise(searcher, tmp_path / str(seed), seed) for seed in range(seeds)]
    rates, livetime = np.concatenate([part[0] for part in parts]), sum(part[1] for part in parts)
    highest = min(part[2] for part in parts)
    for rate in np.geomspace(2 * SECONDS_PER_YEAR / (SLIDES * DURATION), highest / 2, 6):
        expected, count = rate * livetime / SECONDS_PER_YEAR, int((rates <= rate).sum())
        # events are clustered, so that their number scatters no more than a Poisson number
        assert poisson.cdf(count, expected) > 1e-3, (rate, count, expected)
        assert poisson.sf(count - 1, expected) > 1e-3, (rate, count, expected)
