"""A population of binaries as a bilby prior: draws and densities.

The prior's masses are in the source or the detector frame. Draws are always in the detector frame, and densities always
in the source frame. Populations of different frames can thus be compared.
"""

import contextlib
import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from bilby.core import prior as priors
from bilby.core.utils import random as bilby_random
from bilby.gw.conversion import component_masses_to_chirp_mass
from bilby.gw.cosmology import get_cosmology
from scipy.interpolate import CubicSpline

from aframe.errors import ConfigurationError
from aframe.types import Array
from aframe.waveforms import parametrisations
from aframe.waveforms.parametrisations import ANGLE_COLUMNS, SPIN_COLUMNS


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

    def reach(self, mass_1_source: Array, mass_2_source: Array) -> tuple[float, float]:
        """Smallest and largest redshift of binaries of these masses: ``redshift_range``, whatever the masses."""
        return self.redshift_range

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

    def draw(self, number: int, rng: np.random.Generator) -> dict[str, Array]:
        """Draw binaries: see the function ``draw``."""
        with _bilby_generator(rng):
            sample = {name: np.asarray(value, dtype=np.float64) for name, value in self.prior.sample(number).items()}
        redshift = sample["redshift"]
        scale = 1.0 if self.detector_frame else 1 + redshift
        first, second = (mass * scale for mass in parametrisations.component_masses(sample))
        orientation = parametrisations.orientation(sample)
        return {
            "mass_1": np.maximum(first, second),
            "mass_2": np.minimum(first, second),
            "redshift": redshift,
            **{name: orientation[name] for name in (*SPIN_COLUMNS, *ANGLE_COLUMNS)},
            "chirp_mass": component_masses_to_chirp_mass(first, second),
            "luminosity_distance": self.luminosity_distance(redshift),
        }

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


@runtime_checkable
class Drawable(Protocol):
    """Population that binaries are drawn from."""

    def draw(self, number: int, rng: np.random.Generator) -> dict[str, Array]:
        """Draw binaries: see the function ``draw``."""


def draw(population: Drawable, number: int, rng: np.random.Generator) -> dict[str, Array]:
    """Draw binaries.

    Args:
        population: Population of the binaries.
        number: Number of binaries.
        rng: Source of all randomness. It replaces bilby's generator during the draw.

    Returns:
        Columns of shape (number,) in bilby's names: ``mass_1`` >= ``mass_2`` and ``chirp_mass`` (detector frame,
        solar masses), ``redshift``, ``luminosity_distance`` (Mpc), spins and angles (rad). A mixture adds
        ``component``, the number of the binary's population.
    """
    return population.draw(number, rng)


@contextlib.contextmanager
def _bilby_generator(rng: np.random.Generator) -> Iterator[None]:
    """Let bilby draw from ``rng``. All of bilby's samplers use this one generator."""
    before = bilby_random.Generator.rng
    bilby_random.Generator.rng = rng
    try:
        yield
    finally:
        bilby_random.Generator.rng = before
