"""Figures of the report and of notebooks: a run's numbers in, descriptions of figures out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np
from bilby.gw.conversion import component_masses_to_chirp_mass as chirp_mass
from jaxtyping import Bool

from aframe.candidates.table import CandidateTable
from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.events.tail import Tail
from aframe.report.curves import CURVE_POINTS, cumulative, metric_label, poisson_band, tail_curve, training_groups
from aframe.report.inputs import DrawHistograms, TrainingCurves
from aframe.report.palette import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    GREYS,
    ORANGE,
    PALETTE,
    SKY,
    VERMILION,
)  # fmt: skip
from aframe.report.plots import Axis, Band, Cells, Dash, ErrorBars, Line, Marker, Plot, Points, Steps
from aframe.report.text import number, rate
from aframe.sensitivity import catalog
from aframe.sensitivity.efficiency import Efficiency
from aframe.sensitivity.volume import VolumeCurve, population_label
from aframe.tables import RecoveredTable
from aframe.types import Array

SCATTER_POINTS = 3000
"""About the largest number of injections in a figure. Of more, every second, third, … is drawn."""

ROUND_TICKS = tuple(digit * 10.0**power for power in range(-2, 6) for digit in (1, 2, 5))
"""Ticks of a logarithmic axis that seldom shows a whole decade."""

LEAST_COUNT = 0.5
"""Lower end of a logarithmic axis of counts. One event is to be seen, and less than one is not."""

THIN = 0.7
"""Width of a minor line over that of a main one."""

SIGMAS = (3.0, 2.0, 1.0)
DASHES: tuple[Dash, ...] = ("solid", "dashed", "dashdot", "dotted", "dashdotdot", "sparse")
MARKERS: tuple[Marker, ...] = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex")

PARAMETERS = {
    "snr": Axis("Network SNR", "dimensionless"),
    "luminosity_distance": Axis("Luminosity distance", "Mpc"),
    "chirp_mass": Axis("Chirp mass, detector frame", "M☉"),
    "chirp_mass_source": Axis("Chirp mass, source frame", "M☉"),
}
"""Parameters of injections on the axes of figures."""

EFFICIENCY_TITLES = {
    "luminosity_distance": "Efficiency by distance, of all drawn",
    "chirp_mass": "Efficiency by detector-frame chirp mass, of all drawn",
    "chirp_mass_source": "Efficiency by source-frame chirp mass, of all drawn",
}


def volume(population: str, curve: VolumeCurve, is_simulated: bool, has_published: bool = True) -> Plot:
    """Sensitive volume of one population against false alarm rate, with its standard error and 95 % interval.

    Volumes that other searches have published are horizontal lines.

    Args:
        population: Name of the population.
        curve: Volumes in Gpc³ at rates per Julian year.
        is_simulated: Whether the noise is simulated.
        has_published: Whether to draw published volumes.
    """
    far, center, error = curve.far_per_year, curve.volume_gpc3, curve.standard_error
    least, most = curve.interval_gpc3
    low, high = np.maximum(center - error, 0.0), center + error
    published = catalog.published_volumes(population) if has_published else {}
    columns = {"error": error, "least": least, "most": most, "threshold": curve.threshold}
    tips = (
        ("FAR", "@x{0.00e+0} / yr"), ("V", "@y{0.000} ± @error{0.000} Gpc³"),
        ("95 %", "@least{0.000} to @most{0.000} Gpc³"), ("threshold", "@threshold{0.000}"),
        ("effective found injections", "@effective{0}"),
    )  # fmt: skip
    search = Line(
        x=far, y=center, color=BLUE, label="this search (simulated noise)" if is_simulated else "this search",
        columns=columns | {"effective": curve.effective_sample_size}, tips=tips,
    )  # fmt: skip
    ends = (float(far[0]), float(far[-1]))
    others = [
        replace(_level(value, ends, color, dash, f"{name} (O3)"), tips=((f"{name}, O3", f"{value:.2f} Gpc³"),))
        for (name, value), color, dash in zip(published.items(), PALETTE[1:], DASHES[1:], strict=False)
    ]
    seen = max([float(high.max()), *published.values()])
    top = 1.2 * min(max(seen, float(most.max())), 2 * seen) or float(most.max()) or 1.0
    return Plot(
        title=population_label(population),
        x=Axis("False alarm rate", "1 / yr", "log", ends),
        y=Axis("Sensitive volume", "Gpc³", limits=(0.0, top)),
        marks=(
            search,
            Band(x=far, low=least, high=most, color=BLUE, alpha=0.15, label="95 % interval"),
            Band(x=far, low=low, high=high, color=BLUE, alpha=0.35, label="± 1σ"),
            *others,
        ),
    )


def background(slides: Background, zero_lag: CandidateTable | None, tail: Tail | None) -> Plot:
    """Events at least as loud: in time slides, as their tail goes on, and in unshifted data with what noise may do.

    Args:
        slides: Events of time slides.
        zero_lag: Unshifted events, loudest first, if there are any yet. Their rates without louder candidates are drawn
            if the table has them.
        tail: Generalised Pareto fit to the loudest events of time slides, if any.
    """
    statistic, count = cumulative(slides.statistics)
    measured, lowest = count / slides.livetime_years, slides.lowest_far_per_year
    bottom, top = lowest, max(float(measured.max(initial=0)), lowest)
    marks: list[Line | Band | Points] = [Line(x=statistic, y=measured, color=BLUE, label="time slides")]
    if tail is not None:
        curve, label = tail_curve(tail, lowest), "extrapolation: Pareto tail, 95 %"
        marks += [
            Line(x=curve.statistic, y=curve.far_per_year, dash="dashed", color=BLACK, label=label),
            Band(x=curve.statistic, low=curve.low, high=curve.high, color=BLACK, alpha=0.15, label=label),
        ]
        bottom = float(curve.far_per_year[-1])
    if zero_lag is not None and len(zero_lag):
        years = float(zero_lag.attributes["T0"]) / SECONDS_PER_YEAR
        marks += [
            replace(band, low=band.low / years, high=band.high / years)
            for band in _poisson(statistic, measured * years)
        ]
        events, rank = cumulative(np.sort(zero_lag["detection_statistic"].astype(np.float64)))
        tips = (("statistic", "@x{0.000}"), ("rate", "@y{0.00e+0} / yr"))
        marks.append(Points(x=events, y=rank / years, color=VERMILION, label="unshifted data", tips=tips))
        if "far_cleaned_per_year" in zero_lag.parameters:
            cleaned = zero_lag["far_cleaned_per_year"][rank - 1]  # rows are loudest first
            marks.append(Points(x=events, y=cleaned, marker="x", color=GREEN, label="without the louder"))
        bottom, top = min(bottom, 1 / years), max(top, float(rank.max()) / years)
    ends = _ends([mark.x for mark in marks])
    return Plot(
        title="Background",
        x=Axis("Detection statistic", "dimensionless", limits=ends),
        y=Axis("Events at least as loud", "1 / yr", "log", (bottom / 3, 3 * top)),
        marks=(_level(lowest, ends, GREY, "dotted", "lowest measurable rate"), *marks),
    )


def _ends(positions: Sequence[Array]) -> tuple[float, float]:
    """Limits of an axis with a margin about all positions on it."""
    together = np.concatenate(positions)
    if not len(together):
        return 0.0, 1.0
    low, high = float(together.min()), float(together.max())
    margin = 0.03 * (high - low) or 1.0
    return low - margin, high + margin


def _level(height: float, ends: tuple[float, float], color: str, dash: Dash, label: str) -> Line:
    """A horizontal line from end to end of a figure."""
    return Line(x=np.array(ends), y=np.full(2, height), dash=dash, width=THIN, color=color, label=label)


def candidates(table: CandidateTable) -> Plot:
    """Number of candidates with at most some false alarm rate, against its inverse, and what noise alone may do.

    Args:
        table: Unshifted events, loudest first, at least one.
    """
    years = float(table.attributes["T0"]) / SECONDS_PER_YEAR
    rank = cumulative(table["detection_statistic"][::-1])[1]  # rows are loudest first
    inverse = 1 / table["far_per_year"][rank - 1]
    of_noise = np.geomspace(float(inverse.min()), float(max(inverse.max(), 10 * inverse.min())), CURVE_POINTS)
    limit = table["far_is_upper_limit"][rank - 1] if "far_is_upper_limit" in table.parameters else np.zeros(len(rank))
    kinds: tuple[tuple[Array, Marker, str], ...] = (
        (limit == 0, "circle", "unshifted data"),
        (limit != 0, "right", "at least"),
    )
    points = [
        Points(x=inverse[chosen], y=rank[chosen], marker=marker, color=VERMILION, label=label)
        for chosen, marker, label in kinds
        if chosen.any()
    ]
    expected = years / of_noise
    return Plot(
        title="Candidates",
        x=Axis("Inverse false alarm rate", "yr", "log"),
        y=Axis("Events with at least that", "number", "log", (LEAST_COUNT, 2 * float(rank.max()))),
        marks=(
            *_poisson(of_noise, expected),
            Line(x=of_noise, y=expected, dash="dashed", width=THIN, color=BLACK, label="expected of noise alone"),
            *points,
        ),
    )


def _poisson(x: Array, expected: Array) -> list[Band]:
    """Numbers of events that noise alone may give, none of them below one event."""
    bands = []
    for sigma in SIGMAS:
        low, high = (np.maximum(end, LEAST_COUNT) for end in poisson_band(expected, sigma))
        kept = high > low
        bands.append(Band(x=x[kept], low=low[kept], high=high[kept], color=SKY, alpha=0.25, label="Poisson 1σ, 2σ, 3σ"))
    return bands


def training(curves: TrainingCurves) -> list[Plot]:
    """Losses, and validation metrics, against epoch; only those that were recorded.

    Args:
        curves: Epochs and values of each metric.
    """
    return [
        Plot(
            title=title,
            x=Axis("Epoch", "number", is_whole=True),
            y=Axis("Cross-entropy", "nat") if title == "Loss" else Axis("Score or share, 0 to 1", "dimensionless"),
            marks=_lines({metric_label(name): curves[name] for name in names}),
            legend_columns=4 if ", by" in title else 2,
        )
        for title, names in training_groups(curves).items()
    ]


def _lines(series: Mapping[str, tuple[Array, Array]]) -> list[Line]:
    """Lines of different colours and dashes, by their labels."""
    looks = zip(series.items(), cycle(PALETTE), cycle(DASHES), strict=False)
    return [Line(x=x, y=y, color=color, dash=dash, label=label) for (label, (x, y)), color, dash in looks]


def efficiency_of_draws(shares: Efficiency) -> Plot:
    """Share of all draws that is found, by false alarm rate, against distance or mass."""
    return _efficiency(shares, EFFICIENCY_TITLES[shares.axis], "Share of all draws that is found")


def efficiency_of_injections(shares: Efficiency) -> Plot:
    """Share of injections that is found, by false alarm rate, against network SNR."""
    return _efficiency(shares, "Efficiency by SNR, of the injected", "Share of injections that is found")


def efficiency_of_signals(shares: Efficiency) -> Plot:
    """Share of signals that a training's last validation finds, against network SNR."""
    plot = _efficiency(shares, "Signals found against network SNR", "Share of signals that is found")
    return replace(plot, legend_title="Last validation; bars: 68 % intervals", legend_columns=1)


