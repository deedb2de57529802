"""Extrapolate false alarm rates beyond the loudest background event with a generalised Pareto tail.

The method is peaks over threshold (Pickands, Ann. Stat. 3, 119, 1975): above a high threshold u, the false
alarm rate is FAR(x) = FAR(u) (1 + ξ (x − u) / σ)^(−1 / ξ), and FAR(u) exp(−(x − u) / σ) for ξ = 0. The shape ξ is free,
because glitches make tails heavier than an exponential. This is a model, not a measurement. Names of extrapolated
quantities say so.
"""

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from aframe.events.significance import Background
from aframe.types import Array

MOST_EXCEEDANCES = 100
"""Largest number of background events in a fit. More events would reach into the bulk of the distribution."""

FEWEST_EXCEEDANCES = 25
"""Smallest number of background events in a fit. Fewer events say nearly nothing about the shape."""

EVENTS_PER_EXCEEDANCE = 10
"""Smallest ratio of all background events to those in the tail."""

CRITICAL_DEVIANCE = 3.841
"""The 95 % quantile of χ² with one degree of freedom: twice the largest difference in ln L inside an interval."""

LARGEST_ANDERSON_DARLING = 1.4
"""Largest Anderson–Darling statistic A² of an accepted fit, to which both parameters are fitted.

A hundredth of all generalised Pareto tails exceeds it: 1.0 to 1.5 is the 99 % quantile of 400 simulations each with
shapes of 0.8 to −0.3 (Choulakian and Stephens, Technometrics 43, 478, 2001, tabulate others).
"""

LOWEST_DEVIATION = -3.09
"""Smallest deviation of an accepted fit: one of a thousand exponential tails is lighter. Noise beyond it may end."""

LOWEST_SHAPE = -0.5
"""Smallest shape. Maximum likelihood is regular above it (Smith, Biometrika 72, 67, 1985)."""

HIGHEST_SHAPE = 1.0
"""Shape from which exceedances have no mean. Such a fit joins a few outliers to the bulk: it gives no rates."""

GRID_POINTS = 121
"""Points of the grids over a fit's parameters. The ends of an interval are good to some 1 % of its width."""

FINER_GRIDS = 4
"""Grids over θ, each 60 times as fine as the one before."""


