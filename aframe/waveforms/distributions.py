"""Distributions of masses, redshifts, spins and angles, of which populations consist, as bilby priors by name."""

import numpy as np
from bilby.core import prior as priors
from bilby.gw.prior import AlignedSpin, UniformSourceFrame


def uniform_masses(minimum: float, maximum: float) -> dict[str, priors.Prior]:
    """Both component masses uniform between two limits, solar masses."""
    return {name: priors.Uniform(minimum, maximum, name=name) for name in ("mass_1", "mass_2")}


def source_time(maximum_redshift: float) -> dict[str, priors.Prior]:
    """Redshifts uniform in comoving volume and source-frame time (Planck 2015)."""
    return {"redshift": UniformSourceFrame(0.0, maximum_redshift, name="redshift", cosmology="Planck15")}


def isotropic_spins(maximum_1: float, maximum_2: float) -> dict[str, priors.Prior]:
    """Isotropic spins with uniform magnitudes up to the limit of each component."""
    return {
        "a_1": priors.Uniform(0.0, maximum_1, name="a_1"),
        "a_2": priors.Uniform(0.0, maximum_2, name="a_2"),
        "tilt_1": priors.Sine(name="tilt_1"),
        "tilt_2": priors.Sine(name="tilt_2"),
        "phi_12": priors.Uniform(0.0, 2 * np.pi, name="phi_12", boundary="periodic"),
        "phi_jl": priors.Uniform(0.0, 2 * np.pi, name="phi_jl", boundary="periodic"),
    }


def aligned_spins(maximum_1: float, maximum_2: float) -> dict[str, priors.Prior]:
    """Aligned spins with the distribution of the aligned components of isotropic spins up to these magnitudes."""
    return {
        name: AlignedSpin(priors.Uniform(0.0, maximum), priors.Uniform(-1.0, 1.0), name=name)
        for name, maximum in (("chi_1", maximum_1), ("chi_2", maximum_2))
    }


def no_spins() -> dict[str, priors.Prior]:
    """Components without spins."""
    return {name: priors.DeltaFunction(0.0, name=name) for name in ("chi_1", "chi_2")}


def angles() -> dict[str, priors.Prior]:
    """Isotropic sky positions and orientations."""
    return {
        "ra": priors.Uniform(0.0, 2 * np.pi, name="ra", boundary="periodic"),
        "dec": priors.Cosine(name="dec"),
        "psi": priors.Uniform(0.0, np.pi, name="psi", boundary="periodic"),
        "theta_jn": priors.Sine(name="theta_jn"),
        "phase": priors.Uniform(0.0, 2 * np.pi, name="phase", boundary="periodic"),
    }
