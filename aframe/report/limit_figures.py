"""Figures of a network's search with the curves of a plain bank of matched filters beside it."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from aframe.report import figures
from aframe.report.inputs import PlainBankResults
from aframe.report.palette import BLACK, GREY
from aframe.report.plots import Band, ErrorBars, Line, Mark, Plot
from aframe.report.release_figures import NO_PIPELINES, Pipelines, with_pipelines
from aframe.report.text import rate
from aframe.sensitivity.efficiency import Efficiency
from aframe.sensitivity.volume import VolumeCurve

PLAIN_BANK = "plain bank of templates"
"""Label of the plain bank's curves."""

LOUDER = "above bank's threshold"
"""Label of the share of injections above the threshold."""


def volume(
    population: str,
    curve: VolumeCurve,
    is_simulated: bool,
    bank: Mapping[str, VolumeCurve],
    pipelines: Pipelines = NO_PIPELINES,
) -> Plot:
    """Sensitive volume of one population, with those of the plain bank and of pipelines, and their standard errors.

    Curves of pipelines replace the published volumes.

    Args:
        population: Name of the population.
        curve: Volumes of the network.
        is_simulated: Whether the noise is simulated.
        bank: Volumes of the plain bank by population; empty without a plain bank.
        pipelines: Volumes of the pipelines of a release by population; empty without a release.
    """
    of_release = pipelines.get(population, {})
    plot = with_pipelines(figures.volume(population, curve, is_simulated, not of_release), of_release)
    if population not in bank:
        return plot
    far, center, error = bank[population].far_per_year, bank[population].volume_gpc3, bank[population].standard_error
    high = center + error
    tips = (("FAR", "@x{0.00e+0} / yr"), ("V of the plain bank", "@y{0.000} Gpc³"))
    marks: list[Mark] = [
        Line(x=far, y=center, color=BLACK, dash="dashed", label=PLAIN_BANK, tips=tips),
        Band(x=far, low=np.maximum(center - error, 0.0), high=high, color=BLACK, alpha=0.15, label=PLAIN_BANK),
    ]
    top = max(plot.y.limits[1] or 0.0, 1.1 * float(high.max(initial=0.0)))
    return replace(plot, y=replace(plot.y, limits=(0.0, top)), marks=(*plot.marks, *marks))


def efficiency_of_injections(shares: Efficiency, bank: PlainBankResults | None) -> Plot:
    """Share of injections that is found against network SNR, with that of the plain bank at one false alarm a month.

    A search that finds just what is louder than the plain bank's threshold would have a step there.

    Args:
        shares: Shares of the network.
        bank: Results of the plain bank, if any.
    """
    plot = figures.efficiency_of_injections(shares)
    if bank is None:
        return plot
    of_bank, threshold = bank.efficiency, float(bank.table["snr_threshold"][bank.table.monthly])
    edges, measured = of_bank.edges, of_bank.number > 0
    center = np.sqrt(edges[1:] * edges[:-1])
    y, low, high = (part[0][measured] for part in (of_bank.share, of_bank.low, of_bank.high))
    step = np.array([min(float(edges[0]), threshold), threshold, threshold, max(float(edges[-1]), threshold)])
    louder = Line(x=step, y=np.array([0.0, 0.0, 1.0, 1.0]), color=GREY, dash="dashed", label=LOUDER)
    found = ErrorBars(
        x=center[measured], y=y, low=low, high=high, color=BLACK, marker="x", dash="dotted",
        label=f"bank, {rate(float(of_bank.far_per_year[0]))}",
    )  # fmt: skip
    y_axis = replace(plot.y, limits=(-0.02, 1.05))
    return replace(plot, y=y_axis, marks=(louder, *plot.marks, found), legend_columns=2)
