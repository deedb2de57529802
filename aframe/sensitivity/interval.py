"""Confidence intervals of sensitive volumes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import gammaincinv

from aframe.types import Array

LEAST_COVERAGE = 0.98
"""Smallest share of a target inside the source prior. A remark reports a smaller share."""

LEAST_EFFECTIVE_NUMBER = 100
"""Smallest effective number of draws for a test of coverage, and of recovered injections for accurate errors."""


@dataclass(frozen=True)
class Volume:
    """Sensitive volumes at one or more thresholds. All arrays have shape (thresholds,).

    Attributes:
        volume_gpc3: Sensitive volume V in Gpc³.
        standard_error: Standard deviation of V in Gpc³.
        effective_sample_size: Effective number of recovered injections, (Σ w)² / Σ w².
    """

    volume_gpc3: Float[Array, " thresholds"]
    standard_error: Float[Array, " thresholds"]
    effective_sample_size: Float[Array, " thresholds"]


@dataclass(frozen=True)
class Scope:
    """Limits of a measurement of volume: redshifts, observing time and coverage.

    Attributes:
        v0_gpc3: Volume of a search that recovers all signals, V₀, in Gpc³. It is the upper limit of V.
        redshift_range: Smallest and largest redshift of V₀.
        livetime: Observing time T, s.
        coverage: Share of the target population inside the injections' prior.
        coverage_error: Standard deviation of the coverage.
        effective_draws: Effective number of draws from the target, (Σ w)² / Σ w² over all draws.
    """

    v0_gpc3: float
    redshift_range: tuple[float, float]
    livetime: float
    coverage: float
    coverage_error: float
    effective_draws: float

    @property
    def is_covered(self) -> bool:
        """Whether the injections' prior contains the target. It is true if too few draws allow no test."""
        is_testable = self.effective_draws > LEAST_EFFECTIVE_NUMBER  # with fewer draws the error itself is unreliable
        return not (is_testable and self.coverage + 5 * self.coverage_error < LEAST_COVERAGE)


def confidence_interval(
    volume: Volume, scope: Scope, probability: float
) -> tuple[Float[Array, " thresholds"], Float[Array, " thresholds"]]:
    """Compute an interval that contains the volume with a given probability, also for few found or few missed draws.

    The model of V is a Poisson number times a constant, with the mean and variance of V (Bohm and Zech,
    arXiv:1309.1287). The Poisson number is k = (V / σ)². For equal weights and rare detections, k is the number of
    found injections. The interval is Garwood's for a Poisson number, from quantiles of gamma distributions of shapes k
    and k + 1. Without found injections, the constant is V₀ over the effective number of draws. The upper end of this
    case is the lower limit of all upper ends, because a few found injections of small weight hold no information on
    missed injections of large weight.

    Above V₀ / 2 the missed draws are the rarer ones, and the model is that of V₀ − V. If all n draws are found, the
    lower end is that of Clopper and Pearson (Biometrika 26, 404, 1934), V₀ ((1 − probability) / 2)^(1/n).

    Args:
        volume: Volumes and their standard errors, shape (thresholds,).
        scope: Limits of the measurement.
        probability: Probability that the interval contains V.

    Returns:
        Lower and upper ends in Gpc³, each of shape (thresholds,).
    """
    unit, everything = scope.v0_gpc3 / scope.effective_draws, scope.v0_gpc3
    low, high = _poisson_interval(volume.volume_gpc3, volume.standard_error, unit, probability)
    of_missed = _poisson_interval(everything - volume.volume_gpc3, volume.standard_error, unit, probability)
    all_found = everything * ((1 - probability) / 2) ** (1 / scope.effective_draws)
    mostly_found = volume.volume_gpc3 > everything / 2
    least = np.where(volume.standard_error > 0, everything - of_missed[1], all_found)
    low = np.where(mostly_found, np.maximum(least, 0.0), low)
    high = np.where(mostly_found, everything - of_missed[0], np.minimum(high, everything))
    return low, np.maximum(high, volume.volume_gpc3)


def _poisson_interval(
    volume: Float[Array, " thresholds"], error: Float[Array, " thresholds"], unit: float, probability: float
) -> tuple[Float[Array, " thresholds"], Float[Array, " thresholds"]]:
    """Interval of a scaled Poisson number with the mean and the standard deviation of a volume.

    Args:
        volume: Volumes, Gpc³.
        error: Their standard deviations, Gpc³; 0 if the volume is.
        unit: Volume of one draw, Gpc³.
        probability: Probability that the interval contains the volume.
    """
    is_empty = error <= 0
    number = np.where(is_empty, 0.0, volume / np.where(is_empty, 1.0, error)) ** 2
    of_one = np.divide(error**2, volume, out=np.full_like(number, unit), where=~is_empty & (volume > 0))
    low = np.where(is_empty, 0.0, of_one * gammaincinv(np.where(is_empty, 1.0, number), (1 - probability) / 2))
    high_of_empty = unit * gammaincinv(1.0, (1 + probability) / 2)
    return low, np.maximum(of_one * gammaincinv(number + 1, (1 + probability) / 2), high_of_empty)
