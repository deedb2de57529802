"""Estimate the probability p_astro that a candidate is a signal.

Farr et al., arXiv:1302.5341: signals and noise produce events of statistic x at the rates λ_f(x) and λ_b(x). Then
p_astro(x) = λ_f(x) / (λ_f(x) + λ_b(x)), averaged over the posterior of the signals' rate.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.special import expit

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.events.tail import Tail, fit_tail
from aframe.sensitivity.weighing import WeightSums
from aframe.types import Array

FLOOR_FAR_PER_YEAR = 24 * 365.25
"""False alarm rate of the quietest events in the estimate of the signals' rate: one an hour.

Quieter events hold no information on this rate.
"""

FEWEST_SIGNALS = 20
"""Smallest effective number of recovered injections, (Σ w)² / Σ w², for an estimate of their density."""

KNOTS_PER_BANDWIDTH = 8
"""Grid points of a tabulated density per kernel bandwidth. Linear interpolation is accurate to one in 500."""

MOST_KNOTS = 2**20
"""Largest number of grid points of a tabulated density."""

INTEGRATION_KNOTS = 20_000
"""Number of grid points of the integral over the signals' density."""

RATE_KNOTS = 1000
"""Number of grid points in the signals' rate."""

NEGLIGIBLE_LOG_DENSITY = 30.0
"""Difference in ln density from the maximum at which the grid over the rate ends."""

CHUNK_ROWS = 2**12
"""Number of events in one chunk of the likelihood's sum."""

HIGHEST_LOG_RATIO = 60.0
"""Largest |ln λ_f / λ_b| in the table of p_astro. Beyond it, p_astro is 0 or 1."""

RATIO_KNOTS = 8000
"""Number of grid points in the table of p_astro."""

LEAST_EXPECTED = 1e-8
"""Expected number of signals at the lower end of the rate grid for Jeffreys' prior."""


@dataclass(frozen=True)
class Foreground:
    """Expected signals of the search at a reference rate.

    Attributes:
        statistic: Detection statistic of recovered injections, shape (injections,).
        expected: Number of astrophysical signals during the observation that each injection represents, shape
            (injections,). The sum is the expected number of signals with an event.
    """

    statistic: Float[Array, " injections"]
    expected: Float[Array, " injections"]


