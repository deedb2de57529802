"""Share of binaries that a search finds, against their loudness, distance and mass."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from aframe.sensitivity.cosmology import luminosity_distance_mpc
from aframe.sensitivity.weights import Binaries
from aframe.types import Array

BINS = 20
"""Of each axis, evenly in the logarithm (of redshift for distances)."""

NEAREST = 0.002
"""Share of the accepted injections that may lie below the first bin: a few strays would make most bins empty."""

UNITS: Mapping[str, str] = {
    "snr": "",
    "luminosity_distance": "Mpc",
    "chirp_mass": "M_sun",
    "chirp_mass_source": "M_sun",
}
"""Axes and their units; ``chirp_mass`` is detector-frame."""


@dataclass(frozen=True, eq=False)
class Efficiency:
    """Share found in bins of one quantity, at some false alarm rates, with 68 % intervals.

    Attributes:
        axis: One of ``UNITS``.
        edges: Borders of the bins, in the axis' unit.
        far_per_year: Events per Julian year.
        share: Share found; not a number where a bin has no binaries.
        low: Lower end of its interval.
        high: Upper end.
        number: Effective number of binaries in each bin, (Σ w)² / Σ w².
    """

    axis: str
    edges: Float[Array, " edges"]
    far_per_year: Float[Array, " rates"]
    share: Float[Array, "rates bins"]
    low: Float[Array, "rates bins"]
    high: Float[Array, "rates bins"]
    number: Float[Array, " bins"]


@dataclass(frozen=True, eq=False)
class BinSums:
    """Sums over the weights of binaries in each bin.

    Attributes:
        total: Σ w.
        squares: Σ w².
    """

    total: Float[Array, " bins"]
    squares: Float[Array, " bins"]

    @classmethod
    def of(cls, index: Int[Array, " n"], weight: Float[Array, " n"] | None) -> "BinSums":
        """Sums by bin (see ``Bins.index``); without weights each binary counts once."""
        powers = (None, None) if weight is None else (weight, weight**2)
        sums = (np.bincount(index + 1, values, minlength=BINS + 2)[1:-1].astype(np.float64) for values in powers)
        return cls(*sums)

    def __add__(self, other: "BinSums") -> "BinSums":
        return BinSums(self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True)
class Bins:
    """Bins that are even in the logarithm of a quantity.

    Attributes:
        axis: One of ``UNITS``.
        start: Logarithm of the first border.
        width: Of a bin.
    """

    axis: str
    start: float
    width: float

    @classmethod
    def around(cls, axis: str, logarithm: Float[Array, " n"]) -> "Bins":
        """Bins that hold some injections, without the lowest few."""
        start, stop = float(np.quantile(logarithm, NEAREST)), float(logarithm.max())
        stop = max(stop, start + 0.1) + 1e-9
        return cls(axis, start, (stop - start) / BINS)

    @property
    def edges(self) -> Float[Array, " edges"]:
        """Borders in the axis' unit."""
        edge = np.exp(self.start + self.width * np.arange(BINS + 1))
        return luminosity_distance_mpc(edge, float(edge[-1])) if self.axis == "luminosity_distance" else edge

    def index(self, logarithm: Float[Array, " n"]) -> Int[Array, " n"]:
        """The bin that each value lies in, −1 below and ``BINS`` above them all."""
        return np.clip((logarithm - self.start) / self.width + 1, 0, BINS + 1).astype(np.intp) - 1


def coordinates(binaries: Binaries) -> dict[str, Float[Array, " n"]]:
    """Logarithm of redshift, which stands for distance, and of chirp masses (solar masses), by axis."""
    chirp_mass, scale = binaries.log_chirp_mass_source, np.log1p(binaries.redshift)
    with np.errstate(divide="ignore"):
        redshift = np.log(binaries.redshift)
    return {"luminosity_distance": redshift, "chirp_mass": chirp_mass + scale, "chirp_mass_source": chirp_mass}


def efficiency(
    bins: Bins,
    everything: BinSums,
    found: tuple[Float[Array, " injections"], Float[Array, " injections"], Float[Array, " injections"]],
    thresholds: Mapping[float, float],
) -> Efficiency:
    """Share found in each bin.

    A weighted share has the interval of a binomial one of as many binaries as the bin's effective number.

    Args:
        bins: The bins.
        everything: Sums over all binaries, injected or not.
        found: Of the injected ones: the quantity's logarithm, weight, and detection statistic.
        thresholds: Detection threshold for each false alarm rate (1 / yr).
    """
    logarithm, weight, statistic = found
    index = bins.index(logarithm)
    number = np.divide(everything.total**2, everything.squares, out=np.zeros(BINS), where=everything.squares > 0)
    rows = []
    for threshold in thresholds.values():
        chosen = statistic >= threshold
        total = BinSums.of(index[chosen], weight[chosen]).total
        share = np.divide(total, everything.total, out=np.full(BINS, np.nan), where=everything.total > 0)
        rows.append(wilson_interval(np.minimum(share, 1.0) * number, number))
    share, low, high = np.stack(rows, axis=1) if rows else np.empty((3, 0, BINS))
    return Efficiency(bins.axis, bins.edges, np.array(list(thresholds)), share, low, high, number)


def snr_efficiency(
    snr: Float[Array, " injections"], statistic: Float[Array, " injections"], thresholds: Mapping[float, float]
) -> Efficiency:
    """Share of injections found against their network SNR.

    Args:
        snr: Network SNR of accepted injections.
        statistic: Their detection statistic, −inf where no event recovered one.
        thresholds: Detection threshold for each false alarm rate (1 / yr).
    """
    logarithm = np.log(snr)
    bins = Bins.around("snr", logarithm)
    everything = BinSums.of(bins.index(logarithm), None)
    return efficiency(bins, everything, (logarithm, np.ones(len(snr)), statistic), thresholds)


def wilson_interval(found: Array, number: Array) -> tuple[Array, Array, Array]:
    """Share and its 68 % interval (Wilson 1927) for counts out of numbers; out of none, NaN within 0 to 1."""
    known = number > 0
    n = np.where(known, number, 1.0)
    share = np.where(known, found / n, np.nan)
    centre = (share + 1 / (2 * n)) / (1 + 1 / n)
    half = np.sqrt(np.maximum(share * (1 - share), 0.0) / n + 1 / (4 * n**2)) / (1 + 1 / n)
    return (
        share,
        np.where(known, np.minimum(centre - half, share), 0.0),
        np.where(known, np.maximum(centre + half, share), 1.0),
    )
