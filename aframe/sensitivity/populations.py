"""Target populations from bilby priors.

Weights cover all parameters in which target and source population differ. A sensitive volume assumes a constant rate
per comoving volume and source time. It therefore depends on a population's masses at each redshift, its spins and its
angles, but not on its redshift distribution.
"""

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from bilby.core import prior as priors
from jaxtyping import Float

from aframe import storage
from aframe.errors import ConfigurationError, DataError
from aframe.sensitivity.weights import PROBES, Binaries
from aframe.types import Array
from aframe.waveforms.mixtures import AnyPopulation, Mixture, parts
from aframe.waveforms.population import Population, draw

PRIOR_FILE = ".prior"
"""Suffix of prior files."""

SOURCE_FRAME = "_source"
RATIOS = ("mass_ratio", "symmetric_mass_ratio")
MASSES = ("mass_1", "mass_2", "chirp_mass", "total_mass", *RATIOS)
"""Names of masses in bilby's priors. Source-frame masses have the suffix ``_source``."""

COSINE_PREFIX = "cos_"
"""Prefix of bilby's name for an angle's cosine."""

ALIGNED_PREFIX = "chi_"
"""Prefix of bilby's name for a spin component along the orbital angular momentum."""

LABELS = ("name", "latex_label", "unit", "boundary")
"""Arguments of a prior that do not affect its distribution."""


