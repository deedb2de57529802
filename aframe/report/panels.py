"""Panels of figures for papers and for notebooks: numbers in, drawn on matplotlib's axes, a unit on each."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
from bilby.gw.conversion import component_masses_to_chirp_mass as chirp_mass
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

from aframe.candidates.table import CandidateTable
from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.events.tail import ExponentialTail
from aframe.inference.closeup import Closeup
from aframe.inference.q_transform import QTransform
from aframe.report.curves import CURVE_POINTS, cumulative, poisson_band, tail_curve
from aframe.report.inputs import DrawHistograms
from aframe.report.palette import AXES, BLACK, BLUE, GREEN, OCTAVES, ORANGE, PALETTE, SCALE_ENDS, SKY, VERMILION
from aframe.report.text import number, rate
from aframe.sensitivity.efficiency import Efficiency
from aframe.sensitivity.volume import VolumeCurve
from aframe.tables import RecoveredTable
from aframe.types import Array

SCATTER_POINTS = 2000
GREY = "#777777"
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = "os^Dv<"
SIGMAS = (1.0, 2.0, 3.0)


def volume(axes: Axes, curve: VolumeCurve, published: Mapping[str, float], remark: str = "") -> None:
    """Sensitive volume of one population against false alarm rate, with its standard error and 95 % interval.

    Args:
        axes: Where it is drawn.
        curve: Volumes in Gpc³ at rates per Julian year.
        published: Volumes in Gpc³ of other searches, drawn as horizontal lines.
        remark: What the legend says of this search, in parentheses.
    """
    far, volume, error = curve.far_per_year, curve.volume_gpc3, curve.standard_error
    low, high = curve.interval_gpc3
    axes.set_xscale("log")
    axes.plot(far, volume, color=BLUE, label=f"this search ({remark})" if remark else "this search")
    axes.fill_between(far, low, high, color=BLUE, alpha=0.15, linewidth=0, label="95 % interval")
    axes.fill_between(
        far, np.maximum(volume - error, 0), volume + error, color=BLUE, alpha=0.35, linewidth=0, label="± 1σ"
    )
    for (name, other), color, style in zip(published.items(), PALETTE[1:], STYLES[1:], strict=False):
        axes.axhline(other, color=color, linestyle=style, linewidth=1.0, label=f"{name} (O3)")
    most = max([float((volume + error).max()), *published.values()])
    axes.set_ylim(0, 1.2 * min(max(most, float(high.max())), 2 * most) or 1.0)
    axes.set_xlim(far[0], far[-1])
    axes.set_xlabel("False alarm rate (yr$^{-1}$)")
    axes.set_ylabel("Sensitive volume (Gpc$^3$)")


def background(
    axes: Axes, slides: Background, zero_lag: CandidateTable | None, tail: ExponentialTail | None = None
) -> None:
    """Events at least as loud: in time slides, as their tail goes on, and in unshifted data with what noise may do.

    Args:
        axes: Where it is drawn.
        slides: Events of time slides.
        zero_lag: Unshifted events, loudest first, if there are any yet.
        tail: What is fitted to the loudest events of time slides, if anything.
    """
    axes.set_yscale("log")
    statistic, count = cumulative(slides.statistics)
    measured = count / slides.livetime_years
    bottom, top = slides.lowest_far_per_year, max(float(measured.max(initial=0)), slides.lowest_far_per_year)
    axes.plot(statistic, measured, color=BLUE, label="time slides")
    if tail is not None:
        curve = tail_curve(tail, slides.lowest_far_per_year)
        axes.plot(curve.statistic, curve.far_per_year, "--", color=BLACK, label="extrapolation: exponential tail")
        axes.fill_between(curve.statistic, curve.low, curve.high, color=BLACK, alpha=0.15, linewidth=0)
        bottom = float(curve.far_per_year[-1])
    axes.axhline(slides.lowest_far_per_year, color=GREY, linestyle=":", linewidth=0.8, label="lowest measurable rate")
    if zero_lag is not None and len(zero_lag):
        years = float(zero_lag.attributes["T0"]) / SECONDS_PER_YEAR
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
    axes.set_xlabel("Detection statistic (dimensionless)")
    axes.set_ylabel("Events at least as loud (yr$^{-1}$)")


def candidates(axes: Axes, table: CandidateTable) -> None:
    """Number of candidates with at most some false alarm rate, against its inverse, and what noise alone may do.

    Args:
        axes: Where it is drawn.
        table: Unshifted events, loudest first, at least one.
    """
    years = float(table.attributes["T0"]) / SECONDS_PER_YEAR
    rank = cumulative(table["detection_statistic"][::-1])[1]  # rows are loudest first
    inverse = 1 / table["far_per_year"][rank - 1]
    axes.set_xscale("log")
    axes.set_yscale("log")
    ends = float(inverse.min()), float(max(inverse.max(), 10 * inverse.min()))
    expected = np.geomspace(*ends, CURVE_POINTS)
    for sigma in SIGMAS[::-1]:
        low, high = (np.maximum(end, 0.5) for end in poisson_band(years / expected, sigma))
        label = "Poisson 1σ, 2σ, 3σ" if sigma == 2 else None
        look: dict[str, Any] = {"color": SKY, "alpha": 0.25, "linewidth": 0, "label": label}
        axes.fill_between(expected, low, high, where=high > low, **look)
    axes.plot(expected, years / expected, "--", color=BLACK, linewidth=0.8, label="expected of noise alone")
    limit = table["far_is_upper_limit"][rank - 1] if "far_is_upper_limit" in table.parameters else np.zeros(len(rank))
    for chosen, marker, label in ((limit == 0, "o", "unshifted data"), (limit != 0, ">", "at least")):
        if chosen.any():
            axes.plot(inverse[chosen], rank[chosen], marker, color=VERMILION, markersize=2.5, label=label)
    axes.xaxis.set_minor_formatter(NullFormatter())  # they would overlap where there are few decades
    axes.set_ylim(0.5, 2 * float(rank.max()))
    axes.set_xlabel("Inverse false alarm rate (yr)")
    axes.set_ylabel("Events with at least that (number)")


def found_by_mass(axes: Axes, table: RecoveredTable, found: Array) -> None:
    """Found and missed injections by network SNR and detector-frame chirp mass."""
    snr = table["snr"].astype(np.float64)
    _found_and_missed(axes, (snr, chirp_mass(table["mass_1"], table["mass_2"])), found)
    axes.set_xlabel(f"{AXES['snr']} (dimensionless)")
    axes.set_ylabel(written(AXES["chirp_mass"]))


def found_by_detectors(axes: Axes, table: RecoveredTable, found: Array) -> None:
    """Found and missed injections by the SNR of the detector that sees most and of the one that sees second most."""
    ordered = np.sort(table["ifo_snrs"], axis=1)
    _found_and_missed(axes, (ordered[:, -1], ordered[:, -2]), found)
    axes.set_xlabel("SNR, loudest detector (dimensionless)")
    axes.set_ylabel("SNR, second loudest detector (dimensionless)")


def _found_and_missed(axes: Axes, places: tuple[Array, Array], found: Array) -> None:
    """Found injections as circles, missed ones as crosses."""
    step = max(1, -(-len(found) // SCATTER_POINTS))
    looks = ((~found, "missed", ORANGE, "x"), (found, "found", BLUE, "o"))
    for chosen, label, color, marker in looks:
        rows = np.flatnonzero(chosen)[::step]
        text = f"{label} ({number(int(chosen.sum()))})"
        axes.plot(
            places[0][rows], places[1][rows], marker, color=color, markersize=2.2, markeredgewidth=0.6, alpha=0.7,
            markerfacecolor="none", label=text,
        )  # fmt: skip
    logarithmic(axes, "xy")


def efficiency(axes: Axes, shares: Efficiency, label: str) -> None:
    """Share found by false alarm rate, with 68 % intervals, against loudness, distance or mass.

    Args:
        axes: Where it is drawn.
        shares: What is found.
        label: Of the vertical axis.
    """
    axis = AXES[shares.axis]
    axes.set_xlabel(written(axis if "(" in axis else f"{axis} (dimensionless)"))
    axes.set_ylabel(label)
    centre, known = np.sqrt(shares.edges[1:] * shares.edges[:-1]), shares.number > 0
    for k, far in enumerate(shares.far_per_year):
        share, low, high = (part[k][known] for part in (shares.share, shares.low, shares.high))
        axes.errorbar(
            centre[known] * 1.006 ** (k - 1), share, [share - low, high - share], color=PALETTE[k % len(PALETTE)],
            marker=MARKERS[k % len(MARKERS)], linestyle=STYLES[k % len(STYLES)], markersize=2.5, linewidth=0.9,
            elinewidth=0.7, label=written(rate(float(far))),
        )  # fmt: skip
    top = 1.05 * float(shares.high[:, known].max(initial=1e-3))
    axes.set_ylim(-0.02 * top, top)
    logarithmic(axes, "x")


def masses(axes: Axes, draws: DrawHistograms) -> None:
    """Masses of all draws, as shades with a bar of them, and of accepted ones, as dots."""
    edges, counts = draws.mass_edges, np.ma.masked_less(draws.masses.T, 0.5)
    most = max(10.0, float(draws.masses.max(initial=1)))
    shades = LogNorm(0.3 / most**0.5, most)  # one draw is to be seen
    mesh = axes.pcolormesh(edges, edges, counts, norm=shades, cmap="Greys", rasterized=True)
    axes.plot(*draws.accepted_masses, ".", color=BLUE, markersize=1.5, alpha=0.6, label="accepted")
    logarithmic(axes, "xy")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(edges[0], edges[-1])
    axes.grid(visible=False)
    assert axes.figure is not None
    bar = axes.figure.colorbar(mesh, ax=axes, boundaries=np.geomspace(1, most, 256))
    bar.ax.yaxis.set_major_locator(LogLocator())
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.set_label("All draws (number in a bin)")
    axes.set_xlabel(written("Heavier mass, source frame (M☉)"))
    axes.set_ylabel(written("Lighter mass, source frame (M☉)"))
    axes.legend(loc="upper left", markerscale=3)


def redshifts(axes: Axes, draws: DrawHistograms) -> None:
    """Redshifts of all draws, and of accepted ones."""
    axes.set_xlabel("Redshift (dimensionless)")
    _histogram(axes, draws.redshift_edges, {"all draws": draws.redshifts[0], "accepted": draws.redshifts[1]})


def snrs(axes: Axes, draws: DrawHistograms) -> None:
    """Network SNRs of draws that were judged by a waveform, and of accepted ones."""
    axes.set_xlabel("Network SNR (dimensionless)")
    _histogram(axes, draws.snr_edges, {"judged by a waveform": draws.snrs[0], "accepted": draws.snrs[1]})
    logarithmic(axes, "x")


def _histogram(axes: Axes, edges: Array, counts: Mapping[str, Array]) -> None:
    for (name, values), color in zip(counts.items(), (SKY, BLUE), strict=True):
        axes.stairs(values, edges, fill=True, baseline=0.5, color=color, label=name)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylabel("Draws (number in a bin)")


def noise(axes: Axes, densities: Mapping[str, tuple[Array, Array]]) -> None:
    """Amplitude spectral density (1/√Hz) of each detector against frequency (Hz)."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for (ifo, (frequency, density)), color, style in zip(
        densities.items(), cycle(PALETTE), cycle(STYLES), strict=False
    ):
        axes.plot(frequency, density, color=color, linestyle=style, linewidth=0.9, label=ifo)
    axes.set_xlabel("Frequency (Hz)")
    axes.set_ylabel("Strain noise, ASD (Hz$^{-1/2}$)")


