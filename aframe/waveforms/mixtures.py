"""Mixtures of populations, so that one search finds several kinds of binaries."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from bilby.core import prior as priors
from bilby.gw.cosmology import get_cosmology
from jaxtyping import Float

from aframe.errors import ConfigurationError
from aframe.types import Array
from aframe.waveforms.population import Population, draw

COMPONENT = "component"
"""Column of draws: number of the population in the mixture, from 0."""

NEGLIGIBLE = 0.01
"""Density of masses, relative to that of the densest component, below which a component counts as without them."""

REACHED = 0.99
"""Share of binaries, relative to the component that has most of them, from which on a component counts as well."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Several populations. A binary comes from each with a probability.

    Its density is the weighted sum of the components' densities.

    Attributes:
        components: Populations, at least two.
        weights: Probability of each component, shape (components,). Their sum is 1.

    Raises:
        ConfigurationError: If components lie in different parts of the sky, or have different cosmologies. The density
            of a draw is one of masses and redshift, and must not depend on these.
    """

    components: tuple[Population, ...]
    weights: Float[Array, " components"]

    def __post_init__(self) -> None:
        skies = [[(each.prior[name].minimum, each.prior[name].maximum) for name in ("ra", "dec")]
                 for each in self.components]  # fmt: skip
        kinds = [tuple(type(each.prior[name]) for name in ("ra", "dec")) for each in self.components]
        for number, (sky, kind) in enumerate(zip(skies, kinds, strict=True)):
            if kind != kinds[0] or not np.allclose(sky, skies[0]):
                raise ConfigurationError(
                    f"the first population of the mixture and number {number + 1} have different priors of ra and dec: "
                    "give all the same part of the sky"
                )
        names = [_cosmology(each) for each in self.components]
        if len(set(names)) > 1:
            raise ConfigurationError(
                f"the populations of the mixture have the cosmologies {', '.join(names)}: give all the same one"
            )

    @property
    def fixed_names(self) -> list[str]:
        """Masses and redshift that have a single value in a component, and so no density."""
        return list(dict.fromkeys(name for each in self.components for name in each.fixed_names))

    @property
    def mass_frame(self) -> str:
        """Frame of the masses of each component: ``detector`` or ``source``."""
        return ", ".join(each.mass_frame for each in self.components)

    @property
    def redshift_range(self) -> tuple[float, float]:
        """Smallest and largest redshift of all components."""
        return _span([each.redshift_range for each in self.components])

    @property
    def sky_fraction(self) -> float:
        """Share of the celestial sphere with sources."""
        return self.components[0].sky_fraction

    @property
    def isotropic_in_right_ascension(self) -> bool:
        """Whether ``ra`` is uniform over the whole circle. The sidereal time then does not matter."""
        return self.components[0].isotropic_in_right_ascension

    def luminosity_distance(self, redshift: Array) -> Array:
        """Luminosity distance in Mpc at redshifts within ``redshift_range``."""
        farthest = max(self.components, key=lambda each: each.redshift_range[1])
        return farthest.luminosity_distance(redshift)

    def reach(self, mass_1_source: Array, mass_2_source: Array) -> tuple[float, float]:
        """Smallest and largest redshift of the components that have binaries of some masses.

        A component has a binary if its density of masses is not negligible beside the densest component's. Those with
        nearly as many binaries as any count. Neutron stars of a mixture are thus nearby, however distant its black
        holes are.

        Args:
            mass_1_source: Heavier component, solar masses, shape (n,).
            mass_2_source: Lighter component, solar masses, shape (n,).
        """
        rng, logs = np.random.default_rng(0), []
        for each, weight in zip(self.components, self.weights, strict=True):
            redshift = rng.uniform(*each.redshift_range, len(mass_1_source))
            logs.append(np.log(weight) + each.log_mass_density(mass_1_source, mass_2_source, redshift))
        densest = np.nan_to_num(np.stack(logs), nan=-np.inf).max(axis=0)
        shares = [((each >= densest + np.log(NEGLIGIBLE)) & np.isfinite(each)).mean() for each in logs]
        enough = [share > 0 and share >= REACHED * max(shares) for share in shares]
        ranges = [each.redshift_range for each, counts in zip(self.components, enough, strict=True) if counts]
        return _span(ranges) if ranges else self.redshift_range

    def log_density(self, mass_1_source: Array, mass_2_source: Array, redshift: Array) -> Array:
        """Joint log density of source-frame masses and redshift: see ``Population.log_density``."""
        return self._log_sum([each.log_density(mass_1_source, mass_2_source, redshift) for each in self.components])

    def log_redshift_density(self, redshift: Array) -> Array:
        """Log density of the redshift: see ``Population.log_redshift_density``."""
        return self._log_sum([each.log_redshift_density(redshift) for each in self.components])

    def log_mass_density(self, mass_1_source: Array, mass_2_source: Array, redshift: Array) -> Array:
        """Log density of masses at each redshift: see ``Population.log_mass_density``."""
        log_density = self.log_density(mass_1_source, mass_2_source, redshift)
        with np.errstate(invalid="ignore"):
            return np.asarray(log_density - self.log_redshift_density(redshift))

    def component_probabilities(
        self, mass_1_source: Array, mass_2_source: Array, redshift: Array
    ) -> Float[Array, "components n"]:
        """Probability that binaries of some masses and redshifts come from each component.

        Args:
            mass_1_source: Heavier component, solar masses, shape (n,).
            mass_2_source: Lighter component, solar masses, shape (n,).
            redshift: Redshift, shape (n,).

        Returns:
            Probabilities; 0 for binaries outside the mixture.
        """
        logs = [each.log_density(mass_1_source, mass_2_source, redshift) for each in self.components]
        total = self._log_sum(logs)
        shares = np.log(self.weights)[:, None] + np.stack(logs) - np.where(np.isfinite(total), total, 0.0)
        return np.where(np.isfinite(total), np.exp(np.minimum(shares, 0.0)), 0.0)

    def draw(self, number: int, rng: np.random.Generator) -> dict[str, Array]:
        """Draw binaries: see ``priors.draw``. Column ``component`` has the number of each binary's population."""
        component = rng.choice(len(self.components), number, p=self.weights)
        columns: dict[str, Array] = {}
        for k, each in enumerate(self.components):
            rows = np.flatnonzero(component == k)
            if len(rows) > 0:
                for name, values in draw(each, len(rows), rng).items():
                    columns.setdefault(name, np.empty(number))[rows] = values
        return columns | {COMPONENT: component}

    def _log_sum(self, logs: Sequence[Array]) -> Array:
        return np.asarray(functools.reduce(np.logaddexp, np.log(self.weights)[:, None] + np.stack(logs)))


AnyPopulation: TypeAlias = Population | Mixture
"""What signals are drawn from."""


def mixture(components: Sequence[Population], weights: Sequence[float]) -> AnyPopulation:
    """Mix populations. A single one is not changed.

    Args:
        components: Populations, at least one.
        weights: Positive weight of each population, in any unit.

    Raises:
        ConfigurationError: If a weight is not positive or not finite, or the populations do not fit.
    """
    shares = np.asarray(weights, dtype=np.float64)
    if not (np.isfinite(shares).all() and (shares > 0).all()):
        raise ConfigurationError(f"the weights {', '.join(f'{x:g}' for x in shares)} must be positive numbers")
    return components[0] if len(components) == 1 else Mixture(tuple(components), shares / shares.sum())


def parts(population: AnyPopulation) -> tuple[Population, ...]:
    """Components of a mixture, or a plain population alone."""
    return population.components if isinstance(population, Mixture) else (population,)


def _span(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _cosmology(population: Population) -> str:
    prior: priors.Prior = population.prior["redshift"]
    return str(getattr(getattr(prior, "cosmology", None) or get_cosmology(), "name", None))
