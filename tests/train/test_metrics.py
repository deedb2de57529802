import numpy as np
import pytest
import torch

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.train.metrics import Validation, efficiency, monthly_threshold, partial_auroc, validation_metrics


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


MONTH = SECONDS_PER_YEAR / 12


def exponential(number, livetime, seed=0):
    return Background(np.random.default_rng(seed).exponential(size=number), livetime)


def test_a_rate_that_the_background_resolves_is_measured():
    background = exponential(3000, 10 * MONTH)
    threshold = monthly_threshold(background)
    assert not threshold.is_extrapolated
    assert (background.statistics >= threshold.statistic).sum() == 10


def test_a_rate_beyond_the_background_is_extrapolated_and_says_so():
    """With 1000 exponential events in a hundredth of a month, one a month lies at ln(1e5)."""
    background = exponential(1000, MONTH / 100, seed=3)
    threshold = monthly_threshold(background)
    assert threshold.is_extrapolated
    assert threshold.statistic > background.statistics[-1]
    assert threshold.statistic == pytest.approx(np.log(1e5), abs=1.5)  # the slope of 100 events is good to a tenth


def test_outliers_beyond_a_tail_give_no_threshold():
    statistics = np.concatenate([np.linspace(0, 1, 3000), [50.0, 60.0, 70.0]])
    assert np.isnan(monthly_threshold(Background(statistics, MONTH / 10)).statistic)


def validation(background):
    snr, chirp_mass = np.array([6.0, 6.5, 8.0, 10.0, 30.0]), np.array([5.0, 15.0, 15.0, 30.0, 90.0])
    statistics = np.array([0.5, 8.0, 100.0, 100.0, 100.0])
    views = torch.tensor([0.0, 2.0, 2.0, 2.0, 2.0, 0.0])
    windows = torch.linspace(-1, 1, 20000)
    return Validation(windows, background, views, torch.tensor([0, 1, 2, 3, 4, 4]), statistics, snr, chirp_mass)


def test_signals_are_counted_by_loudness_and_by_mass():
    metrics = validation_metrics(validation(exponential(3000, 10 * MONTH)), 1e-3)
    threshold = monthly_threshold(exponential(3000, 10 * MONTH)).statistic
    assert 0.5 < threshold < 8
    expected = {
        "valid_found": 0.8, "valid_found_snr_5_7": 0.5, "valid_found_snr_7_9": 1.0, "valid_found_snr_9_12": 1.0,
        "valid_found_chirp_mass_0_10": 0.0, "valid_found_chirp_mass_10_20": 1.0, "valid_found_chirp_mass_20_40": 1.0,
        "valid_found_chirp_mass_40_up": 1.0, "valid_efficiency": 4 / 6, "valid_efficiency_snr_5_7": 0.5,
        "valid_efficiency_snr_7_9": 1.0, "valid_efficiency_snr_9_12": 1.0, "found_is_extrapolated": 0.0,
        "background_days": 10 * MONTH / 86400,
    }  # fmt: skip
    scored = validation(exponential(3000, 10 * MONTH))
    assert metrics.pop("valid_auroc") == pytest.approx(float(partial_auroc(scored.windows, scored.views, 1e-3)))
    assert metrics == pytest.approx(expected)


def test_metrics_without_a_threshold_are_not_numbers():
    statistics = np.concatenate([np.linspace(0, 1, 3000), [50.0, 60.0, 70.0]])
    metrics = validation_metrics(validation(Background(statistics, MONTH / 10)), 1e-3)
    shares = [value for name, value in metrics.items() if name.startswith("valid_found")]
    assert len(shares) > 5
    assert np.isnan(shares).all()
    assert metrics["found_is_extrapolated"] == 1
    assert metrics["valid_efficiency"] == pytest.approx(4 / 6)
