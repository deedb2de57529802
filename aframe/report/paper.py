"""The report's figures for papers: PNG and PDF as wide as a column, with a unit on every axis."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from aframe import storage
from aframe.events.significance import Background
from aframe.report import bank, figures, limit_figures, panels
from aframe.report.inputs import PlainBankResults, ReportInputs, rates_to_show
from aframe.report.plots import Plot
from aframe.report.release_figures import NO_PIPELINES, Pipelines
from aframe.sensitivity.efficiency import Efficiency, snr_efficiency
from aframe.sensitivity.volume import ALL_DRAWS, VolumeCurve
from aframe.tables import RecoveredTable
from aframe.types import Array

COLUMN, BOTH_COLUMNS = 3.4, 7.0
"""Widths in inches of one column, and of both, of a two-column page."""

HEIGHT = 2.7
RESOLUTION = 300
"""Dots per inch of a PNG."""

FORMATS = ("png", "pdf")

KINDS = ("sensitive_volume", "background", "candidates", "efficiency", "found_and_missed", "training", "noise", "draws",
         "bank")  # fmt: skip
"""Beginnings of the figures' names."""

MOST_PANELS = 12
ABOVE: Literal["outside upper center"] = "outside upper center"

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
    for old in (path for ending in FORMATS for path in storage.glob(directory, f"*.{ending}")):
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
        yield "sensitive_volume", volumes_figure(volumes, inputs.simulated, inputs.plain_bank_volumes, inputs.pipelines)
    else:
        for population, curve in volumes.items():
            one = {population: curve}
            drawn = volumes_figure(one, inputs.simulated, inputs.plain_bank_volumes, inputs.pipelines)
            yield f"sensitive_volume-{population}", drawn
    if background is not None:
        yield "background", single(figures.background(background, inputs.candidates, inputs.tail))
    if inputs.candidates is not None and len(inputs.candidates):
        yield "candidates", single(figures.candidates(inputs.candidates))
    if inputs.injections is not None and background is not None and len(inputs.injections):
        far = inputs.reference_far_per_year or np.inf
        yield from _injections(inputs.injections, background, far, inputs.plain_bank)
    for axis, share in (inputs.efficiencies or {}).get(ALL_DRAWS, {}).items():
        yield f"efficiency-{axis}", single(figures.efficiency_of_draws(share))
    if inputs.draws is not None:
        yield "draws-masses", single(figures.masses(inputs.draws))
        yield "draws-redshift", single(figures.redshifts(inputs.draws))
        yield "draws-snr", single(figures.snrs(inputs.draws))
    if inputs.bank is not None:
        yield "bank-match", single(bank.matches(inputs.bank))
        yield "bank-masses", single(bank.masses(inputs.bank))
    if inputs.training:
        yield "training", training_figure(inputs.training)
    if inputs.noise:
        yield "noise", single(figures.noise(inputs.noise))


def volumes_figure(
    curves: Mapping[str, VolumeCurve],
    simulated: bool,
    plain_bank: Mapping[str, VolumeCurve],
    pipelines: Pipelines = NO_PIPELINES,
    make: Callable[..., Figure] = Figure,
) -> Figure:
    """Sensitive volume against false alarm rate, a panel for each population.

    Args:
        curves: By population.
        simulated: Whether the noise is simulated.
        plain_bank: Curves of the plain bank by population; empty without a plain bank.
        pipelines: Curves of the pipelines of a release by population; empty without a release.
        make: Of the figure's size, a figure.
    """
    columns = 1 if len(curves) == 1 else 2 if len(curves) <= 4 else 3
    rows = -(-len(curves) // columns)
    drawn = make(figsize=(COLUMN, HEIGHT) if columns == 1 else (BOTH_COLUMNS, 0.5 + 2.1 * rows))
    panes = [drawn.add_subplot(rows, columns, k + 1) for k in range(len(curves))]
    for pane, (population, curve) in zip(panes, curves.items(), strict=True):
        draw_volume(pane, limit_figures.volume(population, curve, simulated, plain_bank, pipelines))
    legends = [zip(*pane.get_legend_handles_labels(), strict=True) for pane in panes]
    entries = {label: handle for legend in legends for handle, label in legend}
    drawn.legend(list(entries.values()), list(entries), loc=ABOVE, ncols=2 if columns == 1 else 4)
    return drawn


def draw_volume(axes: Axes, plot: Plot) -> None:
    """Sensitive volume of one population, with its name."""
    panels.draw(axes, plot)
    axes.text(0.03, 0.96, panels.written(plot.title), transform=axes.transAxes, va="top")


def _injections(
    table: RecoveredTable, background: Background, far: float, plain_bank: PlainBankResults | None
) -> Iterator[tuple[str, Figure]]:
    """Which injections are found, and what decides it."""
    snr, statistic = (table[name].astype(np.float64) for name in ("snr", "detection_statistic"))
    rates = rates_to_show(background.lowest_far_per_year, np.inf)
    thresholds = {value: float(background.threshold_at_far(value)) for value in rates}
    found = statistic >= thresholds[far]
    yield "found_and_missed", single(figures.found_by_mass(table, found, far))
    yield "found_and_missed-detectors", single(figures.found_by_detectors(table, found, far))
    shares = snr_efficiency(snr, statistic, thresholds)
    yield "efficiency-snr", single(limit_figures.efficiency_of_injections(shares, plain_bank))


def training_figure(curves: Mapping[str, tuple[Array, Array]], efficiency: Efficiency | None = None) -> Figure:
    """Losses, and below them what is found on held-out data, against epoch; only those that were recorded.

    Args:
        curves: Epochs and values of each metric.
        efficiency: Share of signals found in the last validation, a panel of its own.
    """
    plots = figures.training(curves)
    if efficiency is not None:
        plots.append(figures.efficiency_of_signals(efficiency))
    number_of_panels = max(1, len(plots))
    columns = 1 if number_of_panels <= 2 else 2
    rows = -(-number_of_panels // columns)
    drawn = Figure(figsize=(COLUMN if columns == 1 else BOTH_COLUMNS, 0.3 + 2.4 * rows))
    for k, plot in enumerate(plots):
        axes = drawn.add_subplot(rows, columns, k + 1)
        panels.draw(axes, plot)
        heading = plot.title.replace(", by", ",\nby") if ", by" in plot.title else plot.legend_title
        panels.add_legend(axes, replace(plot, legend_title=heading))
    return drawn


def single(plot: Plot, make: Callable[..., Figure] = Figure) -> Figure:
    """A figure of one column's width, of one panel, with the legend above it if it has entries.

    Args:
        plot: Description of the panel.
        make: Of the figure's size, a figure.
    """
    drawn = make(figsize=(COLUMN, HEIGHT))
    panels.draw(drawn.add_subplot(), plot)
    if plot.labels:
        drawn.legend(loc=ABOVE, **panels.legend_options(plot))
    return drawn
