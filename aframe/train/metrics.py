"""Metrics of a validation: separation of signals from time-slid background, and signals that a search would find."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from aframe.constants import SECONDS_PER_DAY
from aframe.events.significance import Background
from aframe.events.tail import fit_tail
from aframe.types import Array

MONTHLY = 12.0
"""One false alarm per month, in events per Julian year."""

LOW_FALSE_POSITIVE_RATE = 1e-4
"""False-positive rate of windows at which the efficiency is logged."""

SNR_BANDS = ((5, 7), (7, 9), (9, 12), (12, 16))
"""Bands of network SNR for counts of found signals."""

CHIRP_MASS_BANDS = ((0, 10), (10, 20), (20, 40), (40, math.inf))
"""Bands of detector-frame chirp mass, solar masses, for counts of found signals."""

BackgroundScores = Float[Tensor, " background"]
ForegroundScores = Float[Tensor, " foreground"]


def partial_auroc(background: BackgroundScores, foreground: ForegroundScores, max_fpr: float) -> Float[Tensor, ""]:
    """Standardised area under the receiver operating characteristic, up to a false-positive rate.

    Args:
        background: Scores of background windows.
        foreground: Scores of signals.
        max_fpr: Largest false-positive rate, in (0, 1].

    Returns:
        0.5 for scores without separation, 1 for perfect separation (McClish 1989, Med. Decis. Making 9, 190).
    """
    scores = torch.cat([background, foreground])
    _, rank = scores.unique(return_inverse=True)  # torchmetrics would squash scores into [0, 1] by a sigmoid, with ties
    is_signal = torch.arange(len(scores), device=scores.device) >= len(background)
    score = rank.double() / max(1, int(rank.max()))
    return binary_auroc(score, is_signal.int(), max_fpr=max_fpr if max_fpr < 1 else None).float()


def efficiency(
    background: BackgroundScores, foreground: ForegroundScores, false_positive_rate: float
) -> Float[Tensor, ""]:
    """Fraction of signals above the threshold of a false-positive rate.

    Args:
        background: Scores of background windows.
        foreground: Scores of signals.
        false_positive_rate: Fraction of background windows above the threshold.
    """
    rank = max(1, round(false_positive_rate * len(background)))
    threshold = background.topk(rank).values[-1]
    return (foreground > threshold).float().mean()


@dataclass(frozen=True)
class Validation:
    """Scores of a validation, and the events that a search would cluster from them.

    Attributes:
        windows: Scores of all background windows.
        background: Events of the time-slid background.
        views: Scores of windows with a coalescence in the training interval.
        signal_of_view: Index of the signal in each of these windows.
        statistics: Detection statistic of each signal.
        snr: Network SNR of each signal.
        chirp_mass: Detector-frame chirp mass of each signal, solar masses.
    """

    windows: Float[Tensor, " background"]
    background: Background
    views: Float[Tensor, " views"]
    signal_of_view: Int[Tensor, " views"]
    statistics: Float[Array, " signals"]
    snr: Float[Array, " signals"]
    chirp_mass: Float[Array, " signals"]

    def bands(self) -> Iterator[tuple[str, Bool[Array, " signals"]]]:
        """Names and masks of the signals in each band of SNR and of chirp mass. Empty bands are left out."""
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
        statistic: The threshold; NaN if it can be neither measured nor extrapolated.
        is_extrapolated: Whether it is extrapolated with the tail's model, as the background is too short to measure it.
    """

    statistic: float
    is_extrapolated: bool


def monthly_threshold(background: Background) -> Threshold:
    """Detection statistic at one false alarm a month. It is extrapolated if the background is shorter than a month."""
    if background.lowest_far_per_year <= MONTHLY:
        return Threshold(float(background.threshold_at_far(MONTHLY)), False)
    tail = fit_tail(background)
    if tail is None or not tail.is_accepted:
        return Threshold(float("nan"), True)
    return Threshold(tail.statistic_at_far(MONTHLY), True)


def validation_metrics(validation: Validation, max_fpr: float) -> dict[str, float]:
    """Metrics of a validation, by name.

    Args:
        validation: Scores and events.
        max_fpr: Largest false-positive rate of the AUROC.

    Returns:
        ``valid_auroc``; ``valid_efficiency``, the fraction of windows above a false-positive rate of 1e-4;
        ``valid_found``, the fraction of signals found at one false alarm a month. The last two are also given by
        network SNR, and ``valid_found`` by detector-frame chirp mass. ``found_is_extrapolated`` is 1 if the background
        is too short for that rate; ``background_days`` is its live time.
    """
    threshold = monthly_threshold(validation.background)
    is_found = validation.statistics >= threshold.statistic
    has_threshold = not np.isnan(threshold.statistic)
    windows, views = validation.windows, validation.views
    metrics = {
        "valid_auroc": float(partial_auroc(windows, views, max_fpr)),
        "valid_efficiency": float(efficiency(windows, views, LOW_FALSE_POSITIVE_RATE)),
        "valid_found": float(is_found.mean()) if has_threshold else float("nan"),
    }
    for name, inside in validation.bands():
        if name.startswith("snr"):
            chosen = views[torch.from_numpy(inside)[validation.signal_of_view]]
            metrics[f"valid_efficiency_{name}"] = float(efficiency(windows, chosen, LOW_FALSE_POSITIVE_RATE))
        metrics[f"valid_found_{name}"] = float(is_found[inside].mean()) if has_threshold else float("nan")
    metrics["found_is_extrapolated"] = float(threshold.is_extrapolated)
    metrics["background_days"] = validation.background.livetime / SECONDS_PER_DAY
    return metrics
