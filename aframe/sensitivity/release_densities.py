"""Draw probabilities of released injections: which datasets have them, of which quantities, and their Jacobians.

A release of O3 has linear densities, named ``<quantities>_sampling_pdf``, and ``sampling_pdf`` of all (LIGO-T2100113,
doi:10.5281/zenodo.7890437; O1 to O3 together: LIGO-T2100377, doi:10.5281/zenodo.5636816). A release of O4 has natural
logarithms, named ``lnpdraw_<quantities>`` or ``lnpdraw_<quantities>_GIVEN_<quantities>`` (LIGO-T2400073,
doi:10.5281/zenodo.16740117; O1 to O4a together: LIGO-T2400110, doi:10.5281/zenodo.16740128; arXiv:2508.10638).
"""

import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from aframe.errors import DataError
from aframe.sensitivity.cosmology import luminosity_distance_slope_mpc
from aframe.types import Array

LARGEST_SPIN = 0.99
"""Largest magnitude of a target's spins where a release has only a joint density with spins.

It is that of GWTC-3's populations (arXiv:2111.03634). The spins of the releases reach slightly further.
"""

SOURCE_MASSES = frozenset({"mass1_source", "mass2_source"})
DETECTOR_MASSES = frozenset({"mass1_detector", "mass2_detector"})
REDSHIFT, DISTANCE = "redshift", "luminosity_distance"

CARTESIAN = frozenset(f"spin{body}{axis}" for body in (1, 2) for axis in "xyz")
POLAR = frozenset(f"spin{body}_{name}" for body in (1, 2) for name in ("magnitude", "polar_angle", "azimuthal_angle"))

SYNONYMS = {"z": REDSHIFT}
"""Other names of quantities in the names of densities."""

JOINT = "sampling_pdf"
"""Density of source-frame masses, redshift and Cartesian spins together, in releases of O3."""

SLOPE = "dluminosity_distance_dredshift"
"""Dataset with the derivative of luminosity distance (Mpc) with redshift."""

EXPECTED = (
    "sampling_pdf, mass1_source_mass2_source_sampling_pdf with redshift_sampling_pdf, or lnpdraw_mass1_source_… of the "
    "masses and the redshift"
)
"""Names of densities, for errors."""

MOST_FACTORS = 3
"""Largest number of datasets whose product is a density of masses and redshift."""

QUANTITY = "|".join(
    sorted((SOURCE_MASSES | DETECTOR_MASSES | CARTESIAN | POLAR | {REDSHIFT, DISTANCE, *SYNONYMS}), key=len)[::-1]
)
LIST = re.compile(rf"(?:{QUANTITY})(?:_(?:{QUANTITY}))*")
NAME = re.compile(rf"(?P<log>lnpdraw_)?(?P<of>{LIST.pattern})(?:_GIVEN_{LIST.pattern})?(?P<linear>_sampling_pdf)?")


@dataclass(frozen=True)
class Density:
    """A dataset with draw probabilities.

    Attributes:
        name: Name of the dataset.
        quantities: Quantities of which it is a density, in the names of this module.
        is_log: Whether it holds natural logarithms.
    """

    name: str
    quantities: frozenset[str]
    is_log: bool

    @classmethod
    def of(cls, name: str) -> "Density | None":
        """Density that a dataset's name tells of; None if it is no density of masses, redshift or spins.

        >>> Density.of("lnpdraw_mass2_source_GIVEN_mass1_source").quantities
        frozenset({'mass2_source'})
        """
        if name == JOINT:
            return cls(name, SOURCE_MASSES | CARTESIAN | {REDSHIFT}, False)
        match = NAME.fullmatch(name)
        if match is None or (match["log"] is None) == (match["linear"] is None):
            return None
        words = re.findall(QUANTITY, match["of"])
        return cls(name, frozenset(SYNONYMS.get(word, word) for word in words), match["log"] is not None)


