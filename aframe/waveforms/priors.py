"""Populations of binaries as bilby priors: draws and densities.

The prior's masses are in the source or the detector frame. Draws are always in the detector frame, and densities always
in the source frame. Populations of different frames can thus be compared.
"""

import contextlib
import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from bilby.core import prior as priors
from bilby.core.utils import random as bilby_random
from bilby.gw.conversion import component_masses_to_chirp_mass
from bilby.gw.cosmology import get_cosmology
from bilby.gw.prior import AlignedSpin, UniformComovingVolume, UniformSourceFrame
from scipy.interpolate import CubicSpline

from aframe.errors import ConfigurationError
from aframe.types import Array
from aframe.waveforms import parametrisations
from aframe.waveforms.parametrisations import ANGLE_COLUMNS, SPIN_COLUMNS

MINIMUM_MASS, MAXIMUM_MASS = 5.0, 100.0
"""Source-frame component masses of the binary black hole populations, in solar masses."""

MAXIMUM_REDSHIFT = 2.0
MAXIMUM_SPIN = 0.998

NEUTRON_STAR_MASSES = (1.0, 2.5)
NEUTRON_STAR_SPIN = 0.4


@dataclass(frozen=True, eq=False)
class Population:
    """Population of binaries: masses, redshifts, spins and angles.

    Masses are ``mass_1`` with ``mass_2`` or ``mass_ratio``, or ``chirp_mass`` or ``total_mass`` with ``mass_ratio``.
    Spins are ``a_i`` and ``tilt_i`` (or its cosine), or aligned ``chi_i``. If the prior allows ``mass_2`` above
    ``mass_1``, draws exchange the two masses; spins keep their labels.

    Attributes:
        prior: bilby prior over masses, ``redshift``, spins and angles, in bilby's names.
        detector_frame: Whether the prior's masses are detector-frame. It must be False for names with ``_source``.

    Raises:
        ConfigurationError: If the prior lacks a parameter, has an unknown one, or the density of masses and redshift
            depends on other parameters.
    """

    prior: priors.PriorDict
    detector_frame: bool

    def __post_init__(self) -> None:
        parametrisations.check(self._names)
        pair = parametrisations.mass_names(self._names)
        if self.detector_frame and pair[0].endswith(parametrisations.SOURCE):
            raise ConfigurationError(f"the prior's {pair[0]} is a source-frame mass: detector_frame must be False")
        allowed = {*pair, "redshift"}
        for name in allowed:
            prior = self.prior[name]
            others = {*getattr(prior, "required_variables", ()), *getattr(getattr(prior, "dist", None), "names", ())}
            if others - allowed:
                raise ConfigurationError(
                    f"the prior's {name} depends on {', '.join(sorted(others - allowed))}: it may depend on masses and "
                    "redshift alone, so that importance weights can be computed"
                )
        self._check_constraints()

    @property
    def fixed_names(self) -> list[str]:
        """Masses and redshift that have a single value, and so no density."""
        names = (*parametrisations.mass_names(self._names), "redshift")
        return [name for name in names if not self.prior[name].minimum < self.prior[name].maximum]

    @property
    def mass_frame(self) -> str:
        """Frame of the prior's masses: ``detector`` or ``source``."""
        return "detector" if self.detector_frame else "source"

    @property
    def redshift_range(self) -> tuple[float, float]:
        """Smallest and largest redshift."""
        redshift = self.prior["redshift"]
        return float(redshift.minimum), float(redshift.maximum)

    @property
    def sky_fraction(self) -> float:
        """Share of the celestial sphere within the prior's limits in ``ra`` and ``dec``."""
        ra, dec = self.prior["ra"], self.prior["dec"]
        return float((ra.maximum - ra.minimum) * (np.sin(dec.maximum) - np.sin(dec.minimum)) / (4 * np.pi))

    @property
    def isotropic_in_right_ascension(self) -> bool:
        """Whether ``ra`` is uniform over the whole circle. The sidereal time then does not matter."""
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
            redshift: Redshift, shape (n,).

        Returns:
            Natural logarithm of the density per squared solar mass, shape (n,); −inf outside the population.
        """
        scale = 1 + redshift if self.detector_frame else np.ones_like(redshift)
        heavy, light = mass_1_source * scale, mass_2_source * scale
        with np.errstate(divide="ignore"):
            ordered = self._log_prior(heavy, light, redshift)
            swapped = self._log_prior(light, heavy, redshift)
            inside = np.where(mass_1_source >= mass_2_source, 0.0, -np.inf)
        return np.asarray(np.logaddexp(ordered, swapped) + inside + 2 * np.log(scale))

    def log_redshift_density(self, redshift: Array) -> Array:
        """Log density of the redshift.

        Args:
            redshift: Redshift, shape (n,).

        Returns:
            Natural logarithm of the density, shape (n,); −inf outside ``redshift_range``.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.prior["redshift"].ln_prob(redshift))

    def log_mass_density(self, mass_1_source: Array, mass_2_source: Array, redshift: Array) -> Array:
        """Log density of source-frame masses (mass_1 >= mass_2) at each redshift.

        Args:
            mass_1_source: Heavier component, solar masses, shape (n,).
            mass_2_source: Lighter component, solar masses, shape (n,).
            redshift: Redshift, shape (n,).

        Returns:
            Natural logarithm of the density per squared solar mass, shape (n,); −inf for masses outside the
            population, NaN outside ``redshift_range``.
        """
        log_density = self.log_density(mass_1_source, mass_2_source, redshift)
        with np.errstate(invalid="ignore"):
            return np.asarray(log_density - self.log_redshift_density(redshift))

    def _log_prior(self, mass_1: Array, mass_2: Array, redshift: Array) -> Array:
        """Log density per mass_1, mass_2 (with the prior's labels, in its frame) and redshift."""
        masses, log_jacobian = parametrisations.mass_parameters(self._names, mass_1, mass_2)
        # bilby normalises constrained priors with random draws
        with np.errstate(invalid="ignore"), _bilby_generator(np.random.default_rng(0)):
            value = self._mass_and_redshift_prior.ln_prob({**masses, "redshift": redshift}, axis=0)
        return np.asarray(value + log_jacobian)

    @functools.cached_property
    def _mass_and_redshift_prior(self) -> priors.PriorDict:
        names = (*parametrisations.mass_names(self._names), "redshift")
        subset = {name: value for name, value in self.prior.items() if name in names or self._is_constraint(name)}
        return type(self.prior)(subset, conversion_function=self.prior.conversion_function)

    def _check_constraints(self) -> None:
        """Check that bilby computes all constrained parameters. It would ignore other constraints without a warning."""
        constrained = [name for name in self.prior if self._is_constraint(name)]
        if not constrained:
            return
        endings = ("", parametrisations.SOURCE)
        masses = {f"{name}{end}" for name in (*parametrisations.MASSES, "mass_2") for end in endings}
        others = [name for name in constrained if name not in {*masses, "mass_ratio", "symmetric_mass_ratio"}]
        if others:
            raise ConfigurationError(
                f"the prior's constraint on {', '.join(others)} is not one on masses alone: importance weights cannot "
                "be computed; choose priors of spins and angles without constraints"
            )
        with _bilby_generator(np.random.default_rng(0)):
            sample = copy.deepcopy(self.prior).sample_subset(self._names, parametrisations.CONSTRAINED_DRAWS)
            computed = self.prior.conversion_function(sample)
        ignored = [name for name in constrained if name not in computed]
        if ignored:
            raise ConfigurationError(
                f"the prior's constraint on {', '.join(ignored)} would have no effect, as its conversion_function does "
                "not compute it: constrain masses, in the frame of the prior, and see docs/priors.md"
            )
        if not np.any(self.prior.evaluate_constraints(sample)):
            raise ConfigurationError(f"the prior's constraint on {', '.join(constrained)} leaves no draw: widen it")

    @functools.cached_property
    def _distance_spline(self) -> CubicSpline:
        cosmology = getattr(self.prior["redshift"], "cosmology", None) or get_cosmology()
        low, high = self.redshift_range
        grid = np.linspace(max(low * 0.99, 0.0), high * 1.01, 1000)
        return CubicSpline(grid, cosmology.luminosity_distance(grid).to_value("Mpc"))

    @functools.cached_property
    def _names(self) -> list[str]:
        """Names of the prior's parameters, without constraints."""
        return [name for name in self.prior if not self._is_constraint(name)]

    def _is_constraint(self, name: str) -> bool:
        return isinstance(self.prior[name], priors.Constraint)


