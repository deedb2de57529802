"""The rates of the classes of sources, and the split of p_astro by class.

The posterior of the rates is that of a mixture of noise and several classes of signals (Kapadia et al.,
arXiv:1903.06881). The chirp masses of noise events are taken to be those of signals as loud, so that the statistic
alone parts noise from signals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from aframe.candidates.classes import CLASSES, ClassModel, template_masses
from aframe.candidates.foreground import merger_rate_prior
from aframe.candidates.p_astro import Mixture
from aframe.tables import EventTable
from aframe.types import Array

RATE_INTERVALS = {"BNS": (10.0, 1700.0), "NSBH": (7.8, 140.0)}
"""Published 90 % intervals of merger rates at redshift 0.2, Gpc^-3 yr^-1 (arXiv:2111.03634). Their widths alone
count."""

RATE_KNOTS = 24
"""Grid points in the rate of each class."""

RATE_REACH = 4.0
"""Range of the rates under a log-normal prior, in standard deviations."""

LEAST_NUMBER = 1e-6
"""Expected number of a class's signals at the lower end of its rates under Jeffreys' prior."""

LEAST_ODDS = 0.01
"""Odds of signal against noise, at the reference rate, from which on events count for the rates of the classes."""

NEGLIGIBLE_LOG_DENSITY = 15.0
"""Difference in ln density from the maximum at which the grid over the rates ends."""

CHUNK_ROWS = 64
"""Number of events in one chunk of the integral over the rates."""


@dataclass(frozen=True)
class ClassRates:
    """Posterior of the rates of the classes on a grid.

    Attributes:
        scale: Rate of each class in units of the population's, shape (rates, classes).
        weight: Probability of each combination, shape (rates,). The sum is one.
    """

    scale: Float[Array, "rates classes"]
    weight: Float[Array, " rates"]

    @property
    def mean(self) -> Float[Array, " classes"]:
        """Mean rate of each class in units of the population's."""
        return np.asarray(self.weight @ self.scale)

    def split(
        self, log_ratio: Float[Array, " events"], shares: Float[Array, "events classes"]
    ) -> Float[Array, "events classes"]:
        """Probability of each class of an event that is a signal. The sum is 1.

        Args:
            log_ratio: ln λ_f / λ_b of each event at the reference rate, shape (events,).
            shares: Result of ``ClassModel.shares``.
        """
        parts = [np.empty((0, shares.shape[1]))]
        for first in range(0, len(shares), CHUNK_ROWS):
            some = slice(first, first + CHUNK_ROWS)
            rates = shares[some] @ self.scale.T
            odds = np.clip(log_ratio[some], -500.0, 500.0)[:, None]
            # λ s / (1 + λ s), with what does not depend on s taken out where λ is small
            factor = expit(odds + np.log(rates)) / rates * self.weight
            each = (factor @ self.scale) * shares[some]
            parts.append(each / each.sum(axis=1, keepdims=True))
        return np.concatenate(parts)


@dataclass(frozen=True)
class SourceModel:
    """Gives signals their class.

    Attributes:
        signals: Recovered injections by class.
        rates: Rates of the classes.
    """

    signals: ClassModel
    rates: ClassRates

    def split(
        self,
        log_ratio: Float[Array, " events"],
        statistic: Float[Array, " events"],
        template_masses: Float[Array, "events 2"],
    ) -> Float[Array, "events classes"]:
        """Probability of each class of an event that is a signal. The sum is 1.

        Args:
            log_ratio: ln λ_f / λ_b of each event at the reference rate, shape (events,).
            statistic: Statistic of each event, shape (events,).
            template_masses: Masses of its best template, detector frame, solar masses; NaN if they are not known.
        """
        return self.rates.split(log_ratio, self.signals.shares(statistic, template_masses))


