import numpy as np

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.report.curves import CURVE_POINTS
from aframe.report.figures import (
    background_figure,
    efficiency_figure,
    found_figure,
    training_figures,
    volume_figure,
)
from aframe.sensitivity.efficiency import snr_efficiency
from aframe.sensitivity.volume import Scope, VolumeCurve


def test_long_backgrounds_are_decimated_without_losing_the_loudest() -> None:
    background = Background(np.random.default_rng(0).normal(size=300_000), 10 * SECONDS_PER_YEAR)
    line = background_figure(background, np.array([3.0, 6.0]), 86400.0).renderers[0].data_source.data
    assert len(line["x"]) <= CURVE_POINTS
    assert line["x"][0] == background.statistics[-1]
    np.testing.assert_allclose(line["y"], background.far_per_year(line["x"]))


def test_axes_have_units() -> None:
    ones = np.ones(3)
    scope = Scope(100.0, (0.0, 1.0), 1e6, 1.0, 0.0, 1000.0)
    curve = VolumeCurve(ones, 0.1 * ones, 10 * ones, np.array([1.0, 10.0, 100.0]), ones, scope)
    snr = np.array([4.0, 8.0, 20.0])
    plots = {
        "Gpc³": volume_figure(curve, {"GstLAL": 2.0}),
        "1 / yr": background_figure(Background(np.arange(5.0), 1e6), None, 1e6),
        "M☉": found_figure(snr, snr, snr > 5),
        "Share": efficiency_figure(snr_efficiency(snr, snr, {1.0: 5.0})),
        "entropy": training_figures({"train_loss": (ones, ones)})["Loss"],
    }
    for label, plot in plots.items():
        assert label in plot.yaxis[0].axis_label
        assert plot.xaxis[0].axis_label
        assert plot.sizing_mode == "stretch_width"


def test_degenerate_data_make_figures() -> None:
    background_figure(Background(np.empty(0), 1e6), np.empty(0), 1e6)
    efficiency_figure(snr_efficiency(np.array([8.0]), np.array([-np.inf]), {1.0: 5.0}))