def draw(population: Population, number: int, rng: np.random.Generator) -> dict[str, Array]:
    """Draw binaries.

    Args:
        population: Population of the binaries.
        number: Number of binaries.
        rng: Source of all randomness. It replaces bilby's generator during the draw.

    Returns:
        Columns of shape (number,) in bilby's names: ``mass_1`` >= ``mass_2`` and ``chirp_mass`` (detector frame,
        solar masses), ``redshift``, ``luminosity_distance`` (Mpc), spins and angles (rad).
    """
    with _bilby_generator(rng):
        sample = {name: np.asarray(value, dtype=np.float64) for name, value in population.prior.sample(number).items()}
    redshift = sample["redshift"]
    scale = 1.0 if population.detector_frame else 1 + redshift
    first, second = (mass * scale for mass in parametrisations.component_masses(sample))
    orientation = parametrisations.orientation(sample)
    return {
        "mass_1": np.maximum(first, second),
        "mass_2": np.minimum(first, second),
        "redshift": redshift,
        **{name: orientation[name] for name in (*SPIN_COLUMNS, *ANGLE_COLUMNS)},
        "chirp_mass": component_masses_to_chirp_mass(first, second),
        "luminosity_distance": population.luminosity_distance(redshift),
    }


def rates_and_populations_bbh() -> Population:
    """Binary black holes, like the LVK's injections for its O3 searches (arXiv:2111.03606, arXiv:2111.03634).

    The density of source-frame masses is m1 to the power −2.35 in 5–100 solar masses, and m2 to the power 1 from 5 to
    m1. Sources are uniform in comoving volume (Planck 2015) up to redshift 2. Spins are isotropic, with magnitudes
    uniform up to 0.998. The lower end of the masses (2 there) and the largest redshift (1.9 there) differ from the
    LVK's.
    """
    return _power_law_bbh(-2.35, 1.0, MAXIMUM_REDSHIFT, _isotropic_spins(MAXIMUM_SPIN, MAXIMUM_SPIN))


