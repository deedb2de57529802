"""Display of the objects of a run: as text, as a table with units, on axes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from astropy.table import QTable
from astropy.units import Unit
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aframe.notebook.arguments import column_of
from aframe.report import html, panels, paper
from aframe.report.plots import Plot
from aframe.tables import Table
from aframe.tables.table import UNITS
from aframe.types import Array

SCREEN_RESOLUTION = 170
"""Dots per inch that make a figure of a paper's size readable on a screen."""


class DisplayedObject(ABC):
    """Object that displays its facts in a notebook."""

    @abstractmethod
    def facts(self) -> Mapping[str, str]:
        """Facts about the object, by heading, with units."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {'; '.join(f'{name}: {text}' for name, text in self.facts().items())}>"

    def _repr_html_(self) -> str:
        return html.table((type(self).__name__, ""), list(self.facts().items()))


class DisplayedTable(DisplayedObject):
    """Table of a run. ``len`` counts its rows; ``in``, loops and ``[…]`` use the names of its columns.

    Attributes:
        table: Columns of the table.
    """

    table: Table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, column: str) -> Array:
        return column_of(self.table, column)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table.parameters)

    def __contains__(self, column: object) -> bool:
        return column in self.columns

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.table.parameters)

    def to_astropy(self) -> QTable:
        """All columns, with units."""
        return with_units(self.table.parameters)

    if not TYPE_CHECKING:  # a type checker would accept any attribute

        def __getattr__(self, name: str) -> NoReturn:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            table = vars(self).get("table")  # None while it is unpickled
            if table is not None and not name.startswith("_"):
                column = f'that column is `search.{type(self).__name__.lower()}["{name}"]`'
                others = "`.columns` are its columns' names, `.to_astropy()` is a table of them"
                message += f": {column if name in table.parameters else others}"
            raise AttributeError(message, name=name, obj=self)


def on_screen(**options: Any) -> Figure:
    """Create a figure that a notebook displays at the end of a cell. Options are those of ``pyplot.figure``."""
    return plt.figure(dpi=SCREEN_RESOLUTION, **options)


def show(plot: Plot, axes: Axes | None, draw: Callable[[Axes, Plot], None] = panels.draw) -> Axes:
    """Draw on a user's axes, or on a new figure in the style of the report. The legend is above the axes.

    Args:
        plot: Description of the panel.
        axes: Axes of the user; None makes a new figure.
        draw: Draws the panel on axes of the user.

    Returns:
        The axes.
    """
    if axes is None:
        with paper.looks():
            return paper.single(plot, on_screen).axes[0]
    draw(axes, plot)
    panels.add_legend(axes, plot)
    return axes


def show_all(plots: Sequence[Plot], columns: int) -> list[Axes]:
    """Draw the panels of one new figure, each with its title and legend.

    Args:
        plots: Descriptions of the panels.
        columns: Number of panels in a row.

    Returns:
        Axes of the panels.
    """
    rows = -(-len(plots) // columns)
    with paper.looks():
        drawn = on_screen(figsize=(paper.BOTH_COLUMNS, paper.HEIGHT * rows))
        panes = [drawn.add_subplot(rows, columns, k + 1) for k in range(len(plots))]
        for pane, plot in zip(panes, plots, strict=True):
            panels.draw(pane, plot)
            pane.set_title(plot.title, fontsize="medium")
            if plot.labels:
                pane.legend(frameon=True, framealpha=0.8)
    return panes


def with_units(columns: Mapping[str, Array], units: Mapping[str, str] = UNITS) -> QTable:
    """Astropy table of columns with their units.

    Args:
        columns: Columns by name, each of shape (rows, ...).
        units: Units by the name of the column. Columns without a unit may be missing.
    """
    has_unit = {name for name in columns if units.get(name)}
    return QTable({name: c * Unit(units[name]) if name in has_unit else c for name, c in columns.items()})