def q_transform(axes: Axes, transform: QTransform, time: float, highest: float) -> None:
    """Energies of one detector's Q transform, as an image with a bar of its colours.

    Args:
        axes: Where it is drawn.
        transform: What is shown.
        time: Of the candidate, GPS s.
        highest: Energy at the upper end of the colours, if it is within ``SCALE_ENDS``.
    """
    top = float(np.clip(highest, *SCALE_ENDS))
    mesh = axes.pcolormesh(
        transform.time - time, transform.frequency, transform.energy, vmin=0, vmax=top, cmap="viridis", rasterized=True
    )
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(FixedLocator([octave for octave in OCTAVES if low <= octave <= high]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(visible=False)
    assert axes.figure is not None
    axes.figure.colorbar(mesh, ax=axes).set_label("Normalised energy (dimensionless)")
    axes.set_xlabel(f"Time (s) from GPS {time:.3f}")
    axes.set_ylabel("Frequency (Hz)")


def whitened_strain(axes: Axes, closeup: Closeup, time: float) -> None:
    """Whitened strain of the detectors about a candidate (GPS s)."""
    for (ifo, series), color in zip(closeup.whitened.items(), PALETTE, strict=False):
        axes.plot(closeup.time - time, series, color=color, linewidth=0.7, alpha=0.8, label=ifo)
    axes.set_xlabel(f"Time (s) from GPS {time:.3f}")
    axes.set_ylabel("Whitened strain (σ)")


def scores(axes: Axes, closeup: Closeup, time: float, statistic: float) -> None:
    """Scores of windows and their averages about a candidate (GPS s), whose statistic is marked."""
    axes.plot(closeup.score_time - time, closeup.score, color=SKY, linewidth=0.9, label="score of a window")
    axes.plot(closeup.statistic_time - time, closeup.statistic, color=BLUE, label="average")
    axes.plot([0.0], [statistic], "o", color=VERMILION, markersize=4, label="candidate")
    axes.set_xlabel(f"Time (s) from GPS {time:.3f}")
    axes.set_ylabel("Score (logit, dimensionless)")


def logarithmic(axes: Axes, which: str) -> None:
    """Logarithmic axes, with plain numbers at 1, 2 and 5 of each decade that they show, which is seldom a whole one."""
    for name in which:
        axes.set(**{f"{name}scale": "log"})
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())


def written(words: str) -> str:
    """Words as matplotlib writes them: nothing in them is mathematics but the solar mass."""
    return words.replace("$", r"\$").replace("M☉", r"$\mathrm{M}_{\!\odot}$")
