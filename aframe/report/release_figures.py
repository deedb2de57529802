"""Figures of volumes from released injections."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle
from types import MappingProxyType

import numpy as np

from aframe.report.figures import DASHES
from aframe.report.palette import BLUE, PALETTE
from aframe.report.plots import Axis, Band, Line, Mark, Plot
from aframe.sensitivity.release import SEARCH
from aframe.sensitivity.volume import VolumeCurve, population_label

Pipelines = Mapping[str, Mapping[str, VolumeCurve]]
"""Volumes by population, then by pipeline."""

NO_PIPELINES: Pipelines = MappingProxyType({})


def pipeline_marks(curves: Mapping[str, VolumeCurve]) -> list[Mark]:
    """Lines of the volumes of pipelines with their standard errors.

    Args:
        curves: Volumes by pipeline.
    """
    marks: list[Mark] = []
    for (name, curve), color, dash in zip(curves.items(), cycle(PALETTE[1:]), cycle(DASHES[1:]), strict=False):
        center, error = curve.volume_gpc3, curve.standard_error
        tips = (("FAR", "@x{0.00e+0} / yr"), (f"V of {name}", "@y{0.000} ± @error{0.000} Gpc³"))
        far, low, high = curve.far_per_year, np.maximum(center - error, 0.0), center + error
        marks += [
            Line(x=far, y=center, color=color, dash=dash, label=name, tips=tips, columns={"error": error}),
            Band(x=far, low=low, high=high, color=color, alpha=0.15, label=name),
        ]
    return marks


def with_pipelines(plot: Plot, curves: Mapping[str, VolumeCurve]) -> Plot:
    """Add the volumes of pipelines to the figure of a search's volume, within its rates.

    Args:
        plot: The figure.
        curves: Volumes by pipeline; empty adds nothing.
    """
    if not curves:
        return plot
    highest = max(float((curve.volume_gpc3 + curve.standard_error).max()) for curve in curves.values())
    top = max(plot.y.limits[1] or 0.0, 1.1 * highest)
    return replace(plot, y=replace(plot.y, limits=(0.0, top)), marks=(*plot.marks, *pipeline_marks(curves)))


def volume_plot(population: str, curves: Mapping[str, VolumeCurve]) -> Plot:
    """Volumes of one population against false alarm rate, for each search of a release's injections.

    Args:
        population: Name of the population.
        curves: Volumes by search; that of the frames, if there is one, is ``SEARCH``.
    """
    marks, ours = [], curves.get(SEARCH)
    if ours is not None:
        low, high = ours.interval_gpc3
        tips = (("FAR", "@x{0.00e+0} / yr"), ("V", "@y{0.000} Gpc³"))
        marks = [
            Line(x=ours.far_per_year, y=ours.volume_gpc3, color=BLUE, label=SEARCH, tips=tips),
            Band(x=ours.far_per_year, low=low, high=high, color=BLUE, alpha=0.15, label=f"{SEARCH}, 95 % interval"),
        ]
    others = {name: curve for name, curve in curves.items() if name != SEARCH}
    far = next(iter(curves.values())).far_per_year
    highest = max(float((curve.volume_gpc3 + curve.standard_error).max()) for curve in curves.values())
    return Plot(
        title=population_label(population),
        x=Axis("False alarm rate", "1 / yr", "log", (float(far[0]), float(far[-1]))),
        y=Axis("Sensitive volume", "Gpc³", limits=(0.0, 1.2 * highest or 1.0)),
        marks=(*marks, *pipeline_marks(others)),
    )
