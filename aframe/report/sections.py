"""The report's sections: texts, figures and tables of a run's results."""

from collections.abc import Callable, Mapping

import numpy as np
from bilby.gw.conversion import component_masses_to_chirp_mass as chirp_mass
from markupsafe import Markup

from aframe.candidates.table import utc
from aframe.report import figures, html, limit_figures
from aframe.report.bank import bank_html
from aframe.report.candidates import candidates
from aframe.report.glitches import glitches_html
from aframe.report.html import Figures, fill, grid, missing, place
from aframe.report.inputs import ReportInputs, rates_to_show
from aframe.report.interactive import draw, draw_titled, segment_figure
from aframe.report.limit import found_html, volume_html
from aframe.report.release_figures import NO_PIPELINES, Pipelines
from aframe.report.text import duration, number, rate
from aframe.report.weak_signals import weak_signals
from aframe.sensitivity import catalog
from aframe.sensitivity.efficiency import snr_efficiency
from aframe.sensitivity.volume import ALL_DRAWS, VolumeCurve, population_label, remarks
from aframe.tables import RecoveredTable

MOST_MISSED = 50
"""Largest number of missed injections in the table."""

LOWEST_SEEN_SNR = 4.0
"""SNR from which a detector counts as seeing a signal."""

LONG_SIGNAL_MASS = 10.0
"""Detector-frame chirp mass (M☉) below which a signal counts as long."""

OTHER_LIVETIMES = {
    "Tb_before_vetoes": "Background, vetoed time included",
    "T0_before_vetoes": "Unshifted data, vetoed time included",
    "Tb_cleaned": "Background without the loudest candidates",
}
"""Descriptions of live times that only some searches have, by attribute of the table of candidates."""

UNPHYSICAL_TEXT = (
    ("not_finite", "Refused or not finite"),
    ("below_minimum_frequency", "Ringdown below minimum_frequency"),
    ("too_loud", "SNR above 10⁴"),
)
"""Reasons why a draw is no physical signal, and their headings in the report."""

CARDS = """
<div class="cards">
{% for value, text in cards %}<div class="card"><b>{{ value }}</b><span>{{ text }}</span></div>{% endfor %}
</div>
""".replace("\n", "")

NOTE = '<p class="note">{{ note }}</p>'

RELEASE_NOTE = (
    "Broken lines: the pipelines of the injection set that the configuration names, at the false alarm rates that they "
    "report. They have their own injections, live time and detectors, and spins of their own: docs/releases.md."
)

FOLDED = "<details><summary>{{ heading }}</summary>{{ content }}</details>"


def subtitle(inputs: ReportInputs) -> str:
    """Text of detectors, date, and whether the noise is simulated."""
    ifos = (inputs.configuration or {}).get("search.ifos", [])
    noise = " · simulated noise" if inputs.simulated else ""
    return f"{' · '.join(ifos)}{' · ' if ifos else ''}{inputs.provenance.get('date', '')}{noise}"


def headline(inputs: ReportInputs) -> Markup:
    """HTML of cards with the main results."""
    cards: list[tuple[str, str]] = []
    far = inputs.reference_far_per_year
    if inputs.volumes and far is not None:
        pair, curve = next(iter(inputs.volumes.items()))
        volume, error = curve.at(far, curve.volume_gpc3), curve.at(far, curve.standard_error)
        text = f"sensitive volume, {population_label(pair)}, FAR {rate(far)}"
        highest = curve.at(far, curve.interval_gpc3[1])
        value = f"{number(volume)} ± {number(error, 2)} Gpc³" if volume > 0 else f"< {number(highest)} Gpc³ (95 %)"
        cards.append((value, text))
    if inputs.candidates is not None and inputs.background is not None:
        cards.append((duration(float(inputs.candidates.attributes["T0"])), "of coincident data searched"))
        if len(inputs.candidates):
            loudest, lowest_far = (float(inputs.candidates[n][0]) for n in ("detection_statistic", "far_per_year"))
            text = rate(lowest_far, bool(inputs.background.is_upper_limit(loudest)))
            cards.append((text, "FAR of the loudest event"))
    if inputs.background is not None:
        cards.append((duration(inputs.background.livetime), "of background from time slides"))
    if inputs.injections is not None and inputs.background is not None and far is not None:
        is_found = inputs.injections["detection_statistic"] >= inputs.background.threshold_at_far(far)
        total = max(1, len(inputs.injections))
        text = f"of {number(len(inputs.injections))} injections found, FAR {rate(far)}"
        cards.append((f"{number(100 * int(is_found.sum()) / total)} %", text))
    return fill(CARDS, cards=cards) if cards else Markup()