def _efficiency(shares: Efficiency, title: str, label: str) -> Plot:
    """Shares with 68 % intervals. Each rate is shifted a little, so that bars are beside each other."""
    center, measured = np.sqrt(shares.edges[1:] * shares.edges[:-1]), shares.number > 0
    bars = []
    for k, far in enumerate(shares.far_per_year):
        y, low, high = (part[k][measured] for part in (shares.share, shares.low, shares.high))
        bars.append(
            ErrorBars(
                x=center[measured] * 1.006 ** (k - 1), y=y, low=low, high=high, color=PALETTE[k % len(PALETTE)],
                marker=MARKERS[k % len(MARKERS)], dash=DASHES[k % len(DASHES)], label=rate(float(far)),
            )
        )  # fmt: skip
    top = 1.05 * float(shares.high[:, measured].max(initial=1e-3))
    return Plot(
        title=title,
        x=replace(PARAMETERS[shares.axis], scale="log", ticks=ROUND_TICKS),
        y=Axis(label, limits=(-0.02 * top, top)),
        marks=bars,
        legend_title="False alarm rate; bars: 68 % intervals",
        legend_columns=3,
    )


def found_by_mass(table: RecoveredTable, found: Bool[Array, " injections"], far_per_year: float) -> Plot:
    """Found and missed injections by network SNR and detector-frame chirp mass.

    Args:
        table: All injections.
        found: Whether each is found.
        far_per_year: False alarm rate at which it is found, events per Julian year.
    """
    return Plot(
        title="Found and missed",
        x=replace(PARAMETERS["snr"], scale="log", ticks=ROUND_TICKS),
        y=replace(PARAMETERS["chirp_mass"], scale="log", ticks=ROUND_TICKS),
        marks=_found_and_missed(table["snr"].astype(np.float64), chirp_mass(table["mass_1"], table["mass_2"]), found),
        legend_title=_found_at(far_per_year),
    )