@dataclass(frozen=True)
class Mixture:
    """Densities of signals and noise in the detection statistic.

    The density of signals is a Gaussian kernel estimate over the recovered injections. The density of noise is a
    Gaussian kernel estimate over the background events. At the loudest hundred events it passes into the
    generalised Pareto tail of ``fit_tail``, within a factor of two in rate. Bandwidths are half of Silverman's,
    computed from the values above ``floor``.

    Attributes:
        foreground: Signals at the reference rate.
        background: Events of time slides.
        tail: Fit to the background's tail.
        livetime: Observing time without time slides, s.
    """

    foreground: Foreground
    background: Background
    tail: Tail
    livetime: float

    @functools.cached_property
    def floor(self) -> float:
        """Statistic at a background rate of one an hour, or lower for few background events."""
        events = self.background.statistics
        number = FLOOR_FAR_PER_YEAR * self.background.livetime_years
        return float(events[-min(len(events), max(int(number), 10 * self.tail.number))])

    @functools.cached_property
    def expected_foreground(self) -> float:
        """Expected number of signals above the floor at the reference rate: the integral of their density."""
        loudest = max(self.floor, float(self.foreground.statistic.max()))
        grid = np.linspace(self.floor, loudest + (loudest - self.floor), INTEGRATION_KNOTS)
        return float(np.trapezoid(self.foreground_density(grid), grid))

    def foreground_density(self, statistic: Float[Array, " events"]) -> Float[Array, " events"]:
        """Expected signals per unit of the statistic during the observation, at the reference rate."""
        return self._signals(statistic)

    def background_density(self, statistic: Float[Array, " events"]) -> Float[Array, " events"]:
        """Expected noise events per unit of the statistic during the observation."""
        return np.exp(self._log_background_density(statistic))

    def _log_background_density(self, statistic: Array) -> Array:
        """Logarithm of that. Far above the loudest event, the density itself is too small for a number."""
        tail, x = self.tail, np.asarray(statistic, dtype=np.float64)
        join: float = self.background.statistics[-2 * tail.number - 1].item()
        gap = tail.threshold - join
        share = np.clip((x - join) / gap, 0.0, 1.0) if gap > 0 else np.where(x > join, 1.0, 0.0)
        with np.errstate(divide="ignore"):
            kernel = np.log(np.where(share < 1, self._noise(x), 1.0))
        years = self.livetime / SECONDS_PER_YEAR
        fitted = np.log(years) + tail.log_density_per_year(x)
        return np.asarray(np.where(share > 0, (1 - share) * kernel + share * fitted, kernel))

    def log_ratio(self, statistic: Float[Array, " events"]) -> Float[Array, " events"]:
        """Natural logarithm of λ_f / λ_b at the reference rate.

        Above the floor, a louder event is never less likely a signal: the ratio is at least that of quieter events.
        Below the floor, the ratio does not exceed its value at the floor.
        """
        grid, highest = self._highest
        x = np.clip(np.asarray(statistic, dtype=np.float64), self.background.statistics[0], grid[-1])
        below = np.minimum(self._log_ratio(x), highest[0])
        return np.asarray(np.where(x < self.floor, below, np.interp(x, grid, highest)))

    def _log_ratio(self, x: Array) -> Array:
        signals, noise = self.foreground_density(x), self._log_background_density(x)
        with np.errstate(divide="ignore"):
            return np.log(signals) - np.where(signals > 0, noise, 0.0)

    @functools.cached_property
    def _highest(self) -> tuple[Array, Array]:
        """Statistics from the floor to the loudest injection, and the largest ratio up to each."""
        loudest = max(self.floor, float(self.foreground.statistic.max()))
        even = np.linspace(self.floor, loudest, INTEGRATION_KNOTS)
        grid = np.unique(np.concatenate([even, self.foreground.statistic, self.background.statistics]))
        grid = grid[(grid >= self.floor) & (grid <= loudest)]
        return grid, np.maximum.accumulate(self._log_ratio(grid))

    @functools.cached_property
    def _signals(self) -> Callable[[Array], Array]:
        return _kernel_density(self.foreground.statistic, self.foreground.expected, self.floor)

    @functools.cached_property
    def _noise(self) -> Callable[[Array], Array]:
        events = self.background.statistics.astype(np.float64)
        return _kernel_density(events, np.full(len(events), self.livetime / self.background.livetime), self.floor)


@dataclass(frozen=True)
class RatePosterior:
    """Posterior of the signals' rate on a grid.

    Attributes:
        scale: Rates in units of the reference rate, shape (rates,).
        weight: Probability of each rate, shape (rates,). The sum is one.
    """

    scale: Float[Array, " rates"]
    weight: Float[Array, " rates"]

    def quantile(self, share: float) -> float:
        """Quantile of the rate at a ``share`` of the posterior, in units of the reference rate."""
        inner = np.cumsum(self.weight) - self.weight / 2
        return float(np.exp(np.interp(share, inner, np.log(self.scale))))

    def p_astro(self, log_ratio: Float[Array, " events"]) -> Float[Array, " events"]:
        """Probability that each event is a signal, averaged over the rate.

        The function interpolates a table. The result is accurate to one in 10⁴.
        """
        knots = np.linspace(-HIGHEST_LOG_RATIO, HIGHEST_LOG_RATIO, RATIO_KNOTS)
        mean = np.concatenate([expit(part[:, None] + np.log(self.scale)) @ self.weight for part in np.split(knots, 8)])
        return np.asarray(np.interp(log_ratio, knots, mean, left=0.0, right=1.0))


def mixture(foreground: Foreground, background: Background, livetime: float) -> Mixture | None:
    """Estimate the densities of signals and noise.

    Args:
        foreground: Signals at the reference rate.
        background: Events of time slides.
        livetime: Observing time without time slides, s.

    Returns:
        The densities; None with too few background events or recovered injections, if the background's tail is not
        accepted, so that nothing is known of louder noise, or if all injections have one statistic.
    """
    tail = fit_tail(background)
    if tail is None or not tail.is_accepted:
        return None
    densities = Mixture(foreground, background, tail, livetime)
    above = foreground.statistic >= densities.floor
    statistic, weight = foreground.statistic[above], foreground.expected[above]
    if WeightSums.of(weight).effective_number < FEWEST_SIGNALS or not _bandwidth(statistic, weight) > 0:
        return None
    return densities


