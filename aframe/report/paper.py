"""The report's figures for papers: PNG and PDF as wide as a column, with a unit on every axis."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from bilby.gw.conversion import component_masses_to_chirp_mass as chirp_mass
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from aframe import storage
from aframe.constants import SECONDS_PER_YEAR
from aframe.report.curves import cumulative, metric_label, poisson_band, tail_curve, training_groups
from aframe.report.inputs import DrawHistograms, ReportInputs, rates_to_show
from aframe.report.palette import AXES, BLACK, BLUE, GREEN, ORANGE, PALETTE, SKY, VERMILION
from aframe.report.text import number, rate
from aframe.sensitivity import catalog
from aframe.sensitivity.efficiency import Efficiency, snr_efficiency
from aframe.sensitivity.volume import ALL_DRAWS, VolumeCurve, population_label
from aframe.types import Array

COLUMN, BOTH_COLUMNS = 3.4, 7.0
"""Widths in inches of one column, and of both, of a two-column page."""

HEIGHT = 2.7
RESOLUTION = 300
"""Dots per inch of a PNG."""

FORMATS: Mapping[str, Mapping[str, Any]] = {
    "png": {"dpi": RESOLUTION, "metadata": {"Software": None}},
    "pdf": {"metadata": {"CreationDate": None}},  # a date would make equal figures differ
}

KINDS = ("sensitive_volume", "background", "efficiency", "found_and_missed", "training", "noise", "draws")
"""Beginnings of the figures' names."""

SCATTER_POINTS = 2000
MOST_PANELS = 12
GREY = "#777777"
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = "os^Dv<"
SIGMAS = (1.0, 2.0, 3.0)

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
            drawn.set_layout_engine("none")  # both look alike, and it takes a third of the time
        names.append(name)
    made = {f"{name}.{ending}" for name in names for ending in FORMATS}
    for old in (path for ending in FORMATS for path in storage.glob(storage.join(directory, f"*.{ending}"))):
        file = old.rpartition("/")[2]
        if file.startswith(KINDS) and file not in made:
            storage.remove(old)
    return names


def save(drawn: Figure, path: str) -> None:
    """Write a figure as PNG or PDF, as its path ends."""
    ending = path.rpartition(".")[2]
    with storage.atomic(path) as temporary, looks():
        drawn.savefig(temporary, format=ending, **FORMATS[ending])


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
    volumes = inputs.volumes or {}
    if 0 < len(volumes) <= MOST_PANELS:
        yield "sensitive_volume", _volumes(volumes, inputs.simulated)
    else:
        for population, curve in volumes.items():
            yield f"sensitive_volume-{population}", _volumes({population: curve}, inputs.simulated)
    if inputs.background is not None:
        yield "background", _background(inputs)
    if inputs.injections is not None and inputs.background is not None and len(inputs.injections):
        yield from _injections(inputs)
    for axis, share in (inputs.efficiencies or {}).get(ALL_DRAWS, {}).items():
        yield f"efficiency-{axis}", _efficiency(share, "Share of all draws that is found")
    if inputs.draws is not None:
        yield "draws-masses", _masses(inputs.draws)
        yield "draws-redshift", _redshifts(inputs.draws)
        yield "draws-snr", _snrs(inputs.draws)
    if inputs.training:
        yield "training", training_figure(inputs.training)
    if inputs.noise:
        yield "noise", _noise(inputs.noise)


