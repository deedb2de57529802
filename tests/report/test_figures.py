import numpy as np
import pytest

from aframe.candidates.removal import Removal
from aframe.candidates.table import CandidateTable, candidates
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
from aframe.sensitivity.interval import Scope
from aframe.sensitivity.volume import VolumeCurve
from aframe.tables import EventTable


def ranked(statistics: list[float], background: Background, removal: Removal | None = None) -> CandidateTable:
    events = {"detection_statistic": np.array(statistics), "detection_time": 1e9 + np.arange(len(statistics))}
    zero_lag = EventTable({**events, "shift": np.zeros((len(statistics), 2))}, attributes={"Tb": 86400.0})
    return candidates(zero_lag, background, removal)


def test_a_tail_is_drawn_as_a_model_and_both_backgrounds_are_named() -> None:
    background = Background(np.random.default_rng(0).exponential(size=20_000), SECONDS_PER_YEAR)
    cleaned = Background(background.statistics[:-3], 0.9 * SECONDS_PER_YEAR)
    count = np.array([0, 1])
    removal = Removal(cleaned, np.array([True, False]), count, np.array([1.0, 0.9]) * SECONDS_PER_YEAR)
    table = ranked([25.0, 9.0], background, removal)
    assert table.tail is not None
    plot = background_figure(background, table, table.tail)
    names = [item.label.value for item in plot.legend[0].items]
    assert names == ["time slides", "exponential tail: a model", "unshifted data", "rate without louder candidates"]
    lines = {item.label.value: item.renderers[0] for item in plot.legend[0].items}
    model = lines["exponential tail: a model"]
    assert model.glyph.line_dash
    x, y = (model.data_source.data[name] for name in "xy")
    assert y[-1] == pytest.approx(background.lowest_far_per_year / 100)
    np.testing.assert_allclose(np.exp(np.interp(9.0, x, np.log(y))), table["far_extrapolated_per_year"][1], rtol=1e-6)
    np.testing.assert_allclose(
        lines["rate without louder candidates"].data_source.data["y"], removal.far_per_year, rtol=1e-6
    )


def test_long_backgrounds_are_decimated_without_losing_the_loudest() -> None:
    background = Background(np.random.default_rng(0).normal(size=300_000), 10 * SECONDS_PER_YEAR)
    line = background_figure(background, ranked([3.0, 6.0], background)).renderers[0].data_source.data
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
        "1 / yr": background_figure(Background(np.arange(5.0), 1e6), None),
        "M☉": found_figure(snr, snr, snr > 5),
        "Share": efficiency_figure(snr_efficiency(snr, snr, {1.0: 5.0})),
        "entropy": training_figures({"train_loss": (ones, ones)})["Loss"],
    }
    for label, plot in plots.items():
        assert label in plot.yaxis[0].axis_label
        assert plot.xaxis[0].axis_label
        assert plot.sizing_mode == "stretch_width"


def test_degenerate_data_make_figures() -> None:
    empty = Background(np.empty(0), 1e6)
    background_figure(empty, ranked([], empty))
    efficiency_figure(snr_efficiency(np.array([8.0]), np.array([-np.inf]), {1.0: 5.0}))
