"""Sensitive volume of a search against its false alarm rate, with its uncertainty."""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float

from aframe import storage
from aframe.errors import DataError
from aframe.events.significance import Background
from aframe.sensitivity.cosmology import comoving_volume_time
from aframe.sensitivity.weights import LogNormalTarget, Source, weights
from aframe.storage import Parameters
from aframe.tables import RecoveredTable, RejectedTable
from aframe.types import Array

CHUNK_ROWS = 2**20
"""Rejected draws that are weighted at once: bounds memory, changes no result."""

HIGHEST_FAR_PER_YEAR = 1e6
"""End of the default grid: an event every half minute."""

LEAST_COVERAGE = 0.98
"""Share of a target that must lie inside the source prior, or a warning says that it does not."""

ENOUGH_DRAWS = 100
"""Effective number of draws, (Σ w)² / Σ w², from which the share is judged."""

UNITS: Mapping[str, str] = {
    "far_per_year": "1 / yr",
    "threshold": "",
    "volume_gpc3": "Gpc^3",
    "standard_error": "Gpc^3",
    "effective_sample_size": "",
}


@dataclass(frozen=True)
class WeightSums:
    """Sums over the weights of all draws, found or not: the denominator.

    Attributes:
        total: Σ w.
        squares: Σ w².
        count: Number of draws.
    """

    total: float
    squares: float
    count: int

    @classmethod
    def of(cls, weight: Float[Array, " n"]) -> "WeightSums":
        """Sums over an array of weights."""
        return cls(float(weight.sum()), float(weight @ weight), len(weight))

    @property
    def coverage(self) -> tuple[float, float]:
        """Share of the target that the source can draw (the mean weight of normalised densities), and its error."""
        mean = self.total / self.count
        return mean, math.sqrt(max(0.0, self.squares / self.count - mean**2) / self.count)

    def __add__(self, other: "WeightSums") -> "WeightSums":
        return WeightSums(self.total + other.total, self.squares + other.squares, self.count + other.count)


@dataclass(frozen=True)
class Volume:
    """Sensitive volumes at some thresholds, all of shape (thresholds,).

    Attributes:
        volume_gpc3: V in Gpc³.
        standard_error: One standard deviation of V in Gpc³.
        effective_sample_size: (Σ w)² / Σ w² over the found injections: how many equal ones tell as much.
    """

    volume_gpc3: Float[Array, " thresholds"]
    standard_error: Float[Array, " thresholds"]
    effective_sample_size: Float[Array, " thresholds"]


@dataclass(frozen=True)
class VolumeCurve(Volume):
    """Sensitive volume against false alarm rate.

    Attributes:
        far_per_year: False alarm rates in events per Julian year.
        threshold: Smallest detection statistic at each rate.
    """

    far_per_year: Float[Array, " thresholds"]
    threshold: Float[Array, " thresholds"]


def sensitive_volume(
    statistic: Float[Array, " injections"],
    weight: Float[Array, " injections"],
    everything: WeightSums,
    v0_gpc3: float,
    threshold: Float[Array, " thresholds"],
) -> Volume:
    """V = V₀ Σ_found w / Σ_all w for all thresholds at once, O((N + T) log N).

    The standard error is that of a ratio of two correlated sums (delta method): with r = Σ_found w / Σ_all w,
    var(r) = Σ (w f − w r)² / (Σ_all w)² = [(1 − 2 r) Σ_found w² + r² Σ_all w²] / (Σ_all w)².

    Args:
        statistic: Detection statistic of the accepted injections, −inf where no event recovered one.
        weight: Their importance weights.
        everything: Sums over the weights of all draws, accepted and rejected.
        v0_gpc3: Volume that a perfect search would see.
        threshold: Injections with at least this statistic are found.

    Raises:
        DataError: If no draw has a weight.
    """
    if not everything.total > 0:
        raise DataError(
            f"none of the {everything.count} draws has any weight in the target population: "
            "choose mass pairs within the prior from which injections are drawn, or draw more"
        )
    order = np.argsort(statistic)
    first = np.searchsorted(statistic[order], threshold, side="left")
    found, squares = (_sum_from_the_end(values[order])[first] for values in (weight, weight**2))
    ratio = found / everything.total
    variance = (1 - 2 * ratio) * squares + ratio**2 * everything.squares
    error = np.sqrt(np.maximum(variance, 0.0)) / everything.total
    effective = np.divide(found**2, squares, out=np.zeros_like(found), where=squares > 0)
    return Volume(v0_gpc3 * ratio, v0_gpc3 * error, effective)


