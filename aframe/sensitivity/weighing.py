"""Weigh all draws of a search, accepted and rejected, for each target population."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from aframe.errors import DataError
from aframe.sensitivity.cosmology import comoving_volume_time
from aframe.sensitivity.efficiency import Bins, BinSums, coordinates
from aframe.sensitivity.weights import Binaries, Source, Target, common_redshifts, weights
from aframe.tables import RecoveredTable, RejectedTable
from aframe.types import Array

CHUNK_ROWS = 2**17
"""Number of rejected draws in one chunk. It bounds memory, fits caches, and does not affect results."""


@dataclass(frozen=True)
class WeightSums:
    """Sums over the weights of all draws, the denominator of a volume.

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
        return cls(float(weight.sum()), float(np.square(weight).sum()), len(weight))

    @property
    def coverage(self) -> tuple[float, float]:
        """Share of the target inside the source population, and its standard error.

        The share is the mean weight, because both densities are normalised.
        """
        mean = self.total / self.count
        return mean, math.sqrt(max(0.0, self.squares / self.count - mean**2) / self.count)

    @property
    def effective_number(self) -> float:
        """Effective number of draws from the target, (Σ w)² / Σ w²."""
        return self.total**2 / self.squares if self.squares > 0 else 0.0

    def share_variance(self, found: Float[Array, " n"], squares: Float[Array, " n"]) -> Float[Array, " n"]:
        """Variance of the share r = Σ_found w / Σ_all w, a ratio of two correlated sums (delta method).

        With f = 1 for found draws and 0 for all others,
        var(r) = Σ (w f − w r)² / (Σ_all w)² = [(1 − 2 r) Σ_found w² + r² Σ_all w²] / (Σ_all w)².

        Args:
            found: Σ_found w, shape (n,).
            squares: Σ_found w², shape (n,).
        """
        share = found / self.total
        return np.maximum((1 - 2 * share) * squares + share**2 * self.squares, 0.0) / self.total**2

    def __add__(self, other: "WeightSums") -> "WeightSums":
        return WeightSums(self.total + other.total, self.squares + other.squares, self.count + other.count)


@dataclass(frozen=True)
class NumberOfDraws(WeightSums):
    """Denominator of a volume where only the number N of all draws is known, not the weights of those left out.

    The mean weight of all draws from a source that contains the target is 1, so that Σ w is N.

    Attributes:
        total: Number of all draws, N. It is a mean, and need not be whole, for the draws of a part of the time.
        squares: N times the mean weight of a known draw, Σ w² / Σ w over the known draws. A draw without an event thus
            stands for the volume V₀ Σ w² / (N Σ w) in an interval.
        count: Number of the known draws.
    """

    @property
    def coverage(self) -> tuple[float, float]:
        """Not numbers: draws that are left out do not tell which share of the target the source contains."""
        return math.nan, math.nan

    def share_variance(self, found: Float[Array, " n"], squares: Float[Array, " n"]) -> Float[Array, " n"]:
        """Variance of r = Σ_found w / N, a mean of N independent draws: [Σ_found w² / N − r²] / N.

        Farr, arXiv:1904.10879, eq. 9.

        Args:
            found: Σ_found w, shape (n,).
            squares: Σ_found w², shape (n,).
        """
        return np.maximum(squares / self.total - (found / self.total) ** 2, 0.0) / self.total


@dataclass(frozen=True)
class Draws:
    """All draws of the measurement of a volume.

    Attributes:
        recovered: Accepted injections. Attribute ``num_injections`` is the number of all draws, accepted and rejected.
        rejected: Rejected draws, in pieces of any length (see ``read_rejected``).
        source: Population of the draws.
    """

    recovered: RecoveredTable
    rejected: Iterable[RejectedTable]
    source: Source


@dataclass(frozen=True, eq=False)
class TargetDraws:
    """Weights of all draws for one target population.

    Attributes:
        v0_gpc3: Volume of a search that recovers all signals, in Gpc³.
        redshift_range: Smallest and largest redshift of that volume.
        weight: Weight of each accepted injection, shape (injections,).
        everything: Sums over all draws.
        bins: Sums over all draws in the bins of each axis (``WeighedDraws.bins``).
    """

    v0_gpc3: float
    redshift_range: tuple[float, float]
    weight: Float[Array, " injections"]
    everything: WeightSums
    bins: tuple[BinSums, ...]