def _volumes(curves: Mapping[str, VolumeCurve], simulated: bool) -> Figure:
    """Sensitive volume against false alarm rate, a panel for each population."""
    columns = 1 if len(curves) == 1 else 2 if len(curves) <= 4 else 3
    rows = -(-len(curves) // columns)
    width, height = (COLUMN, HEIGHT) if columns == 1 else (BOTH_COLUMNS, 0.5 + 2.1 * rows)
    drawn = Figure(figsize=(width, height))
    panels = [drawn.add_subplot(rows, columns, k + 1) for k in range(len(curves))]
    for panel, (population, curve) in zip(panels, curves.items(), strict=True):
        _volume(panel, curve, catalog.published_volumes(population), "simulated noise" if simulated else "")
        panel.set_xlabel("False alarm rate (yr$^{-1}$)")
        panel.set_ylabel("Sensitive volume (Gpc$^3$)")
        panel.text(0.03, 0.96, _text(population_label(population)), transform=panel.transAxes, va="top")
    legends = [zip(*panel.get_legend_handles_labels(), strict=True) for panel in panels]
    entries = {label: handle for legend in legends for handle, label in legend}
    drawn.legend(list(entries.values()), list(entries), loc="outside upper center", ncols=2 if columns == 1 else 4)
    return drawn


def _volume(panel: Axes, curve: VolumeCurve, published: Mapping[str, float], remark: str) -> None:
    far, volume, error = curve.far_per_year, curve.volume_gpc3, curve.standard_error
    low, high = curve.interval_gpc3
    panel.set_xscale("log")
    panel.plot(far, volume, color=BLUE, label=f"this search ({remark})" if remark else "this search")
    panel.fill_between(far, low, high, color=BLUE, alpha=0.15, linewidth=0, label="95 % interval")
    panel.fill_between(
        far, np.maximum(volume - error, 0), volume + error, color=BLUE, alpha=0.35, linewidth=0, label="± 1σ"
    )
    for (name, other), color, style in zip(published.items(), PALETTE[1:], STYLES[1:], strict=False):
        panel.axhline(other, color=color, linestyle=style, linewidth=1.0, label=f"{name} (O3)")
    most = max([float((volume + error).max()), *published.values()])
    panel.set_ylim(0, 1.2 * min(max(most, float(high.max())), 2 * most) or 1.0)
    panel.set_xlim(far[0], far[-1])


def _background(inputs: ReportInputs) -> Figure:
    """Events at least as loud: in time slides, as their tail goes on, and in unshifted data with what noise may do."""
    background, zero_lag = inputs.background, inputs.candidates
    assert background is not None
    drawn, axes = _single("Detection statistic (dimensionless)", "Events at least as loud (yr$^{-1}$)")
    axes.set_yscale("log")
    statistic, count = cumulative(background.statistics)
    measured = count / background.livetime_years
    bottom, top = background.lowest_far_per_year, max(float(measured.max(initial=0)), background.lowest_far_per_year)
    axes.plot(statistic, measured, color=BLUE, label="time slides")
    if inputs.tail is not None:
        tail = tail_curve(inputs.tail, background.lowest_far_per_year)
        axes.plot(tail.statistic, tail.far_per_year, "--", color=BLACK, label="extrapolation: exponential tail")
        axes.fill_between(tail.statistic, tail.low, tail.high, color=BLACK, alpha=0.15, linewidth=0)
        bottom = float(tail.far_per_year[-1])
    axes.axhline(
        background.lowest_far_per_year, color=GREY, linestyle=":", linewidth=0.8, label="lowest measurable rate"
    )
    if zero_lag is not None and len(zero_lag):
        years = _zero_lag_years(inputs)
        for sigma in SIGMAS[::-1]:
            low, high = poisson_band(measured * years, sigma)
            low = np.maximum(low, 0.5)  # nothing below one event is seen
            label = "Poisson 1σ, 2σ, 3σ" if sigma == 2 else None
            look: dict[str, Any] = {"color": SKY, "alpha": 0.25, "linewidth": 0, "label": label}
            axes.fill_between(statistic, low / years, high / years, where=high > low, **look)
        events, rank = cumulative(np.sort(zero_lag["detection_statistic"].astype(np.float64)))
        axes.plot(events, rank / years, "o", color=VERMILION, markersize=2.5, label="unshifted data")
        if "far_cleaned_per_year" in zero_lag.parameters:
            cleaned = zero_lag["far_cleaned_per_year"][rank - 1]  # rows are loudest first
            axes.plot(events, cleaned, "x", color=GREEN, markersize=2.5, label="loudest removed")
        bottom, top = min(bottom, 1 / years), max(top, float(rank.max()) / years)
    axes.set_ylim(bottom / 3, 3 * top)
    drawn.legend(loc="outside upper center", ncols=2)
    return drawn


def _zero_lag_years(inputs: ReportInputs) -> float:
    assert inputs.candidates is not None
    return float(inputs.candidates.attributes["T0"]) / SECONDS_PER_YEAR


def _injections(inputs: ReportInputs) -> Iterator[tuple[str, Figure]]:
    """Which injections are found, and what decides it."""
    table, background, far = inputs.injections, inputs.background, inputs.reference_far_per_year
    assert table is not None
    assert background is not None
    assert far is not None
    snr, statistic = (table[name].astype(np.float64) for name in ("snr", "detection_statistic"))
    rates = rates_to_show(background.lowest_far_per_year, np.inf)
    thresholds = {value: float(background.threshold_at_far(value)) for value in rates}
    found = statistic >= thresholds[far]
    title = f"found and missed at {_text(rate(far))}"
    drawn, axes = _single(AXES["snr"] + " (dimensionless)", _text(AXES["chirp_mass"]))
    _found(axes, (snr, chirp_mass(table["mass_1"], table["mass_2"])), found)
    drawn.legend(loc="outside upper center", ncols=2, title=title)
    yield "found_and_missed", drawn
    ordered = np.sort(table["ifo_snrs"], axis=1)
    labels = (f"SNR, {which} detector (dimensionless)" for which in ("loudest", "second loudest"))
    drawn, axes = _single(*labels)
    _found(axes, (ordered[:, -1], ordered[:, -2]), found)
    drawn.legend(loc="outside upper center", ncols=2, title=title)
    yield "found_and_missed-detectors", drawn
    yield "efficiency-snr", _efficiency(snr_efficiency(snr, statistic, thresholds), "Share of injections that is found")


def _found(axes: Axes, places: tuple[Array, Array], found: Array) -> None:
    step = max(1, -(-len(found) // SCATTER_POINTS))
    looks = ((~found, "missed", ORANGE, "x"), (found, "found", BLUE, "o"))
    for chosen, label, color, marker in looks:
        rows = np.flatnonzero(chosen)[::step]
        text = f"{label} ({number(int(chosen.sum()))})"
        axes.plot(
            places[0][rows], places[1][rows], marker, color=color, markersize=2.2, markeredgewidth=0.6, alpha=0.7,
            markerfacecolor="none", label=text,
        )  # fmt: skip
    _logarithmic(axes, "xy")


def _efficiency(efficiency: Efficiency, label: str) -> Figure:
    """Share found by false alarm rate, with 68 % intervals."""
    drawn, axes = _single("", "")
    _draw_efficiency(axes, efficiency, label)
    drawn.legend(loc="outside upper center", ncols=3, title="False alarm rate; bars: 68 % intervals")
    return drawn


def _draw_efficiency(axes: Axes, efficiency: Efficiency, label: str) -> None:
    axis = AXES[efficiency.axis]
    axes.set_xlabel(_text(axis if "(" in axis else f"{axis} (dimensionless)"))
    axes.set_ylabel(label)
    centre, known = np.sqrt(efficiency.edges[1:] * efficiency.edges[:-1]), efficiency.number > 0
    for k, far in enumerate(efficiency.far_per_year):
        share, low, high = (part[k][known] for part in (efficiency.share, efficiency.low, efficiency.high))
        axes.errorbar(
            centre[known] * 1.006 ** (k - 1), share, [share - low, high - share], color=PALETTE[k % len(PALETTE)],
            marker=MARKERS[k % len(MARKERS)], linestyle=STYLES[k % len(STYLES)], markersize=2.5, linewidth=0.9,
            elinewidth=0.7, label=_text(rate(float(far))),
        )  # fmt: skip
    top = 1.05 * float(efficiency.high[:, known].max(initial=1e-3))
    axes.set_ylim(-0.02 * top, top)
    _logarithmic(axes, "x")


def _masses(draws: DrawHistograms) -> Figure:
    """Masses of all draws, as shades, and of accepted ones, as dots."""
    drawn, axes = _single(*(_text(f"{which} mass, source frame (M☉)") for which in ("Heavier", "Lighter")))
    edges, counts = draws.mass_edges, np.ma.masked_less(draws.masses.T, 0.5)
    most = max(10.0, float(draws.masses.max(initial=1)))
    shades = LogNorm(0.3 / most**0.5, most)  # one draw is to be seen
    mesh = axes.pcolormesh(edges, edges, counts, norm=shades, cmap="Greys", rasterized=True)
    axes.plot(*draws.accepted_masses, ".", color=BLUE, markersize=1.5, alpha=0.6, label="accepted")
    _logarithmic(axes, "xy")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(edges[0], edges[-1])
    axes.grid(visible=False)
    bar = drawn.colorbar(mesh, ax=axes, boundaries=np.geomspace(1, most, 256))
    bar.ax.yaxis.set_major_locator(LogLocator())
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.set_label("All draws (number in a bin)")
    axes.legend(loc="upper left", markerscale=3)
    return drawn


def _redshifts(draws: DrawHistograms) -> Figure:
    drawn, axes = _single("Redshift (dimensionless)", "Draws (number in a bin)")
    _histogram(axes, draws.redshift_edges, {"all draws": draws.redshifts[0], "accepted": draws.redshifts[1]})
    drawn.legend(loc="outside upper center", ncols=2)
    return drawn


def _snrs(draws: DrawHistograms) -> Figure:
    drawn, axes = _single("Network SNR (dimensionless)", "Draws (number in a bin)")
    _histogram(axes, draws.snr_edges, {"judged by a waveform": draws.snrs[0], "accepted": draws.snrs[1]})
    _logarithmic(axes, "x")
    drawn.legend(loc="outside upper center", ncols=2)
    return drawn


def _histogram(axes: Axes, edges: Array, counts: Mapping[str, Array]) -> None:
    for (name, values), color in zip(counts.items(), (SKY, BLUE), strict=True):
        axes.stairs(values, edges, fill=True, baseline=0.5, color=color, label=name)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5)
    axes.set_xlim(edges[0], edges[-1])


def training_figure(curves: Mapping[str, tuple[Array, Array]], efficiency: Efficiency | None = None) -> Figure:
    """Losses, and below them what is found on held-out data, against epoch; only those that were recorded.

    Args:
        curves: Epochs and values of each metric.
        efficiency: Share of signals found in the last validation, a panel of its own.
    """
    groups = training_groups(curves)
    panels = max(1, len(groups) + (efficiency is not None))
    columns = 1 if panels <= 2 else 2
    rows = -(-panels // columns)
    drawn = Figure(figsize=(COLUMN if columns == 1 else BOTH_COLUMNS, 0.3 + 2.4 * rows))
    for k, (title, names) in enumerate(groups.items()):
        axes = drawn.add_subplot(rows, columns, k + 1)
        axes.set_xlabel("Epoch (number)")
        label = "Cross-entropy (nat)" if title == "Loss" else "Score or share\n(0 to 1, dimensionless)"
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for name, color, style in zip(names, cycle(PALETTE), cycle(STYLES), strict=False):
            axes.plot(*curves[name], color=color, linestyle=style, label=metric_label(name))
        heading = _text(title.replace(", by", ",\nby")) if ", by" in title else None
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2 if heading is None else 4, title=heading)
    if efficiency is not None:
        axes = drawn.add_subplot(rows, columns, len(groups) + 1)
        _draw_efficiency(axes, efficiency, "Share found (dimensionless)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), title="Last validation; bars: 68 % intervals")
    return drawn


def _noise(noise: Mapping[str, tuple[Array, Array]]) -> Figure:
    drawn, axes = _single("Frequency (Hz)", "Strain noise, ASD (Hz$^{-1/2}$)")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for (ifo, (frequency, density)), color, style in zip(noise.items(), cycle(PALETTE), cycle(STYLES), strict=False):
        axes.plot(frequency, density, color=color, linestyle=style, linewidth=0.9, label=ifo)
    drawn.legend(loc="outside upper center", ncols=5)
    return drawn


def _single(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """A figure of one column's width."""
    drawn = Figure(figsize=(COLUMN, HEIGHT))
    axes = drawn.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return drawn, axes


def _logarithmic(axes: Axes, which: str) -> None:
    """Logarithmic axes, with plain numbers at 1, 2 and 5 of each decade that they show, which is seldom a whole one."""
    for name in which:
        axes.set(**{f"{name}scale": "log"})
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())


def _text(words: str) -> str:
    """Words as matplotlib writes them: nothing in them is mathematics but the solar mass."""
    return words.replace("$", r"\$").replace("M☉", r"$\mathrm{M}_{\!\odot}$")
