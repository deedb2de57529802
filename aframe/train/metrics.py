"""What a validation says: how well scores separate signals from time-slid background."""

import torch
from jaxtyping import Float
from torch import Tensor

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