@dataclass(frozen=True)
class DrawDensity:
    """Datasets whose product is the density of an injection's draw.

    Attributes:
        factors: The datasets.
        frame: Names of the masses of which they are densities.
        distance: ``redshift`` or ``luminosity_distance``.
        spins: Names of the spins of which they are densities; empty if they are densities of masses and redshift alone.
    """

    factors: tuple[Density, ...]
    frame: frozenset[str]
    distance: str
    spins: frozenset[str]

    @classmethod
    def among(cls, names: Collection[str]) -> "DrawDensity | None":
        """Find the datasets of a release. Those without spins are preferred. None if they do not suffice.

        Args:
            names: Names of all datasets.
        """
        densities = [density for name in sorted(names) if (density := Density.of(name)) is not None]
        for spins, frame, distance in itertools.product(
            (frozenset[str](), CARTESIAN, POLAR), (SOURCE_MASSES, DETECTOR_MASSES), (REDSHIFT, DISTANCE)
        ):
            factors = _cover(densities, frame | spins | {distance})
            if factors:
                return cls(factors, frame, distance, spins)
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """Datasets that the density needs, besides masses and redshift."""
        return (*(factor.name for factor in self.factors), *sorted(self.spins))

    def log_density(self, columns: Mapping[str, Array], redshift: Float[Array, " n"], where: str) -> Float[Array, " n"]:
        """Log density of source-frame masses and redshift, or of these and the spins.

        The Jacobians are p(m_source) = p(m_detector) (1 + z) for each mass, and p(z) = p(d_L) dd_L/dz.

        Args:
            columns: The datasets of ``columns``, and ``SLOPE`` if the release has it, each of shape (n,).
            redshift: Redshift, shape (n,).
            where: Name of the file, for errors.

        Raises:
            DataError: If a recorded injection has no positive density.
        """
        total = np.zeros(len(redshift))
        for factor in self.factors:
            with np.errstate(divide="ignore", invalid="ignore"):
                total += columns[factor.name] if factor.is_log else np.log(columns[factor.name])
        if self.frame == DETECTOR_MASSES:
            total += len(self.frame) * np.log1p(redshift)
        if self.distance == DISTANCE:
            slope = columns.get(SLOPE)
            total += np.log(luminosity_distance_slope_mpc(redshift, redshift.max()) if slope is None else slope)
        wrong = ~np.isfinite(total)
        if wrong.any():
            names = ", ".join(factor.name for factor in self.factors)
            raise DataError(
                f"{where}: {wrong.sum()} of {len(total)} injections have no positive draw probability (the first: row "
                f"{wrong.argmax()}, datasets {names}): fetch the file again, or leave those rows out"
            )
        return total

    def spin_target(self, columns: Mapping[str, Array], where: str) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
        """Log density of isotropic spins, uniform in magnitude up to ``LARGEST_SPIN``, and whether they are so small.

        In Cartesian components it is 1 / (4π a² A) for each spin, in polar ones sin θ / (4π A).

        Args:
            columns: The spins of the injections, each of shape (n,).
            where: Name of the file, for errors.

        Raises:
            DataError: If the injections have only spins along the orbit's axis, of which the density is not known.
        """
        parts = [_log_isotropic(columns, body, self.spins == POLAR) for body in (1, 2)]
        if self.spins == CARTESIAN and not any(columns[name].any() for name in CARTESIAN if name[-1] != "z"):
            names = ", ".join(factor.name for factor in self.factors)
            raise DataError(
                f"{where}: all spins lie along the orbit's axis, and {names} does not tell which density they have: "
                "give a release with precessing spins, or one with a density of masses and redshift alone"
            )
        return parts[0][0] + parts[1][0], parts[0][1] & parts[1][1]


def _log_isotropic(columns: Mapping[str, Array], body: int, is_polar: bool) -> tuple[Array, Array]:
    """Log density of one spin, and whether its magnitude is allowed. Where it is not, the density means nothing."""
    if is_polar:
        magnitude, angle = columns[f"spin{body}_magnitude"], columns[f"spin{body}_polar_angle"]
        relative = np.abs(np.sin(angle))
    else:
        magnitude = np.sqrt(sum(columns[f"spin{body}{axis}"] ** 2 for axis in "xyz"))
        relative = np.divide(1.0, magnitude**2, out=np.zeros_like(magnitude), where=magnitude > 0)
    allowed = (magnitude <= LARGEST_SPIN) & (relative > 0)
    return np.log(np.where(allowed, relative, 1.0) / (4 * np.pi * LARGEST_SPIN)), allowed


def _cover(densities: Collection[Density], wanted: frozenset[str]) -> tuple[Density, ...]:
    """Fewest densities that have each quantity once; empty if there are none."""
    useful = [density for density in densities if density.quantities <= wanted]
    return next((combination for combination in _combinations(useful) if _is_product(combination, wanted)), ())


def _combinations(densities: Collection[Density]) -> Iterator[tuple[Density, ...]]:
    for count in range(1, MOST_FACTORS + 1):
        yield from itertools.combinations(densities, count)


def _is_product(densities: tuple[Density, ...], wanted: frozenset[str]) -> bool:
    quantities = [quantity for density in densities for quantity in density.quantities]
    return len(quantities) == len(wanted) and set(quantities) == wanted
