"""Detection efficiency: the share of binaries that a search recovers, against SNR, distance and chirp mass."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from aframe.sensitivity.cosmology import luminosity_distance_mpc
from aframe.sensitivity.weights import Binaries
from aframe.types import Array

BINS = 20
"""Number of bins of each axis, even in the logarithm (of redshift for distances)."""

SHARE_BELOW_BINS = 0.002
"""Share of the accepted injections below the first bin. It prevents that a few outliers leave most bins empty."""

CHIRP_MASS_EDGES = (1.0, 1.7, 5.0, 10.0, 30.0, math.inf)
"""Edges of the ranges of detector-frame chirp mass, solar masses, in which weak signals are counted.

The ranges hold neutron stars, mixed pairs, light, medium and heavy black holes.
"""

WEAK_SNRS = (9.0, 10.0)
"""Range of network SNR of weak signals. Most detections of a search are near its threshold."""

UNITS: Mapping[str, str] = {
    "snr": "",
    "luminosity_distance": "Mpc",
    "chirp_mass": "M_sun",
    "chirp_mass_source": "M_sun",
}
"""Axes and their units; ``chirp_mass`` is detector-frame."""


@dataclass(frozen=True, eq=False)
class Efficiency:
    """Efficiency in bins of one quantity, at one or more false alarm rates, with 68 % intervals.

    Attributes:
        axis: Name of the quantity, a key of ``UNITS``.
        edges: Edges of the bins in the quantity's unit, shape (bins + 1,).
        far_per_year: False alarm rates, events per Julian year, shape (rates,).
        share: Share of recovered binaries, shape (rates, bins); NaN in a bin without binaries.
        low: Lower end of the share's interval, shape (rates, bins).
        high: Upper end of the share's interval, shape (rates, bins).
        number: Effective number of binaries in each bin, (Σ w)² / Σ w², shape (bins,).
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
        total: Σ w, shape (bins,).
        squares: Σ w², shape (bins,).
    """

    total: Float[Array, " bins"]
    squares: Float[Array, " bins"]

    @classmethod
    def of(cls, index: Int[Array, " n"], weight: Float[Array, " n"] | None) -> "BinSums":
        """Sum the weights in each bin.

        Args:
            index: Bin of each binary (see ``Bins.index``), shape (n,).
            weight: Weight of each binary, shape (n,); None for unit weights.
        """
        powers = (None, None) if weight is None else (weight, weight**2)
        sums = (np.bincount(index + 1, values, minlength=BINS + 2)[1:-1].astype(np.float64) for values in powers)
        return cls(*sums)

    def __add__(self, other: "BinSums") -> "BinSums":
        return BinSums(self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True)
class Bins:
    """Bins that are even in the logarithm of a quantity.

    Attributes:
        axis: Name of the quantity, a key of ``UNITS``.
        start: Logarithm of the first edge.
        width: Width of a bin in the logarithm.
    """

    axis: str
    start: float
    width: float

    @classmethod
    def around(cls, axis: str, logarithm: Float[Array, " n"]) -> "Bins":
        """Choose bins that hold a set of injections, except for the lowest few.

        Args:
            axis: Name of the quantity, a key of ``UNITS``.
            logarithm: Natural logarithm of the quantity (of redshift for distances), shape (n,).
        """
        start, stop = float(np.quantile(logarithm, SHARE_BELOW_BINS)), float(logarithm.max())
        stop = max(stop, start + 0.1) + 1e-9
        return cls(axis, start, (stop - start) / BINS)

    @property
    def edges(self) -> Float[Array, " edges"]:
        """Edges of the bins in the quantity's unit."""
        edge = np.exp(self.start + self.width * np.arange(BINS + 1))
        return luminosity_distance_mpc(edge, float(edge[-1])) if self.axis == "luminosity_distance" else edge

    def index(self, logarithm: Float[Array, " n"]) -> Int[Array, " n"]:
        """Bin of each value: −1 below all bins, ``BINS`` above all bins."""
        return np.clip((logarithm - self.start) / self.width + 1, 0, BINS + 1).astype(np.intp) - 1


