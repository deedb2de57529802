import numpy as np
import pytest

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.report.figures import (
    CURVE_POINTS,
    background_figure,
    efficiency_figure,
    found_figure,
    training_figures,
    volume_figure,
    wilson_interval,
)
from aframe.sensitivity.volume import VolumeCurve


def test_wilson_interval() -> None:
    found, number = np.array([0, 5, 10]), np.array([10, 10, 10])
    share, low, high = wilson_interval(found, number)
    np.testing.assert_array_equal(share, [0, 0.5, 1])
    # the interval's ends solve |share - p| = sqrt(p (1 - p) / n)
    for end, index in ((low, 1), (high, 1), (high, 0), (low, 2)):
        assert abs(share[index] - end[index]) == pytest.approx(np.sqrt(end[index] * (1 - end[index]) / 10))
    assert low[0] == 0
    assert high[2] == 1


def test_long_backgrounds_are_decimated_without_losing_the_loudest() -> None:
    background = Background(np.random.default_rng(0).normal(size=300_000), 10 * SECONDS_PER_YEAR)
    line = background_figure(background, np.array([3.0, 6.0]), 86400.0).renderers[0].data_source.data
    assert len(line["x"]) <= CURVE_POINTS
    assert line["x"][0] == background.statistics[-1]
    np.testing.assert_allclose(line["y"], background.far_per_year(line["x"]))


def test_axes_have_units() -> None:
    ones = np.ones(3)
    curve = VolumeCurve(ones, 0.1 * ones, 10 * ones, np.array([1.0, 10.0, 100.0]), ones)
    snr = np.array([4.0, 8.0, 20.0])
    plots = {
        "Gpc³": volume_figure(curve, {"GstLAL": 2.0}),
        "1 / yr": background_figure(Background(np.arange(5.0), 1e6), None, 1e6),
        "M☉": found_figure(snr, snr, snr > 5),
        "Share": efficiency_figure(snr, snr, {1.0: 5.0}),
        "entropy": training_figures({"train_loss": (ones, ones)})["Loss"],
    }
    for label, plot in plots.items():
        assert label in plot.yaxis[0].axis_label
        assert plot.xaxis[0].axis_label
        assert plot.sizing_mode == "stretch_width"


def test_degenerate_data_make_figures() -> None:
    background_figure(Background(np.empty(0), 1e6), np.empty(0), 1e6)
    efficiency_figure(np.array([8.0]), np.array([-np.inf]), {1.0: 5.0})
