from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import genpareto

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.events.tail import MOST_EXCEEDANCES, Tail, extrapolate, fit_tail

SCALE = 0.7
GLITCHES = 0.01, 2.5
"""Share of glitches in the noise, and the scale of their statistic in units of the noise's."""


def exponential(count: int, seed: int, years: float = 1.0) -> Background:
    return Background(SCALE * np.random.default_rng(seed).exponential(size=count), years * SECONDS_PER_YEAR)


def with_glitches(count: int, rng: Generator) -> NDArray:
    return rng.exponential(size=count) * np.where(rng.random(count) < GLITCHES[0], GLITCHES[1], 1.0)


def quantile_with_glitches(survival: float) -> float:
    share, scale = GLITCHES
    return float(brentq(lambda x: (1 - share) * np.exp(-x) + share * np.exp(-x / scale) - survival, 0, 500))


Draw = Callable[[int, Generator], NDArray]
Quantile = Callable[[float], float]

NOISES: dict[str, tuple[Draw, Quantile]] = {
    "exponential": (lambda n, rng: rng.exponential(size=n), lambda p: -np.log(p)),
    "Weibull of shape 0.7": (lambda n, rng: rng.weibull(0.7, n), lambda p: (-np.log(p)) ** (1 / 0.7)),
    "Weibull of shape 2": (lambda n, rng: rng.weibull(2.0, n), lambda p: (-np.log(p)) ** 0.5),
    "glitches": (with_glitches, quantile_with_glitches),
}


def coverage(noise: str, count: int, seeds: int) -> tuple[NDArray, float]:
    """Share of intervals that hold the true rate at a tenth and a thousandth of 1 / T_b, and share of accepted fits."""
    draw, quantile = NOISES[noise]
    true = np.array([0.1, 1e-3])
    statistic = np.array([quantile(rate / count) for rate in true])
    inside = []
    for seed in range(seeds):
        tail = fit_tail(Background(draw(count, np.random.default_rng(seed)), SECONDS_PER_YEAR))
        assert tail is not None
        if tail.is_accepted:
            low, high = tail.interval_per_year(statistic)
            inside.append((low <= true) & (true <= high))
    return np.mean(inside, axis=0), len(inside) / seeds


@pytest.mark.parametrize("noise", ["exponential", "Weibull of shape 0.7", "glitches"])
def test_the_interval_covers_the_true_rate_of_heavy_tails(noise: str) -> None:
    covered, accepted = coverage(noise, 2000, 100)
    assert (covered > 0.90 - 2 * 0.03).all()  # two binomial standard deviations of 100
    assert accepted > 0.9


@pytest.mark.thorough
@pytest.mark.parametrize("count", [300, 2000, 20_000, 200_000])
@pytest.mark.parametrize("noise", NOISES)
def test_the_interval_covers_the_true_rate_in_hundreds_of_backgrounds(noise: str, count: int) -> None:
    covered, accepted = coverage(noise, count, 400)
    assert (covered >= 0.90).all()
    assert accepted > 0.95


def test_shape_and_scale_are_those_of_the_largest_likelihood() -> None:
    events = with_glitches(20_000, np.random.default_rng(1))
    tail = fit_tail(Background(events, SECONDS_PER_YEAR))
    assert tail is not None
    assert tail.number == MOST_EXCEEDANCES
    assert tail.threshold == np.sort(events)[-MOST_EXCEEDANCES - 1]
    assert tail.rate_per_year == pytest.approx(MOST_EXCEEDANCES + 1)
    shape, _, scale = genpareto.fit(tail.excess, floc=0)
    assert shape > 0
    assert (tail.shape, tail.scale) == pytest.approx((shape, scale), rel=1e-3)
    best, exponential = (
        genpareto.logpdf(tail.excess, *p).sum() for p in ((shape, 0, scale), (0, 0, np.mean(tail.excess)))
    )
    assert tail.deviation == pytest.approx(np.sqrt(2 * (best - exponential)), rel=1e-3)


def test_rates_and_density_are_those_of_a_generalised_pareto_distribution() -> None:
    tail = Tail(
        threshold=2.0,
        rate_per_year=10.0,
        scale=0.5,
        shape=0.3,
        number=100,
        deviation=1.0,
        anderson_darling=0.4,
        excess=(0.1, 0.2),
    )
    distribution = genpareto(0.3, loc=2.0, scale=0.5)
    x = np.array([2.0, 3.0, 30.0])
    np.testing.assert_allclose(tail.far_extrapolated_per_year(x), 10 * distribution.sf(x))
    np.testing.assert_allclose(tail.log_density_per_year(x), np.log(10 * distribution.pdf(x)))
    assert tail.statistic_at_far(float(10 * distribution.sf(30.0))) == pytest.approx(30.0)


