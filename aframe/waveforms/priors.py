"""Populations of binaries: bilby priors, named by python path, drawn from and evaluated.

A population's masses may be given in the source or in the detector frame; draws are always detector-frame,
densities always source-frame, so that two populations can be compared whatever their convention.
"""

import contextlib
import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from bilby.core import prior as priors
from bilby.core.utils import random as bilby_random
from bilby.gw.conversion import component_masses_to_chirp_mass
from bilby.gw.cosmology import get_cosmology
from bilby.gw.prior import UniformComovingVolume, UniformSourceFrame
from scipy.interpolate import CubicSpline

from aframe.errors import ConfigurationError
from aframe.types import Array

SPIN_COLUMNS = ("a_1", "a_2", "tilt_1", "tilt_2", "phi_12", "phi_jl")
ANGLE_COLUMNS = ("ra", "dec", "psi", "theta_jn", "phase")
REQUIRED_COLUMNS = ("mass_1", "mass_2", "redshift", *SPIN_COLUMNS, *ANGLE_COLUMNS)

MINIMUM_MASS, MAXIMUM_MASS = 5.0, 100.0
"""Source-frame component masses of the binary black hole populations, in solar masses."""

MAXIMUM_REDSHIFT = 2.0
MAXIMUM_SPIN = 0.998


@dataclass(frozen=True, eq=False)
class Population:
    """What binaries there are, where, and how they are oriented.

    Where the prior lets ``mass_2`` exceed ``mass_1``, the heavier one is ``mass_1``; spins keep their labels.

    Attributes:
        prior: bilby prior over ``mass_1``, ``mass_2``, ``redshift``, spins and angles, in bilby's names.
        detector_frame: Whether the prior's masses are detector-frame.

    Raises:
        ConfigurationError: If the prior lacks one of the parameters, or has one that is not understood.
    """

    prior: priors.PriorDict
    detector_frame: bool

    def __post_init__(self) -> None:
        missing = [name for name in REQUIRED_COLUMNS if name not in self.prior]
        unknown = [name for name in self.prior if name not in REQUIRED_COLUMNS and not self._is_constraint(name)]
        if missing or unknown:
            raise ConfigurationError(
                f"the prior lacks {missing} and has unknown {unknown}: give it exactly {', '.join(REQUIRED_COLUMNS)}"
            )

    @property
    def redshift_range(self) -> tuple[float, float]:
        """Smallest and largest redshift."""
        redshift = self.prior["redshift"]
        return float(redshift.minimum), float(redshift.maximum)

    @property
    def sky_fraction(self) -> float:
        """Share of the sphere between the prior's limits in ``ra`` and ``dec``."""
        ra, dec = self.prior["ra"], self.prior["dec"]
        return float((ra.maximum - ra.minimum) * (np.sin(dec.maximum) - np.sin(dec.minimum)) / (4 * np.pi))

    @property
    def isotropic_in_right_ascension(self) -> bool:
        """Whether ``ra`` is uniform over the whole circle, so that the time of day does not matter."""
        ra = self.prior["ra"]
        return isinstance(ra, priors.Uniform) and bool(np.isclose(ra.maximum - ra.minimum, 2 * np.pi))

    def luminosity_distance(self, redshift: Array) -> Array:
        """Luminosity distance in Mpc at redshifts within ``redshift_range``, in the cosmology of the prior."""
        return np.asarray(self._distance_spline(redshift))

    def log_density(self, mass_1_source: Array, mass_2_source: Array, redshift: Array) -> Array:
        """Joint log density of source-frame masses (mass_1 >= mass_2) and redshift.

        Args:
            mass_1_source: Heavier component, solar masses, shape (n,).
            mass_2_source: Lighter component, solar masses, shape (n,).
            redshift: Shape (n,).

        Returns:
            Shape (n,), natural logarithm, per squared solar mass; −inf outside the population.
        """
        scale = 1 + redshift if self.detector_frame else np.ones_like(redshift)
        heavy, light = mass_1_source * scale, mass_2_source * scale
        with np.errstate(divide="ignore"):
            ordered = self._log_prior(heavy, light, redshift)
            swapped = self._log_prior(light, heavy, redshift)
            inside = np.where(mass_1_source >= mass_2_source, 0.0, -np.inf)
        return np.asarray(np.logaddexp(ordered, swapped) + inside + 2 * np.log(scale))

    def _log_prior(self, mass_1: Array, mass_2: Array, redshift: Array) -> Array:
        sample = {"mass_1": mass_1, "mass_2": mass_2, "redshift": redshift}
        with np.errstate(invalid="ignore"):
            return np.asarray(self._mass_and_redshift_prior.ln_prob(sample, axis=0))

    @functools.cached_property
    def _mass_and_redshift_prior(self) -> priors.PriorDict:
        wanted = {
            name: value
            for name, value in self.prior.items()
            if name in ("mass_1", "mass_2", "redshift") or self._is_constraint(name)
        }
        return type(self.prior)(wanted, conversion_function=self.prior.conversion_function)

    @functools.cached_property
    def _distance_spline(self) -> CubicSpline:
        cosmology = getattr(self.prior["redshift"], "cosmology", None) or get_cosmology()
        low, high = self.redshift_range
        grid = np.linspace(max(low * 0.99, 0.0), high * 1.01, 1000)
        return CubicSpline(grid, cosmology.luminosity_distance(grid).to_value("Mpc"))

    def _is_constraint(self, name: str) -> bool:
        return isinstance(self.prior[name], priors.Constraint)


