"""Numbers that figures are drawn from, whatever draws them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm, poisson

from aframe.events.tail import ExponentialTail
from aframe.types import Array

CURVE_POINTS, TAIL_POINTS = 600, 100
EXTRAPOLATED_DECADES = 2.0
"""Decades below the lowest measured rate down to which an extrapolation is drawn."""


@dataclass(frozen=True)
class TailCurve:
    """A background's exponential tail, all of shape (points,).

    Attributes:
        statistic: From the tail's threshold on.
        far_per_year: Extrapolated rate, events per Julian year.
        low: Rate less one standard deviation of its logarithm.
        high: Rate more one standard deviation.
    """

    statistic: Float[Array, " points"]
    far_per_year: Float[Array, " points"]
    low: Float[Array, " points"]
    high: Float[Array, " points"]


def cumulative(ordered: Float[Array, " events"]) -> tuple[Float[Array, " points"], Int[Array, " points"]]:
    """Statistic and number of events at least as loud, at numbers evenly spaced in logarithm.

    Args:
        ordered: Detection statistics, the loudest last.
    """
    total = len(ordered)
    if not total:
        return np.empty(0), np.empty(0, dtype=np.int64)
    count = np.unique(np.round(np.geomspace(1, total, CURVE_POINTS)).astype(np.int64))
    return ordered[total - count].astype(np.float64), count


def poisson_band(expected: Float[Array, " points"], sigma: float) -> tuple[Array, Array]:
    """Smallest and largest number of events that are not surprising where some are expected.

    Args:
        expected: Mean of the Poisson number.
        sigma: The tails have the probability of a Gaussian's beyond so many standard deviations.
    """
    return poisson.ppf(norm.sf(sigma), expected), poisson.isf(norm.sf(sigma), expected)


def tail_curve(tail: ExponentialTail, lowest_far_per_year: float) -> TailCurve:
    """An exponential tail down to rates that the background cannot measure.

    Args:
        tail: What was fitted to the background.
        lowest_far_per_year: Lowest rate that the background measures, events per Julian year.
    """
    length = tail.scale * np.log(tail.rate_per_year / lowest_far_per_year * 10**EXTRAPOLATED_DECADES)
    statistic = tail.threshold + np.linspace(0, length, TAIL_POINTS)
    rate, error = tail.far_extrapolated_per_year(statistic), tail.log_error(statistic)
    return TailCurve(statistic, rate, rate * np.exp(-error), rate * np.exp(error))
