"""All that was drawn to measure a search, accepted or not, weighed as each target population asks for."""

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
"""Rejected draws that are weighed at once: bounds memory, fits caches, changes no result."""


@dataclass(frozen=True)
class WeightSums:
    """Sums over the weights of draws, found or not: the denominator.

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
        """Share of the target that the source can draw (the mean weight of normalised densities), and its error."""
        mean = self.total / self.count
        return mean, math.sqrt(max(0.0, self.squares / self.count - mean**2) / self.count)

    @property
    def effective_number(self) -> float:
        """(Σ w)² / Σ w²: how many draws from the target itself tell as much."""
        return self.total**2 / self.squares if self.squares > 0 else 0.0

    def __add__(self, other: "WeightSums") -> "WeightSums":
        return WeightSums(self.total + other.total, self.squares + other.squares, self.count + other.count)


@dataclass(frozen=True)
class Draws:
    """All that was drawn to measure the volume.

    Attributes:
        recovered: Accepted injections; attribute ``num_injections`` counts them and all rejected draws.
        rejected: The other draws, in pieces of any length (see ``read_rejected``).
        source: The population that they are drawn from.
    """

    recovered: RecoveredTable
    rejected: Iterable[RejectedTable]
    source: Source


@dataclass(frozen=True, eq=False)
class TargetDraws:
    """The draws as one target population sees them.

    Attributes:
        v0_gpc3: Volume in Gpc³ that a perfect search would see.
        redshift_range: Smallest and largest redshift of that volume.
        weight: Of the accepted injections, shape (injections,).
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
    """The draws as each target population sees them.

    Attributes:
        statistic: Detection statistic of the accepted injections, −inf where no event recovered one.
        targets: By name.
        as_drawn: Sums over all draws, each counted once, in the bins of each axis.
        bins: Axes of the efficiency; none where there are no injections.
        coordinates: Of the accepted injections, by axis.
    """

    statistic: Float[Array, " injections"]
    targets: dict[str, TargetDraws]
    as_drawn: tuple[BinSums, ...]
    bins: tuple[Bins, ...]
    coordinates: dict[str, Array]


def weigh(draws: Draws, targets: Sequence[Target]) -> WeighedDraws:
    """Weigh all draws for each target population, reading the rejected ones once.

    Args:
        draws: Accepted and rejected injections.
        targets: The populations; each has a name of its own.

    Raises:
        DataError: If accepted and rejected draws do not add up, or cannot come from the source population.
    """
    recovered, source = Binaries.of(draws.recovered), draws.source
    weight = weights(recovered, source, targets)
    there = coordinates(recovered)
    bins = tuple(Bins.around(axis, values) for axis, values in there.items()) if len(recovered) else ()
    tally, count = _Tally.of(recovered, weight, bins), len(recovered)
    for piece in draws.rejected:
        binaries = Binaries.of(piece)
        count += len(binaries)
        tally += _Tally.of(binaries, weights(binaries, source, targets), bins)
    expected = int(draws.recovered.attributes["num_injections"])
    if count != expected:
        raise DataError(
            f"{len(recovered)} accepted and {count - len(recovered)} rejected draws are not the {expected} that "
            "num_injections counts: the two files belong to different sets of injections; make both anew"
        )
    weighed = {}
    for row, target in enumerate(targets):
        limits = common_redshifts(source, target)
        sky = 1.0 if target.sky_fraction is None else target.sky_fraction
        v0 = comoving_volume_time(limits, min(sky, source.sky_fraction))
        weighed[target.name] = TargetDraws(v0, limits, weight[row], tally.sums[row], tally.bins[row])
    return WeighedDraws(draws.recovered["detection_statistic"], weighed, tally.bins[-1], bins, there)


def read_rejected(path: str, targets: Sequence[Target]) -> Iterator[RejectedTable]:
    """What weights need of the rejected draws, piece by piece: tens of millions need not be in memory."""
    columns = dict.fromkeys([*RejectedTable.required_columns, *(name for t in targets for name in t.columns)])
    for start in range(0, RejectedTable.count(path), CHUNK_ROWS):
        yield RejectedTable.read(path, columns=list(columns), rows=slice(start, start + CHUNK_ROWS))


@dataclass(frozen=True, eq=False)
class _Tally:
    """Sums over draws: of each target, and in each target's bins; the last row of bins counts each draw once."""

    sums: tuple[WeightSums, ...]
    bins: tuple[tuple[BinSums, ...], ...]

    @classmethod
    def of(cls, binaries: Binaries, weight: Float[Array, "targets n"], bins: Sequence[Bins]) -> "_Tally":
        where = coordinates(binaries) if bins else {}
        index = [each.index(where[each.axis]) for each in bins]
        rows = [np.flatnonzero(row) for row in weight]
        binned = [
            tuple(BinSums.of(i[chosen], row[chosen]) for i in index) for row, chosen in zip(weight, rows, strict=True)
        ]
        once = tuple(BinSums.of(i, None) for i in index)
        return cls(tuple(WeightSums.of(row) for row in weight), (*binned, once))

    def __add__(self, other: "_Tally") -> "_Tally":
        return _Tally(
            tuple(one + two for one, two in zip(self.sums, other.sums, strict=True)),
            tuple(
                tuple(one + two for one, two in zip(row, more, strict=True))
                for row, more in zip(self.bins, other.bins, strict=True)
            ),
        )
