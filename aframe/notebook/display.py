"""How an object of a run shows itself: in words, as a table with units, on axes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from astropy.table import QTable
from astropy.units import Unit
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aframe.notebook.asked import column_of
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


class ShownTable(Shown):
    """A table of a run: ``len`` counts its rows; ``in``, a loop and ``[…]`` take it as its columns, by name.

    Attributes:
        table: Its columns.
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
        """Names of its columns."""
        return tuple(self.table.parameters)

    def to_astropy(self) -> QTable:
        """All columns, with units."""
        return with_units(self.table.parameters)

    if not TYPE_CHECKING:  # a type checker knows what there is

        def __getattr__(self, name: str) -> NoReturn:
            told = f"{type(self).__name__!r} object has no attribute {name!r}"
            table = vars(self).get("table")  # none while it is being unpickled
            if table is not None and not name.startswith("_"):
                column = f'that column is `search.{type(self).__name__.lower()}["{name}"]`'
                others = "`.columns` are its columns' names, `.to_astropy()` is a table of them"
                told += f": {column if name in table.parameters else others}"
            raise AttributeError(told, name=name, obj=self)


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
