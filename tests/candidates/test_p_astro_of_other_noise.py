"""p_astro is calibrated on noise of shapes for which it was not made."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from aframe.candidates.p_astro import Foreground, mixture, rate_posterior
from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background

LIVETIME = 0.1 * SECONDS_PER_YEAR
NOISE_PER_YEAR, SIGNALS_PER_YEAR = 3e5, 4e3

NOISES: dict[str, Callable[[int, Generator], NDArray]] = {
    "Weibull of shape 0.7": lambda n, rng: 0.8 * rng.weibull(0.7, n) - 8,
    "glitches": lambda n, rng: rng.exponential(0.8, n) * np.where(rng.random(n) < 0.01, 2.5, 1) - 6,
    "Gaussian": lambda n, rng: rng.normal(-8, 1.7, n),
    "exponential": lambda n, rng: rng.exponential(0.7, n) - 6,
}
"""Statistics of noise events."""


def signals(count: int, rng: Generator) -> NDArray:
    """Statistics of signals uniform in volume above an SNR of 4."""
    snr = 4 * (1 - rng.random(count)) ** (-1 / 3)
    return 2 * (snr + rng.normal(size=count)) - 12


def observed(noise: str, years: float, prior: str, seed: int) -> tuple[NDArray, NDArray] | None:
    """p_astro of a search's events above the floor, and which are signals; None if it is not estimated."""
    rng, draw, observed_years = np.random.default_rng(seed), NOISES[noise], LIVETIME / SECONDS_PER_YEAR
    background = Background(draw(rng.poisson(NOISE_PER_YEAR * years), rng), years * SECONDS_PER_YEAR)
    weight = rng.lognormal(0, 0.5, 4000)
    expected = weight / weight.sum() * SIGNALS_PER_YEAR * observed_years
    densities = mixture(Foreground(signals(4000, rng), expected), background, LIVETIME)
    if densities is None:
        return None
    real = signals(rng.poisson(SIGNALS_PER_YEAR * observed_years), rng)
    statistic = np.concatenate([real, draw(rng.poisson(NOISE_PER_YEAR * observed_years), rng)])
    above = statistic >= densities.floor
    ratio = densities.log_ratio(statistic[above])
    posterior = rate_posterior(ratio, densities.expected_foreground, prior, 0.27)
    return posterior.p_astro(ratio), (np.arange(len(statistic)) < len(real))[above]


@pytest.mark.parametrize(
    ("seeds", "noise", "years", "prior"),
    [(5, "glitches", 0.3, "lognormal")]
    + [
        pytest.param(30, noise, years, prior, marks=pytest.mark.thorough)
        for noise in NOISES
        for years, prior in ((3.0, "lognormal"), (0.3, "lognormal"), (0.3, "jeffreys"))
    ],
)
def test_as_many_events_are_signals_as_p_astro_says(seeds: int, noise: str, years: float, prior: str) -> None:
    searches = [search for seed in range(seeds) if (search := observed(noise, years, prior, seed)) is not None]
    assert len(searches) > 0.8 * seeds
    p, real = (np.concatenate(parts) for parts in zip(*searches, strict=True))
    group = np.digitize(p, [0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95])
    for k in np.unique(group):
        chosen = group == k
        error = np.sqrt((p[chosen] * (1 - p[chosen])).sum()) / chosen.sum()
        # tails and densities are themselves measured: the odds are good to a quarter
        tolerance = 3.5 * error + 0.25 * (p[chosen] * (1 - p[chosen])).mean()
        assert real[chosen].mean() == pytest.approx(p[chosen].mean(), abs=tolerance), (k, chosen.sum())
    assert p.sum() == pytest.approx(real.sum(), rel=0.06, abs=4 * np.sqrt((p * (1 - p)).sum()))