@dataclass(frozen=True, eq=False)
class PopulationTarget:
    """Target population of a bilby prior, at a constant rate per comoving volume and source time.

    Attributes:
        name: Name in files and figures.
        population: Binaries of the prior. Only the range of their redshifts matters.
        source: Population from which injections were drawn.

    Raises:
        ConfigurationError: If weights from source to target are not possible. The message gives the reason.
    """

    name: str
    population: Population
    source: AnyPopulation

    def __post_init__(self) -> None:
        redshift = self.population.prior["redshift"]
        if _depends(redshift):
            raise self._refusal("its redshift depends on other parameters, so its masses at a redshift are unknown")
        masses = {name: prior for name, prior in self.population.prior.items() if _is_mass(name)}
        constrained = {name for name, prior in masses.items() if isinstance(prior, priors.Constraint)}
        frames = {name.endswith(SOURCE_FRAME) for name in masses.keys() - constrained - {*RATIOS}}
        for name, prior in masses.items():
            if name in constrained - {*RATIOS} and name.endswith(SOURCE_FRAME) not in frames:
                raise self._refusal(f"its constraint on {name} is in another frame than the masses of its prior")
            if isinstance(prior, priors.DeltaFunction):
                raise self._refusal(f"its {name} has a single value, which no draw has")
        self._ratios  # noqa: B018 - raises an error for impossible weights before any draw is read

    @property
    def redshift_range(self) -> tuple[float, float]:
        """Smallest and largest redshift."""
        return self.population.redshift_range

    @property
    def sky_fraction(self) -> float:
        """Share of the celestial sphere with sources."""
        return self.population.sky_fraction

    @property
    def columns(self) -> tuple[str, ...]:
        """Spins and angles whose distributions differ from those of the source population."""
        return tuple(dict.fromkeys(name for ratios in self._ratios for ratio in ratios for name in ratio.columns))

    def relative_density(self, binaries: Binaries) -> Float[Array, " n"]:
        """Density of masses at each redshift, times the ratio of densities of all ``columns``.

        Raises:
            DataError: If a draw is outside the source population.
        """
        masses = binaries.mass_1_source, binaries.mass_2_source
        log_density = self.population.log_mass_density(*masses, binaries.redshift)
        density = np.where(np.isfinite(log_density), np.exp(log_density), 0.0)
        if isinstance(self.source, Mixture):
            return density * self._mixture_ratio(self.source, binaries, density > 0)
        for ratio in self._ratios[0]:
            density *= ratio(binaries)
        return density

    def _mixture_ratio(self, source: Mixture, binaries: Binaries, inside: Array) -> Float[Array, " n"]:
        """Ratio of target and source density of all ``columns``, at each draw's masses and redshift.

        With the probability P_k that these belong to component k, the ratio is 1 / Σ_k P_k p_k(column) / p(column).

        Args:
            source: The mixture.
            binaries: Draws.
            inside: Whether each draw's masses are in the target population, shape (n,).

        Raises:
            DataError: If a draw is outside the source population.
        """
        masses = binaries.mass_1_source, binaries.mass_2_source
        probabilities = source.component_probabilities(*masses, binaries.redshift)
        inverse, excluded = np.zeros(len(binaries)), ~inside
        for probability, ratios in zip(probabilities, self._ratios, strict=True):
            share = probability.copy()
            for ratio in ratios:
                ours, theirs = ratio.densities(binaries)
                excluded |= (probability > 0) & ~(ours > 0)
                share *= np.where(ours > 0, theirs, 0.0) / np.where(ours > 0, ours, 1.0)
            inverse += share
        impossible = ~excluded & ~(inverse > 0)
        if impossible.any():
            raise DataError(
                f"{impossible.sum()} of {len(inverse)} draws have spins or angles that their prior does not allow (the "
                f"first: row {int(impossible.argmax())}): name the prior of the injections"
            )
        return np.where(excluded, 0.0, 1.0 / np.where(excluded, 1.0, inverse))

    @functools.cached_property
    def _ratios(self) -> tuple[tuple["DensityRatio", ...], ...]:
        """Ratios for each component of the source. None for a component without binaries of the target's masses."""
        components = parts(self.source)
        if len(components) == 1:
            return (self._ratios_to(components[0]),)
        probes = draw(copy.deepcopy(self.population), PROBES, np.random.default_rng(0))
        redshift = probes["redshift"]
        masses = (probes[name] / (1 + redshift) for name in ("mass_1", "mass_2"))
        first, second = masses
        overlaps = [np.isfinite(each.log_density(first, second, redshift)).any() for each in components]
        return tuple(self._ratios_to(each) if over else () for each, over in zip(components, overlaps, strict=True))

    def _ratios_to(self, source: Population) -> tuple["DensityRatio", ...]:
        """Ratios of the densities of all spins and angles that are not alike in target and source."""
        ours, theirs = (_spins_and_angles(population.prior) for population in (self.population, source))
        if unmatched := sorted(ours.keys() ^ theirs.keys()):
            raise self._refusal(
                f"only one of the two has {', '.join(unmatched)}: spins along the orbit's axis are no share of "
                "spins in all directions"
            )
        ratios = []
        for quantity, (name, prior) in ours.items():
            other_name, other = theirs[quantity]
            same_masses = self.population.detector_frame == source.detector_frame or not _depends(prior)
            if name == other_name and same_masses and _alike(prior, other):
                continue
            if quantity == "ra":
                raise self._refusal("it has another prior of ra, but only accepted draws have their final ra")
            for unfit in (prior, other):
                if _depends(unfit):
                    raise self._refusal(f"{name} depends on other parameters and differs from that of the injections")
                if isinstance(unfit, priors.DeltaFunction):
                    raise self._refusal(f"{name} has one value in one of the two and another law in the other")
            ratios.append(DensityRatio(quantity, (name, prior), (other_name, other)))
        return tuple(ratios)

    def _refusal(self, reason: str) -> ConfigurationError:
        return ConfigurationError(
            f"the population {self.name} cannot be weighed against the injections' prior: {reason}; "
            "name another population, or make injections from a prior that contains it"
        )


