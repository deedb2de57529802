"""Importance weights that turn draws from one population into draws from another.

Tiwari, arXiv:1712.00482; Farr, arXiv:1904.10879. A weight is the ratio of two joint densities over everything
that the populations disagree on: both source-frame masses and redshift.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from aframe.errors import DataError
from aframe.sensitivity.cosmology import comoving_volume_time, source_time_volume_density
from aframe.tables import Table
from aframe.types import Array


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


@dataclass(frozen=True)
class LogNormalTarget:
    """Binaries about one pair of source-frame masses, uniform in comoving volume and source time.

    Attributes:
        mass_1: Median of one component, source frame, solar masses.
        mass_2: Median of the other.
        width: Standard deviation of the masses' natural logarithms.
        redshift_range: The source population's smallest and largest redshift.
    """

    mass_1: float
    mass_2: float
    width: float
    redshift_range: tuple[float, float]

    @property
    def name(self) -> str:
        """The pair as in ``35-20``."""
        return f"{self.mass_1:g}-{self.mass_2:g}"

    def log_density(
        self, mass_1_source: Float[Array, " n"], mass_2_source: Float[Array, " n"], redshift: Float[Array, " n"]
    ) -> Float[Array, " n"]:
        """Joint log density of source-frame masses, folded onto mass_1 >= mass_2, and redshift."""
        low, high = self.redshift_range
        first, second = np.log(mass_1_source), np.log(mass_2_source)
        masses = np.logaddexp(self._exponent(first, second), self._exponent(second, first))
        masses -= first + second + np.log(2 * np.pi * self.width**2)
        outside = (mass_1_source < mass_2_source) | (redshift < low) | (redshift > high)
        with np.errstate(divide="ignore"):
            volume = np.log(source_time_volume_density(np.clip(redshift, low, high), high) / self._volume)
        return np.where(outside, -np.inf, masses + volume)

    @functools.cached_property
    def _volume(self) -> float:
        return comoving_volume_time(self.redshift_range, 1.0)

    def _exponent(self, log_mass_1: Array, log_mass_2: Array) -> Array:
        squares = (log_mass_1 - np.log(self.mass_1)) ** 2 + (log_mass_2 - np.log(self.mass_2)) ** 2
        return np.asarray(-squares / (2 * self.width**2))


def mass_targets(
    mass_combos: Sequence[tuple[float, float]], width: float, redshift_range: tuple[float, float]
) -> list[LogNormalTarget]:
    """A target population for each pair of source-frame masses."""
    return [LogNormalTarget(mass_1, mass_2, width, redshift_range) for mass_1, mass_2 in mass_combos]


def weights(draws: Table, source: Source, targets: Sequence[LogNormalTarget]) -> Float[Array, "targets n"]:
    """p_target / p_source of each draw for each target.

    Args:
        draws: Columns ``mass_1``, ``mass_2`` (detector frame, solar masses) and ``redshift``.
        source: The population that the draws come from.
        targets: The populations that they shall stand for.

    Raises:
        DataError: If the source population cannot have made a draw.
    """
    redshift = np.asarray(draws["redshift"], dtype=np.float64)
    mass_1, mass_2 = draws["mass_1"] / (1 + redshift), draws["mass_2"] / (1 + redshift)
    log_source = source.log_density(mass_1, mass_2, redshift)
    impossible = ~np.isfinite(log_source)
    if impossible.any():
        row = int(impossible.argmax())
        raise DataError(
            f"{impossible.sum()} of {len(redshift)} draws are outside the population that they should come from (the "
            f"first: row {row}, source-frame masses {mass_1[row]:.6g} and {mass_2[row]:.6g}, redshift "
            f"{redshift[row]:.6g}): name the prior with which the injections were made, or make them anew"
        )
    ratios = [np.exp(target.log_density(mass_1, mass_2, redshift) - log_source) for target in targets]
    return np.stack(ratios) if ratios else np.empty((0, len(redshift)))