def draw(population: Population, number: int, rng: np.random.Generator) -> dict[str, Array]:
    """Draw binaries.

    Args:
        population: What to draw from.
        number: How many.
        rng: Everything random comes from here; bilby's own generator is replaced for the draw.

    Returns:
        Columns of shape (number,) in bilby's names: ``mass_1`` >= ``mass_2`` and ``chirp_mass`` (detector frame,
        solar masses), ``redshift``, ``luminosity_distance`` (Mpc), spins and angles (rad).
    """
    with _bilby_generator(rng):
        sample = population.prior.sample(number)
    columns = {name: np.asarray(sample[name], dtype=np.float64) for name in REQUIRED_COLUMNS}
    scale = 1.0 if population.detector_frame else 1 + columns["redshift"]
    first, second = columns["mass_1"] * scale, columns["mass_2"] * scale
    columns["mass_1"], columns["mass_2"] = np.maximum(first, second), np.minimum(first, second)
    columns["chirp_mass"] = component_masses_to_chirp_mass(first, second)
    columns["luminosity_distance"] = population.luminosity_distance(columns["redshift"])
    return columns


def load_population(path: str) -> Population:
    """Call the function of a python path, as ``aframe.waveforms.priors.rates_and_populations_bbh``.

    Raises:
        ConfigurationError: If it cannot be imported or does not return a ``Population``.
    """
    module, _, name = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"prior = {path} cannot be imported ({error}): give the python path of a function, "
            "such as aframe.waveforms.priors.rates_and_populations_bbh"
        ) from None
    try:
        population = function() if callable(function) else function
    except Exception as error:
        told = " ".join(str(error).split())
        raise ConfigurationError(f"prior = {path} fails ({type(error).__name__}: {told}): mend the function") from error
    if not isinstance(population, Population):
        raise ConfigurationError(
            f"prior = {path} gives a {type(population).__name__}: it must be a function "
            "that returns an aframe.waveforms.priors.Population"
        )
    return population


def rates_and_populations_bbh() -> Population:
    """Binary black holes as in the LVK's O3 sensitivity estimates (arXiv:2111.03634, Sec. II).

    Source-frame masses: m1 to the power −2.35 in 5–100 solar masses, m2 given m1 to the power 1 from 5 to m1.
    Uniform in comoving volume (Planck 2015) to redshift 2; spins isotropic, magnitudes uniform to 0.998.
    """
    return _power_law_bbh(-2.35, 1.0, MAXIMUM_REDSHIFT)


def demo_bbh() -> Population:
    """As ``rates_and_populations_bbh``, with more weight on high masses and within redshift 1.

    m1 is uniform in its logarithm in 5–100 solar masses, m2 given m1 is uniform from 5 to m1: a small network learns
    short signals soon.
    """
    return _power_law_bbh(-1.0, 0.0, 1.0)


def log_normal_bbh(
    mass_1: float, mass_2: float, width: float, maximum_redshift: float = MAXIMUM_REDSHIFT
) -> Population:
    """Binaries about one pair of source-frame masses, uniform in comoving volume and source-frame time.

    Args:
        mass_1: Median of one component, source frame, solar masses.
        mass_2: Median of the other.
        width: Standard deviation of the masses' natural logarithms.
        maximum_redshift: Largest redshift.
    """
    masses = {
        "mass_1": priors.LogNormal(mu=np.log(mass_1), sigma=width, name="mass_1"),
        "mass_2": priors.LogNormal(mu=np.log(mass_2), sigma=width, name="mass_2"),
    }
    redshift = UniformSourceFrame(0.0, maximum_redshift, name="redshift", cosmology="Planck15")
    return Population(priors.PriorDict({**masses, "redshift": redshift, **_spins_and_angles()}), False)


def _power_law_bbh(mass_1_index: float, mass_2_index: float, maximum_redshift: float) -> Population:
    mass_1 = priors.PowerLaw(mass_1_index, MINIMUM_MASS, MAXIMUM_MASS, name="mass_1")
    mass_2 = priors.ConditionalPowerLaw(
        lambda reference, mass_1: {"minimum": reference["minimum"], "maximum": mass_1},  # bilby reads these names
        alpha=mass_2_index,
        minimum=MINIMUM_MASS,
        maximum=MAXIMUM_MASS,
        name="mass_2",
    )
    redshift = UniformComovingVolume(0.0, maximum_redshift, name="redshift", cosmology="Planck15")
    columns = {"mass_1": mass_1, "mass_2": mass_2, "redshift": redshift, **_spins_and_angles()}
    return Population(priors.ConditionalPriorDict(columns), False)


def _spins_and_angles() -> dict[str, priors.Prior]:
    circle = {"minimum": 0.0, "maximum": 2 * np.pi, "boundary": "periodic"}
    return {
        "a_1": priors.Uniform(0.0, MAXIMUM_SPIN, name="a_1"),
        "a_2": priors.Uniform(0.0, MAXIMUM_SPIN, name="a_2"),
        "tilt_1": priors.Sine(name="tilt_1"),
        "tilt_2": priors.Sine(name="tilt_2"),
        "phi_12": priors.Uniform(name="phi_12", **circle),
        "phi_jl": priors.Uniform(name="phi_jl", **circle),
        "ra": priors.Uniform(name="ra", **circle),
        "dec": priors.Cosine(name="dec"),
        "psi": priors.Uniform(0.0, np.pi, name="psi", boundary="periodic"),
        "theta_jn": priors.Sine(name="theta_jn"),
        "phase": priors.Uniform(name="phase", **circle),
    }


@contextlib.contextmanager
def _bilby_generator(rng: np.random.Generator) -> Iterator[None]:
    """Let bilby draw from ``rng``: its samplers look their generator up by this one name."""
    before = bilby_random.Generator.rng
    bilby_random.Generator.rng = rng
    try:
        yield
    finally:
        bilby_random.Generator.rng = before
