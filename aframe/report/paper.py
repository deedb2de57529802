"""The report's figures for papers: PNG and PDF as wide as a column, with a unit on every axis."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import cycle
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aframe import storage
from aframe.events.significance import Background
from aframe.report import panels
from aframe.report.curves import metric_label, training_groups
from aframe.report.inputs import ReportInputs, rates_to_show
from aframe.report.palette import PALETTE
from aframe.report.text import rate
from aframe.sensitivity import catalog
from aframe.sensitivity.efficiency import Efficiency, snr_efficiency
from aframe.sensitivity.volume import ALL_DRAWS, VolumeCurve, population_label
from aframe.tables import RecoveredTable
from aframe.types import Array

COLUMN, BOTH_COLUMNS = 3.4, 7.0
"""Widths in inches of one column, and of both, of a two-column page."""

HEIGHT = 2.7
RESOLUTION = 300
"""Dots per inch of a PNG."""

FORMATS = ("png", "pdf")

KINDS = ("sensitive_volume", "background", "candidates", "efficiency", "found_and_missed", "training", "noise", "draws")
"""Beginnings of the figures' names."""

MOST_PANELS = 12
ABOVE: Literal["outside upper center"] = "outside upper center"
EFFICIENCY_LEGEND = "False alarm rate; bars: 68 % intervals"
SHARE_OF_DRAWS, SHARE_OF_INJECTIONS = "Share of all draws that is found", "Share of injections that is found"

LOOKS: Mapping[Any, Any] = {
    "font.family": ["STIXGeneral", "DejaVu Sans"], "mathtext.fontset": "stix", "pdf.fonttype": 42, "font.size": 9,
    "axes.labelsize": 9, "legend.fontsize": 8, "legend.title_fontsize": 8, "xtick.labelsize": 8, "ytick.labelsize": 8,
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4, "xtick.direction": "in", "ytick.direction": "in", "xtick.top": True, "ytick.right": True,
    "axes.grid": True, "grid.alpha": 0.3, "grid.linewidth": 0.4, "legend.frameon": False, "legend.handlelength": 2.2,
    "legend.columnspacing": 1.2, "lines.linewidth": 1.2, "figure.constrained_layout.use": True,
}  # fmt: skip
"""Text of 8 to 9 points in print, in journals' kind of typeface; fonts embedded as TrueType, as journals ask for."""


def write_figures(inputs: ReportInputs, directory: str) -> list[str]:
    """Write each figure as PNG and as PDF, and delete those of an earlier report that are no longer made.

    Args:
        inputs: What the run has made so far; what is not there has no figure.
        directory: Where they go, local or on s3.

    Returns:
        Their names, without the endings.
    """
    names = []
    for name, drawn in draw_figures(inputs):
        for ending in FORMATS:
            save(drawn, storage.join(directory, f"{name}.{ending}"))
            drawn.set_layout_engine("none")  # both formats have one layout, which is computed once
        names.append(name)
    made = {f"{name}.{ending}" for name in names for ending in FORMATS}
    for old in (path for ending in FORMATS for path in storage.glob(storage.join(directory, f"*.{ending}"))):
        file = old.rpartition("/")[2]
        if file.startswith(KINDS) and file not in made:
            storage.remove(old)
    return names


def save(drawn: Figure, path: str) -> None:
    """Write a figure as PNG or PDF, as its path ends."""
    drawn.set_dpi(RESOLUTION)
    with storage.atomic(path) as temporary, looks():  # savefig would draw twice, the first time for the layout alone
        if path.endswith(".pdf"):
            FigureCanvasPdf(drawn).print_pdf(temporary, metadata={"CreationDate": None})  # no date
        else:
            FigureCanvasAgg(drawn).print_png(temporary, metadata={"Software": None})


def draw_figures(inputs: ReportInputs) -> Iterator[tuple[str, Figure]]:
    """Each figure and its name: letters, digits, and ``.-_`` alone.

    Args:
        inputs: What the run has made so far; what is not there has no figure.
    """
    names: set[str] = set()
    figures = _figures(inputs)
    while True:
        with looks():
            name, drawn = next(figures, ("", None))
        if drawn is None:
            return
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
        while name in names:
            name += "_"
        names.add(name)
        yield name, drawn


