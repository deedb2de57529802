"""Target populations given as bilby priors, weighed over everything in which they differ from the injected one.

A population's own law of redshift does not count: a volume is one for a constant rate per comoving volume and source
time, so only the masses that the population has at each redshift, its spins and its angles enter.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from bilby.core import prior as priors
from jaxtyping import Float

from aframe.errors import ConfigurationError, DataError
from aframe.sensitivity.weights import Binaries
from aframe.types import Array
from aframe.waveforms.priors import Population

SOURCE_FRAME = "_source"
RATIOS = ("mass_ratio", "symmetric_mass_ratio")
MASSES = ("mass_1", "mass_2", "chirp_mass", "total_mass", *RATIOS)
"""Names of masses in bilby's priors, in the source frame also with the ending ``_source``."""

COSINE, ALIGNED = "cos_", "chi_"
"""Beginnings of bilby's names of an angle's cosine and of a spin along the orbit's axis."""

LABELS = ("name", "latex_label", "unit", "boundary")
"""What two equal distributions may differ in."""


@dataclass(frozen=True, eq=False)
class PopulationTarget:
    """The binaries of a bilby prior, at a constant rate per comoving volume and source time.

    Attributes:
        name: What it is called in files and figures.
        population: The binaries; their redshifts count by their range alone.
        source: The population from which injections were drawn.

    Raises:
        ConfigurationError: If no weights can lead from the one to the other; says why.
    """

    name: str
    population: Population
    source: Population

    def __post_init__(self) -> None:
        redshift = self.population.prior["redshift"]
        if _depends(redshift):
            raise self._refusal("its redshift depends on other parameters, so its masses at a redshift are not known")
        masses = {name: prior for name, prior in self.population.prior.items() if _is_mass(name)}
        constrained = {name for name, prior in masses.items() if isinstance(prior, priors.Constraint)}
        frames = {name.endswith(SOURCE_FRAME) for name in masses.keys() - constrained - {*RATIOS}}
        for name, prior in masses.items():
            if name in constrained - {*RATIOS} and name.endswith(SOURCE_FRAME) not in frames:
                raise self._refusal(f"its constraint on {name} is none on masses in the frame of its prior alone")
            if isinstance(prior, priors.DeltaFunction):
                raise self._refusal(f"its {name} has a single value, which no draw has")
        self._ratios  # noqa: B018 - refuses what cannot be weighed before any draw is read

    @property
    def redshift_range(self) -> tuple[float, float]:
        """Smallest and largest redshift."""
        return self.population.redshift_range

    @property
    def sky_fraction(self) -> float:
        """Share of the sphere in which there are sources."""
        return self.population.sky_fraction

    @property
    def columns(self) -> tuple[str, ...]:
        """Spins and angles that are distributed otherwise than the source population's."""
        return tuple(dict.fromkeys(name for ratio in self._ratios for name in ratio.columns))

    def relative_density(self, binaries: Binaries) -> Float[Array, " n"]:
        """Density of masses given redshift, times the ratio of densities of all ``columns``.

        Raises:
            DataError: If the source population cannot have made a draw.
        """
        log_density = self.population.log_density(binaries.mass_1_source, binaries.mass_2_source, binaries.redshift)
        with np.errstate(divide="ignore", invalid="ignore"):
            log_density = log_density - self.population.prior["redshift"].ln_prob(binaries.redshift)
        density = np.where(np.isfinite(log_density), np.exp(log_density), 0.0)
        for ratio in self._ratios:
            density *= ratio(binaries)
        return density

    @functools.cached_property
    def _ratios(self) -> tuple["DensityRatio", ...]:
        ours, theirs = (_spins_and_angles(population.prior) for population in (self.population, self.source))
        if lacking := sorted(ours.keys() ^ theirs.keys()):
            raise self._refusal(
                f"{', '.join(lacking)} is given by one of the two alone: spins along the orbit's axis are no share of "
                "spins in all directions"
            )
        ratios = []
        for quantity, (name, prior) in ours.items():
            other_name, other = theirs[quantity]
            same_masses = self.population.detector_frame == self.source.detector_frame or not _depends(prior)
            if name == other_name and same_masses and _alike(prior, other):
                continue
            if quantity == "ra":
                raise self._refusal("it has another prior of ra, which is that of a draw only once it is accepted")
            for unfit in (prior, other):
                if _depends(unfit):
                    raise self._refusal(f"{name} depends on other parameters and is not the injected one's")
                if isinstance(unfit, priors.DeltaFunction):
                    raise self._refusal(f"{name} has one value in one of the two and another law in the other")
            ratios.append(DensityRatio(quantity, (name, prior), (other_name, other)))
        return tuple(ratios)

    def _refusal(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"the population {self.name} cannot be weighed against the injections' prior: {why}; "
            "name another population, or make injections from a prior that contains it"
        )


