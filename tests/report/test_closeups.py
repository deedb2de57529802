import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aframe.inference.q_transform import QTransform
from aframe.report.closeup_figures import SCALE_ENDS, q_transform, scores, whitened_strain
from aframe.report.closeups import closeups
from aframe.report.gather import gather
from aframe.report.html import Figures
from aframe.report.inputs import ReportInputs
from aframe.report.interactive import draw
from aframe.report.page import build_report


@pytest.fixture(scope="module")
def inputs(run_directory: Path) -> ReportInputs:
    return gather(str(run_directory / "results"), None)


def test_each_of_the_loudest_unfolds(inputs: ReportInputs) -> None:
    plots: Figures = {}
    content = closeups(inputs, plots)
    headings = re.findall(r"<details( open)?><summary>(.*?)</summary>", content)
    assert [opened for opened, _ in headings] == [" open", "", ""]
    assert headings[0][1] == "1 · 2019-12-10 08:04:42.000 · statistic 11.500 · FAR &lt; 1 per 36.5 days"
    assert re.findall(r"<h3>(.*?)</h3>", content)[1:5] == [
        "Q transform, H1", "Q transform, L1", "Whitened strain", "Scores"
    ]  # fmt: skip
    assert len(plots) == 3 * 4
    assert len(set(plots)) == len({plot.id for plot in plots.values()})


def test_one_that_cannot_be_looked_at_is_left_out(inputs: ReportInputs) -> None:
    plots: Figures = {}
    content = closeups(replace(inputs, closeups={2: inputs.closeups[2]}), plots)
    assert re.findall(r"<summary>(\d)", content) == ["2"]
    assert "statistic 6.000" in content
    assert closeups(replace(inputs, closeups={}), plots) == closeups(replace(inputs, background=None), plots) == ""
    assert len(plots) == 4


def test_a_partial_run_has_a_report_without(inputs: ReportInputs, tmp_path: Path) -> None:
    assert gather(str(tmp_path), None).closeups == {}
    assert "Whitened strain" not in build_report(replace(inputs, closeups={}))
    assert "Whitened strain" in build_report(inputs)


def test_an_image_lies_where_its_tiles_do() -> None:
    time, frequency = 1e9 + 10 + np.arange(64) / 64, np.geomspace(20, 320, 9)
    energy = np.ones((9, 64))
    energy[4, 48] = 1000.0  # at 80 Hz, 0.25 s after the candidate
    plot = draw(q_transform("H1", QTransform(time, frequency, energy, 8.0), 1e9 + 10.5, 1000.0))
    glyph, level = plot.renderers[0].glyph, plot.renderers[0].data_source.data["level"][0]
    assert level.dtype == np.uint8
    row, column = np.unravel_index(level.argmax(), level.shape)
    assert glyph.x + (column + 0.5) * glyph.dw / 64 == pytest.approx(0.25)
    ends = np.log([glyph.y, glyph.y + glyph.dh])  # rows are even in logarithm
    assert np.exp(ends[0] + (row + 0.5) / 9 * np.diff(ends)[0]) == pytest.approx(80.0)
    assert level.max() == 255
    assert level.min() == round(255 / SCALE_ENDS[1])
    assert plot.above[0].color_mapper.high == SCALE_ENDS[1]
    assert "energy" in plot.above[0].title
    assert "(Hz)" in plot.yaxis[0].axis_label


def test_axes_count_seconds_from_the_candidate(inputs: ReportInputs) -> None:
    shown = inputs.closeups[1]
    strain, score = draw(whitened_strain(shown, 1.26e9 + 300)), draw(scores(shown, 1.26e9 + 300, 11.5))
    for plot, label, reach in ((strain, "Whitened strain (σ)", 0.5), (score, "Score (logit)", 4.0)):
        assert plot.xaxis[0].axis_label == "Time (s) from GPS 1260000300.000"
        assert plot.yaxis[0].axis_label == label
        x = plot.renderers[0].data_source.data["x"]
        assert x[0] == pytest.approx(-reach, abs=0.13)
        assert x[-1] == pytest.approx(reach, abs=0.13)
    assert [item.label.value for item in strain.legend.items] == ["H1", "L1"]
    np.testing.assert_allclose(score.renderers[0].data_source.data["y"], shown.score)
    assert score.renderers[2].data_source.data == {"x": np.zeros(1), "y": np.full(1, 11.5)}