@dataclass(frozen=True)
class DensityRatio:
    """Target density over source density of one spin or angle.

    Attributes:
        quantity: Name of the spin or angle: a column of the draws, or ``chi_1`` or ``chi_2``.
        target: Name and prior of its parameter in the target population.
        source: Name and prior of its parameter in the source population.
    """

    quantity: str
    target: tuple[str, priors.Prior]
    source: tuple[str, priors.Prior]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the draws that determine the quantity."""
        if self.quantity.startswith(ALIGNED_PREFIX):
            body = self.quantity.removeprefix(ALIGNED_PREFIX)
            return f"a_{body}", f"tilt_{body}"
        return (self.quantity,)

    def __call__(self, binaries: Binaries) -> Float[Array, " n"]:
        """Ratio of densities of each draw.

        Raises:
            DataError: If a draw is outside the source population.
        """
        numerator, denominator = self.densities(binaries)
        impossible = ~(denominator > 0)
        if impossible.any():
            row, value = int(impossible.argmax()), self._value(binaries)
            raise DataError(
                f"{impossible.sum()} of {len(value)} draws have values of {self.quantity} that their prior does not "
                f"allow (the first: row {row}, {value[row]:.6g}): name the prior of the injections"
            )
        return numerator / denominator

    def densities(self, binaries: Binaries) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """Target density and source density of each draw."""
        value = self._value(binaries)
        target, source = (_density(name, prior, value) for name, prior in (self.target, self.source))
        return target, source

    def _value(self, binaries: Binaries) -> Float[Array, " n"]:
        columns = [np.asarray(binaries.columns[name], dtype=np.float64) for name in self.columns]
        return columns[0] * np.cos(columns[1]) if len(columns) == 2 else columns[0]


def population_targets(populations: Mapping[str, AnyPopulation], source: AnyPopulation) -> list[PopulationTarget]:
    """Create a target for each population.

    Args:
        populations: Populations by their word in the configuration.
        source: Population from which injections were drawn.

    Returns:
        Targets, in the order of ``populations``.

    Raises:
        ConfigurationError: If two populations have the same name, or weights from the source are not possible.
    """
    named: dict[str, str] = {}
    for word in populations:
        name = population_name(word)
        if name in named:
            raise ConfigurationError(
                f"populations {named[name]} and {word} would both be called {name}: rename one of the functions"
            )
        named[name] = word
    targets = []
    for name, word in named.items():
        population = populations[word]
        if isinstance(population, Mixture):
            raise ConfigurationError(f"populations = {word} is a mixture, which has no single volume: name its parts")
        targets.append(PopulationTarget(name, population, source))
    return targets


def population_name(word: str) -> str:
    """Name of a population in files and figures.

    >>> population_name("aframe.waveforms.priors.demo_bbh"), population_name("my.priors.heavy(35, 30)")
    ('demo_bbh', 'heavy(35, 30)')
    >>> population_name("priors/neutron_stars.prior")
    'neutron_stars'
    """
    if storage.has_suffix(word, PRIOR_FILE):
        return word.rpartition("/")[2][: -len(PRIOR_FILE)]
    path, parenthesis, arguments = word.partition("(")
    return (path.rpartition(".")[2] + parenthesis + arguments).replace("/", "_")


def _is_mass(name: str) -> bool:
    return name.removesuffix(SOURCE_FRAME) in MASSES


def _spins_and_angles(prior: priors.PriorDict) -> dict[str, tuple[str, priors.Prior]]:
    """Name and prior of each spin and angle, by quantity. An angle and its cosine are the same quantity."""
    kept = {
        name: value
        for name, value in prior.items()
        if not isinstance(value, priors.Constraint) and name != "redshift" and not _is_mass(name)
    }
    return {name.removeprefix(COSINE_PREFIX): (name, value) for name, value in kept.items()}


def _density(name: str, prior: priors.Prior, value: Array) -> Array:
    """Density of a quantity, also if its prior is one of the quantity's cosine."""
    if name.startswith(COSINE_PREFIX):
        return np.asarray(prior.prob(np.cos(value)) * np.abs(np.sin(value)))
    return np.asarray(prior.prob(value))


def _depends(prior: priors.Prior) -> bool:
    """Whether a density depends on other parameters."""
    return bool(getattr(prior, "required_variables", ())) or isinstance(prior, priors.JointPrior)


def _alike(one: priors.Prior, other: priors.Prior) -> bool:
    """Whether two priors have the same class and arguments, and hence the same distribution."""
    first, second = (_arguments(prior) for prior in (one, other))
    return (
        type(one) is type(other)
        and first.keys() == second.keys()
        and all(first[key] is second[key] or np.array_equal(first[key], second[key]) for key in first)
    )


def _arguments(prior: priors.Prior) -> dict[str, Any]:
    return {key: value for key, value in prior.get_instantiation_dict().items() if key not in LABELS}