def default_far_grid(background: Background, points: int = 500) -> Float[Array, " rates"]:
    """Rates from one per livetime up to where all background events count, or a million a year, evenly in logarithm."""
    lowest = background.lowest_far_per_year
    return np.geomspace(lowest, max(lowest, min(HIGHEST_FAR_PER_YEAR, lowest * len(background.statistics))), points)


@dataclass(frozen=True)
class Draws:
    """All that was drawn to measure the volume.

    Attributes:
        recovered: All accepted injections; attribute ``num_injections`` counts all draws.
        rejected: The other draws, in pieces of any length (see ``read_rejected``).
        source: The population that they are drawn from.
    """

    recovered: RecoveredTable
    rejected: Iterable[RejectedTable]
    source: Source


def volume_against_far(
    draws: Draws,
    background: Background,
    targets: Sequence[LogNormalTarget],
    far_per_year: Float[Array, " rates"],
) -> dict[str, VolumeCurve]:
    """Sensitive volume against false alarm rate for each target population.

    Args:
        draws: Accepted and rejected injections.
        background: Events of time slides.
        targets: The populations for which volumes are wanted.
        far_per_year: Events per Julian year.

    Returns:
        A curve for each target, by its name.

    Raises:
        DataError: If accepted and rejected draws do not add up, or cannot come from the source population.
        ConfigurationError: If a rate is below what the background can measure.
    """
    threshold = background.threshold_at_far(far_per_year)
    recovered, source = draws.recovered, draws.source
    weight = weights(recovered, source, targets)
    sums = [WeightSums.of(row) for row in weight]
    count = len(recovered)
    for piece in draws.rejected:
        count += len(piece)
        sums = [known + WeightSums.of(row) for known, row in zip(sums, weights(piece, source, targets), strict=True)]
    expected = int(recovered.attributes["num_injections"])
    if count != expected:
        raise DataError(
            f"{len(recovered)} accepted and {count - len(recovered)} rejected draws are not the {expected} that "
            "num_injections counts: the two files belong to different sets of injections; make both anew"
        )
    v0 = comoving_volume_time(source.redshift_range, source.sky_fraction)
    statistic = recovered["detection_statistic"]
    curves = {}
    for target, row, everything in zip(targets, weight, sums, strict=True):
        share, error = everything.coverage
        enough = everything.total**2 > ENOUGH_DRAWS * everything.squares  # fewer cannot tell their own error
        if enough and share + 5 * error < LEAST_COVERAGE:
            warnings.warn(
                f"{100 * share:.0f} % of the mass pair {target.name} lies inside the source prior: "
                "its volume is that of this part; take a wider prior or other mass_combos",
                stacklevel=2,
            )
        volume = sensitive_volume(statistic, row, everything, v0, threshold)
        curves[target.name] = VolumeCurve(**vars(volume), far_per_year=far_per_year, threshold=threshold)
    return curves


def read_rejected(path: str) -> Iterator[RejectedTable]:
    """Masses and redshifts of the rejected draws, piece by piece: tens of millions need not be in memory."""
    columns = list(RejectedTable.required_columns)
    for start in range(0, RejectedTable.count(path), CHUNK_ROWS):
        yield RejectedTable.read(path, columns=columns, rows=slice(start, start + CHUNK_ROWS))


def write_volumes(
    path: str,
    curves: Mapping[str, VolumeCurve],
    made_with: Parameters | None = None,
    attributes: Mapping[str, float] | None = None,
) -> None:
    """Write a group per mass pair with a dataset per quantity, and attributes of the file, whole or not at all."""
    with storage.create_hdf5(path, made_with) as file:
        file.attrs.update(attributes or {})
        for name, curve in curves.items():
            for field in fields(curve):
                dataset = file.create_dataset(f"{name}/{field.name}", data=getattr(curve, field.name))
                dataset.attrs["unit"] = UNITS[field.name]


def read_volumes(path: str) -> dict[str, VolumeCurve]:
    """Curves by mass pair, heaviest chirp mass first."""
    with storage.open_hdf5(path) as file:
        names = [field.name for field in fields(VolumeCurve)]
        curves = {pair: VolumeCurve(**{name: group[name][:] for name in names}) for pair, group in file.items()}
    return dict(sorted(curves.items(), key=lambda item: chirp_mass(item[0]), reverse=True))


def chirp_mass(pair: str) -> float:
    """Chirp mass in solar masses of a mass pair such as ``35-20``."""
    mass_1, mass_2 = (float(mass) for mass in pair.split("-"))
    return float((mass_1 * mass_2) ** 0.6 / (mass_1 + mass_2) ** 0.2)


def _sum_from_the_end(values: Array) -> Array:
    """Sums of the values from each index on, and 0 beyond the last."""
    return np.concatenate([np.cumsum(values[::-1])[::-1], [0.0]])
