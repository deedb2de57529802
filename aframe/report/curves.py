"""Curves and groups that both the report's and the papers' figures draw."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm, poisson

from aframe.events.tail import Tail
from aframe.types import Array

CURVE_POINTS = 600
"""Largest number of points of a cumulative curve."""

TAIL_POINTS = 100
"""Points of a tail."""

EXTRAPOLATED_DECADES = 2.0
"""Decades of rate that an extrapolation is drawn below the lowest measured rate."""


@dataclass(frozen=True)
class TailCurve:
    """Generalised Pareto tail of a background.

    Attributes:
        statistic: Detection statistics, from the tail's threshold on.
        far_per_year: Extrapolated rate, events per Julian year.
        low: Lower end of the 95 % interval, events per Julian year, but no less than a tenth of the lowest rate.
        high: Upper end of the 95 % interval, events per Julian year.
    """

    statistic: Float[Array, " points"]
    far_per_year: Float[Array, " points"]
    low: Float[Array, " points"]
    high: Float[Array, " points"]


def cumulative(ordered: Float[Array, " events"]) -> tuple[Float[Array, " points"], Int[Array, " points"]]:
    """Statistics, and numbers of events at least as loud. The numbers are evenly spaced in logarithm.

    Args:
        ordered: Detection statistics in ascending order.
    """
    total = len(ordered)
    if not total:
        return np.empty(0), np.empty(0, dtype=np.int64)
    count = np.unique(np.round(np.geomspace(1, total, CURVE_POINTS)).astype(np.int64))
    return ordered[total - count].astype(np.float64), count


def poisson_band(expected: Float[Array, " points"], sigma: float) -> tuple[Array, Array]:
    """Central interval of a Poisson distribution: its lowest and highest numbers of events.

    Args:
        expected: Means of the distribution.
        sigma: Width of the interval. Each tail has the probability of a Gaussian's beyond this many standard
            deviations.
    """
    return poisson.ppf(norm.sf(sigma), expected), poisson.isf(norm.sf(sigma), expected)


def tail_curve(tail: Tail, lowest_far_per_year: float) -> TailCurve:
    """Curve of a tail, down to rates that the background cannot measure.

    Args:
        tail: Fit to the background.
        lowest_far_per_year: Lowest rate that the background measures, events per Julian year.
    """
    lowest = lowest_far_per_year / 10**EXTRAPOLATED_DECADES
    statistic = np.linspace(tail.threshold, tail.statistic_at_far(lowest), TAIL_POINTS)
    low, high = tail.interval_per_year(statistic)
    return TailCurve(statistic, tail.far_extrapolated_per_year(statistic), np.maximum(low, lowest / 10), high)


TRAINING_GROUPS = {
    "Loss": r"loss",
    "Validation": r"valid_[a-z]+$",
    "Signals found at one false alarm a month, by network SNR": r"valid_found_snr_",
    "Signals found at one false alarm a month, by chirp mass (detector frame, M☉)": r"valid_found_chirp_mass_",
    "Efficiency of windows at a false-positive rate of 1e-4, by network SNR": r"valid_efficiency_snr_",
}
"""Patterns of the metrics that one figure of a training shows, by its heading."""


def training_groups(metrics: Iterable[str]) -> dict[str, list[str]]:
    """Group metrics by figure. Each is under the first heading that matches; others are left out."""
    groups: dict[str, list[str]] = {}
    for name in metrics:
        heading = next((key for key, pattern in TRAINING_GROUPS.items() if re.search(pattern, name)), None)
        if heading is not None:
            groups.setdefault(heading, []).append(name)
    return {heading: groups[heading] for heading in TRAINING_GROUPS if heading in groups}


def metric_label(name: str) -> str:
    """Label of a metric in a figure.

    >>> metric_label("valid_found_chirp_mass_40_up"), metric_label("valid_efficiency_snr_5_7")
    ('above 40', '5–7')
    """
    band = re.search(r"_(?:snr|chirp_mass)_(\d+)_(\d+|up)$", name)
    if band:
        return f"above {band[1]}" if band[2] == "up" else f"{band[1]}–{band[2]}"
    if "loss" in name:
        return name.replace("_", " ")
    text = {"valid_found": "found at one false alarm a month", "valid_efficiency": "efficiency of windows"}.get(name)
    return text or name.removeprefix("valid_").replace("auroc", "AUROC").replace("_", " ")