def rates_and_populations_bns() -> Population:
    """Binary neutron stars, like the LVK's injections for its O3 searches (arXiv:2111.03606).

    Source-frame masses are uniform in 1–2.5 solar masses. Sources are uniform in comoving volume and source-frame time
    (Planck 2015) up to redshift 0.15. Spins are isotropic, with magnitudes uniform up to 0.4. Waveforms have no tides.
    """
    star = _uniform_masses(*NEUTRON_STAR_MASSES)
    spins = _isotropic_spins(NEUTRON_STAR_SPIN, NEUTRON_STAR_SPIN)
    return Population(priors.PriorDict({**star, **_source_time(0.15), **spins, **_angles()}), False)


def rates_and_populations_nsbh() -> Population:
    """Neutron star–black hole binaries, like the LVK's injections for its O3 searches (arXiv:2111.03606).

    The density of source-frame masses is a power of −2.35 in 2.5–60 solar masses for the black hole, and uniform in
    1–2.5 for the neutron star. Sources are uniform in comoving volume and source-frame time (Planck 2015) up to
    redshift 0.25. Spins are isotropic, with magnitudes uniform up to 0.998 (black hole) and 0.4 (neutron star).
    Waveforms have no tides and no disruption.
    """
    masses = {
        "mass_1": priors.PowerLaw(-2.35, NEUTRON_STAR_MASSES[1], 60.0, name="mass_1"),
        "mass_2": priors.Uniform(*NEUTRON_STAR_MASSES, name="mass_2"),
    }
    spins = _isotropic_spins(MAXIMUM_SPIN, NEUTRON_STAR_SPIN)
    return Population(priors.PriorDict({**masses, **_source_time(0.25), **spins, **_angles()}), False)


def aligned_spin_bbh() -> Population:
    """``rates_and_populations_bbh`` (source-frame masses) with aligned spins, for models without precession.

    Each aligned spin has the distribution of the aligned component of an isotropic spin.
    """
    spins = {
        name: AlignedSpin(priors.Uniform(0.0, MAXIMUM_SPIN), priors.Uniform(-1.0, 1.0), name=name)
        for name in ("chi_1", "chi_2")
    }
    return _power_law_bbh(-2.35, 1.0, MAXIMUM_REDSHIFT, spins)


