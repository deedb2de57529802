"""Recovered injections as the signals that are out there: weights of the astrophysical population."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from aframe.candidates.p_astro import Foreground
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError
from aframe.sensitivity.cosmology import source_time_volume_density
from aframe.tables import RecoveredTable
from aframe.types import Array
from aframe.waveforms.priors import Population

RATE_REDSHIFT = 0.2
"""Redshift at which the merger rate density is given, as in arXiv:2111.03634."""

NINETY_PERCENT = 1.6448536
"""Standard deviations on either side of a Gaussian's mean between which 90 % of it lies."""


@dataclass(frozen=True)
class Populations:
    """What was injected, and what is out there.

    Attributes:
        source: The population from which injections were drawn.
        astrophysical: Of which astrophysical binaries have the masses; None for the source's.
    """

    source: Population
    astrophysical: Population | None


def astrophysical_foreground(
    recovered: RecoveredTable, populations: Populations, rate_gpc3_yr: float, evolution: float, livetime: float
) -> Foreground:
    """Recovered injections as astrophysical signals at a merger rate density R (1 + z)^κ / 1.2^κ.

    An injection drawn from p_s(m, z) with N draws in all stands for T R(z) dV_c/dz / (1 + z) p_a(m | z) / (N p_s(m, z))
    signals.

    Args:
        recovered: Accepted injections and the events that recovered them.
        populations: What was injected, p_s, and what is out there, p_a.
        rate_gpc3_yr: R, mergers per Gpc³ and year of source time at redshift 0.2.
        evolution: κ.
        livetime: Seconds of observation, T.

    Raises:
        ConfigurationError: If the astrophysical population does not reach the source's redshifts.
    """
    found = np.isfinite(recovered["detection_statistic"])
    columns = {name: np.asarray(recovered[name][found], np.float64) for name in ("mass_1", "mass_2", "redshift")}
    redshift, source = columns["redshift"], populations.source
    masses = columns["mass_1"] / (1 + redshift), columns["mass_2"] / (1 + redshift)
    highest = source.redshift_range[1]
    log_rate = evolution * np.log((1 + redshift) / (1 + RATE_REDSHIFT))
    log_rate += np.log(rate_gpc3_yr * source.sky_fraction * livetime / SECONDS_PER_YEAR)
    log_weight = log_rate + np.log(source_time_volume_density(redshift, highest)) - _log_redshift(source, redshift)
    target = populations.astrophysical
    if target is not None:
        low, high = target.redshift_range
        if low > source.redshift_range[0] or high < highest:
            raise ConfigurationError(
                f"astrophysical_prior has redshifts {low:g} to {high:g}, injections have {source.redshift_range[0]:g} "
                f"to {highest:g}: give a population whose masses are known wherever injections are"
            )
        for population, sign in ((target, 1), (source, -1)):
            log_weight += sign * (population.log_density(*masses, redshift) - _log_redshift(population, redshift))
    weight = np.exp(log_weight) / int(recovered.attributes["num_injections"])
    return Foreground(np.asarray(recovered["detection_statistic"][found], np.float64), weight)


def merger_rate_prior(interval: Sequence[float]) -> tuple[float, float]:
    """Median and standard deviation of the logarithm of the log-normal distribution with a central 90 % interval.

    >>> median, width = merger_rate_prior((17.9, 44.0))
    >>> round(median, 1), round(width, 2)
    (28.1, 0.27)
    """
    low, high = interval
    return math.sqrt(low * high), math.log(high / low) / (2 * NINETY_PERCENT)


def _log_redshift(population: Population, redshift: Float[Array, " n"]) -> Float[Array, " n"]:
    return np.asarray(population.prior["redshift"].ln_prob(redshift))
