"""Importance weights that turn draws from one population into draws from another.

Tiwari, arXiv:1712.00482; Farr, arXiv:1904.10879. A weight is the ratio of two joint densities over everything that the
populations disagree on: both source-frame masses, redshift, and whichever spins and angles differ.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from aframe.errors import ConfigurationError, DataError
from aframe.sensitivity.cosmology import comoving_volume_time, source_time_volume_density
from aframe.tables import Table
from aframe.types import Array

NEGLIGIBLE = 36.0
"""Exponent from which on a log-normal density is none: e⁻³⁶ of its peak is less than rounding."""


PROBES = 4096
"""Binaries by which it is judged whether a population lies outside another."""


@runtime_checkable
class Source(Protocol):
    """The population from which injections were drawn."""

    @property
    def redshift_range(self) -> tuple[float, float]:
        """Smallest and largest redshift."""

    @property
    def sky_fraction(self) -> float:
        """Share of the sphere in which there are sources."""

    def log_density(self, mass_1_source: Array, mass_2_source: Array, redshift: Array) -> Array:
        """Joint log density of source-frame masses (mass_1 >= mass_2, solar masses) and redshift."""


@dataclass(frozen=True, eq=False)
class Binaries:
    """What weights depend on, of some draws; all arrays of shape (n,).

    Attributes:
        mass_1_source: Heavier component, source frame, solar masses.
        mass_2_source: Lighter component.
        redshift: Redshift.
        columns: All columns of the draws, as they are stored.
    """

    mass_1_source: Float[Array, " n"]
    mass_2_source: Float[Array, " n"]
    redshift: Float[Array, " n"]
    columns: Mapping[str, Array]

    @classmethod
    def of(cls, draws: Table) -> "Binaries":
        """From columns ``mass_1``, ``mass_2`` (detector frame, solar masses) and ``redshift``."""
        redshift = np.asarray(draws["redshift"], dtype=np.float64)
        return cls(draws["mass_1"] / (1 + redshift), draws["mass_2"] / (1 + redshift), redshift, draws.parameters)

    def __len__(self) -> int:
        return len(self.redshift)

    @functools.cached_property
    def log_masses(self) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """Natural logarithms of the source-frame masses."""
        return np.log(self.mass_1_source), np.log(self.mass_2_source)

    @functools.cached_property
    def log_chirp_mass_source(self) -> Float[Array, " n"]:
        """Natural logarithm of the chirp mass (m1 m2)^(3/5) / (m1 + m2)^(1/5), source frame."""
        first, second = self.log_masses
        return np.asarray(0.6 * (first + second) - 0.2 * np.log(self.mass_1_source + self.mass_2_source))


@runtime_checkable
class Target(Protocol):
    """A population for which a volume is wanted.

    Whatever its masses and spins are, it is taken to merge at a constant rate per comoving volume and source time.
    """

    @property
    def name(self) -> str:
        """What it is called in files and figures."""

    @property
    def redshift_range(self) -> tuple[float, float]:
        """Smallest and largest redshift."""

    @property
    def sky_fraction(self) -> float | None:
        """Share of the sphere in which there are sources; None for the source population's."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the draws on which it depends besides masses and redshift."""

    def relative_density(self, binaries: Binaries) -> Float[Array, " n"]:
        """Density of source-frame masses (mass_1 >= mass_2) given redshift, per squared solar mass.

        Multiplied by the ratio of target and source density of all ``columns``.
        """