def _data(inputs: ReportInputs, plots: Figures) -> Markup:
    if not inputs.segments:
        return missing("The list of segments", "the data step")
    rows = []
    for stage, spans in inputs.segments.items():
        length = float((spans[:, 1] - spans[:, 0]).sum())
        first, last = float(spans.min(initial=np.inf)), float(spans.max(initial=-np.inf))
        between = f"{utc(first)[:16]} to {utc(last)[:16]}" if len(spans) else ""
        rows.append([f"{stage}ing", between, number(len(spans)), duration(length)])
    titled = {"When": segment_figure(inputs.segments)}
    if inputs.noise is not None:
        titled |= draw_titled([figures.noise(inputs.noise)])
    return grid(plots, titled, "data") + html.table(("", "Between (UTC)", "Segments", "Length"), rows, 2)


def _volumes(inputs: ReportInputs, plots: Figures) -> Markup:
    if not inputs.volumes:
        return missing("The sensitive volume", "the sensitivity step")
    rows = []
    for pair, curve in inputs.volumes.items():
        lowest, highest = float(curve.far_per_year[0]), float(curve.far_per_year[-1])
        for far in rates_to_show(lowest, highest):
            volume, error = curve.at(far, curve.volume_gpc3), curve.at(far, curve.standard_error)
            low, high = (curve.at(far, values) for values in curve.interval_gpc3)
            others = (curve.volume_time_gpc3_yr, curve.sensitive_distance_mpc, curve.effective_sample_size)
            time, distance, effective = (curve.at(far, values) for values in others)
            row = [population_label(pair), rate(far), f"{number(volume)} ± {number(error, 2)}" if volume > 0 else "0"]
            row += [f"{number(low)} to {number(high)}", number(time), number(round(distance)), number(round(effective))]
            rows.append(row)
    header = ("Population", "False alarm rate", "Volume (Gpc³)", "95 % (Gpc³)", "× time (Gpc³ yr)",
              "Radius (Mpc)", "Effective injections")  # fmt: skip
    notes = [fill(NOTE, note=f"{remark[0].upper()}{remark[1:]}.") for remark in remarks(inputs.volumes)]
    return (
        Markup(
            "<p>Comoving volume within which the search would find binaries that merge at a constant rate per "
            "comoving volume and source time. The table has its standard error, its product with the live time, and "
            "the radius of a sphere of that volume. The 95 % interval contains the scatter of the injections and of "
            "the noise that sets the threshold. Effective injections are the found injections, "
            "counted by their weights. A pair of masses stands for log-normal source-frame masses around it.</p>"
        )
        + Markup().join(notes)
        + volume_figures(inputs.volumes, inputs.simulated, plots, inputs.plain_bank_volumes, inputs.pipelines)
        + html.table(header, rows, 2)
        + (volume_html(inputs.plain_bank) if inputs.plain_bank else Markup())
    )


def volume_figures(
    curves: Mapping[str, VolumeCurve],
    simulated: bool,
    plots: Figures,
    bank: Mapping[str, VolumeCurve],
    pipelines: Pipelines = NO_PIPELINES,
) -> Markup:
    """HTML of a figure for each population, and of the differences between other searches and this one.

    Args:
        curves: Sensitive volume curves by population.
        simulated: Whether the search ran on simulated noise.
        plots: Figures of the page. Those of the volumes are added.
        bank: Curves of the plain bank by population; empty without a plain bank.
        pipelines: Curves of the pipelines of a release by population; empty without a release.
    """
    placed = {}
    for pair, curve in curves.items():
        plot = limit_figures.volume(pair, curve, simulated, bank, pipelines)
        placed[plot.title] = place(plots, f"volume-{pair}", draw(plot))
    livetime = next((curve.scope.livetime for curve in curves.values()), 0.0)
    compared = any(catalog.published_volumes(pair) for pair in curves)
    remarks_on_others = catalog.comparison_remarks(simulated, livetime) if compared else []
    note = RELEASE_NOTE if pipelines else " ".join(remarks_on_others)
    return fill(html.GRID, columns="", placed=placed) + (fill(NOTE, note=note) if note else Markup())


