import numpy as np
import pytest
import torch

from aframe.train.metrics import efficiency, partial_auroc


def plain_partial_auroc(background, foreground, max_fpr):
    """The definition: the curve through all thresholds, its area up to ``max_fpr`` by trapezoids, standardised."""
    thresholds = [np.inf, *sorted({*background.tolist(), *foreground.tolist()}, reverse=True)]
    x = [float((background.numpy() >= t).mean()) for t in thresholds]
    y = [float((foreground.numpy() >= t).mean()) for t in thresholds]
    area = 0.0
    for (x0, y0), (x1, y1) in zip(zip(x, y), zip(x[1:], y[1:]), strict=False):  # noqa: B905 - pairs of one list
        if x1 > x0 and x0 < max_fpr:
            stop = min(x1, max_fpr)
            at_stop = y0 + (y1 - y0) * (stop - x0) / (x1 - x0)
            area += (stop - x0) * (y0 + at_stop) / 2
    chance = max_fpr**2 / 2
    return 0.5 * (1 + (area - chance) / (max_fpr - chance))


@pytest.mark.parametrize("max_fpr", [1e-3, 0.013, 0.1, 1.0])
@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_area_is_that_of_the_plain_definition(max_fpr, decimals):
    generator = torch.Generator().manual_seed(4)
    background = torch.randn(700, generator=generator).round(decimals=decimals)  # few decimals make many ties
    foreground = (1 + torch.randn(150, generator=generator)).round(decimals=decimals)
    expected = plain_partial_auroc(background, foreground, max_fpr)
    assert float(partial_auroc(background, foreground, max_fpr)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("max_fpr", [1e-3, 0.1, 1.0])
def test_limits(max_fpr):
    low, high = torch.linspace(0, 1, 5000), torch.linspace(2, 3, 100)
    assert float(partial_auroc(low, high, max_fpr)) == pytest.approx(1)
    assert float(partial_auroc(torch.zeros(5000), torch.zeros(100), max_fpr)) == pytest.approx(0.5)
    assert float(partial_auroc(low, low, max_fpr)) == pytest.approx(0.5, abs=1e-3)
    assert float(partial_auroc(high, low, max_fpr)) < 0.5


def test_the_whole_area_is_the_probability_that_a_signal_is_louder():
    generator = torch.Generator().manual_seed(1)
    background = torch.randn(300, generator=generator).round(decimals=1)
    foreground = (0.5 + torch.randn(200, generator=generator)).round(decimals=1)
    difference = foreground[:, None] - background
    expected = (difference > 0).float().mean() + (difference == 0).float().mean() / 2
    assert float(partial_auroc(background, foreground, 1.0)) == pytest.approx(float(expected), abs=1e-6)


def test_efficiency_counts_signals_above_a_quantile_of_the_background():
    background = torch.arange(1000.0)
    foreground = torch.tensor([998.5, 999.5, 989.5, 990.5])
    assert float(efficiency(background, foreground, 1e-4)) == 0.25  # none of the background is louder than its loudest
    assert float(efficiency(background, foreground, 2e-3)) == 0.5
    assert float(efficiency(background, foreground, 1e-2)) == 0.75
