"""Volumes from released injections, as a page and as a table for a terminal."""

from collections.abc import Mapping, Sequence

from aframe.report import html
from aframe.report.html import Figures, fill, place
from aframe.report.inputs import rates_to_show
from aframe.report.interactive import draw
from aframe.report.page import simple_page
from aframe.report.release_figures import volume_plot
from aframe.report.text import aligned, number, rate
from aframe.sensitivity.release import SEARCH
from aframe.sensitivity.volume import VolumeCurve, population_label
from aframe.types import Array

HEADER = (
    "Population", "Search", "False alarm rate", "V (Gpc³)", "95 % (Gpc³)", "V T (Gpc³ yr)",
    "Effective found injections",
)  # fmt: skip
CHANCE = "By chance (Gpc³)"
"""Heading of the part of a volume from accidental matches."""

ByChance = Mapping[str, Array]
"""Part of the search's volumes from accidental matches, Gpc³ at each rate, by population."""


def rows(curves: Mapping[str, Mapping[str, VolumeCurve]], by_chance: ByChance | None = None) -> list[list[str]]:
    """Cells of a table of volumes, the header first: a row for each population, search and rate.

    Args:
        curves: Volumes by population, then by search.
        by_chance: Part of the search's volumes from accidental matches; None without a search of frames.
    """
    lines = [[*HEADER, *([CHANCE] if by_chance is not None else [])]]
    for population, by_search in curves.items():
        for search, curve in by_search.items():
            for far in rates_to_show(float(curve.far_per_year[0]), float(curve.far_per_year[-1])):
                if far > curve.far_per_year[-1]:
                    continue
                volume, error, low, high, volume_time, effective = (
                    curve.at(far, values) for values in (
                        curve.volume_gpc3, curve.standard_error, *curve.interval_gpc3, curve.volume_time_gpc3_yr,
                        curve.effective_sample_size,
                    )
                )  # fmt: skip
                cells = [population_label(population), search, rate(far)]
                cells += [f"{number(volume)} ± {number(error, 2)}" if volume > 0 else "0"]
                cells += [f"{number(low)} to {number(high)}", number(volume_time), number(round(effective))]
                if by_chance is not None:
                    cells.append(number(curve.at(far, by_chance[population]), 2) if search == SEARCH else "")
                lines.append(cells)
    return lines


def printed(curves: Mapping[str, Mapping[str, VolumeCurve]], by_chance: ByChance | None = None) -> str:
    """Table of volumes for a terminal. Arguments are those of ``rows``."""
    return "\n".join(aligned(rows(curves, by_chance)))


def release_html(
    curves: Mapping[str, Mapping[str, VolumeCurve]], remarks: Sequence[str], by_chance: ByChance | None = None
) -> str:
    """Build a self-contained HTML page of volumes.

    Args:
        curves: Volumes by population, then by search.
        remarks: What a reader has to know.
        by_chance: See ``rows``.
    """
    plots: Figures = {}
    placed = {}
    for population, by_search in curves.items():
        plot = volume_plot(population, by_search)
        placed[plot.title] = place(plots, f"release-{population}", draw(plot))
    header, *cells = rows(curves, by_chance)
    content = (
        fill("<p>{{ text }}</p>", text=" ".join(remarks))
        + fill(html.GRID, columns="", placed=placed)
        + html.table(header, cells, 3)
    )
    return simple_page("Volumes from released injections", content, plots)
