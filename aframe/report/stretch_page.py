"""Page of one stretch of one time slide: strain, whitened strain, scores and events."""

from collections.abc import Sequence

import numpy as np
from bokeh.embed import file_html
from bokeh.layouts import column
from bokeh.models import Range1d
from bokeh.plotting import figure
from bokeh.resources import INLINE

from aframe.candidates.table import utc
from aframe.inference.stretch import SlideStretch
from aframe.report.interactive import styled_plot
from aframe.report.palette import BLACK, BLUE, ORANGE, PALETTE, VERMILION

FIGURE_HEIGHT = 230
"""Height of each figure, pixels."""


def stretch_html(stretch: SlideStretch, title: str) -> str:
    """Build the self-contained HTML page of a stretch. Its figures share one axis of time.

    Args:
        stretch: Strain, scores and events.
        title: Title of the page.
    """
    return str(file_html(column(*stretch_figures(stretch), sizing_mode="stretch_width"), INLINE, title))


def stretch_figures(stretch: SlideStretch) -> list[figure]:
    """Figures of strain, whitened strain, and scores with events, against time since the middle of the stretch."""
    middle = round(float(stretch.time[len(stretch.time) // 2]), 3)
    shifts = ", ".join(f"{ifo} {shift:+g} s" for ifo, shift in zip(stretch.strain, stretch.shifts, strict=True))
    label = f"Time (s) since {utc(middle)} UTC, GPS {middle:.3f}; shifts {shifts}"
    seconds = _since(stretch.time, middle)
    axis = Range1d(start=float(seconds[0]), end=float(seconds[-1]))
    plots = [
        styled_plot(label, name, x_range=axis)
        for name in ("Strain (dimensionless)", "Whitened strain (standard deviations)", "Score (logit)")
    ]
    for plot, streams in zip(plots, (stretch.strain, stretch.whitened), strict=False):
        for (ifo, data), colour in zip(streams.items(), PALETTE, strict=False):
            plot.line(seconds, np.asarray(data), line_color=colour, line_alpha=0.8, legend_label=ifo)
    scores = plots[2]
    times = (stretch.score_time, stretch.statistic_time, stretch.event_time)
    windows, averages, events = (_since(time, middle) for time in times)
    scores.scatter(windows, stretch.score, color=BLUE, size=4, alpha=0.6, legend_label="score of a window")
    scores.line(averages, stretch.statistic, line_color=BLACK, legend_label="statistic")
    scores.scatter(
        events, stretch.event_statistic, marker="diamond", size=11, fill_color=ORANGE, line_color=VERMILION,
        legend_label="event",
    )  # fmt: skip
    for plot in plots:
        plot.height = FIGURE_HEIGHT
        plot.legend.click_policy, plot.legend.orientation = "hide", "horizontal"
        plot.legend.background_fill_alpha = 0.7
    return plots


def _since(time: Sequence[float] | np.ndarray, origin: float) -> np.ndarray:
    return np.asarray(time) - origin
