"""Figures of the report: arrays in, bokeh figures out. Every axis has its unit, every figure works at any width."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, NumeralTickFormatter
from bokeh.models.annotations import ColorBar, Legend, Span, TeeHead, Whisker
from bokeh.models.glyphs import Image
from bokeh.models.mappers import LinearColorMapper, LogColorMapper
from bokeh.palettes import Viridis256
from bokeh.plotting import figure
from jaxtyping import Bool, Float

from aframe.candidates.table import CandidateTable
from aframe.constants import SECONDS_PER_DAY, SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.events.tail import ExponentialTail
from aframe.inference.closeup import Closeup
from aframe.inference.q_transform import QTransform
from aframe.report.curves import cumulative, metric_label, tail_curve, training_groups
from aframe.report.inputs import DrawHistograms, TrainingCurves
from aframe.report.palette import AXES, BLACK, BLUE, GREEN, OCTAVES, ORANGE, PALETTE, PINK, SCALE_ENDS, SKY, VERMILION
from aframe.report.text import rate
from aframe.sensitivity.efficiency import Efficiency
from aframe.sensitivity.volume import VolumeCurve
from aframe.types import Array

GREYS = tuple(f"#{level:02x}{level:02x}{level:02x}" for level in range(0xF0, 0x60, -8))
"""Shades of a histogram under coloured dots."""

DASHES = ("dashed", "dotted", "dashdot", "dotdash")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SCATTER_POINTS = 3000
HEIGHT = 340

EFFICIENCY_TITLES = {
    "snr": "Efficiency by SNR, of the injected",
    "luminosity_distance": "Efficiency by distance, of all drawn",
    "chirp_mass": "Efficiency by detector-frame chirp mass, of all drawn",
    "chirp_mass_source": "Efficiency by source-frame chirp mass, of all drawn",
}
"""What each of them is headed."""


def volume_figure(curve: VolumeCurve, published: Mapping[str, float]) -> figure:
    """Sensitive volume of one population against false alarm rate, with a band of one standard error.

    Args:
        curve: Volumes in Gpc³ at rates per Julian year.
        published: Volumes in Gpc³ of other searches, drawn as horizontal lines.
    """
    high = curve.volume_gpc3 + curve.standard_error
    least, most = curve.interval_gpc3
    seen = max([float(high.max()), *published.values()])
    top = 1.08 * (min(max(seen, float(most.max())), 2 * seen) or float(most.max()) or 1.0)
    plot = styled_plot("False alarm rate (1 / yr)", "Sensitive volume (Gpc³)", x_axis_type="log", y_range=(0, top))
    low = np.maximum(curve.volume_gpc3 - curve.standard_error, 0.0)
    source = ColumnDataSource(
        {
            "far": curve.far_per_year,
            "volume": curve.volume_gpc3,
            "error": curve.standard_error,
            "low": low,
            "high": high,
            "least": least,
            "most": most,
            "threshold": curve.threshold,
            "effective": curve.effective_sample_size,
        }
    )
    interval = plot.varea("far", "least", "most", source=source, fill_color=BLUE, fill_alpha=0.12)
    band = plot.varea("far", "low", "high", source=source, fill_color=BLUE, fill_alpha=0.25)
    line = plot.line("far", "volume", source=source, line_color=BLUE, line_width=2.5)
    tips = [
        ("FAR", "@far{0.00e+0} / yr"),
        ("V", "@volume{0.000} ± @error{0.000} Gpc³"),
        ("95 %", "@least{0.000} to @most{0.000} Gpc³"),
        ("threshold", "@threshold{0.000}"),
        ("effective found injections", "@effective{0}"),
    ]
    plot.add_tools(HoverTool(renderers=[line], tooltips=tips, mode="vline"))
    entries: list[tuple[str, list[Any]]] = [("this search ± 1σ", [line, band]), ("95 % interval", [interval])]
    ends = [float(curve.far_per_year[0]), float(curve.far_per_year[-1])]
    for (name, volume), color, dash in zip(published.items(), PALETTE[1:], DASHES, strict=False):
        other = plot.line(ends, [volume, volume], line_color=color, line_width=1.5, line_dash=dash)
        plot.add_tools(HoverTool(renderers=[other], tooltips=f"{name}, O3: {volume:.2f} Gpc³"))
        entries.append((f"{name} (O3)", [other]))
    return _with_legend(plot, entries)


def background_figure(
    background: Background, zero_lag: CandidateTable | None, tail: ExponentialTail | None = None
) -> figure:
    """Events per year at least as loud, in time slides and in unshifted data.

    Args:
        background: Events of time slides.
        zero_lag: Unshifted events, if there are any yet; those without louder candidates are drawn where they are told.
        tail: What is fitted to the loudest events of time slides, if anything.
    """
    plot = styled_plot("Detection statistic", "Rate of louder events (1 / yr)", y_axis_type="log")
    statistic, count = cumulative(background.statistics)
    line = plot.line(statistic, count / background.livetime_years, line_color=BLUE, line_width=2.5)
    entries: list[tuple[str, list[Any]]] = [("time slides", [line])]
    if tail is not None:
        curve = tail_curve(tail, background.lowest_far_per_year)
        band = plot.varea(curve.statistic, curve.low, curve.high, fill_color=PINK, fill_alpha=0.15)
        model = plot.line(curve.statistic, curve.far_per_year, line_color=PINK, line_width=2, line_dash="dashed")
        entries.append(("exponential tail: a model", [model, band]))
    if zero_lag:
        events = np.sort(zero_lag["detection_statistic"].astype(np.float64))
        statistic, count = cumulative(events)
        source = ColumnDataSource({"x": statistic, "y": count * SECONDS_PER_YEAR / zero_lag.attributes["T0"]})
        dots = plot.scatter("x", "y", source=source, color=VERMILION, size=6, alpha=0.8)
        plot.add_tools(HoverTool(renderers=[dots], tooltips=[("statistic", "@x{0.000}"), ("rate", "@y{0.00e+0} / yr")]))
        entries.append(("unshifted data", [dots]))
        if "far_cleaned_per_year" in zero_lag.parameters:
            far = zero_lag["far_cleaned_per_year"][count - 1]  # rows are loudest first
            crosses = plot.scatter(statistic, far, marker="x", color=GREEN, size=6)
            entries.append(("rate without louder candidates", [crosses]))
    return _with_legend(plot, entries)


def training_figures(curves: TrainingCurves) -> dict[str, figure]:
    """Losses, and validation metrics, against epoch; only those that were recorded."""
    figures = {}
    for title, names in training_groups(curves).items():
        plot = styled_plot("Epoch", "Binary cross-entropy" if title == "Loss" else "Score or share (0 to 1)")
        entries: list[tuple[str, list[Any]]] = []
        for k, name in enumerate(names):
            dash = ("solid", *DASHES)[k // len(PALETTE) % 5]
            line = plot.line(*curves[name], line_width=2, line_color=PALETTE[k % len(PALETTE)], line_dash=dash)
            entries.append((metric_label(name), [line]))
        figures[title] = _with_legend(plot, entries)
    return figures


def efficiency_figure(efficiency: Efficiency) -> figure:
    """Share of binaries found against loudness, distance or mass, with 68 % intervals, by false alarm rate."""
    centre, known = np.sqrt(efficiency.edges[1:] * efficiency.edges[:-1]), efficiency.number > 0
    top = 1.05 * float(efficiency.high[:, known].max(initial=1e-3))
    plot = styled_plot(AXES[efficiency.axis], "Share found", x_axis_type="log", y_range=(-0.02 * top, top))
    _tick(plot.xaxis, efficiency.edges)
    entries: list[tuple[str, list[Any]]] = []
    for k, far in enumerate(efficiency.far_per_year):
        ends = {"y": efficiency.share[k], "low": efficiency.low[k], "high": efficiency.high[k]}
        source = ColumnDataSource({"x": centre[known], **{name: values[known] for name, values in ends.items()}})
        color = PALETTE[k % len(PALETTE)]
        line = plot.line("x", "y", source=source, line_color=color, line_width=2)
        dots = plot.scatter("x", "y", source=source, color=color, size=6)
        head = TeeHead(size=5, line_color=color)
        whisker = Whisker(
            source=source, base="x", lower="low", upper="high", line_color=color, lower_head=head, upper_head=head
        )
        plot.add_layout(whisker)
        entries.append((rate(float(far)), [line, dots]))
    return _with_legend(plot, entries)


def _tick(axis: Any, values: Array) -> None:
    """Have ticks at 1, 2, 5, 10, 20 … on a logarithmic axis, between the extremes of its values."""
    ticks = np.outer(10.0 ** np.arange(-2, 6), (1, 2, 5)).ravel()
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=0.0))
    axis.ticker = ticks[(ticks >= low) & (ticks <= high)].tolist()
    axis.formatter = NumeralTickFormatter(format="0[.]00")


def found_figure(
    snr: Float[Array, " injections"], chirp_mass: Float[Array, " injections"], found: Bool[Array, " injections"]
) -> figure:
    """Found and missed injections by network SNR and detector-frame chirp mass (solar masses)."""
    plot = styled_plot("Network SNR", "Chirp mass, detector frame (M☉)", x_axis_type="log", y_axis_type="log")
    return _found_and_missed(plot, snr, chirp_mass, found)


def _found_and_missed(plot: figure, x: Array, y: Array, found: Array) -> figure:
    """Found injections as discs, missed ones as crosses, in a figure."""
    _tick(plot.xaxis, x)
    _tick(plot.yaxis, y)
    entries: list[tuple[str, list[Any]]] = []
    step = max(1, -(-len(x) // SCATTER_POINTS))
    styles = ((found, "found", BLUE, "circle"), (~found, "missed", ORANGE, "x"))
    for chosen, label, color, marker in styles:
        rows = np.flatnonzero(chosen)[::step]
        dots = plot.scatter(x[rows], y[rows], marker=marker, color=color, size=5, alpha=0.6)
        entries.append((f"{label} ({int(chosen.sum())})", [dots]))
    return _with_legend(plot, entries)


def quieter_figure(ifo_snrs: Float[Array, "injections ifos"], found: Bool[Array, " injections"]) -> figure:
    """Found and missed injections by the SNR of the detector that sees most and of the one that sees second most."""
    plot = styled_plot(
        "SNR in the loudest detector", "SNR in the second loudest detector", x_axis_type="log", y_axis_type="log"
    )
    ordered = np.sort(ifo_snrs, axis=1)
    return _found_and_missed(plot, ordered[:, -1], ordered[:, -2], found)


def segment_figure(segments: Mapping[str, Float[Array, "segments 2"]]) -> figure:
    """When there are data: the segments of each stage against time."""
    start = min((float(spans.min()) for spans in segments.values() if len(spans)), default=0.0)
    stages = list(segments)
    plot = styled_plot(f"Days since GPS {start:.0f}", "", y_range=stages[::-1])
    for stage, color in zip(stages, PALETTE, strict=False):
        days = (segments[stage] - start) / SECONDS_PER_DAY
        source = ColumnDataSource(
            {"left": days[:, 0], "right": days[:, 1], "stage": [stage] * len(days), "start": segments[stage][:, 0],
             "length": segments[stage][:, 1] - segments[stage][:, 0]}
        )  # fmt: skip
        bars = plot.hbar(
            y="stage", left="left", right="right", height=0.5, source=source, color=color, line_color="white"
        )
        tips = [("GPS", "@start{0}"), ("length", "@length{0} s")]
        plot.add_tools(HoverTool(renderers=[bars], tooltips=tips))
    return plot


def noise_figure(noise: Mapping[str, tuple[Array, Array]]) -> figure:
    """Amplitude spectral densities (1/√Hz) of detectors."""
    plot = styled_plot("Frequency (Hz)", "Amplitude spectral density (1 / √Hz)", x_axis_type="log", y_axis_type="log")
    entries: list[tuple[str, list[Any]]] = []
    for (ifo, (frequency, density)), color in zip(noise.items(), PALETTE, strict=False):
        entries.append((ifo, [plot.line(frequency, density, line_color=color, line_width=1.5)]))
    return _with_legend(plot, entries)


def mass_figure(draws: DrawHistograms) -> figure:
    """Source-frame masses of all draws, as shades, and of accepted ones, as dots."""
    edges = draws.mass_edges
    limits = (float(edges[0]), float(edges[-1]))
    plot = styled_plot(
        "Heavier mass, source frame (M☉)", "Lighter mass, source frame (M☉)",
        x_axis_type="log", y_axis_type="log", x_range=limits, y_range=limits,
    )  # fmt: skip
    heavy, light = np.nonzero(draws.masses)
    counts = draws.masses[heavy, light]
    shades = LogColorMapper(palette=GREYS, low=0.5, high=float(counts.max(initial=1.0)))
    source = ColumnDataSource(
        {"left": edges[heavy], "right": edges[heavy + 1], "bottom": edges[light], "top": edges[light + 1], "n": counts}
    )
    cells = plot.quad(
        "left", "right", "top", "bottom", source=source, fill_color={"field": "n", "transform": shades}, line_color=None
    )
    plot.add_tools(HoverTool(renderers=[cells], tooltips=[("draws", "@n{0,0}")]))
    heavier, lighter = draws.accepted_masses
    dots = plot.scatter(heavier, lighter, color=BLUE, size=4, alpha=0.6)
    return _with_legend(plot, [("accepted", [dots])])


def redshift_figure(draws: DrawHistograms) -> figure:
    """Redshifts of all draws, and of accepted ones."""
    counts = {"all draws": draws.redshifts[0], "accepted": draws.redshifts[1]}
    return _with_legend(*_histogram("Redshift", draws.redshift_edges, counts))


def snr_figure(draws: DrawHistograms) -> figure:
    """Network SNRs of draws that were judged by a waveform, and of accepted ones, with the slope of nearby space."""
    edges, accepted = draws.snr_edges, draws.snrs[1]
    first = int((accepted > 0).argmax())
    centre = np.sqrt(edges[1:] * edges[:-1])[first:]
    law = accepted.sum() * 3 * np.log(edges[1] / edges[0]) * (centre / edges[first]) ** -3.0
    counts = {"judged by a waveform": draws.snrs[0], "accepted": accepted}
    plot, entries = _histogram("Network SNR", edges, counts, x_axis_type="log")
    line = plot.line(centre[law > 0.5], law[law > 0.5], line_color=BLACK, line_dash="dashed")
    return _with_legend(plot, [*entries, ("density ∝ SNR⁻⁴ (Euclidean space)", [line])])


def q_transform_figure(transform: QTransform, time: float, highest: float) -> figure:
    """Energies of one detector's Q transform, as an image.

    Args:
        transform: What is shown.
        time: Of the candidate, GPS s.
        highest: Energy at the upper end of the colours.
    """
    top = float(np.clip(highest, *SCALE_ENDS))
    step = float(np.median(np.diff(transform.time))) if len(transform.time) > 1 else 1.0
    ratio = float(transform.frequency[1] / transform.frequency[0]) ** 0.5
    low, high = float(transform.frequency[0]) / ratio, float(transform.frequency[-1]) * ratio
    start, width = float(transform.time[0]) - time - step / 2, len(transform.time) * step
    plot = styled_plot(
        _time_label(time), "Frequency (Hz)", y_axis_type="log", x_range=(start, start + width), y_range=(low, high)
    )
    level = np.round(255 * np.clip(transform.energy / top, 0, 1)).astype(np.uint8)
    colors = LinearColorMapper(palette=Viridis256, low=0, high=255)
    image = Image(image="level", x=start, y=low, dw=width, dh=high - low, color_mapper=colors)
    plot.add_glyph(ColumnDataSource({"level": [level]}), image)
    plot.yaxis.ticker = FixedTicker(ticks=[octave for octave in OCTAVES if low <= octave <= high])
    plot.yaxis.formatter = NumeralTickFormatter(format="0")
    plot.grid.visible = False
    scale = ColorBar(
        color_mapper=LinearColorMapper(palette=Viridis256, low=0, high=top), title="Normalised energy", height=8,
        title_text_font=FONT, title_text_font_style="normal", title_text_font_size="12px",
        major_label_text_font=FONT, major_label_text_font_size="12px", background_fill_color=None,
    )  # fmt: skip
    plot.add_layout(scale, "above")  # so that the time axis is as long as the strain's under it
    return plot


def strain_figure(closeup: Closeup, time: float) -> figure:
    """Whitened strain of the detectors about a candidate (GPS s)."""
    plot = styled_plot(_time_label(time), "Whitened strain (σ)", x_range=_ends(closeup.time - time))
    entries: list[tuple[str, list[Any]]] = []
    for (ifo, series), color in zip(closeup.whitened.items(), PALETTE, strict=False):
        values = series.astype(np.float32)
        line = plot.line(_short(closeup.time - time), values, line_color=color, line_alpha=0.8)
        entries.append((ifo, [line]))
    return _with_legend(plot, entries)


def score_figure(closeup: Closeup, time: float, statistic: float) -> figure:
    """Scores of windows and their averages about a candidate (GPS s), whose statistic is marked."""
    plot = styled_plot(_time_label(time), "Score (logit)", x_range=_ends(closeup.score_time - time))
    plot.add_layout(Span(location=0, dimension="height", line_color=BLACK, line_dash="dotted"))
    entries: list[tuple[str, list[Any]]] = []
    for label, axis, values, color in (
        ("score of a window", closeup.score_time, closeup.score, SKY),
        ("average", closeup.statistic_time, closeup.statistic, BLUE),
    ):
        line = plot.line(_short(axis - time), values.astype(np.float32), line_color=color, line_width=2)
        plot.add_tools(HoverTool(renderers=[line], tooltips=[(label, "@y{0.000}"), ("time", "@x{0.000} s")]))
        entries.append((label, [line]))
    dot = plot.scatter([0.0], [statistic], color=VERMILION, size=9)
    return _with_legend(plot, [*entries, ("candidate", [dot])])


def _time_label(time: float) -> str:
    return f"Time (s) from GPS {time:.3f}"


def _short(seconds: Array) -> Float[Array, " n"]:
    """Times near 0 in single precision, as half of the page's bytes is enough for them."""
    return seconds.astype(np.float32)


