"""Descriptions of figures: axes and marks, which one drawer draws for pages and another for papers and notebooks.

Sizes are in points of print. ``tips`` are pairs of a name and a text. In the text ``@column{format}``, as bokeh writes
it, is a value of the mark. Only pages show them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Float, Real

from aframe.types import Array

Dash = Literal["solid", "dashed", "dashdot", "dotted", "dashdotdot", "sparse"]
Marker = Literal["circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "x", "right"]
Tips = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Axis:
    """An axis of a figure, or of colours.

    Attributes:
        label: Quantity on the axis.
        unit: Unit of the quantity, as text; empty writes none.
        scale: Whether equal steps are equal differences or equal ratios.
        limits: Lowest and highest value shown; None follows the data.
        ticks: Values with a tick; empty leaves the ticks to the drawer.
        is_whole: Whether only whole numbers have a tick.
        tick_labels: Texts of the ticks; empty writes their values.
    """

    label: str
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"
    limits: tuple[float | None, float | None] = (None, None)
    ticks: Sequence[float] = ()
    is_whole: bool = False
    tick_labels: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What all marks have.

    Attributes:
        color: ``#rrggbb``.
        label: Name in the legend. Marks of one name share an entry; empty is in no entry.
        alpha: Opacity, 0 to 1.
        tips: Names and texts that appear at the pointer.
    """

    color: str
    label: str = ""
    alpha: float = 1.0
    tips: Tips = ()


@dataclass(frozen=True, kw_only=True)
class Line(Mark):
    """A line through points.

    Attributes:
        x: Positions, shape (points,).
        y: Heights, shape (points,).
        dash: Pattern of the line.
        width: Width over that of a main line.
        columns: Other values of the points that tips name, each of shape (points,).
    """

    x: Real[Array, " points"]
    y: Real[Array, " points"]
    dash: Dash = "solid"
    width: float = 1.0
    columns: Mapping[str, Real[Array, " points"]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Band(Mark):
    """An area between two curves.

    Attributes:
        x: Positions, shape (points,).
        low: Heights of the lower curve, shape (points,).
        high: Heights of the upper curve, shape (points,).
    """

    x: Real[Array, " points"]
    low: Real[Array, " points"]
    high: Real[Array, " points"]


@dataclass(frozen=True, kw_only=True)
class Points(Mark):
    """Separate points.

    Attributes:
        x: Positions, shape (points,).
        y: Heights, shape (points,).
        marker: Shape of a point.
        size: Width of a point.
        is_filled: Whether the shape is filled.
    """

    x: Real[Array, " points"]
    y: Real[Array, " points"]
    marker: Marker = "circle"
    size: float = 2.5
    is_filled: bool = True


@dataclass(frozen=True, kw_only=True)
class ErrorBars(Mark):
    """A line through points, each with a vertical error bar.

    Attributes:
        x: Positions, shape (points,).
        y: Heights, shape (points,).
        low: Lower ends of the bars, shape (points,).
        high: Upper ends of the bars, shape (points,).
        marker: Shape of a point.
        dash: Pattern of the line.
    """

    x: Real[Array, " points"]
    y: Real[Array, " points"]
    low: Real[Array, " points"]
    high: Real[Array, " points"]
    marker: Marker
    dash: Dash


@dataclass(frozen=True, kw_only=True)
class Rule(Mark):
    """A vertical line across the whole figure. The legend does not name it.

    Attributes:
        at: Position of the line.
        dash: Pattern of the line.
    """

    at: float
    dash: Dash


@dataclass(frozen=True, kw_only=True)
class Steps(Mark):
    """A filled histogram.

    Attributes:
        edges: Edges of the bins, shape (bins + 1,).
        heights: Heights of the bins, none below the base, shape (bins,).
        base: Height at which the bins begin.
    """

    edges: Real[Array, " edges"]
    heights: Real[Array, " bins"]
    base: float


@dataclass(frozen=True, kw_only=True)
class Cells:
    """An image with a bar of its colours. A value below the lower end of a logarithmic scale has no colour.

    Attributes:
        x_edges: Edges of the columns, even on the axis, shape (columns + 1,).
        y_edges: Edges of the rows, even on the axis, shape (rows + 1,).
        values: Values of the cells, shape (rows, columns).
        colors: ``#rrggbb`` of values from the lower to the upper end of the scale.
        scale: What the colours mean. It has limits.
        tips: Names and texts that appear at the pointer; ``@value`` is a cell's. Without tips a page is smaller.
    """

    x_edges: Float[Array, " x_edges"]
    y_edges: Float[Array, " y_edges"]
    values: Real[Array, "rows columns"]
    colors: Sequence[str]
    scale: Axis
    tips: Tips = ()


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A figure, or a panel of one.

    Attributes:
        title: Heading of the figure.
        x: Horizontal axis.
        y: Vertical axis.
        marks: What is drawn, the lowest first.
        legend_title: Heading of the legend; empty for none.
        legend_columns: Number of columns of the legend in print.
    """

    title: str
    x: Axis
    y: Axis
    marks: Sequence[Mark | Cells]
    legend_title: str = ""
    legend_columns: int = 2

    @property
    def labels(self) -> list[str]:
        """Entries of the legend."""
        return list(dict.fromkeys(mark.label for mark in self.marks if isinstance(mark, Mark) and mark.label))
