import numpy as np
import pytest
from scipy.stats import poisson

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.events.tail import fit_tail
from aframe.report.curves import EXTRAPOLATED_DECADES, cumulative, poisson_band, tail_curve


def test_cumulative_counts_are_exact_where_they_are_given() -> None:
    events = np.sort(np.random.default_rng(0).normal(size=50_000))
    statistic, count = cumulative(events)
    np.testing.assert_array_equal(count, [(events >= value).sum() for value in statistic])
    assert (statistic[0], count[0], count[-1]) == (events[-1], 1, len(events))
    assert not len(cumulative(np.empty(0))[0])


@pytest.mark.parametrize(("sigma", "tail"), [(1.0, 0.158655), (2.0, 0.022750), (3.0, 0.001350)])
def test_no_more_than_the_tails_lies_outside_of_a_band(sigma: float, tail: float) -> None:
    expected = np.array([0.01, 0.7, 5.0, 300.0])
    low, high = poisson_band(expected, sigma)
    assert (poisson.cdf(low - 1, expected) < tail).all()
    assert (poisson.cdf(low, expected) >= tail * 0.999).all()
    assert (poisson.sf(high, expected) <= tail * 1.001).all()
    assert (poisson.sf(high - 1, expected) > tail).all()
    assert high[-1] - 300 == pytest.approx(sigma * np.sqrt(300), rel=0.1)  # Gaussian where many are expected


def test_a_tail_is_continued_below_the_lowest_measured_rate() -> None:
    events = np.random.default_rng(1).exponential(2.0, 20_000)
    background = Background(events, SECONDS_PER_YEAR)
    tail = fit_tail(background)
    assert tail is not None
    curve = tail_curve(tail, background.lowest_far_per_year)
    np.testing.assert_allclose(curve.far_per_year[0], background.far_per_year(curve.statistic[0]))
    assert curve.far_per_year[-1] == pytest.approx(10**-EXTRAPOLATED_DECADES)
    truth = 20_000 * np.exp(-curve.statistic / 2)
    assert (truth < curve.high).all()
    least = curve.far_per_year[-1] / 10
    assert (truth > curve.low)[curve.low > least].all()
    assert curve.low.min() == pytest.approx(least)  # an end at zero cannot be drawn