def coordinates(binaries: Binaries) -> dict[str, Float[Array, " n"]]:
    """Natural logarithms of redshift (for the distance) and of chirp masses (solar masses), by axis."""
    chirp_mass, scale = binaries.log_chirp_mass_source, np.log1p(binaries.redshift)
    with np.errstate(divide="ignore"):
        redshift = np.log(binaries.redshift)
    return {"luminosity_distance": redshift, "chirp_mass": chirp_mass + scale, "chirp_mass_source": chirp_mass}


def efficiency(
    bins: Bins,
    everything: BinSums,
    injections: tuple[Float[Array, " injections"], Float[Array, " injections"], Float[Array, " injections"]],
    thresholds: Mapping[float, float],
) -> Efficiency:
    """Compute the share of recovered binaries in each bin.

    The interval of a weighted share is that of a binomial share, with the bin's effective number of binaries.

    Args:
        bins: Bins of the quantity.
        everything: Sums over all draws, accepted and rejected.
        injections: Logarithm of the quantity, weight, and detection statistic of the accepted injections, each of shape
            (injections,).
        thresholds: Detection threshold for each false alarm rate (events per Julian year).

    Returns:
        Shares and their intervals.
    """
    logarithm, weight, statistic = injections
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
    """Compute the share of recovered injections against network SNR.

    Args:
        snr: Network SNR of accepted injections, shape (injections,).
        statistic: Detection statistic of accepted injections, −inf without an event, shape (injections,).
        thresholds: Detection threshold for each false alarm rate (events per Julian year).

    Returns:
        Shares and their intervals.
    """
    logarithm = np.log(snr)
    bins = Bins.around("snr", logarithm)
    everything = BinSums.of(bins.index(logarithm), None)
    return efficiency(bins, everything, (logarithm, np.ones(len(snr)), statistic), thresholds)


def weak_signal_efficiency(
    chirp_mass: Float[Array, " injections"],
    snr: Float[Array, " injections"],
    statistic: Float[Array, " injections"],
    thresholds: Mapping[float, float],
) -> Efficiency:
    """Compute the share of recovered injections with a network SNR within ``WEAK_SNRS``, by chirp mass.

    Args:
        chirp_mass: Detector-frame chirp mass of accepted injections, solar masses, shape (injections,).
        snr: Their network SNR, shape (injections,).
        statistic: Their detection statistic, −inf without an event, shape (injections,).
        thresholds: Detection threshold for each false alarm rate (events per Julian year).

    Returns:
        Shares and their intervals between the ``CHIRP_MASS_EDGES``.
    """
    is_weak = (snr >= WEAK_SNRS[0]) & (snr < WEAK_SNRS[1])
    edges = np.array(CHIRP_MASS_EDGES)
    place = np.searchsorted(edges, chirp_mass, side="right") - 1

    def counts(chosen: Array) -> Array:
        return np.array([float((chosen & (place == each)).sum()) for each in range(len(edges) - 1)])

    number = counts(is_weak)
    rows = [wilson_interval(counts(is_weak & (statistic >= threshold)), number) for threshold in thresholds.values()]
    share, low, high = np.stack(rows, axis=1) if rows else np.empty((3, 0, len(number)))
    return Efficiency("chirp_mass", edges, np.array(list(thresholds)), share, low, high, number)


def wilson_interval(successes: Array, number: Array) -> tuple[Array, Array, Array]:
    """Compute binomial shares and their 68 % intervals (Wilson 1927).

    Args:
        successes: Number of successes, possibly fractional, any shape.
        number: Number of trials, same shape.

    Returns:
        Share, lower end and upper end. Without trials these are NaN, 0 and 1.
    """
    has_trials = number > 0
    n = np.where(has_trials, number, 1.0)
    share = np.where(has_trials, successes / n, np.nan)
    centre = (share + 1 / (2 * n)) / (1 + 1 / n)
    half = np.sqrt(np.maximum(share * (1 - share), 0.0) / n + 1 / (4 * n**2)) / (1 + 1 / n)
    return (
        share,
        np.where(has_trials, np.minimum(centre - half, share), 0.0),
        np.where(has_trials, np.maximum(centre + half, share), 1.0),
    )
