"""Compute importance weights that turn draws from one population into draws from another.

Tiwari, arXiv:1712.00482; Farr, arXiv:1904.10879. A weight is the ratio of two joint densities of source-frame masses,
redshift, and those spins and angles whose distributions differ.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from aframe.errors import ConfigurationError, DataError
from aframe.sensitivity.cosmology import comoving_volume_time, source_time_volume_density
from aframe.sensitivity.exposure import EXPOSURE
from aframe.tables import Table
from aframe.types import Array
from aframe.waveforms.mixtures import AnyPopulation

NEGLIGIBLE_EXPONENT = 36.0
"""Exponent beyond which a log-normal density counts as zero. e⁻³⁶ of the peak is below rounding."""


PROBES = 4096
"""Number of random binaries in the test whether two populations overlap."""


@runtime_checkable
class Source(Protocol):
    """Population from which injections were drawn."""

    @property
    def redshift_range(self) -> tuple[float, float]:
        """Smallest and largest redshift."""

    @property
    def sky_fraction(self) -> float:
        """Share of the celestial sphere with sources."""

    def log_density(self, mass_1_source: Array, mass_2_source: Array, redshift: Array) -> Array:
        """Joint log density of source-frame masses and redshift.

        Args:
            mass_1_source: Heavier mass, solar masses, shape (n,).
            mass_2_source: Lighter mass, solar masses, shape (n,).
            redshift: Redshift, shape (n,).
        """


@dataclass(frozen=True, eq=False)
class Binaries:
    """Parameters of draws that determine their weights. All arrays have shape (n,).

    Attributes:
        mass_1_source: Mass of the heavier component, source frame, solar masses.
        mass_2_source: Mass of the lighter component, source frame, solar masses.
        redshift: Redshift.
        columns: All columns of the stored draws.
    """

    mass_1_source: Float[Array, " n"]
    mass_2_source: Float[Array, " n"]
    redshift: Float[Array, " n"]
    columns: Mapping[str, Array]

    @classmethod
    def of(cls, draws: Table) -> "Binaries":
        """Convert a table with columns ``mass_1``, ``mass_2`` (detector frame, solar masses) and ``redshift``."""
        redshift = np.asarray(draws["redshift"], dtype=np.float64)
        return cls(draws["mass_1"] / (1 + redshift), draws["mass_2"] / (1 + redshift), redshift, draws.parameters)

    def __len__(self) -> int:
        return len(self.redshift)

    @property
    def exposure(self) -> Float[Array, " n"]:
        """Relative live time that each draw stands for (``sensitivity.exposure``), or 1."""
        return np.asarray(self.columns.get(EXPOSURE, np.ones(len(self))))

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
    """Population of a sensitive volume.

    Its merger rate per comoving volume and source time is constant, for any distribution of masses and spins.
    """

    @property
    def name(self) -> str:
        """Name in files and figures."""

    @property
    def redshift_range(self) -> tuple[float, float]:
        """Smallest and largest redshift."""

    @property
    def sky_fraction(self) -> float | None:
        """Share of the celestial sphere with sources; None for that of the source population."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the draws that determine the density, besides masses and redshift."""

    def relative_density(self, binaries: Binaries) -> Float[Array, " n"]:
        """Density of source-frame masses (mass_1 >= mass_2) at each redshift, per squared solar mass.

        It includes the ratio of target and source density of all ``columns``.
        """


