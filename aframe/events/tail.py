"""Extrapolate false alarm rates beyond the loudest background event with an exponential tail.

The method is peaks over threshold: above a high threshold u, noise statistics follow an exponential distribution, and
FAR(x) = FAR(u) exp(−(x − u) / β). This is a model, not a measurement. Names of extrapolated quantities say so.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from aframe.events.significance import Background
from aframe.types import Array

MOST_EXCEEDANCES = 1000
"""Largest number of background events in a fit. More events would reach into the bulk of the distribution."""

FEWEST_EXCEEDANCES = 25
"""Smallest number of background events in a fit. Fewer events leave the slope uncertain by more than a fifth."""

EVENTS_PER_EXCEEDANCE = 10
"""Smallest ratio of all background events to those in the tail."""

CRITICAL_DEVIATION = 1.645
"""Largest deviation of the Gini statistic, in standard deviations, of an exponential tail (10 %, two-sided)."""


@dataclass(frozen=True)
class ExponentialTail:
    """Exponential fit to the loudest background events.

    Attributes:
        threshold: Statistic u above which the fit holds. It is the statistic of a background event.
        rate_per_year: Measured false alarm rate at u, events per Julian year.
        scale: Maximum-likelihood β, the mean exceedance, in units of the statistic.
        number: Number of events above u, k.
        deviation: Deviation of the exceedances from an exponential, in standard deviations of the Gini statistic.
    """

    threshold: float
    rate_per_year: float
    scale: float
    number: int
    deviation: float

    @property
    def is_exponential(self) -> bool:
        """Whether the exceedances are consistent with an exponential. Extrapolation requires this."""
        return abs(self.deviation) < CRITICAL_DEVIATION

    def far_extrapolated_per_year(self, statistic: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
        """False alarm rate FAR(u) exp(−(x − u) / β), in events per Julian year, for x above the threshold."""
        return np.asarray(self.rate_per_year * np.exp(-(np.asarray(statistic) - self.threshold) / self.scale))

    def statistic_at_far(self, far_per_year: float) -> float:
        """Statistic u + β ln(FAR(u) / FAR) of a false alarm rate below that at the threshold."""
        return float(self.threshold + self.scale * np.log(self.rate_per_year / far_per_year))

    def log_error(self, statistic: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
        """Standard deviation of ln FAR, if the tail is exponential: σ² = 1 / (k + 1) + ((x − u) / β)² / k.

        The rate at u is a count of k + 1 events. The slope is a mean of k exceedances. The two are independent.
        """
        lengths = (np.asarray(statistic) - self.threshold) / self.scale
        return np.asarray(np.sqrt(1 / (self.number + 1) + lengths**2 / self.number))


@dataclass(frozen=True)
class Extrapolation:
    """False alarm rates of events, extrapolated beyond the background. All arrays have shape (events,).

    Attributes:
        far_per_year: Events per Julian year: interpolated up to the tail's threshold, fitted above it. NaN for an event
            beyond the background if the tail is not exponential.
        log_error: Standard deviation of the natural logarithm of a fitted rate, NaN elsewhere.
        is_extrapolated: Whether the event is louder than all background, so that its rate follows from the model alone.
    """

    far_per_year: Float[Array, " events"]
    log_error: Float[Array, " events"]
    is_extrapolated: Bool[Array, " events"]


def fit_tail(background: Background) -> ExponentialTail | None:
    """Fit an exponential to the loudest events of a background.

    The first fit takes the loudest k of n events, k = min(1000, n / 10), and their excesses over the next event. It
    passes if Gini's statistic is within 1.645 standard deviations of its mean (Gail & Gastwirth, J. R. Stat. Soc. B 40,
    350, 1978). For k draws from any exponential, this statistic has mean 1/2 and variance 1 / (12 (k − 1)). If the fit
    fails, k is halved, down to 25.

    Returns:
        The first fit that passes. If none passes, the last fit, whose ``is_exponential`` is False. None for fewer than
        250 events, or if the loudest events have equal statistics.
    """
    events = background.statistics
    number = min(MOST_EXCEEDANCES, len(events) // EVENTS_PER_EXCEEDANCE)
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
    """Estimate false alarm rates of events, also beyond the background.

    Args:
        background: Events of time slides.
        tail: Fit to the background's tail; None without one.
        statistic: Detection statistics, shape (events,).

    Returns:
        Interpolated rates up to the tail's threshold, and the tail's rates above it.
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
    """Deviation of Gini's statistic from 1/2, in standard deviations.

    The statistic is Σ i (k − i)(x_{i+1} − x_i) / ((k − 1) Σ x), with x in ascending order.
    """
    number = len(excess)
    index = np.arange(1, number)
    gini = (index * (number - index) * np.diff(excess)).sum() / ((number - 1) * excess.sum())
    return float((gini - 0.5) * np.sqrt(12 * (number - 1)))
