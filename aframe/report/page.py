"""The report: one HTML file that needs nothing else, on any screen and without a network."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np
from bokeh.embed import components
from bokeh.model import Model
from bokeh.plotting import figure
from bokeh.resources import Resources

from aframe.events.candidates import utc
from aframe.report import figures
from aframe.report.inputs import ReportInputs, rates_to_show
from aframe.report.style import CSS
from aframe.report.text import duration, number, rate, unit
from aframe.sensitivity import catalog
from aframe.sensitivity.efficiency import snr_efficiency
from aframe.sensitivity.volume import ALL_DRAWS, VolumeCurve, population_label, remarks
from aframe.types import Array

LOUDEST = 10
"""Zero-lag events in the table; all are in candidates.csv."""

UNPHYSICAL_TEXT = (
    ("not_finite", "Refused or not finite"),
    ("below_minimum_frequency", "Ringdown below minimum_frequency"),
    ("too_loud", "SNR above 10⁴"),
)
"""Reasons for which a draw is no signal, and what the report says of them."""

Figures = dict[str, Model]


def build_report(inputs: ReportInputs) -> str:
    """A self-contained HTML page of whatever the run has made so far.

    Args:
        inputs: See ``ReportInputs``; a part that is None is replaced by a line that says which step makes it.
    """
    plots: Figures = {}
    sections: Sequence[tuple[str, Callable[[ReportInputs, Figures], str]]] = (
        ("Candidates", _candidates),
        ("Sensitive volume", _volumes),
        ("Background", _background),
        ("Injections", _injections),
        ("Signals", _signals),
        ("Training", _training),
        ("Configuration", _configuration),
        ("Provenance", _provenance),
    )
    parts = [(title, build(inputs, plots)) for title, build in sections]
    links = "".join(f'<a href="#{_anchor(title)}">{title}</a>' for title, _ in parts)
    body = "".join(f'<section id="{_anchor(title)}"><h2>{title}</h2>{content}</section>' for title, content in parts)
    header = f"<header><div><h1>{escape(inputs.title)}</h1><p>{escape(_subtitle(inputs))}</p></div></header>"
    return _page(inputs.title, f"{header}<nav><div>{links}</div></nav><main>{_headline(inputs)}{body}</main>", plots)


def sensitive_volume_html(curves: Mapping[str, VolumeCurve], simulated: bool) -> str:
    """A self-contained HTML page with one interactive figure per population.

    Args:
        curves: Sensitive volume curves by population.
        simulated: Whether the search ran on simulated noise.
    """
    plots: Figures = {}
    title = "Sensitive volume"
    content = f"<section><h1>{title}</h1>{_volume_figures(curves, simulated, plots)}</section>"
    return _page(title, f"<main>{content}</main>", plots)


def _page(title: str, body: str, plots: Figures) -> str:
    """Put scripts and figures where the body's placeholders stand."""
    resources = script = ""
    if plots:
        resources = Resources(mode="inline", components=["bokeh"]).render()
        script, divs = components(plots)
        for key, div in divs.items():
            body = body.replace(_placeholder(key), div)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{CSS}</style>{resources}</head>'
        f"<body>{body}{script}</body></html>"
    )


def _placeholder(key: str) -> str:
    return f"<!--figure {key}-->"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _place(plots: Figures, key: str, plot: figure) -> str:
    plots[key] = plot
    return f"<div>{_placeholder(key)}</div>"


