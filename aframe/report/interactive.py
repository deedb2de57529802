"""Figures of pages, by bokeh: descriptions in, figures out that work at any width."""

from collections.abc import Iterable, Mapping
from math import pi
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, DataRange1d, FixedTicker, HoverTool, NumeralTickFormatter
from bokeh.models.annotations import ColorBar, Legend, Span, TeeHead, Whisker
from bokeh.models.glyphs import Image
from bokeh.models.mappers import LinearColorMapper, LogColorMapper
from bokeh.models.ranges import Range, Range1d
from bokeh.models.tickers import BasicTicker
from bokeh.plotting import figure
from jaxtyping import Float

from aframe.constants import SECONDS_PER_DAY
from aframe.report.palette import PALETTE
from aframe.report.plots import Axis, Band, Cells, ErrorBars, Line, Mark, Plot, Points, Rule, Steps
from aframe.types import Array

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
HEIGHT = 340

LINE_WIDTH, ERROR_BARS_WIDTH = 2.5, 1.5
PIXELS_PER_POINT = 2.0
"""Pixels of a page per point of a mark's size in print."""

LEVELS = 255
"""Highest level of an image's cells, which take a byte each."""

DASHES: Mapping[str, Any] = {"dashdotdot": [10, 2, 2, 2, 2, 2], "sparse": [2, 6]}
"""Patterns for which bokeh has no name."""

MARKERS: Mapping[str, tuple[str, float]] = {"right": ("triangle", -pi / 2)}
"""Shapes for which bokeh has no name: another shape, and the angle (rad) that turns it."""

UNWRITTEN = ("", "dimensionless", "number")
"""Units that go without saying on a page."""


def draw(plot: Plot) -> figure:
    """Draw a figure of a page. Its legend is below it, and a click on an entry hides marks."""
    drawn = styled_plot(
        _words(plot.x), _words(plot.y),
        x_axis_type=plot.x.scale, y_axis_type=plot.y.scale, x_range=_range(plot.x), y_range=_range(plot.y),
    )  # fmt: skip
    _tick(drawn.xaxis, plot.x)
    _tick(drawn.yaxis, plot.y)
    entries: dict[str, list[Any]] = {label: [] for label in plot.labels}
    for mark in plot.marks:
        if isinstance(mark, Cells):
            _draw_cells(drawn, mark)
            continue
        renderers = _draw_mark(drawn, mark)
        if mark.tips:
            hover = HoverTool(renderers=renderers, tooltips=list(mark.tips))
            if isinstance(mark, Line):
                hover.mode = "vline"
            drawn.add_tools(hover)
        if mark.label:
            entries[mark.label] += renderers
    if entries:
        _add_legend(drawn, entries, plot.legend_title)
    return drawn


def draw_titled(plots: Iterable[Plot]) -> dict[str, figure]:
    """Draw figures of a page.

    Returns:
        Figures by their titles.
    """
    return {plot.title: draw(plot) for plot in plots}


def _draw_mark(drawn: figure, mark: Mark) -> list[Any]:
    """Draw a mark, and return its renderers."""
    look: dict[str, Any] = {"color": mark.color, "alpha": mark.alpha}
    match mark:
        case Line():
            source = ColumnDataSource({"x": mark.x, "y": mark.y, **mark.columns})
            look |= {"line_width": LINE_WIDTH * mark.width, "line_dash": DASHES.get(mark.dash, mark.dash)}
            return [drawn.line("x", "y", source=source, **look)]
        case Band():
            source = ColumnDataSource({"x": mark.x, "low": mark.low, "high": mark.high})
            return [drawn.varea("x", "low", "high", source=source, **look)]
        case Points():
            fill = {} if mark.is_filled else {"fill_color": None}
            return [_scatter(drawn, ColumnDataSource({"x": mark.x, "y": mark.y}), mark, mark.size, look | fill)]
        case ErrorBars():
            return _draw_error_bars(drawn, mark, look)
        case Rule():
            line_color, line_dash = mark.color, DASHES.get(mark.dash, mark.dash)
            drawn.add_layout(Span(location=mark.at, dimension="height", line_color=line_color, line_dash=line_dash))
            return []
        case Steps():
            source = ColumnDataSource({"left": mark.edges[:-1], "right": mark.edges[1:], "top": mark.heights})
            quads = drawn.quad("left", "right", "top", mark.base, source=source, line_color=None, fill_color=mark.color)
            return [quads]
    raise TypeError(f"no page has a mark of the kind {type(mark).__name__}")


def _scatter(
    drawn: figure, source: ColumnDataSource, mark: Points | ErrorBars, size: float, look: Mapping[str, Any]
) -> Any:
    marker, angle = MARKERS.get(mark.marker, (mark.marker, 0.0))
    return drawn.scatter("x", "y", source=source, marker=marker, angle=angle, size=PIXELS_PER_POINT * size, **look)


def _draw_error_bars(drawn: figure, mark: ErrorBars, look: Mapping[str, Any]) -> list[Any]:
    source = ColumnDataSource({"x": mark.x, "y": mark.y, "low": mark.low, "high": mark.high})
    dash = DASHES.get(mark.dash, mark.dash)
    line = drawn.line("x", "y", source=source, line_width=ERROR_BARS_WIDTH, line_dash=dash, **look)
    dots = _scatter(drawn, source, mark, 3.0, look)
    head = TeeHead(size=5, line_color=mark.color)
    whisker = Whisker(
        source=source, base="x", lower="low", upper="high", line_color=mark.color, lower_head=head, upper_head=head
    )
    drawn.add_layout(whisker)
    return [line, dots]