def test_a_light_tail_is_extrapolated_as_an_exponential_and_may_end() -> None:
    events = np.random.default_rng(0).weibull(2.0, 2000)
    search = Background(events, SECONDS_PER_YEAR)
    tail = fit_tail(search)
    assert tail is not None
    assert tail.is_accepted
    assert tail.shape == 0
    assert tail.deviation < 0
    assert tail.scale == pytest.approx(np.mean(tail.excess))
    low, high = tail.interval_per_year(np.array([5.0]))
    assert low[0] == 0
    assert high[0] > float(tail.far_extrapolated_per_year(5.0)) > 2000 * np.exp(-25)


def test_a_tail_with_an_end_is_not_extrapolated() -> None:
    for seed in range(20):
        search = Background(np.random.default_rng(seed).uniform(size=1000), SECONDS_PER_YEAR)
        tail = fit_tail(search)
        assert tail is not None
        assert not tail.is_accepted
    beyond = extrapolate(search, tail, np.array([0.5, 2.0]))
    assert beyond.far_per_year[0] == search.far_interpolated_per_year(0.5)
    assert np.isnan(beyond.far_per_year[1])
    assert not beyond.is_extrapolated.any()
    assert np.isnan([beyond.low_per_year, beyond.high_per_year]).all()


def test_a_few_outliers_beyond_a_tail_are_no_tail() -> None:
    tail = fit_tail(Background(np.append(np.linspace(0, 1, 3000), [50.0, 60.0, 70.0]), SECONDS_PER_YEAR))
    assert tail is not None
    assert tail.shape > 0
    assert not tail.is_accepted


def test_the_test_of_the_fit_is_anderson_and_darlings() -> None:
    tail = fit_tail(exponential(5000, 4))
    assert tail is not None
    share = genpareto.cdf(tail.excess, tail.shape, scale=tail.scale)
    index = np.arange(1, tail.number + 1)
    statistic = -tail.number - ((2 * index - 1) * np.log(share * (1 - share[::-1]))).mean()
    assert tail.shape > 0  # the best fit of any shape is the heavy one
    assert tail.anderson_darling == pytest.approx(statistic, rel=1e-6)


def test_too_few_or_equal_events_have_no_tail() -> None:
    assert fit_tail(exponential(249, 0)) is None
    assert fit_tail(Background(np.ones(1000), SECONDS_PER_YEAR)) is None
    assert np.isnan(extrapolate(exponential(10, 0), None, np.array([99.0])).far_per_year).all()


def test_extrapolated_rate_is_monotonic_continuous_and_marked() -> None:
    search = exponential(5000, 4, years=10.0)
    tail = fit_tail(search)
    assert tail is not None
    loudest = search.statistics[-1]
    statistic = np.linspace(0.0, loudest + 10, 1001)
    beyond = extrapolate(search, tail, statistic)
    assert (np.diff(beyond.far_per_year) <= 0).all()
    join = extrapolate(search, tail, tail.threshold + np.array([-1e-12, 0.0, 1e-12]))
    np.testing.assert_allclose(join.far_per_year, tail.rate_per_year, rtol=1e-6)
    np.testing.assert_array_equal(beyond.is_extrapolated, statistic > loudest)
    fitted = statistic > tail.threshold
    np.testing.assert_array_equal(np.isfinite(beyond.high_per_year), fitted)
    assert (beyond.low_per_year[fitted] < beyond.far_per_year[fitted]).all()
    assert (beyond.high_per_year[fitted] > beyond.far_per_year[fitted]).all()
    measured = search.far_per_year(statistic)
    assert (measured[beyond.is_extrapolated] == search.lowest_far_per_year).all()  # the measured one stays a limit
    assert (beyond.far_per_year[-100:] < search.lowest_far_per_year).all()


def test_the_interval_at_the_threshold_is_that_of_a_count() -> None:
    tail = fit_tail(exponential(5000, 4))
    assert tail is not None
    low, high = tail.interval_per_year(np.array([tail.threshold]))
    error = 1.96 / np.sqrt(tail.number + 1)
    np.testing.assert_allclose(np.log([low[0], high[0]]) - np.log(tail.rate_per_year), [-error, error], rtol=0.02)