def _missing(what: str, step: str) -> str:
    return f'<p class="missing">{escape(what)} is not there yet: {escape(step)} makes it.</p>'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """Rows of text; columns after the first ``text_columns`` are numbers, aligned to the right."""
    kind = ['class="wrap"' if len(header) == 2 else "" if k < text_columns else 'class="r"' for k in range(len(header))]
    head = "".join(f"<th {kind[k]}>{escape(name)}</th>" for k, name in enumerate(header))
    body = "".join(
        "<tr>" + "".join(f"<td {kind[k]}>{escape(cell)}</td>" for k, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _subtitle(inputs: ReportInputs) -> str:
    ifos = (inputs.configuration or {}).get("search.ifos", [])
    noise = " · simulated noise" if inputs.simulated else ""
    return f"{' · '.join(ifos)}{' · ' if ifos else ''}{inputs.provenance.get('date', '')}{noise}"


def _headline(inputs: ReportInputs) -> str:
    cards: list[tuple[str, str]] = []
    far = inputs.reference_far_per_year
    if inputs.volumes and far is not None:
        pair, curve = next(iter(inputs.volumes.items()))
        volume, error = _at(curve, far, curve.volume_gpc3), _at(curve, far, curve.standard_error)
        cards.append(
            (
                f"{number(volume)} ± {number(error, 2)} Gpc³",
                f"sensitive volume, {population_label(pair)}, FAR {rate(far)}",
            )
        )
    if inputs.candidates is not None and inputs.background is not None:
        cards.append((duration(float(inputs.candidates.attributes["T0"])), "of coincident data searched"))
        if len(inputs.candidates):
            loudest = float(inputs.candidates["far_per_year"][0])
            cards.append((rate(loudest, inputs.background.lowest_far_per_year), "FAR of the loudest event"))
    if inputs.background is not None:
        cards.append((duration(inputs.background.livetime), "of background from time slides"))
    if inputs.injections is not None and inputs.background is not None and far is not None:
        found = int((inputs.injections["detection_statistic"] >= inputs.background.threshold_at_far(far)).sum())
        total = max(1, len(inputs.injections))
        text = f"of {number(len(inputs.injections))} injections found, FAR {rate(far)}"
        cards.append((f"{number(100 * found / total)} %", text))
    content = "".join(f'<div class="card"><b>{escape(b)}</b><span>{escape(s)}</span></div>' for b, s in cards)
    return f'<div class="cards">{content}</div>' if cards else ""


def _at(curve: VolumeCurve, far: float, values: Array) -> float:
    return float(np.interp(np.log(far), np.log(curve.far_per_year), values))


def _candidates(inputs: ReportInputs, plots: Figures) -> str:
    del plots
    table, background = inputs.candidates, inputs.background
    if table is None or background is None:
        return _missing("The list of unshifted events", "the inference step")
    rows = []
    columns = [table[name][:LOUDEST] for name in type(table).required_columns]
    for k, row in enumerate(zip(*columns, strict=True)):
        time, statistic, far, probability = (float(value) for value in row)
        text = rate(far, background.lowest_far_per_year)
        rows.append([str(k + 1), utc(time), f"{time:.3f}", f"{statistic:.3f}", text, f"{probability:.2g}"])
    header = ("", "UTC", "GPS (s)", "Statistic", "False alarm rate", "Probability by chance")
    livetime = float(table.attributes["T0"])
    return (
        f"<p>The {len(rows)} loudest of {number(len(table))} events in {escape(duration(livetime))} of unshifted data. "
        "The last column is the probability that noise alone makes one such event in that time.</p>"
        + _table(header, rows, 2)
    )


def _volumes(inputs: ReportInputs, plots: Figures) -> str:
    if not inputs.volumes:
        return _missing("The sensitive volume", "the sensitivity step")
    rows = []
    for pair, curve in inputs.volumes.items():
        lowest, highest = float(curve.far_per_year[0]), float(curve.far_per_year[-1])
        for far in rates_to_show(lowest, highest):
            volume, error = _at(curve, far, curve.volume_gpc3), _at(curve, far, curve.standard_error)
            low, high = (_at(curve, far, values) for values in curve.interval_gpc3)
            others = (curve.volume_time_gpc3_yr, curve.sensitive_distance_mpc, curve.effective_sample_size)
            time, distance, effective = (_at(curve, far, values) for values in others)
            row = [population_label(pair), rate(far), f"{number(volume)} ± {number(error, 2)}"]
            row += [f"{number(low)} to {number(high)}", number(time), number(round(distance)), number(round(effective))]
            rows.append(row)
    header = ("Population", "False alarm rate", "Volume (Gpc³)", "95 % (Gpc³)", "× time (Gpc³ yr)",
              "Radius (Mpc)", "Effective injections")  # fmt: skip
    notes = "".join(f'<p class="note">{escape(remark)}.</p>' for remark in remarks(inputs.volumes))
    return (
        "<p>Comoving volume within which the search would find binaries that merge at a constant rate per comoving "
        "volume and source time; with one standard error, a 95 % interval, its product with the live time, and the "
        "radius of a sphere as large. Effective injections are those found, counted by their weights. A pair of masses "
        "stands for log-normal source-frame masses about it.</p>"
        + notes
        + _volume_figures(inputs.volumes, inputs.simulated, plots)
        + _table(header, rows, 2)
    )


def _volume_figures(curves: Mapping[str, VolumeCurve], simulated: bool, plots: Figures) -> str:
    content = ""
    for pair, curve in curves.items():
        plot = figures.volume_figure(curve, catalog.published_volumes(pair))
        content += f"<div><h3>{escape(population_label(pair))}</h3>{_place(plots, f'volume-{pair}', plot)}</div>"
    livetime = next((curve.scope.livetime for curve in curves.values()), 0.0)
    note = " ".join(catalog.comparison_remarks(simulated, livetime))
    return f'<div class="grid">{content}</div><p class="note">{escape(note)}</p>'


def _background(inputs: ReportInputs, plots: Figures) -> str:
    background = inputs.background
    if background is None:
        return _missing("The background", "the inference step")
    zero_lag = inputs.candidates
    statistic = None if zero_lag is None else zero_lag["detection_statistic"].astype(np.float64)
    livetime = background.livetime if zero_lag is None else float(zero_lag.attributes["T0"])
    times = [["Background (time slides)", duration(background.livetime), number(len(background.statistics))]]
    if zero_lag is not None:
        times.append(["Unshifted data", duration(livetime), number(len(zero_lag))])
    return (
        f"<p>Time slides make coincidences that no signal can make. The lowest false alarm rate that they measure is "
        f"{escape(rate(background.lowest_far_per_year))}; anything louder than all of them has that as upper limit.</p>"
        + _place(plots, "background", figures.background_figure(background, statistic, livetime))
        + _table(("", "Live time", "Events"), times)
    )


def _injections(inputs: ReportInputs, plots: Figures) -> str:
    table, background, far = inputs.injections, inputs.background, inputs.reference_far_per_year
    if table is None or background is None or far is None or not len(table):
        return _missing("The set of recovered injections", "the inference step")
    statistic, snr = table["detection_statistic"].astype(np.float64), table["snr"].astype(np.float64)
    mass_1, mass_2 = table["mass_1"].astype(np.float64), table["mass_2"].astype(np.float64)
    chirp_mass = (mass_1 * mass_2) ** 0.6 / (mass_1 + mass_2) ** 0.2
    rates = rates_to_show(background.lowest_far_per_year, np.inf)
    thresholds = {value: float(background.threshold_at_far(value)) for value in rates}
    found = statistic >= thresholds[far]
    drawn = int(table.attributes["num_injections"])
    of_all = (inputs.efficiencies or {}).get(ALL_DRAWS, {})
    shares = {"snr": snr_efficiency(snr, statistic, thresholds), **of_all}
    drawn_shares = "".join(
        f"<div><h3>Efficiency by {escape(figures.AXES[axis].partition(' (')[0].lower().replace('snr', 'SNR'))}</h3>"
        f"{_place(plots, f'efficiency-{axis}', figures.efficiency_figure(share))}</div>"
        for axis, share in shares.items()
    )
    scatter = _place(plots, "found", figures.found_figure(snr, chirp_mass, found))
    return (
        f"<p>{number(drawn)} binaries were drawn, {number(len(table))} of them loud enough to be injected; "
        f"{number(int(np.isfinite(statistic).sum()))} have an event nearby and {number(int(found.sum()))} are found "
        f"at a false alarm rate of {escape(rate(far))}.</p>"
        f'<div class="grid">{drawn_shares}'
        f"<div><h3>Found and missed</h3>{scatter}</div></div>"
    )


def _signals(inputs: ReportInputs, plots: Figures) -> str:
    if not inputs.signals:
        return _missing("The set of signals", "the waveforms step")
    header = ("", "Signals", "Draws", "Judged by a waveform", *(text for _, text in UNPHYSICAL_TEXT))
    rows = []
    for name, counts in inputs.signals.items():
        dropped = [counts.get(f"num_{reason}") for reason, _ in UNPHYSICAL_TEXT]
        total = counts.get("num_injections", counts["length"]) + sum(count or 0 for count in dropped)
        cells = (counts["length"], total, counts.get("num_waveforms"), *dropped)
        rows.append([name, *("" if count is None else number(count) for count in cells)])
    text = (
        "<p>Binaries are drawn until enough are loud enough (for training, until enough have a waveform). A draw too "
        "far away to be loud is rejected without a waveform. What is no physical signal is in none of the other counts "
        "and in neither the numerator nor the denominator of the sensitive volume.</p>"
    )
    return text + _draws(inputs, plots) + _table(header, rows)


def _draws(inputs: ReportInputs, plots: Figures) -> str:
    if inputs.draws is None:
        return ""
    figure_of = {
        "Masses: all draws grey, accepted blue": figures.mass_figure(inputs.draws),
        "Redshift": figures.redshift_figure(inputs.draws),
        "Loudness": figures.snr_figure(inputs.draws),
    }
    content = "".join(
        f"<div><h3>{title}</h3>{_place(plots, f'draws-{title.lower()}', plot)}</div>"
        for title, plot in figure_of.items()
    )
    return f'<div class="grid three">{content}</div>'


def _training(inputs: ReportInputs, plots: Figures) -> str:
    if not inputs.training:
        return _missing("The training's record", "the training step")
    content = ""
    for title, plot in figures.training_figures(inputs.training).items():
        content += f"<div><h3>{title}</h3>{_place(plots, f'training-{title.lower()}', plot)}</div>"
    return f'<div class="grid">{content}</div>'


def _configuration(inputs: ReportInputs, plots: Figures) -> str:
    del plots
    if not inputs.configuration:
        return _missing("The configuration", "the first step that writes results")
    groups: dict[str, list[list[str]]] = {}
    for key, value in sorted(inputs.configuration.items()):
        section, _, name = key.rpartition(".")
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        groups.setdefault(section or "other", []).append([name, f"{text} {unit(section, name)}".strip()])
    return "".join(
        f"<details><summary>{escape(section)}</summary>{_table(('Parameter', 'Value'), rows)}</details>"
        for section, rows in groups.items()
    )


def _provenance(inputs: ReportInputs, plots: Figures) -> str:
    del plots
    return _table(("What", "Value"), [[name, value] for name, value in inputs.provenance.items()])