@dataclass(frozen=True)
class LogNormalTarget:
    """Log-normal distribution around a pair of source-frame masses. Spins and angles follow the source population.

    Attributes:
        mass_1: Median mass of one component, source frame, solar masses.
        mass_2: Median mass of the other component, source frame, solar masses.
        width: Standard deviation of the natural logarithm of each mass.
        redshift_range: Smallest and largest redshift.
    """

    mass_1: float
    mass_2: float
    width: float
    redshift_range: tuple[float, float]

    @property
    def name(self) -> str:
        """Pair of masses, such as ``35-20``."""
        return f"{self.mass_1:g}-{self.mass_2:g}"

    @property
    def sky_fraction(self) -> None:
        """None: the share is that of the source population."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Empty: the density depends on masses alone."""
        return ()

    def within(self, source: AnyPopulation) -> "LogNormalTarget":
        """Limit the redshifts to those of a source population's binaries of these masses.

        Args:
            source: Population of the draws. In a mixture, neutron stars can be closer than black holes.
        """
        low, high = source.reach(*self._probes(np.random.default_rng(0)))
        return replace(self, redshift_range=(max(low, self.redshift_range[0]), min(high, self.redshift_range[1])))

    def _probes(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Heavier and lighter masses of ``PROBES`` binaries of this population."""
        scatter = np.exp(self.width * rng.standard_normal((2, PROBES)))
        mass_1, mass_2 = self.mass_1 * scatter[0], self.mass_2 * scatter[1]
        return np.maximum(mass_1, mass_2), np.minimum(mass_1, mass_2)

    def check_reached(self, source: Source) -> None:
        """Check that draws of a source population can have these masses.

        Args:
            source: Population of the draws.

        Raises:
            ConfigurationError: If none of ``PROBES`` binaries of this population lies in the source population.
        """
        rng = np.random.default_rng(0)
        heavy, light = self._probes(rng)
        redshift = rng.uniform(*self.redshift_range, PROBES)
        if not np.isfinite(source.log_density(heavy, light, redshift)).any():
            raise ConfigurationError(
                f"mass_combos = {self.name}: the prior of the injections makes no binary of such source-frame masses "
                "(solar masses); leave the pair out, or take a prior that contains it"
            )

    def relative_density(self, binaries: Binaries) -> Float[Array, " n"]:
        """Density of the masses, folded onto mass_1 >= mass_2."""
        (first, second), both = binaries.log_masses, np.zeros(len(binaries))
        for one, other in ((self.mass_1, self.mass_2), (self.mass_2, self.mass_1)):
            exponent = ((first - np.log(one)) ** 2 + (second - np.log(other)) ** 2) / (2 * self.width**2)
            near = np.flatnonzero(exponent < NEGLIGIBLE_EXPONENT)
            both[near] += np.exp(-exponent[near])
        area = 2 * np.pi * self.width**2 * binaries.mass_1_source * binaries.mass_2_source
        return np.where(binaries.mass_1_source >= binaries.mass_2_source, both / area, 0.0)


def mass_targets(
    mass_combos: Sequence[tuple[float, float]], width: float, redshift_range: tuple[float, float]
) -> list[LogNormalTarget]:
    """Create a target population for each pair of source-frame masses.

    Args:
        mass_combos: Pairs of masses, source frame, solar masses.
        width: Standard deviation of the natural logarithm of each mass.
        redshift_range: Smallest and largest redshift.
    """
    return [LogNormalTarget(mass_1, mass_2, width, redshift_range) for mass_1, mass_2 in mass_combos]


def common_redshifts(source: Source, target: Target) -> tuple[float, float]:
    """Smallest and largest redshift that source and target share. They limit a volume.

    Args:
        source: Population of the draws.
        target: Target population.

    Raises:
        DataError: If source and target share no redshifts.
    """
    (low, high), (lowest, highest) = source.redshift_range, target.redshift_range
    if not max(low, lowest) < min(high, highest):
        raise DataError(
            f"the population {target.name} lies at redshifts {lowest:g} to {highest:g}, the draws at {low:g} to "
            f"{high:g}: name another population, or draw from a prior that reaches it"
        )
    return max(low, lowest), min(high, highest)


def weights(draws: Table | Binaries, source: Source, targets: Sequence[Target]) -> Float[Array, "targets n"]:
    """Compute the weight p_target / p_source of each draw for each target.

    The redshifts of a target are uniform in dV_c / (1 + z).

    Args:
        draws: Draws with columns ``mass_1``, ``mass_2`` (detector frame, solar masses), ``redshift``, and the targets'
            columns.
        source: Population of the draws.
        targets: Target populations.

    Returns:
        Weights, shape (targets, n).

    Raises:
        DataError: If a draw is outside the source population, or source and target share no redshifts.
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
            f"{redshift[row]:.6g}): name the prior of the injections, or generate them again"
        )
    inverse = np.exp(-log_source)
    ratios = np.empty((len(targets), len(redshift)))
    redshift_ratios: dict[tuple[float, float], Array] = {}
    for row, target in enumerate(targets):
        limits = common_redshifts(source, target)
        if limits not in redshift_ratios:
            redshift_ratios[limits] = inverse * _redshift_density(redshift, limits)
        np.multiply(target.relative_density(binaries), redshift_ratios[limits], out=ratios[row])
    return ratios


def _redshift_density(redshift: Array, limits: tuple[float, float]) -> Array:
    """Normalised redshift density of sources with a constant rate per comoving volume and source time."""
    low, high = limits
    inside = np.clip(redshift, low, high)
    density = source_time_volume_density(inside, high) / comoving_volume_time(limits, 1.0)
    return np.where(inside == redshift, density, 0.0)
