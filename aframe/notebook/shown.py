"""How an object of a run shows itself: in words, as a table with units, on axes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from astropy.table import QTable
from astropy.units import Unit
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aframe.errors import DataError
from aframe.parsing import nearest
from aframe.report import html, paper
from aframe.tables import Table
from aframe.tables.table import UNITS
from aframe.types import Array

SCREEN_RESOLUTION = 170
"""Dots per inch at which a figure of a paper's size is easily read on a screen."""


class Shown(ABC):
    """What says in a notebook what it is."""

    @abstractmethod
    def facts(self) -> Mapping[str, str]:
        """What it is, by heading, with units."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {'; '.join(f'{name}: {text}' for name, text in self.facts().items())}>"

    def _repr_html_(self) -> str:
        return html.table((type(self).__name__, ""), list(self.facts().items()))


def column_of(table: Table, name: str) -> Array:
    """A column of a table.

    Raises:
        DataError: If it has none of that name; says which it has.
    """
    if name not in table.parameters:
        there = ", ".join(table.parameters)
        raise DataError(f"there is no column {name!r}{nearest(name, table.parameters.keys())}; there are {there}")
    return table[name]


def on_screen(**options: Any) -> Figure:
    """A figure that a notebook shows at the end of its cell; options are pyplot's."""
    return plt.figure(dpi=SCREEN_RESOLUTION, **options)


def show(draw: Callable[[Axes], None], axes: Axes | None, **legend: Any) -> Axes:
    """Draw on a user's axes, or on those of a new figure that looks as the report's do; the legend lies above them.

    Args:
        draw: Draws on axes.
        axes: The user's, if there are any.
        legend: How the legend looks, as matplotlib's; without any there is none.
    """
    if axes is None:
        with paper.looks():
            return paper.single(draw, on_screen, **legend).axes[0]
    draw(axes)
    if legend:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), **legend)
    return axes


def show_all(draws: Mapping[str, Callable[[Axes], None]], columns: int) -> list[Axes]:
    """Panels of one new figure, each with its title and legend.

    Args:
        draws: By title, what draws on its axes.
        columns: Panels beside each other.
    """
    rows = -(-len(draws) // columns)
    with paper.looks():
        drawn = on_screen(figsize=(paper.BOTH_COLUMNS, paper.HEIGHT * rows))
        panes = [drawn.add_subplot(rows, columns, k + 1) for k in range(len(draws))]
        for pane, (title, draw) in zip(panes, draws.items(), strict=True):
            draw(pane)
            pane.set_title(title, fontsize="medium")
            if pane.get_legend_handles_labels()[0]:
                pane.legend(frameon=True, framealpha=0.8)
    return panes


def with_units(columns: Mapping[str, Array], units: Mapping[str, str] = UNITS) -> QTable:
    """Columns as a table of astropy's, with their units.

    Args:
        columns: By name.
        units: Of those columns that have one.
    """
    has_unit = {name for name in columns if units.get(name)}
    return QTable({name: c * Unit(units[name]) if name in has_unit else c for name, c in columns.items()})
