from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bokeh.models.annotations import Span
from bokeh.plotting import figure
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch

from aframe.candidates.removal import Removal
from aframe.candidates.table import CandidateTable, candidates
from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.report import bank, figures, limit_figures, panels
from aframe.report.closeup_figures import closeup_figures
from aframe.report.curves import CURVE_POINTS
from aframe.report.gather import gather
from aframe.report.interactive import draw
from aframe.report.plots import Plot, Rule
from aframe.sensitivity.efficiency import snr_efficiency
from aframe.sensitivity.interval import Scope
from aframe.sensitivity.volume import ALL_DRAWS, VolumeCurve
from aframe.tables import EventTable, RecoveredTable
from aframe.types import Array


def ranked(statistics: list[float], background: Background, removal: Removal | None = None) -> CandidateTable:
    events = {"detection_statistic": np.array(statistics), "detection_time": 1e9 + np.arange(len(statistics))}
    zero_lag = EventTable({**events, "shift": np.zeros((len(statistics), 2))}, attributes={"Tb": 86400.0})
    return candidates(zero_lag, background, removal)


def legend(plot: figure) -> dict[str, Any]:
    """First renderer of each entry of a page's legend."""
    return {item.label.value: item.renderers[0] for item in plot.legend[0].items}


def test_a_tail_is_drawn_as_an_extrapolation_and_both_backgrounds_are_named() -> None:
    slides = Background(np.random.default_rng(0).exponential(size=20_000), SECONDS_PER_YEAR)
    cleaned = Background(slides.statistics[3:], 0.9 * SECONDS_PER_YEAR)
    count = np.array([0, 1])
    removal = Removal(cleaned, np.array([True, False]), count, np.array([1.0, 0.9]) * SECONDS_PER_YEAR)
    table = ranked([25.0, 9.0], slides, removal)
    assert table.tail is not None
    lines = legend(draw(figures.background(slides, table, table.tail)))
    assert list(lines) == [
        "lowest measurable rate", "time slides", "extrapolation: Pareto tail, 95 %", "Poisson 1σ, 2σ, 3σ",
        "unshifted data", "without the louder",
    ]  # fmt: skip
    model = lines["extrapolation: Pareto tail, 95 %"]
    assert model.glyph.line_dash
    x, y = (model.data_source.data[name] for name in "xy")
    assert y[-1] == pytest.approx(slides.lowest_far_per_year / 100)
    np.testing.assert_allclose(np.exp(np.interp(9.0, x, np.log(y))), table["far_extrapolated_per_year"][1], rtol=1e-6)
    np.testing.assert_allclose(lines["without the louder"].data_source.data["y"], removal.far_per_year, rtol=1e-6)
    np.testing.assert_array_equal(
        lines["lowest measurable rate"].data_source.data["y"], 2 * [slides.lowest_far_per_year]
    )


def test_long_backgrounds_are_decimated_without_losing_the_loudest() -> None:
    slides = Background(np.random.default_rng(0).normal(size=300_000), 10 * SECONDS_PER_YEAR)
    lines = legend(draw(figures.background(slides, ranked([3.0, 6.0], slides), None)))
    line = lines["time slides"].data_source.data
    assert len(line["x"]) <= CURVE_POINTS
    assert line["x"][0] == slides.statistics[-1]
    np.testing.assert_allclose(line["y"], slides.far_per_year(line["x"]))


def test_axes_have_units() -> None:
    ones = np.ones(3)
    scope = Scope(100.0, (0.0, 1.0), 1e6, 1.0, 0.0, 1000.0)
    curve = VolumeCurve(ones, 0.1 * ones, 10 * ones, np.array([1.0, 10.0, 100.0]), ones, 1.2 * ones, 0.8 * ones, scope)
    snr = np.array([4.0, 8.0, 20.0])
    columns = {name: snr for name in ("snr", "mass_1", "mass_2")}
    table = RecoveredTable(columns | {"ifo_snrs": np.stack([snr, snr], axis=1)})
    described = {
        "Gpc³": figures.volume("35-35", curve, is_simulated=False),
        "1 / yr": figures.background(Background(np.arange(5.0), 1e6), None, None),
        "M☉": figures.found_by_mass(table, snr > 5, 1.0),
        "Share": figures.efficiency_of_injections(snr_efficiency(snr, snr, {1.0: 5.0})),
        "entropy": figures.training({"train_loss": (ones, ones)})[0],
    }
    for label, plot in described.items():
        drawn = draw(plot)
        assert label in drawn.yaxis[0].axis_label
        assert drawn.xaxis[0].axis_label
        assert drawn.sizing_mode == "stretch_width"
    assert "GstLAL (O3)" in described["Gpc³"].labels


def test_degenerate_data_make_figures() -> None:
    empty = Background(np.empty(0), 1e6)
    nothing = snr_efficiency(np.array([8.0]), np.array([-np.inf]), {1.0: 5.0})
    for plot in (figures.background(empty, ranked([], empty), None), figures.efficiency_of_injections(nothing)):
        draw(plot)
        panels.draw(Figure().add_subplot(), plot)