@dataclass(frozen=True)
class Tail:
    """Generalised Pareto fit to the loudest background events.

    Attributes:
        threshold: Statistic u above which the fit holds. It is the statistic of a background event.
        rate_per_year: Measured false alarm rate at u, events per Julian year.
        scale: Maximum-likelihood σ, in units of the statistic.
        shape: Maximum-likelihood ξ among ξ ≥ 0. An estimate never takes an end of the noise for granted.
        number: Number of events above u, k.
        deviation: Signed root of twice the difference in ln L between the best free shape and ξ = 0. It is negative if
            the best shape is, so that the tail seems to end.
        anderson_darling: A² of the exceedances against the best fit of any shape.
        excess: Exceedances x − u in ascending order.
    """

    threshold: float
    rate_per_year: float
    scale: float
    shape: float
    number: int
    deviation: float
    anderson_darling: float
    excess: tuple[float, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether the tail may be extrapolated: it has the shape of a Pareto distribution with a mean and no end."""
        is_pareto = self.anderson_darling < LARGEST_ANDERSON_DARLING
        return is_pareto and self.shape < HIGHEST_SHAPE and self.deviation > LOWEST_DEVIATION

    def far_extrapolated_per_year(self, statistic: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
        """False alarm rate FAR(u) (1 + ξ (x − u) / σ)^(−1/ξ), in events per Julian year, for x above the threshold."""
        return np.asarray(self.rate_per_year * np.exp(-self._hazard(statistic)))

    def log_density_per_year(self, statistic: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
        """Logarithm of −dFAR/dx, events per Julian year and unit of the statistic, for x above the threshold."""
        hazard = self._hazard(statistic)
        return np.asarray(np.log(self.rate_per_year / self.scale) - (1 + self.shape) * hazard)

    def statistic_at_far(self, far_per_year: float) -> float:
        """Statistic u + σ ((FAR(u) / FAR)^ξ − 1) / ξ of a false alarm rate below that at the threshold."""
        hazard = np.log(self.rate_per_year / far_per_year)
        length = np.expm1(self.shape * hazard) / self.shape if self.shape > 0 else hazard
        return float(self.threshold + self.scale * length)

    def interval_per_year(
        self, statistic: Float[Array, " events"]
    ) -> tuple[Float[Array, " events"], Float[Array, " events"]]:
        """Ends of the 95 % profile likelihood interval of the false alarm rate.

        They are the lowest and the highest rate that any parameters give whose ln L is within 1.92 of its maximum
        (Coles, An Introduction to Statistical Modeling of Extreme Values, 2001, sections 2.6.6 and 4.3.3). Parameters
        are the rate at u, for which k + 1 events are counted, and σ and ξ ≥ −1/2. The lower end is 0 beyond the end of
        a tail that may have one. The upper end is at least the estimate, which is too high for very light tails.

        Args:
            statistic: Detection statistics above the threshold, shape (events,).

        Returns:
            Lower and upper ends, events per Julian year, each of shape (events,).
        """
        theta, scale, deviance = self._profile
        step = np.linspace(-1, 1, GRID_POINTS) * 2 * np.sqrt(CRITICAL_DEVIANCE / self.number)
        spent = deviance[:, None] + 2 * self.number * (step + np.exp(-step) - 1)
        row, column = np.nonzero(spent <= CRITICAL_DEVIANCE)
        of_rate = np.sqrt((CRITICAL_DEVIANCE - spent[row, column]) / (self.number + 1))
        inverse_scale = np.exp(-step[column]) / scale[row]
        low, high = np.empty(len(statistic)), np.empty(len(statistic))
        for index, length in enumerate(np.asarray(statistic, np.float64) - self.threshold):
            hazard = _scaled_log(theta, np.array([length]))[row, 0] * inverse_scale
            low[index], high[index] = (-hazard - of_rate).min(), (-hazard + of_rate).max()
        high = np.maximum(high, -self._hazard(statistic))
        return self.rate_per_year * np.exp(low), self.rate_per_year * np.exp(high)

    def _hazard(self, statistic: Float[Array, "*shape"] | float) -> Array:
        """−ln(FAR(x) / FAR(u)). Below the threshold it goes on with the slope that it has there."""
        length = (np.asarray(statistic, np.float64) - self.threshold) / self.scale
        if self.shape == 0:
            return np.asarray(length)
        above = np.maximum(length, 0.0)
        return np.asarray(np.log1p(self.shape * above) / self.shape + np.minimum(length, 0.0))

    @functools.cached_property
    def _profile(self) -> tuple[Array, Array, Array]:
        """Values of θ = ξ / σ inside the interval, the best σ for each, and −2 ln L less its least value."""
        excess = np.asarray(self.excess)
        theta = _coarse_grid(excess)
        for _ in range(2):
            loss = _losses(theta, excess)
            inside = np.flatnonzero(loss <= loss.min() + CRITICAL_DEVIANCE / 2)
            ends = theta[max(inside[0] - 1, 0)], theta[min(inside[-1] + 1, len(theta) - 1)]
            theta = np.unique(np.append(np.linspace(*ends, GRID_POINTS), np.clip(0.0, *ends)))
        loss = _losses(theta, excess)
        kept = np.isfinite(loss)
        return theta[kept], _scaled_log(theta[kept], excess).mean(axis=1), 2 * (loss[kept] - loss.min())


@dataclass(frozen=True)
class Extrapolation:
    """False alarm rates of events, extrapolated beyond the background. All arrays have shape (events,).

    Attributes:
        far_per_year: Events per Julian year: interpolated up to the tail's threshold, fitted above it. NaN for an event
            beyond the background if the tail is not accepted.
        low_per_year: Lower end of the 95 % interval of a fitted rate, NaN elsewhere.
        high_per_year: Upper end of the 95 % interval of a fitted rate, NaN elsewhere.
        is_extrapolated: Whether the event is louder than all background, so that its rate follows from the model alone.
    """

    far_per_year: Float[Array, " events"]
    low_per_year: Float[Array, " events"]
    high_per_year: Float[Array, " events"]
    is_extrapolated: Bool[Array, " events"]


def fit_tail(background: Background) -> Tail | None:
    """Fit a generalised Pareto distribution to the loudest events of a background.

    The fit takes the loudest k = min(100, n / 10) of n events, and their excesses y over the next event. k is the same
    for all noise: a k chosen by a test on the data is no longer a test. With θ = ξ / σ, the best scale at each θ is
    σ(θ) = mean(ln(1 + θ y)) / θ, and one maximisation over θ remains (Grimshaw, Technometrics 35, 185, 1993).

    Returns:
        The fit. ``is_accepted`` says whether it may be extrapolated. None for fewer than 250 events, or if the loudest
        events have equal statistics.
    """
    events = background.statistics
    number = min(MOST_EXCEEDANCES, len(events) // EVENTS_PER_EXCEEDANCE)
    if number < FEWEST_EXCEEDANCES:
        return None
    threshold = float(events[-number - 1])
    excess = events[-number:].astype(np.float64) - threshold
    if not excess[-1] > 0:
        return None
    theta = _coarse_grid(excess)
    free, heavy = _best(theta, excess), max(0.0, _best(theta[theta >= 0], excess))
    losses = _losses(np.array([free, 0.0, heavy]), excess)
    heavy = heavy if losses[2] < losses[1] else 0.0
    deviation = np.sign(free) * np.sqrt(2 * max(0.0, losses[1] - losses[0]))
    scale = float(_scaled_log(np.array([heavy]), excess).mean())
    return Tail(
        threshold, float(background.far_per_year(threshold)), scale, heavy * scale, number, float(deviation),
        _anderson_darling(free, excess), tuple(excess.tolist()),
    )  # fmt: skip


def extrapolate(background: Background, tail: Tail | None, statistic: Float[Array, " events"]) -> Extrapolation:
    """Estimate false alarm rates of events, also beyond the background.

    Args:
        background: Events of time slides.
        tail: Fit to the background's tail; None without one.
        statistic: Detection statistics, shape (events,).

    Returns:
        Interpolated rates up to the tail's threshold, and the tail's rates above it.
    """
    beyond = background.is_upper_limit(statistic)
    rate = background.far_interpolated_per_year(statistic)
    low, high = np.full((2, len(statistic)), np.nan)
    if tail is None or not tail.is_accepted:
        return Extrapolation(np.where(beyond, np.nan, rate), low, high, np.zeros(len(statistic), dtype=bool))
    fitted = np.asarray(statistic) > tail.threshold
    rate[fitted] = tail.far_extrapolated_per_year(statistic[fitted])
    low[fitted], high[fitted] = tail.interval_per_year(statistic[fitted])
    return Extrapolation(rate, low, high, beyond)


def _scaled_log(theta: Float[Array, " values"], length: Float[Array, " events"]) -> Float[Array, "values events"]:
    """ln(1 + θ y) / θ, which is y at θ = 0, and infinite beyond the end of a tail."""
    product = theta[:, None] * length
    with np.errstate(divide="ignore"):
        logarithm = np.log1p(np.maximum(product, -1.0))
    ratio = np.divide(logarithm, theta[:, None], out=np.broadcast_to(length, product.shape).copy(), where=product != 0)
    return np.asarray(ratio)


def _losses(theta: Float[Array, " values"], excess: Float[Array, " events"]) -> Float[Array, " values"]:
    """−ln L for each θ at the best σ: k (ln σ + ξ + 1), with ξ = θ σ. It is infinite for shapes below the smallest."""
    scale = _scaled_log(theta, excess).mean(axis=1)
    shape = theta * scale
    return np.where(shape >= LOWEST_SHAPE, len(excess) * (np.log(scale) + shape + 1), np.inf)


def _anderson_darling(theta: float, excess: Float[Array, " events"]) -> float:
    """A² = −k − Σ (2 i − 1) (ln F(y_i) + ln(1 − F(y_{k + 1 − i}))) / k for a fit of shape and scale."""
    logarithm = _scaled_log(np.array([theta]), excess)[0]
    hazard = logarithm / logarithm.mean()
    odd = 2 * np.arange(len(excess)) + 1
    below = np.log(-np.expm1(-np.maximum(hazard, np.finfo(np.float64).tiny)))
    return float(-len(excess) - (odd * (below - hazard[::-1])).mean())


def _coarse_grid(excess: Float[Array, " events"]) -> Float[Array, " values"]:
    """Values of θ from an end just beyond the loudest event to very heavy tails."""
    light = np.linspace(-0.999 / excess[-1], 0.0, GRID_POINTS // 3, endpoint=False)
    return np.concatenate([light, np.sinh(np.linspace(0, 10, GRID_POINTS)) / 20 / excess.mean()])


def _best(theta: Float[Array, " values"], excess: Float[Array, " events"]) -> float:
    """The θ of the largest likelihood, from finer and finer grids between the neighbours of the best value."""
    for _ in range(FINER_GRIDS):
        index = int(_losses(theta, excess).argmin())
        theta = np.linspace(theta[max(index - 1, 0)], theta[min(index + 1, len(theta) - 1)], GRID_POINTS)
    return float(theta[_losses(theta, excess).argmin()])
