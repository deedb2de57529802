from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.stats import gumbel_r

from aframe.candidates.p_astro import Foreground, Mixture, mixture, rate_posterior
from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background

LIVETIME, BACKGROUND_LIVETIME = 0.1 * SECONDS_PER_YEAR, 3 * SECONDS_PER_YEAR
NOISE = gumbel_r(-6.0, 0.8)
NOISE_PER_YEAR, SIGNALS_PER_YEAR = 3e5, 4e3


def signals(count: int, rng: np.random.Generator) -> np.ndarray:
    """Statistics of signals uniform in volume above an SNR of 4, of a network that saturates at 12."""
    snr = 4 * (1 - rng.random(count)) ** (-1 / 3)
    return np.minimum(2 * (snr + rng.normal(size=count)) - 12, 12 + 0.3 * rng.normal(size=count))


def densities(seed: int) -> Mixture:
    """Densities from importance-weighted injections and time slides."""
    rng = np.random.default_rng(seed)
    noise = NOISE.rvs(rng.poisson(NOISE_PER_YEAR * BACKGROUND_LIVETIME / SECONDS_PER_YEAR), random_state=rng)
    weight = rng.lognormal(0, 0.5, 4000)
    expected = weight / weight.sum() * SIGNALS_PER_YEAR * LIVETIME / SECONDS_PER_YEAR
    densities = mixture(Foreground(signals(4000, rng), expected), Background(noise, BACKGROUND_LIVETIME), LIVETIME)
    assert densities is not None
    return densities


@pytest.fixture(scope="module")
def searches() -> list[Mixture]:
    return [densities(seed) for seed in range(12)]