@pytest.fixture(scope="module")
def described(run_directory: Path) -> dict[str, Plot]:
    """Every description, by its title."""
    inputs = gather(*(str(run_directory / name) for name in ("results", "train", "train", "test")))
    assert inputs.background is not None
    assert inputs.candidates is not None
    assert inputs.draws is not None
    assert inputs.injections is not None
    assert inputs.bank is not None
    snr, statistic = (inputs.injections[name].astype(np.float64) for name in ("snr", "detection_statistic"))
    shares = snr_efficiency(snr, statistic, {1.0: 5.0, 12.0: 4.0})
    plots = [
        *(
            limit_figures.volume(name, curve, inputs.simulated, inputs.plain_bank_volumes)
            for name, curve in (inputs.volumes or {}).items()
        ),
        figures.background(inputs.background, inputs.candidates, inputs.tail),
        figures.candidates(inputs.candidates),
        *figures.training(inputs.training or {}),
        *(figures.efficiency_of_draws(share) for share in (inputs.efficiencies or {})[ALL_DRAWS].values()),
        limit_figures.efficiency_of_injections(shares, inputs.plain_bank),
        bank.matches(inputs.bank),
        bank.masses(inputs.bank),
        figures.efficiency_of_signals(shares),
        figures.found_by_mass(inputs.injections, statistic > 5, 1.0),
        figures.found_by_detectors(inputs.injections, statistic > 5, 1.0),
        figures.noise(inputs.noise or {}),
        figures.masses(inputs.draws),
        figures.redshifts(inputs.draws),
        figures.snrs(inputs.draws),
        *closeup_figures(inputs.closeups[1], 1.26e9 + 300, 11.5),
    ]
    titled = {plot.title: plot for plot in plots}
    assert len(titled) == len(plots) == 25
    return titled


def corners(x: Array, low: Array, high: Array) -> Array:
    """Points of an area's outline, each once, in order."""
    return np.unique(np.concatenate([np.stack([x, low], axis=1), np.stack([x, high], axis=1)]), axis=0)


def on_page(drawn: figure) -> list[list[Array]]:
    """Data of a page's figure, mark by mark."""
    marks = []
    for renderer in drawn.renderers:
        data = renderer.data_source.data
        if "low" in data and type(renderer.glyph).__name__ == "VArea":
            marks.append([corners(data["x"], data["low"], data["high"])])
        elif "low" in data and type(renderer.glyph).__name__ == "Line":
            marks.append([data[name] for name in ("x", "y", "low", "high")])
        elif "bottom" in data:
            marks.append([data["value"]])
        elif "top" in data:
            marks.append([np.append(data["left"], data["right"][-1:]), data["top"]])
        elif "level" in data:
            marks.append([data["level"][0] / 255])
        elif "low" not in data:  # points of error bars are those of their line
            marks.append([data["x"], data["y"]])
    return marks


def in_print(axes: Axes) -> list[list[Array]]:
    """Data of matplotlib's artists, mark by mark."""
    marks: list[list[Array]] = []
    bars = {bar.lines[0]: bar.lines[2][0] for bar in axes.containers}
    for artist in axes.get_children():
        if isinstance(artist, Line2D) and artist in bars:
            ends = np.array(bars[artist].get_segments()).reshape(-1, 2, 2)[:, :, 1]
            marks.append([*artist.get_data(), ends[:, 0], ends[:, 1]])
        elif isinstance(artist, Line2D) and set(artist.get_xdata()) and list(artist.get_ydata()) != [0, 1]:
            marks.append(list(artist.get_data()))
        elif isinstance(artist, StepPatch):
            marks.append([artist.get_data().edges, artist.get_data().values])
        elif isinstance(artist, QuadMesh):
            values = artist.get_array()
            is_logarithmic = isinstance(artist.norm, LogNorm)
            marks.append([values.compressed() if is_logarithmic else artist.norm(values).clip(0, 1)])
        elif isinstance(artist, PolyCollection):
            marks.append([np.unique(np.concatenate([path.vertices for path in artist.get_paths()]), axis=0)])
    return marks


def in_order(marks: list[list[Array]]) -> list[list[Array]]:
    """Marks in an order that does not depend on the drawer."""
    return sorted(marks, key=lambda mark: [(np.size(part), float(np.sum(part, dtype=np.float64))) for part in mark])


def test_pages_and_papers_show_the_same_data(described: dict[str, Plot]) -> None:
    for title, plot in described.items():
        axes = Figure().add_subplot()
        panels.draw(axes, plot)
        page, paper = in_order(on_page(draw(plot))), in_order(in_print(axes))
        assert len(page) == len(paper) == sum(not isinstance(mark, Rule) for mark in plot.marks), title
        for one, other in zip(page, paper, strict=True):
            for ours, theirs in zip(one, other, strict=True):
                is_image = np.ndim(ours) == 2 and np.shape(ours)[1] > 2
                np.testing.assert_allclose(
                    ours, theirs, rtol=1e-12, atol=0.5 / 255 + 1e-9 if is_image else 0, err_msg=title
                )


def test_pages_and_papers_have_the_same_legends_limits_and_rules(described: dict[str, Plot]) -> None:
    for title, plot in described.items():
        axes, drawn = Figure().add_subplot(), draw(plot)
        panels.draw(axes, plot)
        entries = [] if not plot.labels else list(legend(drawn))
        assert entries == plot.labels, title
        assert [panels.written(label) for label in plot.labels] == axes.get_legend_handles_labels()[1], title
        for shown, limits, axis in (
            (drawn.x_range, axes.get_xlim(), plot.x), (drawn.y_range, axes.get_ylim(), plot.y),
        ):  # fmt: skip
            for end, ours, theirs in zip(axis.limits, (shown.start, shown.end), limits, strict=True):
                assert end is None or ours == theirs == end, title
        rules = [mark.at for mark in plot.marks if isinstance(mark, Rule)]
        assert [span.location for span in drawn.center if isinstance(span, Span)] == rules, title
        assert [line.get_xdata()[0] for line in axes.lines if list(line.get_ydata()) == [0, 1]] == rules, title
