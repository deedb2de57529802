import numpy as np
import pytest

from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError, DataError
from aframe.events.significance import Background


def background(count: int, years: float, seed: int = 0) -> Background:
    return Background(np.random.default_rng(seed).exponential(size=count).astype(np.float32), years * SECONDS_PER_YEAR)


def test_rate_counts_events_per_julian_year() -> None:
    rates = Background(np.array([3.0, 1.0, 2.0, 2.0]), 2 * SECONDS_PER_YEAR).far_per_year(
        np.array([0.0, 1.0, 1.5, 2.0, 3.0, 3.1])
    )
    np.testing.assert_allclose(rates, [2.0, 2.0, 1.5, 1.5, 0.5, 0.5])


def test_significance_is_equation_17() -> None:
    search = Background(np.array([1.0, 2.0, 3.0]), 100.0)
    np.testing.assert_allclose(search.significance(np.array([2.0, 9.0]), 5.0), 1 - np.exp([-5 * 3 / 100, -5 / 100]))
    assert float(Background(np.array([1.0]), 1e12).significance(2.0, 1.0)) == pytest.approx(1e-12)


@pytest.mark.parametrize("ties", [True, False])
def test_threshold_is_the_smallest_statistic_at_that_rate(ties: bool) -> None:
    search = background(1000, 10.0)
    if ties:
        search = Background(np.round(search.statistics, 1), search.livetime)
    rates = np.geomspace(search.lowest_far_per_year, 99.0, 57)
    threshold = search.threshold_at_far(rates)
    assert np.all(search.far_per_year(threshold) <= rates * (1 + 1e-9))
    assert np.all(search.far_per_year(np.nextafter(threshold, -np.inf)) > rates)


def test_found_by_threshold_is_found_by_rate() -> None:
    search = background(500, 3.0)
    injected = np.random.default_rng(1).exponential(size=2000) * 2
    for rate in (search.lowest_far_per_year, 1.0, 17.3):
        by_threshold = injected >= search.threshold_at_far(rate)
        np.testing.assert_array_equal(by_threshold, search.far_per_year(injected) <= rate * (1 + 1e-9))


def test_a_rate_below_one_per_livetime_is_refused() -> None:
    search = background(100, 2.0)
    assert search.threshold_at_far(0.5) > np.sort(search.statistics)[-2]
    with pytest.raises(ConfigurationError, match=r"whose lowest is 0\.5 per year"):
        search.threshold_at_far(np.array([1.0, 0.49]))


def test_missed_injections_stay_below_every_threshold() -> None:
    assert background(10, 1.0).threshold_at_far(1e6) > -np.inf
    assert background(0, 1.0).threshold_at_far(1.0) > -np.inf


def test_impossible_background() -> None:
    with pytest.raises(DataError, match="livetime"):
        Background(np.array([1.0]), 0.0)
    for statistic in (np.nan, np.inf, -np.inf):
        with pytest.raises(DataError, match="not finite"):
            Background(np.array([1.0, statistic]), 1.0)


def test_what_is_not_a_number_has_no_rate() -> None:
    search = background(10, 1.0)
    for rate in (search.far_per_year, search.is_upper_limit, lambda x: search.significance(x, 5.0)):
        with pytest.raises(DataError, match="no false alarm rate"):
            rate(np.array([1.0, np.nan]))
    with pytest.raises(DataError, match="no false alarm rate"):
        search.far_interpolated_per_year(np.nan)
    assert search.is_upper_limit(np.array([-np.inf])).tolist() == [False]  # an injection without an event


def test_an_event_louder_than_all_background_has_an_upper_limit() -> None:
    search = Background(np.array([1.0, 3.0]), SECONDS_PER_YEAR)
    assert search.is_upper_limit(np.array([0.0, 3.0, 3.1])).tolist() == [False, False, True]


def test_interpolated_rate_goes_through_the_measured_ones() -> None:
    search = Background(np.array([3.0, 1.0, 2.0, 2.0]), 2 * SECONDS_PER_YEAR)
    np.testing.assert_allclose(search.far_interpolated_per_year(np.array([1.0, 2.0, 3.0])), [2.0, 1.5, 0.5])
    np.testing.assert_allclose(search.far_interpolated_per_year(2.25), 0.5 * 3**0.75)  # a quarter of ln 1.5 to ln 0.5
    np.testing.assert_allclose(search.far_interpolated_per_year(np.array([-9.0, 9.0])), [2.0, 0.5])
    assert Background(np.empty(0), SECONDS_PER_YEAR).far_interpolated_per_year(np.array([0.0])).tolist() == [1.0]


@pytest.mark.parametrize("ties", [True, False])
def test_interpolated_rate_is_continuous_monotonic_and_never_optimistic(ties: bool) -> None:
    search = background(300, 3.0)
    if ties:
        search = Background(np.round(search.statistics, 1), search.livetime)
    statistic = np.linspace(-0.1, 7.0, 40_001)
    rate = search.far_interpolated_per_year(statistic)
    assert (np.diff(rate) <= 0).all()
    assert (rate >= search.far_per_year(statistic) * (1 - 1e-12)).all()
    events = np.unique(search.statistics).astype(float)
    step = 1e-9 * np.diff(events).min()
    near = [search.far_interpolated_per_year(events + sign * step) for sign in (-1, 1)]
    np.testing.assert_allclose(near[0], near[1], rtol=1e-6)


def test_any_high_rate_allows_all_events() -> None:
    search = Background(np.arange(5.0), SECONDS_PER_YEAR)
    thresholds = search.threshold_at_far(np.array([6.0, 1e30, np.inf]))
    assert (thresholds == np.finfo(np.float64).min).all()
    with pytest.raises(ConfigurationError, match="cannot be measured"):
        search.threshold_at_far(np.nan)


@pytest.mark.parametrize("number", [1, 3, 10, 100])
def test_the_interval_of_a_threshold_holds_the_true_one_as_often_as_it_says(number: int) -> None:
    """Noise whose rate falls exponentially from 1000 a year; the true threshold of n a year is ln(1000 / n)."""
    truth, rng, inside = np.log(1000 / number), np.random.default_rng(number), []
    for _ in range(1000):
        background = Background(rng.exponential(size=rng.poisson(1000)), SECONDS_PER_YEAR)
        (low,), (high,) = background.threshold_interval(np.array([float(number)]), 0.95)
        assert low <= background.threshold_at_far(float(number)) <= high
        inside.append(low <= truth <= high)
    assert 0.935 < np.mean(inside) < 0.995


def test_a_threshold_of_few_events_has_ends_without_a_limit() -> None:
    few = Background(np.array([1.0, 2.0]), SECONDS_PER_YEAR)
    low, high = few.threshold_interval(np.array([1.0, 2.0]), 0.95)
    assert (low == np.finfo(np.float64).min).all()
    assert high[0] > high[1] > 2
    low, high = Background(np.empty(0), SECONDS_PER_YEAR).threshold_interval(np.array([1.0]), 0.95)
    assert low[0] == high[0] == np.finfo(np.float64).min