@dataclass(frozen=True)
class LogNormalTarget:
    """Binaries about one pair of source-frame masses; spins and angles are those of the source population.

    Attributes:
        mass_1: Median of one component, source frame, solar masses.
        mass_2: Median of the other.
        width: Standard deviation of the masses' natural logarithms.
        redshift_range: Smallest and largest redshift.
    """

    mass_1: float
    mass_2: float
    width: float
    redshift_range: tuple[float, float]

    @property
    def name(self) -> str:
        """The pair as in ``35-20``."""
        return f"{self.mass_1:g}-{self.mass_2:g}"

    @property
    def sky_fraction(self) -> None:
        """The source population's."""

    @property
    def columns(self) -> tuple[str, ...]:
        """None besides masses and redshift."""
        return ()

    def check_reached(self, source: Source) -> None:
        """Refuse masses that no draw can have.

        Args:
            source: The population of the draws.

        Raises:
            ConfigurationError: If none of ``PROBES`` binaries of this population lies in the other.
        """
        rng = np.random.default_rng(0)
        scatter = np.exp(self.width * rng.standard_normal((2, PROBES)))
        mass_1, mass_2 = self.mass_1 * scatter[0], self.mass_2 * scatter[1]
        redshift = rng.uniform(*self.redshift_range, PROBES)
        if not np.isfinite(source.log_density(np.maximum(mass_1, mass_2), np.minimum(mass_1, mass_2), redshift)).any():
            raise ConfigurationError(
                f"mass_combos = {self.name}: the prior of the injections makes no binary of such source-frame masses "
                "(solar masses); leave the pair out, or take a prior that contains it"
            )

    def relative_density(self, binaries: Binaries) -> Float[Array, " n"]:
        """Density of the masses, folded onto mass_1 >= mass_2."""
        (first, second), both = binaries.log_masses, np.zeros(len(binaries))
        for one, other in ((self.mass_1, self.mass_2), (self.mass_2, self.mass_1)):
            exponent = ((first - np.log(one)) ** 2 + (second - np.log(other)) ** 2) / (2 * self.width**2)
            near = np.flatnonzero(exponent < NEGLIGIBLE)
            both[near] += np.exp(-exponent[near])
        area = 2 * np.pi * self.width**2 * binaries.mass_1_source * binaries.mass_2_source
        return np.where(binaries.mass_1_source >= binaries.mass_2_source, both / area, 0.0)


def mass_targets(
    mass_combos: Sequence[tuple[float, float]], width: float, redshift_range: tuple[float, float]
) -> list[LogNormalTarget]:
    """A target population for each pair of source-frame masses."""
    return [LogNormalTarget(mass_1, mass_2, width, redshift_range) for mass_1, mass_2 in mass_combos]


def common_redshifts(source: Source, target: Target) -> tuple[float, float]:
    """Redshifts at which there are draws and binaries of the target: a volume is one within these.

    Raises:
        DataError: If there are none.
    """
    (low, high), (lowest, highest) = source.redshift_range, target.redshift_range
    if not max(low, lowest) < min(high, highest):
        raise DataError(
            f"the population {target.name} lies at redshifts {lowest:g} to {highest:g}, the draws at {low:g} to "
            f"{high:g}: name another population, or draw from a prior that reaches it"
        )
    return max(low, lowest), min(high, highest)


def weights(draws: Table | Binaries, source: Source, targets: Sequence[Target]) -> Float[Array, "targets n"]:
    """p_target / p_source of each draw for each target, with the target's redshifts uniform in dV_c / (1 + z).

    Args:
        draws: Columns ``mass_1``, ``mass_2`` (detector frame, solar masses), ``redshift``, and the targets' columns.
        source: The population that the draws come from.
        targets: The populations that they shall stand for.

    Raises:
        DataError: If the source population cannot have made a draw, or has no redshifts in common with a target.
    """
    binaries = draws if isinstance(draws, Binaries) else Binaries.of(draws)
    mass_1, mass_2, redshift = binaries.mass_1_source, binaries.mass_2_source, binaries.redshift
    log_source = source.log_density(mass_1, mass_2, redshift)
    impossible = ~np.isfinite(log_source)
    if impossible.any():
        row = int(impossible.argmax())
        raise DataError(
            f"{impossible.sum()} of {len(redshift)} draws are outside the population that they should come from (the "
            f"first: row {row}, source-frame masses {mass_1[row]:.6g} and {mass_2[row]:.6g}, redshift "
            f"{redshift[row]:.6g}): name the prior with which the injections were made, or make them anew"
        )
    inverse = np.exp(-log_source)
    ratios = np.empty((len(targets), len(redshift)))
    of_redshift: dict[tuple[float, float], Array] = {}
    for row, target in enumerate(targets):
        limits = common_redshifts(source, target)
        if limits not in of_redshift:
            of_redshift[limits] = inverse * _redshift_density(redshift, limits)
        np.multiply(target.relative_density(binaries), of_redshift[limits], out=ratios[row])
    return ratios


def _redshift_density(redshift: Array, limits: tuple[float, float]) -> Array:
    """Normalised density of sources at a constant rate per comoving volume and source time."""
    low, high = limits
    inside = np.clip(redshift, low, high)
    density = source_time_volume_density(inside, high) / comoving_volume_time(limits, 1.0)
    return np.where(inside == redshift, density, 0.0)