def nonspinning_bbh() -> Population:
    """``rates_and_populations_bbh`` (source-frame masses) without spins."""
    return _power_law_bbh(-2.35, 1.0, MAXIMUM_REDSHIFT, _no_spins())


def mlgwsc_1() -> Population:
    """Binary black holes like those of the first machine-learning mock data challenge (arXiv:2209.11146, data set 1).

    As in the challenge, detector-frame masses are uniform in 10–50 solar masses, without spins. The distances differ.
    In the challenge, the chirp distance d = D (1.22 solar masses / chirp mass)^(5/6), with luminosity distance D, has
    density d² in 130–350 Mpc for any masses. Here, sources are uniform in comoving volume and source-frame time
    (Planck 2015) up to redshift 1, approximately the limit of the challenge's heaviest binaries (6.9 Gpc). A sensitive
    volume needs sources at all distances that a search can reach.
    """
    columns = {**_uniform_masses(10.0, 50.0), **_source_time(1.0), **_no_spins(), **_angles()}
    return Population(priors.PriorDict(columns), True)


def demo_bbh() -> Population:
    """``rates_and_populations_bbh`` (source-frame masses) with more high masses, up to redshift 1.

    m1 is uniform in its logarithm in 5–100 solar masses. m2 is uniform from 5 to m1. A small network learns these short
    signals fast.
    """
    return _power_law_bbh(-1.0, 0.0, 1.0, _isotropic_spins(MAXIMUM_SPIN, MAXIMUM_SPIN))


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
    spins = _isotropic_spins(MAXIMUM_SPIN, MAXIMUM_SPIN)
    return Population(
        priors.PriorDict({**masses, **_source_time(float(maximum_redshift)), **spins, **_angles()}), False
    )


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
    columns = {"mass_1": mass_1, "mass_2": mass_2, "redshift": redshift, **spins, **_angles()}
    return Population(priors.ConditionalPriorDict(columns), False)


def _uniform_masses(minimum: float, maximum: float) -> dict[str, priors.Prior]:
    return {name: priors.Uniform(minimum, maximum, name=name) for name in ("mass_1", "mass_2")}


def _source_time(maximum_redshift: float) -> dict[str, priors.Prior]:
    return {"redshift": UniformSourceFrame(0.0, maximum_redshift, name="redshift", cosmology="Planck15")}


def _isotropic_spins(maximum_1: float, maximum_2: float) -> dict[str, priors.Prior]:
    return {
        "a_1": priors.Uniform(0.0, maximum_1, name="a_1"),
        "a_2": priors.Uniform(0.0, maximum_2, name="a_2"),
        "tilt_1": priors.Sine(name="tilt_1"),
        "tilt_2": priors.Sine(name="tilt_2"),
        "phi_12": priors.Uniform(0.0, 2 * np.pi, name="phi_12", boundary="periodic"),
        "phi_jl": priors.Uniform(0.0, 2 * np.pi, name="phi_jl", boundary="periodic"),
    }


def _no_spins() -> dict[str, priors.Prior]:
    return {name: priors.DeltaFunction(0.0, name=name) for name in ("chi_1", "chi_2")}


def _angles() -> dict[str, priors.Prior]:
    return {
        "ra": priors.Uniform(0.0, 2 * np.pi, name="ra", boundary="periodic"),
        "dec": priors.Cosine(name="dec"),
        "psi": priors.Uniform(0.0, np.pi, name="psi", boundary="periodic"),
        "theta_jn": priors.Sine(name="theta_jn"),
        "phase": priors.Uniform(0.0, 2 * np.pi, name="phase", boundary="periodic"),
    }


@contextlib.contextmanager
def _bilby_generator(rng: np.random.Generator) -> Iterator[None]:
    """Let bilby draw from ``rng``. All of bilby's samplers use this one generator."""
    before = bilby_random.Generator.rng
    bilby_random.Generator.rng = rng
    try:
        yield
    finally:
        bilby_random.Generator.rng = before
