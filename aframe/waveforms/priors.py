"""Populations of binaries, by the names that a configuration gives them."""

import numpy as np
from bilby.core import prior as priors
from bilby.gw.prior import UniformComovingVolume

from aframe.errors import ConfigurationError
from aframe.waveforms.distributions import (
    aligned_spins,
    angles,
    isotropic_spins,
    no_spins,
    source_time,
    uniform_masses,
)
from aframe.waveforms.population import Population, draw

__all__ = [
    "Population",
    "aligned_spin_bbh",
    "bns",
    "demo_bbh",
    "draw",
    "imbh",
    "log_normal_bbh",
    "mlgwsc_1",
    "nonspinning_bbh",
    "nsbh",
    "rates_and_populations_bbh",
    "rates_and_populations_bns",
    "rates_and_populations_nsbh",
]

MINIMUM_MASS, MAXIMUM_MASS = 5.0, 100.0
"""Source-frame component masses of the binary black hole populations, in solar masses."""

MAXIMUM_REDSHIFT = 2.0
MAXIMUM_SPIN = 0.998

NEUTRON_STAR_MASSES = (1.0, 2.5)
NEUTRON_STAR_SPIN = 0.4

SLOW_NEUTRON_STAR_SPIN = 0.05
"""Largest spin of a neutron star in a binary that merges, as in the low-spin prior of arXiv:1805.11579."""

INTERMEDIATE_MASSES = (50.0, 200.0)
"""Source-frame component masses of ``imbh``, in solar masses."""


def rates_and_populations_bbh() -> Population:
    """Binary black holes, like the LVK's injections for its O3 searches (arXiv:2111.03606, arXiv:2111.03634).

    The density of source-frame masses is m1 to the power −2.35 in 5–100 solar masses, and m2 to the power 1 from 5 to
    m1. Sources are uniform in comoving volume (Planck 2015) up to redshift 2. Spins are isotropic, with magnitudes
    uniform up to 0.998. The lower end of the masses (2 there) and the largest redshift (1.9 there) differ from the
    LVK's.
    """
    return _power_law_bbh(-2.35, 1.0, MAXIMUM_REDSHIFT, isotropic_spins(MAXIMUM_SPIN, MAXIMUM_SPIN))


def rates_and_populations_bns() -> Population:
    """Binary neutron stars, like the LVK's injections for its O3 searches (arXiv:2111.03606).

    Source-frame masses are uniform in 1–2.5 solar masses. Sources are uniform in comoving volume and source-frame time
    (Planck 2015) up to redshift 0.15. Spins are isotropic, with magnitudes uniform up to 0.4. Waveforms have no tides.
    """
    star = uniform_masses(*NEUTRON_STAR_MASSES)
    spins = isotropic_spins(NEUTRON_STAR_SPIN, NEUTRON_STAR_SPIN)
    return Population(priors.PriorDict({**star, **source_time(0.15), **spins, **angles()}), False)


def rates_and_populations_nsbh() -> Population:
    """Neutron star–black hole binaries, like the LVK's injections for its O3 searches (arXiv:2111.03606).

    The density of source-frame masses is a power of −2.35 in 2.5–60 solar masses for the black hole, and uniform in
    1–2.5 for the neutron star. Sources are uniform in comoving volume and source-frame time (Planck 2015) up to
    redshift 0.25. Spins are isotropic, with magnitudes uniform up to 0.998 (black hole) and 0.4 (neutron star).
    Waveforms have no tides and no disruption.
    """
    spins = isotropic_spins(MAXIMUM_SPIN, NEUTRON_STAR_SPIN)
    return Population(priors.PriorDict({**_nsbh_masses(), **source_time(0.25), **spins, **angles()}), False)


def bns() -> Population:
    """Binary neutron stars with small aligned spins, for searches.

    Source-frame masses are uniform in 1–2.5 solar masses. Sources are uniform in comoving volume and source-frame time
    (Planck 2015) up to redshift 0.25. Spins are the aligned components of isotropic spins, with magnitudes uniform up
    to 0.05. Waveforms have no tides.
    """
    columns = {
        **uniform_masses(*NEUTRON_STAR_MASSES),
        **source_time(0.25),
        **aligned_spins(SLOW_NEUTRON_STAR_SPIN, SLOW_NEUTRON_STAR_SPIN),
        **angles(),
    }
    return Population(priors.PriorDict(columns), False)


def nsbh() -> Population:
    """Neutron star–black hole binaries with aligned spins, for searches.

    Masses are those of ``rates_and_populations_nsbh``. Sources are uniform in comoving volume and source-frame time
    (Planck 2015) up to redshift 0.5. Spins are the aligned components of isotropic spins, with magnitudes uniform up to
    0.998 (black hole) and 0.05 (neutron star). Waveforms have no tides and no disruption.
    """
    spins = aligned_spins(MAXIMUM_SPIN, SLOW_NEUTRON_STAR_SPIN)
    return Population(priors.PriorDict({**_nsbh_masses(), **source_time(0.5), **spins, **angles()}), False)