def source_model(signals: ClassModel, densities: Mixture, events: EventTable, prior: str, width: float) -> SourceModel:
    """Estimate the rates of the classes from a search's events.

    Args:
        signals: Recovered injections by class.
        densities: Densities of signals and noise at the reference rate.
        events: Events of unshifted data, with the columns ``TEMPLATE_COLUMNS`` or without.
        prior: Prior of the rates: ``lognormal`` or ``jeffreys``.
        width: Standard deviation of the logarithm of the rate of binary black holes under the log-normal prior. Other
            classes have at least that of their published rates. 0 fixes all rates.
    """
    statistic = events["detection_statistic"].astype(np.float64)
    log_ratio = densities.log_ratio(statistic)
    counts = (statistic >= densities.floor) & (log_ratio >= np.log(LEAST_ODDS))
    injected = densities.log_ratio(signals.foreground.statistic) >= np.log(LEAST_ODDS)
    expected = signals.sums(np.where(injected, signals.foreground.expected, 0.0))
    shares = signals.shares(statistic[counts], template_masses(events)[counts])
    widths = [
        max(width, merger_rate_prior(RATE_INTERVALS[name])[1]) if name in RATE_INTERVALS else width for name in CLASSES
    ]
    return SourceModel(
        signals, class_rates(log_ratio[counts], shares, expected, prior, widths if width else [0.0] * len(CLASSES))
    )


def class_rates(
    log_ratio: Float[Array, " events"],
    shares: Float[Array, "events classes"],
    expected: Float[Array, " classes"],
    prior: str,
    widths: Sequence[float],
) -> ClassRates:
    """Compute the posterior of the classes' rates from events (arXiv:1903.06881).

    ln L(s) = −Σ_c s_c Λ_c + Σ_events ln(1 + (λ_f / λ_b) Σ_c s_c q_c), with s_c the rate of a class in units of the
    population's. Classes without expected signals keep the population's rate.

    Args:
        log_ratio: ln λ_f / λ_b of all events above some statistic, at the reference rate, shape (events,).
        shares: Result of ``ClassModel.shares`` for them.
        expected: Expected number of signals of each class above that statistic, Λ_c, shape (classes,).
        prior: ``lognormal`` about the population's rates, or ``jeffreys``, proportional to s_c^−1/2 for each class.
        widths: Standard deviation of ln s_c under the log-normal prior; 0 fixes the rate.

    Returns:
        Rates and their probabilities.
    """
    active = [c for c in range(len(CLASSES)) if expected[c] > 0 and (prior != "lognormal" or widths[c] > 0)]
    if np.count_nonzero(expected) < 2 or not active:
        return ClassRates(np.ones((1, len(CLASSES))), np.ones(1))
    most = len(log_ratio) + 10 * np.sqrt(len(log_ratio)) + 30
    if prior == "lognormal":
        bounds = [(-RATE_REACH * widths[c], RATE_REACH * widths[c]) for c in active]
    else:
        bounds = [(np.log(LEAST_NUMBER / expected[c]), np.log(most / expected[c])) for c in active]
    for _ in range(3):  # first over the range of the prior, then over the range of the posterior
        axes = [np.linspace(low, high, RATE_KNOTS) for low, high in bounds]
        log_scale = np.zeros((RATE_KNOTS ** len(active), len(CLASSES)))
        log_scale[:, active] = np.stack([each.ravel() for each in np.meshgrid(*axes, indexing="ij")], axis=1)
        density = _log_likelihood(log_ratio, shares, expected, np.exp(log_scale))
        for c in active:
            density += -0.5 * (log_scale[:, c] / widths[c]) ** 2 if prior == "lognormal" else 0.5 * log_scale[:, c]
        bounds = _likely(density.reshape((RATE_KNOTS,) * len(active)), axes)
    weight = np.exp(density - density.max())
    return ClassRates(np.exp(log_scale), weight / weight.sum())


def _log_likelihood(log_ratio: Array, shares: Array, expected: Array, scale: Array) -> Array:
    """Logarithm of the likelihood of each row of ``scale``."""
    logarithm = -scale @ expected
    for first in range(0, len(log_ratio), CHUNK_ROWS):
        some = slice(first, first + CHUNK_ROWS)
        logarithm += np.logaddexp(0.0, log_ratio[some, None] + np.log(shares[some] @ scale.T)).sum(axis=0)
    return np.asarray(logarithm)


def _likely(density: Array, axes: Sequence[Array]) -> list[tuple[float, float]]:
    """Range of each axis that holds all but a negligible part of a density, by its logarithm on a grid."""
    bounds = []
    for place, axis in enumerate(axes):
        highest = density.max(axis=tuple(k for k in range(len(axes)) if k != place))
        likely = np.flatnonzero(highest > density.max() - NEGLIGIBLE_LOG_DENSITY)
        bounds.append((float(axis[max(likely[0] - 1, 0)]), float(axis[min(likely[-1] + 1, len(axis) - 1)])))
    return bounds