def _background(inputs: ReportInputs, plots: Figures) -> Markup:
    background = inputs.background
    if background is None:
        return missing("The background", "the inference step")
    zero_lag = inputs.candidates
    times = [["Background (time slides)", duration(background.livetime), number(len(background.statistics))]]
    attributes = {} if zero_lag is None else zero_lag.attributes
    if zero_lag is not None:
        times.append(["Unshifted data", duration(attributes["T0"]), number(len(zero_lag))])
    for name, text in OTHER_LIVETIMES.items():
        if name in attributes:
            times.append([text, duration(float(attributes[name])), ""])
    return (
        fill(
            "<p>In time slides no signal can be coincident. The lowest false alarm rate that they measure is "
            "{{ rate }}. It is the upper limit for events louder than all of them.</p>",
            rate=rate(background.lowest_far_per_year),
        )
        + place(plots, "background", draw(figures.background(background, zero_lag, inputs.tail)))
        + html.table(("", "Live time", "Events"), times)
        + (glitches_html(inputs.glitches) if inputs.glitches else Markup())
    )


def _injections(inputs: ReportInputs, plots: Figures) -> Markup:
    table, background, far = inputs.injections, inputs.background, inputs.reference_far_per_year
    if table is None or background is None or far is None or not len(table):
        return missing("The set of recovered injections", "the inference step")
    statistic, snr = table["detection_statistic"].astype(np.float64), table["snr"].astype(np.float64)
    rates = rates_to_show(background.lowest_far_per_year, np.inf)
    thresholds = {value: float(background.threshold_at_far(value)) for value in rates}
    is_found = statistic >= thresholds[far]
    drawn = int(table.attributes["num_injections"])
    of_all = (inputs.efficiencies or {}).get(ALL_DRAWS, {})
    titled = draw_titled(
        [
            limit_figures.efficiency_of_injections(snr_efficiency(snr, statistic, thresholds), inputs.plain_bank),
            *(figures.efficiency_of_draws(shares) for shares in of_all.values()),
            figures.found_by_mass(table, is_found, far),
            figures.found_by_detectors(table, is_found, far),
        ]
    )
    return (
        fill(
            "<p>{{ drawn }} binaries were drawn, {{ injected }} of them loud enough to be injected; {{ near }} have an "
            "event nearby and {{ found }} are found at a false alarm rate of {{ rate }}.</p>",
            drawn=number(drawn),
            injected=number(len(table)),
            near=number(int(np.isfinite(statistic).sum())),
            found=number(int(is_found.sum())),
            rate=rate(far),
        )
        + grid(plots, titled, "injections")
        + weak_signals(table, thresholds, inputs.plain_bank)
        + (found_html(inputs.plain_bank) if inputs.plain_bank else Markup())
        + _missed(table, thresholds[far])
    )


def _missed(table: RecoveredTable, threshold: float) -> Markup:
    """HTML of the table of the loudest missed injections, each with the reason."""
    statistic = table["detection_statistic"]
    missed = np.flatnonzero(statistic < threshold)
    rows = []
    for row in missed[np.argsort(-table["snr"][missed], kind="stable")][:MOST_MISSED]:
        ifo_snrs, mass = table["ifo_snrs"][row], chirp_mass(table["mass_1"][row], table["mass_2"][row])
        if not np.isfinite(statistic[row]):
            reason = "no event within the recovery window"
        elif np.sort(ifo_snrs)[-2] < LOWEST_SEEN_SNR:
            reason = f"a single detector sees it: the others have an SNR below {LOWEST_SEEN_SNR:g}"
        elif mass < LONG_SIGNAL_MASS:
            reason = f"a long signal: chirp mass below {LONG_SIGNAL_MASS:g} M☉"
        else:
            reason = "the network does not distinguish it from noise"
        cells = [html.Cell(f"{table['injection_time'][row]:.3f}", float(table["injection_time"][row]))]
        cells += [
            html.Cell(f"{value:.3g}", float(value))
            for value in (table["snr"][row], *ifo_snrs, mass, table["redshift"][row])
        ]
        cells += [
            html.Cell("–" if statistic[row] == -np.inf else f"{statistic[row]:.2f}", float(max(statistic[row], -1e9)))
        ]
        rows.append([*cells, html.Cell(reason)])
    ifos = [f"SNR {ifo}" for ifo in table.attributes["ifos"]]
    header = ["GPS (s)", "SNR", *ifos, "Detector-frame chirp mass (M☉)", "Redshift", "Statistic", "Why"]
    heading = fill(
        "<h3>The loudest missed injections</h3>"
        "<p>An injection is found if its statistic is at least {{ threshold }}.</p>",
        threshold=f"{threshold:.2f}",
    )
    return heading + html.sortable_table("missed", header, rows) if rows else Markup()