def imbh() -> Population:
    """Binaries of heavy stellar and intermediate-mass black holes.

    Source-frame masses are uniform in 50–200 solar masses. Sources are uniform in comoving volume and source-frame time
    (Planck 2015) up to redshift 2. Spins are isotropic, with magnitudes uniform up to 0.998.
    """
    spins = isotropic_spins(MAXIMUM_SPIN, MAXIMUM_SPIN)
    columns = {**uniform_masses(*INTERMEDIATE_MASSES), **source_time(MAXIMUM_REDSHIFT), **spins, **angles()}
    return Population(priors.PriorDict(columns), False)


def aligned_spin_bbh() -> Population:
    """``rates_and_populations_bbh`` (source-frame masses) with aligned spins, for models without precession.

    Each aligned spin has the distribution of the aligned component of an isotropic spin.
    """
    return _power_law_bbh(-2.35, 1.0, MAXIMUM_REDSHIFT, aligned_spins(MAXIMUM_SPIN, MAXIMUM_SPIN))


def nonspinning_bbh() -> Population:
    """``rates_and_populations_bbh`` (source-frame masses) without spins."""
    return _power_law_bbh(-2.35, 1.0, MAXIMUM_REDSHIFT, no_spins())


def mlgwsc_1() -> Population:
    """Binary black holes like those of the first machine-learning mock data challenge (arXiv:2209.11146, data set 1).

    As in the challenge, detector-frame masses are uniform in 10–50 solar masses, without spins. The distances differ.
    In the challenge, the chirp distance d = D (1.22 solar masses / chirp mass)^(5/6), with luminosity distance D, has
    density d² in 130–350 Mpc for any masses. Here, sources are uniform in comoving volume and source-frame time
    (Planck 2015) up to redshift 1, approximately the limit of the challenge's heaviest binaries (6.9 Gpc). A sensitive
    volume needs sources at all distances that a search can reach.
    """
    columns = {**uniform_masses(10.0, 50.0), **source_time(1.0), **no_spins(), **angles()}
    return Population(priors.PriorDict(columns), True)


def demo_bbh() -> Population:
    """``rates_and_populations_bbh`` (source-frame masses) with more high masses, up to redshift 1.

    m1 is uniform in its logarithm in 5–100 solar masses. m2 is uniform from 5 to m1. A small network learns these short
    signals fast.
    """
    return _power_law_bbh(-1.0, 0.0, 1.0, isotropic_spins(MAXIMUM_SPIN, MAXIMUM_SPIN))


def log_normal_bbh(
    mass_1: float | int, mass_2: float | int, width: float | int, maximum_redshift: float | int = MAXIMUM_REDSHIFT
) -> Population:
    """Binaries around a pair of source-frame masses, uniform in comoving volume and source-frame time.

    In a ``.cfg``: ``prior = aframe.waveforms.priors.log_normal_bbh(35, 30, 0.1)``. Spins are isotropic, with magnitudes
    uniform up to 0.998.

    Args:
        mass_1: Median mass of one component, source frame, solar masses.
        mass_2: Median mass of the other component, source frame, solar masses.
        width: Standard deviation of the natural logarithm of each mass.
        maximum_redshift: Largest redshift.

    Raises:
        ConfigurationError: If a mass, the width or the redshift is not positive.
    """
    if min(mass_1, mass_2, width, maximum_redshift) <= 0:
        raise ConfigurationError(
            f"log_normal_bbh({mass_1}, {mass_2}, {width}, {maximum_redshift}): masses, width and redshift are positive"
        )
    masses = {
        "mass_1": priors.LogNormal(mu=np.log(mass_1), sigma=width, name="mass_1"),
        "mass_2": priors.LogNormal(mu=np.log(mass_2), sigma=width, name="mass_2"),
    }
    spins = isotropic_spins(MAXIMUM_SPIN, MAXIMUM_SPIN)
    return Population(priors.PriorDict({**masses, **source_time(float(maximum_redshift)), **spins, **angles()}), False)


def _power_law_bbh(
    mass_1_index: float, mass_2_index: float, maximum_redshift: float, spins: dict[str, priors.Prior]
) -> Population:
    mass_1 = priors.PowerLaw(mass_1_index, MINIMUM_MASS, MAXIMUM_MASS, name="mass_1")
    mass_2 = priors.ConditionalPowerLaw(
        lambda reference, mass_1: {"minimum": reference["minimum"], "maximum": mass_1},  # bilby reads these names
        alpha=mass_2_index,
        minimum=MINIMUM_MASS,
        maximum=MAXIMUM_MASS,
        name="mass_2",
    )
    redshift = UniformComovingVolume(0.0, maximum_redshift, name="redshift", cosmology="Planck15")
    columns = {"mass_1": mass_1, "mass_2": mass_2, "redshift": redshift, **spins, **angles()}
    return Population(priors.ConditionalPriorDict(columns), False)


def _nsbh_masses() -> dict[str, priors.Prior]:
    return {
        "mass_1": priors.PowerLaw(-2.35, NEUTRON_STAR_MASSES[1], 60.0, name="mass_1"),
        "mass_2": priors.Uniform(*NEUTRON_STAR_MASSES, name="mass_2"),
    }
