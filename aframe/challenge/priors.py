"""Populations to train a network with for the challenge's data sets."""

import numpy as np
from bilby.core import prior as priors
from bilby.gw.prior import UniformSourceFrame

from aframe.challenge.data_sets import ALIGNED_SPINS, DATA_SETS, ISOTROPIC_SPINS, MAXIMUM_SPIN
from aframe.waveforms.priors import Population

MASS_INDEX = 1.25
"""Power of each mass in the density of a training's population: Mc^(5/2) is (m₁ m₂)^(5/4) for equal masses."""

MAXIMUM_REDSHIFT = 1.0
"""Largest redshift: approximately the distance of the challenge's heaviest and farthest binaries, 6.9 Gpc."""


def data_set_1() -> Population:
    """Binaries of data set 1 (detector-frame masses in 10–50 solar masses, no spins), weighted by what they count.

    The challenge draws masses uniformly. A found signal then counts by the 5/2 power of its chirp mass Mc in the
    sensitive distance, as signals are drawn in chirp distance. A network should therefore learn signals in proportion
    to Mc^(5/2): the likelihood ratio that maximises the sum over found signals is that of noise against the weighted
    population. Here each mass has a density ∝ m^(5/4). Over Mc^(5/2), their product is a function of the mass
    ratio alone, which varies by 14 % from equal masses to 1/5.

    Sources are uniform in comoving volume and source-frame time (Planck 2015) up to redshift 1, as in
    ``aframe.waveforms.priors.mlgwsc_1``. A training draws SNRs of its own, so that distances do not matter for it.
    """
    return _weighted(1)


def data_set_2() -> Population:
    """Binaries of data set 2 (7–50 solar masses, aligned spins uniform in ±0.99), weighted as in ``data_set_1``."""
    return _weighted(2)


def data_set_3() -> Population:
    """Binaries of data set 3 (7–50 solar masses, isotropic spins up to 0.99), weighted as in ``data_set_1``."""
    return _weighted(3)


def _weighted(number: int) -> Population:
    chosen = DATA_SETS[number]
    columns = {
        **{name: priors.PowerLaw(MASS_INDEX, *chosen.masses, name=name) for name in ("mass_1", "mass_2")},
        "redshift": UniformSourceFrame(0.0, MAXIMUM_REDSHIFT, name="redshift", cosmology="Planck15"),
        **_spins(chosen.spins),
        "ra": priors.Uniform(0.0, 2 * np.pi, name="ra", boundary="periodic"),
        "dec": priors.Cosine(name="dec"),
        "psi": priors.Uniform(0.0, np.pi, name="psi", boundary="periodic"),
        "theta_jn": priors.Sine(name="theta_jn"),
        "phase": priors.Uniform(0.0, 2 * np.pi, name="phase", boundary="periodic"),
    }
    return Population(priors.PriorDict(columns), True)


def _spins(kind: str) -> dict[str, priors.Prior]:
    if kind == ISOTROPIC_SPINS:
        columns = {f"a_{i}": priors.Uniform(0.0, MAXIMUM_SPIN, name=f"a_{i}") for i in (1, 2)}
        columns |= {f"tilt_{i}": priors.Sine(name=f"tilt_{i}") for i in (1, 2)}
        angles = ("phi_12", "phi_jl")
        return columns | {name: priors.Uniform(0.0, 2 * np.pi, name=name, boundary="periodic") for name in angles}
    if kind == ALIGNED_SPINS:
        return {name: priors.Uniform(-MAXIMUM_SPIN, MAXIMUM_SPIN, name=name) for name in ("chi_1", "chi_2")}
    return {name: priors.DeltaFunction(0.0, name=name) for name in ("chi_1", "chi_2")}