def _ends(axis: Array) -> tuple[float, float]:
    return (float(axis[0]), float(axis[-1])) if len(axis) > 1 else (-1.0, 1.0)


def _histogram(
    label: str, edges: Array, counts: Mapping[str, Array], **options: Any
) -> tuple[figure, list[tuple[str, list[Any]]]]:
    """Numbers in bins, on a logarithmic axis, and the legend's entries."""
    plot = styled_plot(label, "Draws in a bin", y_axis_type="log", **options)
    entries: list[tuple[str, list[Any]]] = []
    for (name, values), color in zip(counts.items(), (SKY, BLUE), strict=False):
        held = values > 0
        bars = plot.quad(edges[:-1][held], edges[1:][held], values[held], 0.5, fill_color=color, line_color=None)
        entries.append((name, [bars]))
    return plot, entries


def styled_plot(x_label: str, y_label: str, **options: Any) -> figure:
    """An empty figure that looks as all do; options are bokeh's."""
    plot = figure(
        height=HEIGHT,
        sizing_mode="stretch_width",
        tools="pan,box_zoom,wheel_zoom,reset,save",
        active_drag=None,  # a finger that scrolls the page must not drag the figure
        x_axis_label=x_label,
        y_axis_label=y_label,
        **options,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.outline_line_color = None
    plot.background_fill_color = plot.border_fill_color = None
    for axis in plot.axis:
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size, axis.major_label_text_font_size = "13px", "12px"
        axis.axis_line_color = axis.major_tick_line_color = "#9aa3ad"
        axis.minor_tick_line_color = None
    plot.grid.grid_line_color = "#e6e9ed"
    return plot


def _with_legend(plot: figure, entries: Sequence[tuple[str, list[Any]]]) -> figure:
    """The legend under the figure, where it hides no data; a click hides a line."""
    legend = Legend(
        items=list(entries), orientation="horizontal", location="center", ncols=2, spacing=14, click_policy="hide"
    )
    legend.border_line_color = legend.background_fill_color = None
    legend.label_text_font, legend.label_text_font_size = FONT, "12px"
    plot.add_layout(legend, "below")
    return plot