def found_by_detectors(table: RecoveredTable, found: Bool[Array, " injections"], far_per_year: float) -> Plot:
    """Found and missed injections by the SNR of the detector that sees most and of the one that sees second most.

    Args:
        table: All injections.
        found: Whether each is found.
        far_per_year: False alarm rate at which it is found, events per Julian year.
    """
    ordered = np.sort(table["ifo_snrs"], axis=1)
    return Plot(
        title="What the quieter detector sees",
        x=Axis("SNR, loudest detector", "dimensionless", "log", ticks=ROUND_TICKS),
        y=Axis("SNR, second loudest detector", "dimensionless", "log", ticks=ROUND_TICKS),
        marks=_found_and_missed(ordered[:, -1], ordered[:, -2], found),
        legend_title=_found_at(far_per_year),
    )


def _found_at(far_per_year: float) -> str:
    return f"found and missed at {rate(far_per_year)}"


def _found_and_missed(x: Array, y: Array, found: Array) -> list[Points]:
    """Found injections as circles, missed ones as crosses."""
    step = max(1, -(-len(found) // SCATTER_POINTS))
    kinds: tuple[tuple[Array, str, str, Marker], ...] = (
        (~found, "missed", ORANGE, "x"),
        (found, "found", BLUE, "circle"),
    )
    marks = []
    for chosen, label, color, marker in kinds:
        rows = np.flatnonzero(chosen)[::step]
        text = f"{label} ({number(int(chosen.sum()))})"
        marks.append(Points(x=x[rows], y=y[rows], marker=marker, color=color, label=text, alpha=0.7, is_filled=False))
    return marks


def noise(densities: Mapping[str, tuple[Array, Array]]) -> Plot:
    """Amplitude spectral density (1/√Hz) of each detector against frequency (Hz)."""
    return Plot(
        title="Noise of the first tested segment",
        x=Axis("Frequency", "Hz", "log"),
        y=Axis("Amplitude spectral density", "1 / √Hz", "log"),
        marks=[replace(line, width=THIN) for line in _lines(densities)],
        legend_columns=5,
    )


def masses(draws: DrawHistograms) -> Plot:
    """Source-frame masses of all draws, as shades, and of accepted ones, as dots."""
    edges = draws.mass_edges
    most = max(10.0, float(draws.masses.max(initial=1)))
    limits = (float(edges[0]), float(edges[-1]))
    cells = Cells(
        x_edges=edges, y_edges=edges, values=draws.masses.T, colors=GREYS, tips=(("draws", "@value{0,0}"),),
        scale=Axis("All draws", "number in a bin", "log", (LEAST_COUNT, most)),
    )  # fmt: skip
    heavier, lighter = draws.accepted_masses
    return Plot(
        title="Masses: all draws grey, accepted blue",
        x=Axis("Heavier mass, source frame", "M☉", "log", limits, ROUND_TICKS),
        y=Axis("Lighter mass, source frame", "M☉", "log", limits, ROUND_TICKS),
        marks=(cells, Points(x=heavier, y=lighter, color=BLUE, label="accepted", size=1.2, alpha=0.6)),
    )


def redshifts(draws: DrawHistograms) -> Plot:
    """Redshifts of all draws, and of accepted ones."""
    of_all, accepted = draws.redshifts
    axis = Axis("Redshift", "dimensionless")
    return _histogram("Redshift", axis, draws.redshift_edges, {"all draws": of_all, "accepted": accepted})


def snrs(draws: DrawHistograms) -> Plot:
    """Network SNRs of draws that were judged by a waveform, and of accepted ones, with the slope of nearby space."""
    edges, (judged, accepted) = draws.snr_edges, draws.snrs
    axis = replace(PARAMETERS["snr"], scale="log", ticks=ROUND_TICKS)
    plot = _histogram("Loudness", axis, edges, {"judged by a waveform": judged, "accepted": accepted})
    first = int((accepted > 0).argmax())
    center = np.sqrt(edges[1:] * edges[:-1])[first:]
    law = accepted.sum() * 3 * np.log(edges[1] / edges[0]) * (center / edges[first]) ** -3.0
    shown = law > LEAST_COUNT
    label = "density ∝ SNR⁻⁴ (Euclidean)"
    slope = Line(x=center[shown], y=law[shown], dash="dashed", width=THIN, color=BLACK, label=label)
    return replace(plot, marks=(*plot.marks, slope))


def _histogram(title: str, axis: Axis, edges: Array, counts: Mapping[str, Array]) -> Plot:
    """Numbers in bins, on a logarithmic axis."""
    bars = [
        Steps(edges=edges, heights=np.maximum(numbers, LEAST_COUNT), base=LEAST_COUNT, color=color, label=label)
        for (label, numbers), color in zip(counts.items(), (SKY, BLUE), strict=True)
    ]
    return Plot(
        title=title,
        x=replace(axis, limits=(float(edges[0]), float(edges[-1]))),
        y=Axis("Draws", "number in a bin", "log", (LEAST_COUNT, None)),
        marks=bars,
    )
