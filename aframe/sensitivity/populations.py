"""Target populations from bilby priors.

Weights cover all parameters in which target and source population differ. A sensitive volume assumes a constant rate
per comoving volume and source time. It therefore depends on a population's masses at each redshift, its spins and its
angles, but not on its redshift distribution.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from bilby.core import prior as priors
from jaxtyping import Float

from aframe import storage
from aframe.errors import ConfigurationError, DataError
from aframe.sensitivity.weights import Binaries
from aframe.types import Array
from aframe.waveforms.priors import Population

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
    source: Population

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
        return tuple(dict.fromkeys(name for ratio in self._ratios for name in ratio.columns))

    def relative_density(self, binaries: Binaries) -> Float[Array, " n"]:
        """Density of masses at each redshift, times the ratio of densities of all ``columns``.

        Raises:
            DataError: If a draw is outside the source population.
        """
        masses = binaries.mass_1_source, binaries.mass_2_source
        log_density = self.population.log_mass_density(*masses, binaries.redshift)
        density = np.where(np.isfinite(log_density), np.exp(log_density), 0.0)
        for ratio in self._ratios:
            density *= ratio(binaries)
        return density

    @functools.cached_property
    def _ratios(self) -> tuple["DensityRatio", ...]:
        ours, theirs = (_spins_and_angles(population.prior) for population in (self.population, self.source))
        if unmatched := sorted(ours.keys() ^ theirs.keys()):
            raise self._refusal(
                f"only one of the two has {', '.join(unmatched)}: spins along the orbit's axis are no share of "
                "spins in all directions"
            )
        ratios = []
        for quantity, (name, prior) in ours.items():
            other_name, other = theirs[quantity]
            same_masses = self.population.detector_frame == self.source.detector_frame or not _depends(prior)
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
        columns = [np.asarray(binaries.columns[name], dtype=np.float64) for name in self.columns]
        value = columns[0] * np.cos(columns[1]) if len(columns) == 2 else columns[0]
        numerator, denominator = (_density(name, prior, value) for name, prior in (self.target, self.source))
        impossible = ~(denominator > 0)
        if impossible.any():
            row = int(impossible.argmax())
            raise DataError(
                f"{impossible.sum()} of {len(value)} draws have values of {self.quantity} that their prior does not "
                f"allow (the first: row {row}, {value[row]:.6g}): name the prior of the injections"
            )
        return numerator / denominator


def population_targets(populations: Mapping[str, Population], source: Population) -> list[PopulationTarget]:
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
    return [PopulationTarget(name, populations[word], source) for name, word in named.items()]


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