def _signals(inputs: ReportInputs, plots: Figures) -> Markup:
    if not inputs.signals:
        return missing("The set of signals", "the waveforms step")
    header = ("", "Signals", "Draws", "Judged by a waveform", *(text for _, text in UNPHYSICAL_TEXT))
    rows = []
    for name, counts in inputs.signals.items():
        dropped = [counts.get(f"num_{reason}") for reason, _ in UNPHYSICAL_TEXT]
        total = counts.get("num_injections", counts["length"]) + sum(count or 0 for count in dropped)
        cells = (counts["length"], total, counts.get("num_waveforms"), *dropped)
        rows.append([name, *("" if count is None else number(count) for count in cells)])
    text = Markup(
        "<p>Binaries are drawn until enough are loud enough (for training, until enough have a waveform). Draws too "
        "far away to be loud are rejected without a waveform. Draws that are no physical signals do not count in the "
        "other columns, nor in the numerator or denominator of the sensitive volume. Binaries that ring down below "
        "minimum_frequency are replaced for training; among injections they count as missed.</p>"
    )
    bank = bank_html(inputs.bank, plots) if inputs.bank else Markup()
    return text + _draws(inputs, plots) + html.table(header, rows) + bank


def _draws(inputs: ReportInputs, plots: Figures) -> Markup:
    if inputs.draws is None:
        return Markup()
    described = (figures.masses(inputs.draws), figures.redshifts(inputs.draws), figures.snrs(inputs.draws))
    return grid(plots, draw_titled(described), "draws", "three")


def _training(inputs: ReportInputs, plots: Figures) -> Markup:
    if not inputs.training:
        return missing("The training's record", "the training step")
    return grid(plots, draw_titled(figures.training(inputs.training)), "training")


def _configuration(inputs: ReportInputs, plots: Figures) -> Markup:
    del plots
    if not inputs.configuration:
        return missing("The configuration", "the first step that writes results")
    groups: dict[str, list[list[str]]] = {}
    for key, value in sorted(inputs.configuration.items()):
        section, _, name = key.rpartition(".")
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        groups.setdefault(section or "other", []).append([name, f"{text} {inputs.units.get(key, '')}".strip()])
    return Markup().join(
        fill(FOLDED, heading=section, content=html.table(("Parameter", "Value"), rows))
        for section, rows in groups.items()
    )


def _run_times(inputs: ReportInputs, plots: Figures) -> Markup:
    del plots
    if not inputs.run_times:
        return missing("The record of run times", "any task of the pipeline")
    rows = [
        [html.Cell(name), html.Cell(number(count), float(count)), html.Cell(duration(seconds), seconds), html.Cell(end)]
        for name, (count, seconds, end) in inputs.run_times.items()
    ]
    text = Markup("<p>Number of tasks of each kind, their total time, and the end of the last one.</p>")
    return text + html.sortable_table("times", ("Task", "Number", "Time in all", "Ended (UTC)"), rows)


def _provenance(inputs: ReportInputs, plots: Figures) -> Markup:
    del plots
    return html.table(("What", "Value"), [[name, value] for name, value in inputs.provenance.items()])


SECTIONS: Mapping[str, Callable[[ReportInputs, Figures], Markup]] = {
    "Candidates": candidates,
    "Sensitive volume": _volumes,
    "Background": _background,
    "Injections": _injections,
    "Signals": _signals,
    "Training": _training,
    "Data": _data,
    "Run times": _run_times,
    "Configuration": _configuration,
    "Provenance": _provenance,
}
"""Functions that build the sections, in their order on the page."""