def _draw_cells(drawn: figure, cells: Cells) -> None:
    """Draw an image, and the bar of its colours above it, so that it is as wide as other figures."""
    low, high = (float(end) for end in cells.scale.limits if end is not None)
    mapper = LogColorMapper if cells.scale.scale == "log" else LinearColorMapper
    colors = mapper(palette=list(cells.colors), low=low, high=high)
    x, y = cells.x_edges, cells.y_edges
    if cells.tips:  # bokeh cannot say what cell of an image on logarithmic axes the pointer is at
        row, column = np.nonzero(cells.values >= low)
        source = ColumnDataSource(
            {"left": x[column], "right": x[column + 1], "bottom": y[row], "top": y[row + 1],
             "value": cells.values[row, column]}
        )  # fmt: skip
        fill: Any = {"field": "value", "transform": colors}
        quads = drawn.quad("left", "right", "top", "bottom", source=source, fill_color=fill, line_color=None)
        drawn.add_tools(HoverTool(renderers=[quads], tooltips=list(cells.tips)))
    else:
        level = np.round(LEVELS * np.clip((cells.values - low) / (high - low), 0, 1)).astype(np.uint8)
        shades = LinearColorMapper(palette=list(cells.colors), low=0, high=LEVELS)
        image = Image(image="level", x=x[0], y=y[0], dw=x[-1] - x[0], dh=y[-1] - y[0], color_mapper=shades)
        drawn.add_glyph(ColumnDataSource({"level": [level]}), image)
    drawn.grid.visible = False
    scale = ColorBar(
        color_mapper=colors, title=_words(cells.scale), height=8,
        title_text_font=FONT, title_text_font_style="normal", title_text_font_size="12px",
        major_label_text_font=FONT, major_label_text_font_size="12px", background_fill_color=None,
    )  # fmt: skip
    drawn.add_layout(scale, "above")


def _words(axis: Axis) -> str:
    return axis.label if axis.unit in UNWRITTEN else f"{axis.label} ({axis.unit})"


def _range(axis: Axis) -> Range:
    low, high = axis.limits
    if low is not None and high is not None:
        return Range1d(start=low, end=high)
    ends: dict[str, Any] = {name: end for name, end in (("start", low), ("end", high)) if end is not None}
    return DataRange1d(**ends)


def _tick(axes: Any, axis: Axis) -> None:
    if axis.ticks:
        axes.ticker = FixedTicker(ticks=list(axis.ticks))
        axes.formatter = NumeralTickFormatter(format="0[.]00")
        axes.major_label_overrides = dict(zip(axis.ticks, axis.tick_labels, strict=False))
    if axis.is_whole:
        axes.ticker = BasicTicker(min_interval=1)


def _add_legend(drawn: figure, entries: Mapping[str, list[Any]], title: str) -> None:
    """Add the legend under the figure, where it hides no data."""
    legend = Legend(
        items=list(entries.items()), orientation="horizontal", location="center", ncols=2, spacing=14,
        click_policy="hide", title=title or None,
    )  # fmt: skip
    legend.border_line_color = legend.background_fill_color = None
    legend.label_text_font = legend.title_text_font = FONT
    legend.label_text_font_size = legend.title_text_font_size = "12px"
    legend.title_text_font_style = "normal"
    drawn.add_layout(legend, "below")


def styled_plot(x_label: str, y_label: str, **options: Any) -> figure:
    """An empty figure that looks as all do; options are bokeh's."""
    plot = figure(
        height=HEIGHT,
        sizing_mode="stretch_width",
        tools="pan,box_zoom,wheel_zoom,reset,save",
        active_drag=None,  # a finger that scrolls the page must not drag the figure
        x_axis_label=x_label,
        y_axis_label=y_label,
        **options,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.outline_line_color = None
    plot.background_fill_color = plot.border_fill_color = None
    for axis in plot.axis:
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size, axis.major_label_text_font_size = "13px", "12px"
        axis.axis_line_color = axis.major_tick_line_color = "#9aa3ad"
        axis.minor_tick_line_color = None
    plot.grid.grid_line_color = "#e6e9ed"
    return plot


def segment_figure(segments: Mapping[str, Float[Array, "segments 2"]]) -> figure:
    """When there are data: the segments of each stage against time."""
    start = min((float(spans.min()) for spans in segments.values() if len(spans)), default=0.0)
    stages = list(segments)
    plot = styled_plot(f"Days since GPS {start:.0f}", "", y_range=stages[::-1])
    for stage, color in zip(stages, PALETTE, strict=False):
        days = (segments[stage] - start) / SECONDS_PER_DAY
        source = ColumnDataSource(
            {"left": days[:, 0], "right": days[:, 1], "stage": [stage] * len(days), "start": segments[stage][:, 0],
             "length": segments[stage][:, 1] - segments[stage][:, 0]}
        )  # fmt: skip
        bars = plot.hbar(
            y="stage", left="left", right="right", height=0.5, source=source, color=color, line_color="white"
        )
        tips = [("GPS", "@start{0}"), ("length", "@length{0} s")]
        plot.add_tools(HoverTool(renderers=[bars], tooltips=tips))
    return plot
