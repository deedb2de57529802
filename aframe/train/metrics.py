"""What a validation says: how well scores separate signals from time-slid background, and what a search would find."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from aframe.constants import SECONDS_PER_DAY
from aframe.events.significance import Background as BackgroundEvents
from aframe.events.tail import fit_tail
from aframe.types import Array

MONTHLY = 12.0
"""One false alarm per month, in events per Julian year."""

LOW_FALSE_POSITIVE_RATE = 1e-4

SNR_BANDS = ((5, 7), (7, 9), (9, 12), (12, 16))
"""Network SNRs between which found signals are counted."""

CHIRP_MASS_BANDS = ((0, 10), (10, 20), (20, 40), (40, math.inf))
"""Chirp masses, detector frame, solar masses."""

Background = Float[Tensor, " background"]
Foreground = Float[Tensor, " foreground"]


def partial_auroc(background: Background, foreground: Foreground, max_fpr: float) -> Tensor:
    """Area under the receiver operating characteristic up to a false-positive rate, standardised.

    Args:
        background: Scores of background windows, shape (background,).
        foreground: Scores of signals, shape (foreground,).
        max_fpr: Largest false-positive rate, in (0, 1].

    Returns:
        0.5 for scores that do not separate, 1 for scores that do perfectly (McClish 1989, Med. Decis. Making 9, 190).
    """
    scores = torch.cat([background, foreground])
    values, order = scores.sort(descending=True)
    is_background = order < len(background)
    false_positive = is_background.cumsum(0).double() / len(background)
    true_positive = (~is_background).cumsum(0).double() / len(foreground)
    last = torch.ones_like(is_background)
    last[:-1] = values[1:] != values[:-1]  # tied scores pass a threshold together
    zero = torch.zeros(1, dtype=torch.float64, device=scores.device)
    x, y = torch.cat([zero, false_positive[last]]), torch.cat([zero, true_positive[last]])
    inside = int((x <= max_fpr).sum())
    if inside < len(x):
        fraction = (max_fpr - x[inside - 1]) / (x[inside] - x[inside - 1])
        edge = y[inside - 1] + fraction * (y[inside] - y[inside - 1])
        x, y = torch.cat([x[:inside], zero + max_fpr]), torch.cat([y[:inside], edge[None]])
    area = torch.trapezoid(y, x)
    chance = max_fpr**2 / 2
    return (0.5 * (1 + (area - chance) / (max_fpr - chance))).float()


def efficiency(background: Background, foreground: Foreground, false_positive_rate: float) -> Tensor:
    """Fraction of signals above the score that this fraction of the background exceeds."""
    rank = max(1, round(false_positive_rate * len(background)))
    threshold = background.topk(rank).values[-1]
    return (foreground > threshold).float().mean()


@dataclass(frozen=True)
class Validation:
    """Scores of a validation, and the events that a search would make of them.

    Attributes:
        windows: Scores of all background windows, shape (background,).
        background: Events of the time-slid background.
        views: Scores of windows that hold a signal where training puts it, shape (views,).
        signal_of_view: Which signal that is, shape (views,).
        statistics: Detection statistic of each signal, shape (signals,).
        snr: Network SNR of each signal.
        chirp_mass: Detector frame, solar masses.
    """

    windows: Float[Tensor, " background"]
    background: BackgroundEvents
    views: Float[Tensor, " views"]
    signal_of_view: Tensor
    statistics: Float[Array, " signals"]
    snr: Float[Array, " signals"]
    chirp_mass: Float[Array, " signals"]

    def bands(self) -> Iterator[tuple[str, Bool[Array, " signals"]]]:
        """Names, and which signals they hold, of bands of SNR and of chirp mass that are not empty."""
        quantities = (("snr", self.snr, SNR_BANDS), ("chirp_mass", self.chirp_mass, CHIRP_MASS_BANDS))
        for name, values, bands in quantities:
            for low, high in bands:
                inside = (values >= low) & (values < high)
                if inside.any():
                    yield f"{name}_{low}_{high if math.isfinite(high) else 'up'}", inside


@dataclass(frozen=True)
class Threshold:
    """Detection statistic at one false alarm a month.

    Attributes:
        statistic: NaN where it is neither measured nor to be extrapolated.
        is_extrapolated: Whether the background is too short to measure that rate, so that the tail's model gives it.
    """

    statistic: float
    is_extrapolated: bool


def monthly_threshold(background: BackgroundEvents) -> Threshold:
    """The statistic with one false alarm a month; by the fit to the background's tail where it is less than a month."""
    if background.lowest_far_per_year <= MONTHLY:
        return Threshold(float(background.threshold_at_far(MONTHLY)), False)
    tail = fit_tail(background)
    if tail is None or not tail.is_exponential:
        return Threshold(float("nan"), True)
    return Threshold(tail.statistic_at_far(MONTHLY), True)


def validation_metrics(validation: Validation, max_fpr: float) -> dict[str, float]:
    """What is logged of a validation.

    Args:
        validation: Its scores.
        max_fpr: False-positive rate up to which the AUROC is taken.

    Returns:
        ``valid_auroc``; ``valid_efficiency``, of windows at a false-positive rate of 1e-4; ``valid_found``, of signals
        at one false alarm a month; both also by network SNR, the latter by chirp mass (detector frame) too;
        ``found_is_extrapolated``, 1 where the background is too short for that rate; ``background_days``.
    """
    threshold = monthly_threshold(validation.background)
    found = validation.statistics >= threshold.statistic
    known = not np.isnan(threshold.statistic)
    windows, views = validation.windows, validation.views
    metrics = {
        "valid_auroc": float(partial_auroc(windows, views, max_fpr)),
        "valid_efficiency": float(efficiency(windows, views, LOW_FALSE_POSITIVE_RATE)),
        "valid_found": float(found.mean()) if known else float("nan"),
    }
    for name, inside in validation.bands():
        if name.startswith("snr"):
            chosen = views[torch.from_numpy(inside)[validation.signal_of_view]]
            metrics[f"valid_efficiency_{name}"] = float(efficiency(windows, chosen, LOW_FALSE_POSITIVE_RATE))
        metrics[f"valid_found_{name}"] = float(found[inside].mean()) if known else float("nan")
    metrics["found_is_extrapolated"] = float(threshold.is_extrapolated)
    metrics["background_days"] = validation.background.livetime / SECONDS_PER_DAY
    return metrics