@dataclass(frozen=True)
class DensityRatio:
    """Target density over source density of one spin or angle.

    Attributes:
        quantity: What differs: a column of the draws, or ``chi_1`` or ``chi_2``.
        target: Name and prior of the parameter that gives it in the target population.
        source: Likewise in the source population.
    """

    quantity: str
    target: tuple[str, priors.Prior]
    source: tuple[str, priors.Prior]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the draws from which the quantity follows."""
        if self.quantity.startswith(ALIGNED):
            body = self.quantity.removeprefix(ALIGNED)
            return f"a_{body}", f"tilt_{body}"
        return (self.quantity,)

    def __call__(self, binaries: Binaries) -> Float[Array, " n"]:
        """The ratio at each draw.

        Raises:
            DataError: If the source population cannot have made a draw.
        """
        given = [np.asarray(binaries.columns[name], dtype=np.float64) for name in self.columns]
        value = given[0] * np.cos(given[1]) if len(given) == 2 else given[0]
        numerator, denominator = (_density(name, prior, value) for name, prior in (self.target, self.source))
        impossible = ~(denominator > 0)
        if impossible.any():
            row = int(impossible.argmax())
            raise DataError(
                f"{impossible.sum()} of {len(value)} draws have values of {self.quantity} that their prior does not "
                f"allow (the first: row {row}, {value[row]:.6g}): name the prior with which the injections were made"
            )
        return numerator / denominator


def population_targets(populations: Mapping[str, Population], source: Population) -> list[PopulationTarget]:
    """A target for each population.

    Args:
        populations: By the word that a configuration has for each.
        source: The population from which injections were drawn.

    Raises:
        ConfigurationError: If two have one name, or weights cannot lead to one from the source.
    """
    named: dict[str, str] = {}
    for word in populations:
        name = population_name(word)
        if name in named:
            raise ConfigurationError(
                f"populations {named[name]} and {word} would both be called {name}: rename one of the functions"
            )
        named[name] = word
    return [PopulationTarget(name, populations[word], source) for name, word in named.items()]


def population_name(word: str) -> str:
    """What a population is called in files and figures.

    >>> population_name("aframe.waveforms.priors.demo_bbh"), population_name("my.priors.heavy(35, 30)")
    ('demo_bbh', 'heavy(35, 30)')
    >>> population_name("priors/neutron_stars.prior")
    'neutron_stars'
    """
    if word.endswith(".prior"):
        return word.rpartition("/")[2].removesuffix(".prior")
    path, parenthesis, arguments = word.partition("(")
    return (path.rpartition(".")[2] + parenthesis + arguments).replace("/", "_")


def _is_mass(name: str) -> bool:
    return name.removesuffix(SOURCE_FRAME) in MASSES


def _spins_and_angles(prior: priors.PriorDict) -> dict[str, tuple[str, priors.Prior]]:
    """Name and prior of all that is neither mass nor redshift, by quantity: an angle, whether or not by its cosine."""
    kept = {
        name: value
        for name, value in prior.items()
        if not isinstance(value, priors.Constraint) and name != "redshift" and not _is_mass(name)
    }
    return {name.removeprefix(COSINE): (name, value) for name, value in kept.items()}


def _density(name: str, prior: priors.Prior, value: Array) -> Array:
    """Density of a quantity whose prior may be given in its cosine."""
    if name.startswith(COSINE):
        return np.asarray(prior.prob(np.cos(value)) * np.abs(np.sin(value)))
    return np.asarray(prior.prob(value))


def _depends(prior: priors.Prior) -> bool:
    """Whether a density is not one of its own parameter alone."""
    return bool(getattr(prior, "required_variables", ())) or isinstance(prior, priors.JointPrior)


def _alike(one: priors.Prior, other: priors.Prior) -> bool:
    """Whether two priors are one distribution, by their class and arguments."""
    first, second = (_arguments(prior) for prior in (one, other))
    return (
        type(one) is type(other)
        and first.keys() == second.keys()
        and all(first[key] is second[key] or np.array_equal(first[key], second[key]) for key in first)
    )


def _arguments(prior: priors.Prior) -> dict[str, Any]:
    return {key: value for key, value in prior.get_instantiation_dict().items() if key not in LABELS}
