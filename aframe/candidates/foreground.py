"""Count the astrophysical signals that recovered injections represent.

These numbers are not the importance weights of ``sensitivity.weights``. Such a weight is a ratio of two normalised
densities, also of spins and angles. Here masses and redshifts alone count, at a rate that evolves with redshift. Both
take the density of masses at a redshift from the population.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aframe.candidates.p_astro import Foreground
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError
from aframe.sensitivity.cosmology import source_time_volume_density
from aframe.sensitivity.weights import Binaries
from aframe.tables import RecoveredTable
from aframe.waveforms.mixtures import AnyPopulation

RATE_REDSHIFT = 0.2
"""Reference redshift of the merger rate density, as in arXiv:2111.03634."""

NINETY_PERCENT_DEVIATION = 1.6448536
"""Half width of the central 90 % interval of a Gaussian, in standard deviations."""


@dataclass(frozen=True)
class Populations:
    """Populations of injections and of astrophysical binaries.

    Attributes:
        source: Population from which injections were drawn.
        astrophysical: Population with the masses of astrophysical binaries. None means the masses of ``source``.
    """

    source: AnyPopulation
    astrophysical: AnyPopulation | None


def astrophysical_foreground(
    recovered: RecoveredTable, populations: Populations, rate_gpc3_yr: float, evolution: float, livetime: float
) -> Foreground:
    """Count the astrophysical signals of each recovered injection at a merger rate density R (1 + z)^κ / 1.2^κ.

    An injection from N draws of p_s(m, z) represents T R(z) dV_c/dz / (1 + z) p_a(m | z) / (N p_s(m, z)) signals, times
    its exposure.

    Args:
        recovered: Accepted injections and the events that recovered them.
        populations: Populations of injections, p_s, and of astrophysical binaries, p_a.
        rate_gpc3_yr: Merger rate density R at redshift 0.2, per Gpc³ and year of source time.
        evolution: Exponent κ of the rate density.
        livetime: Observing time T, s.

    Returns:
        Statistics of the recovered injections, and the expected number of signals of each.

    Raises:
        ConfigurationError: If the astrophysical population does not reach the source's redshifts.
    """
    statistic = np.asarray(recovered["detection_statistic"], np.float64)
    has_event = np.isfinite(statistic)
    binaries, source = Binaries.of(recovered.rows(has_event)), populations.source
    masses, redshift = (binaries.mass_1_source, binaries.mass_2_source), binaries.redshift
    highest = source.redshift_range[1]
    log_rate = evolution * np.log((1 + redshift) / (1 + RATE_REDSHIFT))
    log_rate += np.log(rate_gpc3_yr * source.sky_fraction * livetime / SECONDS_PER_YEAR)
    log_number = log_rate + np.log(source_time_volume_density(redshift, highest))
    log_number -= source.log_redshift_density(redshift)
    target = populations.astrophysical
    if target is not None:
        low, high = target.redshift_range
        if low > source.redshift_range[0] or high < highest:
            raise ConfigurationError(
                f"astrophysical_prior has redshifts {low:g} to {high:g}, injections have {source.redshift_range[0]:g} "
                f"to {highest:g}: give a population that covers the redshifts of the injections"
            )
        log_number += target.log_mass_density(*masses, redshift)
        log_number -= source.log_mass_density(*masses, redshift)
    expected = binaries.exposure * np.exp(log_number) / int(recovered.attributes["num_injections"])
    return Foreground(statistic[has_event], expected)


def merger_rate_prior(interval: Sequence[float]) -> tuple[float, float]:
    """Median, and standard deviation of the logarithm, of the log-normal with a central 90 % ``interval``.

    >>> median, width = merger_rate_prior((17.9, 44.0))
    >>> round(median, 1), round(width, 2)
    (28.1, 0.27)
    """
    low, high = interval
    return math.sqrt(low * high), math.log(high / low) / (2 * NINETY_PERCENT_DEVIATION)
