"""How often noise would make an event louder than all that were measured, if its tail is exponential.

Peaks over threshold: above a high threshold u the statistics of noise are taken to be exponentially distributed, so
that FAR(x) = FAR(u) exp(−(x − u) / β). This is a model, not a measurement, and everything here says so in its name.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from aframe.events.significance import Background
from aframe.types import Array

MOST_EXCEEDANCES, FEWEST_EXCEEDANCES = 1000, 25
"""Background events in a fit: more would reach into the bulk, fewer leave the slope uncertain by more than a fifth."""

LARGEST_SHARE = 10
"""At most one background event in this many belongs to the tail."""

CRITICAL_DEVIATION = 1.645
"""Standard deviations of the Gini statistic beyond which a tail is not called exponential (10 %, two-sided)."""


@dataclass(frozen=True)
class ExponentialTail:
    """An exponential fitted to the loudest background events.

    Attributes:
        threshold: Statistic u above which it holds: itself a background event.
        rate_per_year: Measured false alarm rate at u, events per Julian year.
        scale: Maximum-likelihood β, the mean exceedance, in units of the statistic.
        number: Events above u, k.
        deviation: How far the exceedances are from an exponential, in standard deviations of the Gini statistic.
    """

    threshold: float
    rate_per_year: float
    scale: float
    number: int
    deviation: float

    @property
    def is_exponential(self) -> bool:
        """Whether the exceedances look like draws from an exponential; if not, nothing justifies extrapolating."""
        return abs(self.deviation) < CRITICAL_DEVIATION

    def far_extrapolated_per_year(self, statistic: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
        """FAR(u) exp(−(x − u) / β) in events per Julian year, for x above the threshold."""
        return np.asarray(self.rate_per_year * np.exp(-(np.asarray(statistic) - self.threshold) / self.scale))

    def statistic_at_far(self, far_per_year: float) -> float:
        """Statistic with a false alarm rate below that at the threshold: u + β ln(FAR(u) / FAR)."""
        return float(self.threshold + self.scale * np.log(self.rate_per_year / far_per_year))

    def log_error(self, statistic: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
        """One standard deviation of ln FAR, if the tail is exponential.

        The rate at u is a count of k + 1 and the slope a mean of k exceedances, independent of each other:
        σ² = 1 / (k + 1) + ((x − u) / β)² / k.
        """
        lengths = (np.asarray(statistic) - self.threshold) / self.scale
        return np.asarray(np.sqrt(1 / (self.number + 1) + lengths**2 / self.number))


@dataclass(frozen=True)
class Extrapolation:
    """False alarm rates that are continued beyond the background, all of shape (events,).

    Attributes:
        far_per_year: Interpolated up to the tail's threshold, fitted above it; NaN where it is neither measured nor to
            be extrapolated, because the tail is not exponential.
        log_error: Standard deviation of its natural logarithm where it is fitted, NaN elsewhere.
        is_extrapolated: Whether the event is louder than all background, so that its rate is the model's alone.
    """

    far_per_year: Float[Array, " events"]
    log_error: Float[Array, " events"]
    is_extrapolated: Bool[Array, " events"]


def fit_tail(background: Background) -> ExponentialTail | None:
    """Fit the loudest events of a background.

    The tail is the loudest k of n events, k = min(1000, n / 10), if their excesses over the next event look
    exponential: if Gini's statistic, which for k draws from any exponential has mean 1/2 and variance 1 / (12 (k − 1)),
    is within 1.645 standard deviations (Gail & Gastwirth, J. R. Stat. Soc. B 40, 350, 1978). Otherwise k is halved,
    down to 25.

    Returns:
        The first fit that passes, or the last one, whose ``is_exponential`` is then False; None for fewer than 250
        events or if the loudest are all alike.
    """
    events, number = background.statistics, min(MOST_EXCEEDANCES, len(background.statistics) // LARGEST_SHARE)
    tail = None
    while number >= FEWEST_EXCEEDANCES and (tail is None or not tail.is_exponential):
        threshold = float(events[-number - 1])
        excess = events[-number:].astype(np.float64) - threshold
        scale = float(excess.mean())
        if scale > 0:
            rate = float(background.far_per_year(threshold))
            tail = ExponentialTail(threshold, rate, scale, number, _deviation(excess))
        number //= 2
    return tail


def extrapolate(
    background: Background, tail: ExponentialTail | None, statistic: Float[Array, " events"]
) -> Extrapolation:
    """False alarm rates of events, those beyond the background by the tail's model.

    Args:
        background: Events of time slides.
        tail: Its fit.
        statistic: Detection statistics.
    """
    beyond = background.is_upper_limit(statistic)
    rate, error = background.far_interpolated_per_year(statistic), np.full(len(statistic), np.nan)
    if tail is None or not tail.is_exponential:
        return Extrapolation(np.where(beyond, np.nan, rate), error, np.zeros(len(statistic), dtype=bool))
    fitted = np.asarray(statistic) > tail.threshold
    rate[fitted] = tail.far_extrapolated_per_year(statistic[fitted])
    error[fitted] = tail.log_error(statistic[fitted])
    return Extrapolation(rate, error, beyond)


def _deviation(excess: Array) -> float:
    """Standard deviations from 1/2 of Gini's statistic, Σ i (k − i)(x_{i+1} − x_i) / ((k − 1) Σ x), x ascending."""
    number = len(excess)
    index = np.arange(1, number)
    gini = (index * (number - index) * np.diff(excess)).sum() / ((number - 1) * excess.sum())
    return float((gini - 0.5) * np.sqrt(12 * (number - 1)))
