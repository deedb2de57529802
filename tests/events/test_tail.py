import numpy as np
import pytest

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.events.tail import ExponentialTail, extrapolate, fit_tail

SCALE = 0.7


def exponential(count: int, seed: int, years: float = 1.0) -> Background:
    return Background(SCALE * np.random.default_rng(seed).exponential(size=count), years * SECONDS_PER_YEAR)


@pytest.mark.parametrize("count", [300, 2000, 20_000])
def test_the_interval_of_an_exponential_background_covers_the_true_rate(count: int) -> None:
    tails = [fit_tail(exponential(count, seed)) for seed in range(400)]
    true = np.array([0.1, 1e-3, 1e-6])
    statistic = SCALE * np.log(count / true)
    inside = []
    for tail in tails:
        assert tail is not None
        error = np.log(tail.far_extrapolated_per_year(statistic) / true)
        inside.append(np.abs(error) < 1.96 * tail.log_error(statistic))
    coverage = np.mean(inside, axis=0)  # of 400: one standard deviation is 0.011
    assert (coverage > 0.90).all()
    assert (coverage < 0.98).all()


def test_slope_and_number_follow_the_rule() -> None:
    search = exponential(20_000, 1)
    tail = fit_tail(search)
    assert tail is not None
    assert tail.is_exponential
    assert tail.number == 1000
    assert tail.threshold == search.statistics[-1001]
    assert tail.scale == pytest.approx((search.statistics[-1000:] - tail.threshold).mean())
    assert tail.rate_per_year == pytest.approx(1001)
    assert tail.scale == pytest.approx(SCALE, rel=0.1)


def test_the_bulk_is_left_out() -> None:
    """A tail with a bend: the loudest 200 events fall off more slowly than the other 20,000."""
    rng = np.random.default_rng(2)
    steep = rng.exponential(size=20_000) * 0.2
    shallow = 1.5 + rng.exponential(size=200)
    tail = fit_tail(Background(np.concatenate([steep, shallow]), SECONDS_PER_YEAR))
    assert tail is not None
    assert tail.number <= 250
    assert tail.scale == pytest.approx(1.0, rel=0.25)


def test_a_tail_with_an_end_is_not_extrapolated() -> None:
    search = Background(np.random.default_rng(3).uniform(size=300), SECONDS_PER_YEAR)
    tail = fit_tail(search)
    assert tail is not None
    assert not tail.is_exponential
    beyond = extrapolate(search, tail, np.array([0.5, 2.0]))
    assert beyond.far_per_year[0] == search.far_interpolated_per_year(0.5)
    assert np.isnan(beyond.far_per_year[1])
    assert not beyond.is_extrapolated.any()
    assert np.isnan(beyond.log_error).all()


def test_too_few_or_equal_events_have_no_tail() -> None:
    assert fit_tail(exponential(249, 0)) is None
    assert fit_tail(Background(np.ones(1000), SECONDS_PER_YEAR)) is None
    assert np.isnan(extrapolate(exponential(10, 0), None, np.array([99.0])).far_per_year).all()


def test_extrapolated_rate_is_monotonic_continuous_and_marked() -> None:
    search = exponential(5000, 4, years=10.0)
    tail = fit_tail(search)
    assert tail is not None
    loudest = search.statistics[-1]
    statistic = np.linspace(0.0, loudest + 10, 20_001)
    beyond = extrapolate(search, tail, statistic)
    assert (np.diff(beyond.far_per_year) <= 0).all()
    join = extrapolate(search, tail, tail.threshold + np.array([-1e-12, 0.0, 1e-12]))
    np.testing.assert_allclose(join.far_per_year, tail.rate_per_year, rtol=1e-6)
    np.testing.assert_array_equal(beyond.is_extrapolated, statistic > loudest)
    np.testing.assert_array_equal(np.isfinite(beyond.log_error), statistic > tail.threshold)
    measured = search.far_per_year(statistic)
    assert (measured[beyond.is_extrapolated] == search.lowest_far_per_year).all()  # the measured one stays a limit
    assert (beyond.far_per_year[-1000:] < search.lowest_far_per_year).all()


def test_error_is_that_of_count_and_slope() -> None:
    tail = ExponentialTail(threshold=2.0, rate_per_year=10.0, scale=0.5, number=100, deviation=0.0)
    assert tail.far_extrapolated_per_year(3.0) == pytest.approx(10 * np.exp(-2))
    assert tail.log_error(3.0) == pytest.approx(np.sqrt(1 / 101 + 4 / 100))