def observe(search: Mixture, scale: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Events above the floor, and which of them are signals, at ``scale`` times the reference rate."""
    rng = np.random.default_rng([seed, 1])
    years = LIVETIME / SECONDS_PER_YEAR
    real = signals(rng.poisson(scale * SIGNALS_PER_YEAR * years), rng)
    noise = NOISE.rvs(rng.poisson(NOISE_PER_YEAR * years), random_state=rng)
    statistic = np.concatenate([real, noise])
    above = statistic >= search.floor
    return statistic[above], (np.arange(len(statistic)) < len(real))[above]


@pytest.mark.parametrize(
    ("scale", "prior", "width"),
    [(1.0, "lognormal", 0.0), (1.2, "lognormal", 0.27), (0.2, "jeffreys", 0.0), (2.5, "jeffreys", 0.0)],
)
def test_it_is_calibrated_on_mixtures_of_known_composition(
    searches: list[Mixture], scale: float, prior: str, width: float
) -> None:
    probability, truth = [], []
    for seed, search in enumerate(searches):
        statistic, real = observe(search, scale, seed)
        ratio = search.log_ratio(statistic)
        posterior = rate_posterior(ratio, search.expected_foreground, prior, width)
        p = posterior.p_astro(ratio)
        probability.append(p)
        truth.append(real)
        if prior == "jeffreys":
            assert abs(np.log(posterior.quantile(0.5) / scale)) < 5 * p.sum() ** -0.5
    p, real = np.concatenate(probability), np.concatenate(truth)
    edges = np.array([0.0, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0])
    group = np.digitize(p, edges[1:-1])
    for k in np.unique(group):
        chosen = group == k
        error = np.sqrt((p[chosen] * (1 - p[chosen])).sum()) / chosen.sum()
        # besides the binomial error, one of 6 % in the odds, from slopes and densities that are themselves measured
        tolerance = 3.5 * error + 0.06 * (p[chosen] * (1 - p[chosen])).mean()
        assert real[chosen].mean() == pytest.approx(p[chosen].mean(), abs=tolerance), edges[k]
    assert p.sum() == pytest.approx(real.sum(), rel=0.02, abs=4 * np.sqrt((p * (1 - p)).sum()))
    assert len(p) > 5000


def test_densities_are_those_of_the_population(searches: list[Mixture]) -> None:
    statistic = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    true = NOISE_PER_YEAR * LIVETIME / SECONDS_PER_YEAR * NOISE.pdf(statistic)
    ratio = np.mean([np.log(search.background_density(statistic) / true) for search in searches], axis=0)
    np.testing.assert_allclose(ratio, 0, atol=0.06)
    many = signals(1_000_000, np.random.default_rng(9))
    share = [(np.abs(many - x) < 0.05).mean() / 0.1 for x in statistic]
    true = SIGNALS_PER_YEAR * LIVETIME / SECONDS_PER_YEAR * np.array(share)
    ratio = np.mean([np.log(search.foreground_density(statistic) / true) for search in searches], axis=0)
    np.testing.assert_allclose(ratio, 0, atol=0.08)


def test_densities_integrate_to_the_expected_numbers(searches: list[Mixture]) -> None:
    search = searches[0]
    events = search.background.statistics
    grid = np.linspace(events[0] - 1, events[-1] + 30, 200_001)
    expected = len(events) * LIVETIME / BACKGROUND_LIVETIME
    assert trapezoid(search.background_density(grid), grid) == pytest.approx(expected, rel=1e-3)
    tail = grid[grid > search.tail.threshold]
    beyond = (search.tail.number + 1) * LIVETIME / BACKGROUND_LIVETIME
    assert trapezoid(search.background_density(tail), tail) == pytest.approx(beyond, rel=2e-3)
    wide = np.linspace(-40, 40, 200_001)
    signal = search.foreground.expected.sum()
    assert trapezoid(search.foreground_density(wide), wide) == pytest.approx(signal, rel=1e-3)


def test_background_density_has_no_jump(searches: list[Mixture]) -> None:
    search = searches[0]
    grid = np.arange(search.floor, search.background.statistics[-1] + 3, 1e-3)
    steps = np.abs(np.diff(np.log(search.background_density(grid))))
    assert steps.max() < 0.02  # an exponential of this scale makes 1e-3 / 0.8


def test_the_louder_is_no_less_a_signal_beyond_all_injections(searches: list[Mixture]) -> None:
    search = searches[0]
    loud = search.log_ratio(np.array([8.0, 14.0, 20.0, 1e3]))
    assert (np.diff(loud) >= 0).all()
    assert np.isfinite(loud).all()
    quiet = search.log_ratio(np.array([-1e3, -9.0, search.floor]))
    assert (quiet <= quiet[-1]).all()


def test_a_gap_between_loud_injections_is_no_reason_to_doubt_an_event() -> None:
    search = densities(3)
    loud = np.append(search.foreground.statistic, [60.0, 4000.0])  # a network without an upper end
    expected = np.append(search.foreground.expected, search.foreground.expected[:2])
    wide = mixture(Foreground(loud, expected), search.background, LIVETIME)
    assert wide is not None
    statistic = np.linspace(wide.floor, 5000.0, 20_000)
    ratio = wide.log_ratio(statistic)
    assert np.isfinite(ratio).all()
    assert (np.diff(ratio) >= 0).all()
    quiet = np.linspace(wide.floor, 8.0, 4000)
    signal, noise = (f(quiet) for f in (wide.foreground_density, wide.background_density))
    np.testing.assert_allclose(wide.log_ratio(quiet), np.maximum.accumulate(np.log(signal / noise)), atol=0.05)
    posterior = rate_posterior(ratio[:100], wide.expected_foreground, "lognormal", 0.27)
    assert (posterior.p_astro(wide.log_ratio(np.array([20.0, 59.0, 300.0, 4000.0]))) > 0.99).all()


def test_known_rate_is_the_ratio_of_densities() -> None:
    posterior = rate_posterior(np.array([0.0, 3.0]), 5.0, "lognormal", 0.0)
    ratio = np.array([-np.inf, np.log(1 / 9), 0.0, np.inf])
    np.testing.assert_allclose(posterior.p_astro(ratio), [0.0, 0.1, 0.5, 1.0], rtol=1e-4)
    assert posterior.quantile(0.5) == 1


@pytest.mark.parametrize("number", [0, 1, 7, 400])
def test_rate_from_certain_signals_is_a_gamma_distribution(number: int) -> None:
    """With Jeffreys' prior and n certain signals, Λ_f follows Gamma(n + 1/2)."""
    expected = 3.0
    posterior = rate_posterior(np.full(number, 60.0), expected, "jeffreys", 0.0)
    mean = float((posterior.scale * posterior.weight).sum()) * expected
    second = float((posterior.scale**2 * posterior.weight).sum()) * expected**2
    assert mean == pytest.approx(number + 0.5, rel=2e-3)
    assert second - mean**2 == pytest.approx(number + 0.5, rel=5e-3)


def test_noise_says_little_and_a_prior_stays() -> None:
    posterior = rate_posterior(np.full(1000, -12.0), 1e-3, "lognormal", 0.27)
    assert np.log(posterior.quantile(0.95) / posterior.quantile(0.05)) / 2 == pytest.approx(1.645 * 0.27, rel=1e-3)
    assert posterior.quantile(0.5) == pytest.approx(1, rel=2e-3)


def test_too_little_is_not_estimated() -> None:
    rng = np.random.default_rng(0)
    noise = Background(NOISE.rvs(5000, random_state=rng), BACKGROUND_LIVETIME)
    few = Foreground(signals(15, rng), np.ones(15))
    assert mixture(few, noise, LIVETIME) is None
    one = Foreground(signals(500, rng), np.r_[1e6, np.ones(499)])
    assert mixture(one, noise, LIVETIME) is None
    enough = Foreground(signals(500, rng), np.ones(500))
    assert mixture(enough, Background(noise.statistics[:200], BACKGROUND_LIVETIME), LIVETIME) is None
    assert mixture(enough, noise, LIVETIME) is not None
    assert mixture(Foreground(np.empty(0), np.empty(0)), noise, LIVETIME) is None


def test_noise_with_an_end_says_nothing_of_louder_events() -> None:
    rng = np.random.default_rng(0)
    enough = Foreground(signals(500, rng), np.ones(500))
    assert mixture(enough, Background(rng.uniform(-8, 0, 5000), BACKGROUND_LIVETIME), LIVETIME) is None


def test_signals_of_one_statistic_have_no_density() -> None:
    rng = np.random.default_rng(0)
    noise = Background(NOISE.rvs(5000, random_state=rng), BACKGROUND_LIVETIME)
    assert mixture(Foreground(np.full(500, 12.0), np.ones(500)), noise, LIVETIME) is None


NOISES: dict[str, Callable[[int, Generator], NDArray]] = {
    "Weibull of shape 0.7": lambda n, rng: 0.8 * rng.weibull(0.7, n) - 8,
    "glitches": lambda n, rng: rng.exponential(0.8, n) * np.where(rng.random(n) < 0.01, 2.5, 1) - 6,
    "Gaussian": lambda n, rng: rng.normal(-8, 1.7, n),
    "exponential": lambda n, rng: rng.exponential(0.7, n) - 6,
}
"""Statistics of noise events, of shapes for which p_astro was not made."""


def unbounded_signals(count: int, rng: Generator) -> NDArray:
    """Statistics of signals uniform in volume above an SNR of 4."""
    snr = 4 * (1 - rng.random(count)) ** (-1 / 3)
    return 2 * (snr + rng.normal(size=count)) - 12


def p_astro_of(noise: str, years: float, prior: str, seed: int) -> tuple[NDArray, NDArray] | None:
    """p_astro of a search's events above the floor, and which are signals; None if it is not estimated."""
    rng, draw, observed_years = np.random.default_rng(seed), NOISES[noise], LIVETIME / SECONDS_PER_YEAR
    background = Background(draw(rng.poisson(NOISE_PER_YEAR * years), rng), years * SECONDS_PER_YEAR)
    weight = rng.lognormal(0, 0.5, 4000)
    expected = weight / weight.sum() * SIGNALS_PER_YEAR * observed_years
    densities = mixture(Foreground(unbounded_signals(4000, rng), expected), background, LIVETIME)
    if densities is None:
        return None
    real = unbounded_signals(rng.poisson(SIGNALS_PER_YEAR * observed_years), rng)
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
    searches = [search for seed in range(seeds) if (search := p_astro_of(noise, years, prior, seed)) is not None]
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