def rate_posterior(
    log_ratio: Float[Array, " events"], expected_foreground: float, prior: str, width: float
) -> RatePosterior:
    """Compute the posterior of the signals' rate from all events above the floor (arXiv:1302.5341).

    ln L(s) = −s Λ_f + Σ ln(1 + s λ_f(x) / λ_b(x)), with s the rate in units of the reference rate, and Λ_f the expected
    number of signals at the reference rate. The rate of noise has no uncertainty here, because the background is many
    times longer than the observation.

    Args:
        log_ratio: ln λ_f / λ_b of each event above the floor, at the reference rate, shape (events,).
        expected_foreground: Expected signals above the floor at the reference rate, Λ_f.
        prior: ``lognormal`` around the reference rate, or ``jeffreys``, proportional to s^−1/2.
        width: Standard deviation of ln s under the log-normal prior; 0 fixes the rate.

    Returns:
        Rates and their probabilities.
    """
    if prior == "lognormal" and width == 0:
        return RatePosterior(np.ones(1), np.ones(1))
    if prior == "lognormal":
        low, high = -8 * width, 8 * width
    else:
        most = len(log_ratio) + 10 * np.sqrt(len(log_ratio)) + 30
        low, high = np.log(LEAST_EXPECTED / expected_foreground), np.log(most / expected_foreground)
    for _ in range(2):  # first over the range of the prior, then over the range of the posterior
        log_scale = np.linspace(low, high, RATE_KNOTS)
        density = -0.5 * (log_scale / width) ** 2 if prior == "lognormal" else 0.5 * log_scale
        density -= np.exp(log_scale) * expected_foreground
        for first in range(0, len(log_ratio), CHUNK_ROWS):
            density += np.logaddexp(0.0, log_ratio[first : first + CHUNK_ROWS, None] + log_scale).sum(axis=0)
        likely = np.flatnonzero(density > density.max() - NEGLIGIBLE_LOG_DENSITY)
        low, high = log_scale[max(likely[0] - 1, 0)], log_scale[min(likely[-1] + 1, RATE_KNOTS - 1)]
    weight = np.exp(density - density.max())
    return RatePosterior(np.exp(log_scale), weight / weight.sum())


def _kernel_density(value: Array, weight: Array, floor: float) -> Callable[[Array], Array]:
    """Tabulate a weighted Gaussian kernel density. It is zero beyond eight bandwidths from all values.

    The bandwidth is half of Silverman's, 0.45 min(σ, IQR / 1.34) n^−1/5, computed from the values above the floor. The
    bulk below the floor would widen it. Silverman's full bandwidth would flatten distributions steeper than a Gaussian.
    """
    above = value >= floor
    bandwidth = _bandwidth(value[above], weight[above])
    origin = float(value.min()) - 8 * bandwidth
    length = float(value.max()) + 8 * bandwidth - origin
    step = max(bandwidth / KNOTS_PER_BANDWIDTH, length / MOST_KNOTS)
    size = int(np.ceil(length / step)) + 2
    place = (value - origin) / step
    left = place.astype(np.int64)
    upper = (place - left) * weight
    counts = np.bincount(left, weight - upper, size) + np.bincount(left + 1, upper, size)
    density = gaussian_filter1d(counts, bandwidth / step, mode="constant", truncate=8.0) / step
    knots = origin + step * np.arange(size)
    return lambda x: np.asarray(np.interp(x, knots, density, left=0.0, right=0.0))


def _bandwidth(value: Array, weight: Array) -> float:
    order = np.argsort(value)
    inner = np.cumsum(weight[order]) / weight.sum()
    quarters = value[order][np.minimum(np.searchsorted(inner, (0.25, 0.75)), len(value) - 1)]
    mean = np.average(value, weights=weight)
    spread = float(np.sqrt(np.average((value - mean) ** 2, weights=weight)))
    between = float(np.diff(quarters)[0]) / 1.34
    return 0.45 * min(spread, between if between > 0 else spread) * WeightSums.of(weight).effective_number ** -0.2