@contextlib.contextmanager
def looks() -> Iterator[None]:
    """The figures' own looks, whatever the user's or another library's settings are, which come back afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(LOOKS)
        yield


def _figures(inputs: ReportInputs) -> Iterator[tuple[str, Figure]]:
    volumes, background = inputs.volumes or {}, inputs.background
    if 0 < len(volumes) <= MOST_PANELS:
        yield "sensitive_volume", volumes_figure(volumes, inputs.simulated)
    else:
        for population, curve in volumes.items():
            yield f"sensitive_volume-{population}", volumes_figure({population: curve}, inputs.simulated)
    if background is not None:
        yield "background", single(partial(panels.background, slides=background, zero_lag=inputs.candidates,
                                           tail=inputs.tail), ncols=2)  # fmt: skip
    if inputs.candidates is not None and len(inputs.candidates):
        yield "candidates", single(partial(panels.candidates, table=inputs.candidates), ncols=2)
    if inputs.injections is not None and background is not None and len(inputs.injections):
        yield from _injections(inputs.injections, background, inputs.reference_far_per_year or np.inf)
    for axis, share in (inputs.efficiencies or {}).get(ALL_DRAWS, {}).items():
        yield f"efficiency-{axis}", _efficiency(share, SHARE_OF_DRAWS)
    if inputs.draws is not None:
        yield "draws-masses", single(partial(panels.masses, draws=inputs.draws))
        yield "draws-redshift", single(partial(panels.redshifts, draws=inputs.draws), ncols=2)
        yield "draws-snr", single(partial(panels.snrs, draws=inputs.draws), ncols=2)
    if inputs.training:
        yield "training", training_figure(inputs.training)
    if inputs.noise:
        yield "noise", single(partial(panels.noise, densities=inputs.noise), ncols=5)


def volumes_figure(curves: Mapping[str, VolumeCurve], simulated: bool, make: Callable[..., Figure] = Figure) -> Figure:
    """Sensitive volume against false alarm rate, a panel for each population.

    Args:
        curves: By population.
        simulated: Whether the noise is simulated.
        make: Of the figure's size, a figure.
    """
    columns = 1 if len(curves) == 1 else 2 if len(curves) <= 4 else 3
    rows = -(-len(curves) // columns)
    drawn = make(figsize=(COLUMN, HEIGHT) if columns == 1 else (BOTH_COLUMNS, 0.5 + 2.1 * rows))
    panes = [drawn.add_subplot(rows, columns, k + 1) for k in range(len(curves))]
    for pane, (population, curve) in zip(panes, curves.items(), strict=True):
        draw_volume(pane, population, curve, simulated)
    legends = [zip(*pane.get_legend_handles_labels(), strict=True) for pane in panes]
    entries = {label: handle for legend in legends for handle, label in legend}
    drawn.legend(list(entries.values()), list(entries), loc=ABOVE, ncols=2 if columns == 1 else 4)
    return drawn


def draw_volume(axes: Axes, name: str, curve: VolumeCurve, simulated: bool) -> None:
    """Sensitive volume of one population, with its name and what other searches have published."""
    panels.volume(axes, curve, catalog.published_volumes(name), "simulated noise" if simulated else "")
    axes.text(0.03, 0.96, panels.written(population_label(name)), transform=axes.transAxes, va="top")


def _injections(table: RecoveredTable, background: Background, far: float) -> Iterator[tuple[str, Figure]]:
    """Which injections are found, and what decides it."""
    snr, statistic = (table[name].astype(np.float64) for name in ("snr", "detection_statistic"))
    rates = rates_to_show(background.lowest_far_per_year, np.inf)
    thresholds = {value: float(background.threshold_at_far(value)) for value in rates}
    found = statistic >= thresholds[far]
    title = found_at(far)
    yield "found_and_missed", single(partial(panels.found_by_mass, table=table, found=found), ncols=2, title=title)
    yield (
        "found_and_missed-detectors",
        single(partial(panels.found_by_detectors, table=table, found=found), ncols=2, title=title),
    )
    yield "efficiency-snr", _efficiency(snr_efficiency(snr, statistic, thresholds), SHARE_OF_INJECTIONS)


def found_at(far_per_year: float) -> str:
    """Title of a legend of what is found and missed."""
    return f"found and missed at {panels.written(rate(far_per_year))}"


def _efficiency(efficiency: Efficiency, label: str) -> Figure:
    """Share found by false alarm rate, with 68 % intervals."""
    return single(partial(panels.efficiency, shares=efficiency, label=label), ncols=3, title=EFFICIENCY_LEGEND)


def training_figure(curves: Mapping[str, tuple[Array, Array]], efficiency: Efficiency | None = None) -> Figure:
    """Losses, and below them what is found on held-out data, against epoch; only those that were recorded.

    Args:
        curves: Epochs and values of each metric.
        efficiency: Share of signals found in the last validation, a panel of its own.
    """
    groups = training_groups(curves)
    number_of_panels = max(1, len(groups) + (efficiency is not None))
    columns = 1 if number_of_panels <= 2 else 2
    rows = -(-number_of_panels // columns)
    drawn = Figure(figsize=(COLUMN if columns == 1 else BOTH_COLUMNS, 0.3 + 2.4 * rows))
    for k, (title, names) in enumerate(groups.items()):
        axes = drawn.add_subplot(rows, columns, k + 1)
        axes.set_xlabel("Epoch (number)")
        label = "Cross-entropy (nat)" if title == "Loss" else "Score or share\n(0 to 1, dimensionless)"
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for name, color, style in zip(names, cycle(PALETTE), cycle(panels.STYLES), strict=False):
            axes.plot(*curves[name], color=color, linestyle=style, label=metric_label(name))
        heading = panels.written(title.replace(", by", ",\nby")) if ", by" in title else None
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2 if heading is None else 4, title=heading)
    if efficiency is not None:
        axes = drawn.add_subplot(rows, columns, len(groups) + 1)
        panels.efficiency(axes, efficiency, "Share found (dimensionless)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), title="Last validation; bars: 68 % intervals")
    return drawn


def single(draw: Callable[[Axes], None], make: Callable[..., Figure] = Figure, **legend: Any) -> Figure:
    """A figure of one column's width, of one panel.

    Args:
        draw: Draws on the panel's axes.
        make: Of the figure's size, a figure.
        legend: How the legend above the panel looks, as matplotlib's; without any there is none.
    """
    drawn = make(figsize=(COLUMN, HEIGHT))
    draw(drawn.add_subplot())
    if legend:
        drawn.legend(loc=ABOVE, **legend)
    return drawn
