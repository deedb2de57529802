"""Figures of papers and notebooks, by matplotlib: axes and a description in, a panel out."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator

from aframe.report.plots import Axis, Band, Cells, ErrorBars, Line, Mark, Plot, Points, Rule, Steps

DASHES: Mapping[str, Any] = {
    "solid": "-", "dashed": "--", "dashdot": "-.", "dotted": ":", "dashdotdot": (0, (5, 1, 1, 1, 1, 1)),
    "sparse": (0, (1, 3)),
}  # fmt: skip
MARKERS = {
    "circle": "o", "square": "s", "triangle": "^", "diamond": "D", "inverted_triangle": "v", "hex": "h", "x": "x",
    "right": ">",
}  # fmt: skip

UNITS = {
    "1 / yr": "yr$^{-1}$", "Gpc³": "Gpc$^3$", "1 / √Hz": "Hz$^{-1/2}$", "M☉": r"$\mathrm{M}_{\!\odot}$",
}  # fmt: skip
"""Units that are mathematics in print."""


def draw(axes: Axes, plot: Plot) -> None:
    """Draw a panel, without its title and its legend.

    Args:
        axes: Axes to draw on.
        plot: Description of the panel.
    """
    axes.set(xscale=plot.x.scale, yscale=plot.y.scale, xlabel=_words(plot.x), ylabel=_words(plot.y))
    unlabelled = set(plot.labels)
    for mark in plot.marks:
        if isinstance(mark, Cells):
            _draw_cells(axes, mark)
            continue
        label = written(mark.label) if mark.label in unlabelled else None
        unlabelled.discard(mark.label)
        _draw_mark(axes, mark, {"color": mark.color, "alpha": mark.alpha, "label": label})
    if plot.x.scale == "log":
        axes.xaxis.set_minor_formatter(NullFormatter())  # they would overlap where there are few decades
    for name, axis in (("xlim", plot.x), ("ylim", plot.y)):
        if axis.limits != (None, None):
            axes.set(**{name: axis.limits})
    _tick(axes.xaxis, plot.x, axes.get_xlim())
    _tick(axes.yaxis, plot.y, axes.get_ylim())


def legend_options(plot: Plot) -> dict[str, Any]:
    """Options of matplotlib's legend of a panel: its columns and its title."""
    return {"ncols": plot.legend_columns, "title": written(plot.legend_title) or None}


def add_legend(axes: Axes, plot: Plot) -> None:
    """Add the legend of a panel above its axes."""
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), **legend_options(plot))


def written(words: str) -> str:
    """Words as matplotlib writes them: nothing in them is mathematics but the solar mass."""
    return words.replace("$", r"\$").replace("M☉", UNITS["M☉"])


def _draw_mark(axes: Axes, mark: Mark, look: Mapping[str, Any]) -> None:
    main = mpl.rcParams["lines.linewidth"]
    match mark:
        case Line():
            axes.plot(mark.x, mark.y, linestyle=DASHES[mark.dash], linewidth=main * mark.width, **look)
        case Band():
            axes.fill_between(mark.x, mark.low, mark.high, linewidth=0, **look)
        case Points():
            fill: dict[str, Any] = {} if mark.is_filled else {"markerfacecolor": "none", "markeredgewidth": 0.6}
            marker = MARKERS[mark.marker]
            axes.plot(mark.x, mark.y, marker, markersize=mark.size, linestyle="none", **look, **fill)
        case ErrorBars():
            axes.errorbar(
                mark.x, mark.y, [mark.y - mark.low, mark.high - mark.y], marker=MARKERS[mark.marker], markersize=2.5,
                linestyle=DASHES[mark.dash], linewidth=0.9, elinewidth=0.7, **look,
            )  # fmt: skip
        case Rule():
            axes.axvline(mark.at, linestyle=DASHES[mark.dash], linewidth=0.8, **look)
        case Steps():
            axes.stairs(mark.heights, mark.edges, fill=True, baseline=mark.base, **look)
        case _:
            raise TypeError(f"no panel has a mark of the kind {type(mark).__name__}")


def _draw_cells(axes: Axes, cells: Cells) -> None:
    """Draw an image, and the bar of its colours beside it."""
    is_logarithmic = cells.scale.scale == "log"
    scale = (LogNorm if is_logarithmic else Normalize)(*cells.scale.limits)
    values = np.ma.masked_less(cells.values, cells.scale.limits[0]) if is_logarithmic else cells.values
    mesh = axes.pcolormesh(
        cells.x_edges, cells.y_edges, values, norm=scale, cmap=ListedColormap(list(cells.colors)), rasterized=True
    )
    axes.grid(visible=False)
    assert axes.figure is not None
    bar = axes.figure.colorbar(mesh, ax=axes)
    if is_logarithmic:
        bar.ax.yaxis.set_major_locator(LogLocator())
        bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.set_label(_words(cells.scale))


def _words(axis: Axis) -> str:
    return f"{written(axis.label)} ({UNITS.get(axis.unit, axis.unit)})" if axis.unit else written(axis.label)


def _tick(ticked: Any, axis: Axis, ends: tuple[float, float]) -> None:
    if axis.ticks:
        ticked.set_major_locator(FixedLocator([tick for tick in axis.ticks if ends[0] <= tick <= ends[1]]))
        texts = dict(zip(axis.ticks, axis.tick_labels, strict=False))
        ticked.set_major_formatter(lambda value, _: written(texts.get(value, f"{value:g}")))
        ticked.set_minor_locator(NullLocator())
    if axis.is_whole:
        ticked.set_major_locator(MaxNLocator(integer=True))