@dataclass(frozen=True, eq=False)
class WeighedDraws:
    """Weights of all draws for each target population.

    Attributes:
        statistic: Detection statistic of the accepted injections, −inf without an event, shape (injections,).
        targets: Weights for each target, by its name.
        exposure: Relative live time that each accepted injection stands for, shape (injections,).
        as_drawn: Sums over all draws' exposures, in the bins of each axis.
        bins: Bins of each axis of the efficiency; empty without injections.
        coordinates: Coordinates of the accepted injections, by axis (see ``efficiency.coordinates``).
    """

    statistic: Float[Array, " injections"]
    targets: dict[str, TargetDraws]
    exposure: Float[Array, " injections"]
    as_drawn: tuple[BinSums, ...]
    bins: tuple[Bins, ...]
    coordinates: dict[str, Array]


def weigh(draws: Draws, targets: Sequence[Target]) -> WeighedDraws:
    """Weigh all draws for each target population, times their ``exposure``. It reads the rejected draws once.

    Args:
        draws: Accepted and rejected injections.
        targets: Target populations with unique names.

    Returns:
        Weights of the accepted injections, and sums over all draws.

    Raises:
        DataError: If accepted and rejected draws do not add up to ``num_injections``, or a draw is outside the source
            population.
    """
    recovered, source = Binaries.of(draws.recovered), draws.source
    weight = weights(recovered, source, targets) * recovered.exposure
    positions = coordinates(recovered)
    bins = tuple(Bins.around(axis, values) for axis, values in positions.items()) if len(recovered) else ()
    tally, count = _Tally.of(recovered, weight, bins), len(recovered)
    for piece in draws.rejected:
        binaries = Binaries.of(piece)
        count += len(binaries)
        tally += _Tally.of(binaries, weights(binaries, source, targets) * binaries.exposure, bins)
    expected = int(draws.recovered.attributes["num_injections"])
    if count != expected:
        raise DataError(
            f"{len(recovered)} accepted and {count - len(recovered)} rejected draws are not the {expected} that "
            "num_injections counts: the two files come from different sets of injections; generate both again"
        )
    weighed = {}
    for row, target in enumerate(targets):
        limits = common_redshifts(source, target)
        sky = 1.0 if target.sky_fraction is None else target.sky_fraction
        v0 = comoving_volume_time(limits, min(sky, source.sky_fraction))
        weighed[target.name] = TargetDraws(v0, limits, weight[row], tally.sums[row], tally.bins[row])
    statistic = draws.recovered["detection_statistic"]
    return WeighedDraws(statistic, weighed, recovered.exposure, tally.bins[-1], bins, positions)


def read_rejected(path: str, targets: Sequence[Target]) -> Iterator[RejectedTable]:
    """Read the columns of the rejected draws that weights need, piece by piece.

    Tens of millions of draws thus do not need to fit in memory.

    Args:
        path: Table of rejected draws.
        targets: Target populations.

    Yields:
        Tables of at most ``CHUNK_ROWS`` rows.
    """
    columns = dict.fromkeys([*RejectedTable.required_columns, *(name for t in targets for name in t.columns)])
    for start in range(0, RejectedTable.count(path), CHUNK_ROWS):
        yield RejectedTable.read(path, columns=list(columns), rows=slice(start, start + CHUNK_ROWS))


@dataclass(frozen=True, eq=False)
class _Tally:
    """Sums over draws for each target, in total and in bins. The last row of ``bins`` has the draws' exposures."""

    sums: tuple[WeightSums, ...]
    bins: tuple[tuple[BinSums, ...], ...]

    @classmethod
    def of(cls, binaries: Binaries, weight: Float[Array, "targets n"], bins: Sequence[Bins]) -> "_Tally":
        positions = coordinates(binaries) if bins else {}
        index = [each.index(positions[each.axis]) for each in bins]
        rows = [np.flatnonzero(row) for row in weight]
        binned = [
            tuple(BinSums.of(i[chosen], row[chosen]) for i in index) for row, chosen in zip(weight, rows, strict=True)
        ]
        as_drawn = tuple(BinSums.of(i, binaries.exposure) for i in index)
        return cls(tuple(WeightSums.of(row) for row in weight), (*binned, as_drawn))

    def __add__(self, other: "_Tally") -> "_Tally":
        return _Tally(
            tuple(one + two for one, two in zip(self.sums, other.sums, strict=True)),
            tuple(
                tuple(one + two for one, two in zip(row, more, strict=True))
                for row, more in zip(self.bins, other.bins, strict=True)
            ),
        )
