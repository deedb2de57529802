"""The report's table of candidates: time, statistic, false alarm rate, p_astro and more."""

from collections.abc import Callable

import numpy as np
from markupsafe import Markup

from aframe.candidates.catalogue import gwosc_page
from aframe.candidates.classes import CLASS_COLUMNS, CLASSES, NEUTRON_STAR_LIMIT
from aframe.candidates.p_astro import FEWEST_SIGNALS
from aframe.candidates.table import CandidateTable, utc
from aframe.events.significance import Background
from aframe.events.tail import EVENTS_PER_EXCEEDANCE, FEWEST_EXCEEDANCES
from aframe.report.closeups import closeups
from aframe.report.html import Cell, Figures, fill, missing, sortable_table
from aframe.report.inputs import ReportInputs
from aframe.report.text import duration, number, rate
from aframe.tables import EventTable

LOUDEST = 200
"""Largest number of events in a table. candidates.csv has all."""

SUFFICIENT_BACKGROUND = 10
"""Ratio of background to searched time from which the error of the noise's rate is negligible."""

LOWEST_WRITTEN_RATE = 1e-7
"""Events per year below which a rate is written as a power of ten."""

SORTED_LAST = 1e300
"""Sort value of a cell without a number. It comes after all others."""

Column = tuple[str, Callable[[int], Cell]]
"""Heading of a column, and the function that makes the cell of a row."""

EXPLANATIONS = """
<details><summary>What the columns mean</summary>
<ul>{% for heading, text in texts.items() %}<li><b>{{ heading }}</b>: {{ text }}</li>{% endfor %}</ul></details>
""".replace("\n", "")


def candidates(inputs: ReportInputs, plots: Figures) -> Markup:
    """HTML of the loudest events of unshifted data, and of those in vetoed time.

    Args:
        inputs: Inputs of the report.
        plots: Figures of the page. Those of the close-ups are added.
    """
    table, background = inputs.candidates, inputs.background
    if table is None or background is None:
        return missing("The list of unshifted events", "the inference step")
    columns = candidate_columns(table, background)
    shown = min(LOUDEST, len(table))
    rows = [[cell(row) for _, cell in columns] for row in range(shown)]
    return (
        fill(
            "<p>The {{ shown }} loudest of {{ all }} events in {{ searched }} of unshifted data.</p>",
            shown=number(shown),
            all=number(len(table)),
            searched=duration(table.attributes["T0"]),
        )
        + sortable_table("loudest", [heading for heading, _ in columns], rows)
        + fill(EXPLANATIONS, texts=_explanations(table, background))
        + closeups(inputs, plots)
        + (_vetoed(inputs.vetoed, background) if inputs.vetoed is not None else Markup())
    )


def candidate_columns(table: CandidateTable, background: Background) -> list[Column]:
    """Columns of the table of candidates. Those without data are left out.

    Args:
        table: Candidates, loudest first.
        background: Background that measures their false alarm rates.
    """
    has, is_limit = table.parameters.keys(), background.is_upper_limit(table["detection_statistic"])
    time, statistic = table["detection_time"], table["detection_statistic"]
    columns: list[Column] = [
        ("", lambda row: Cell(str(row + 1), row + 1.0)),
        ("UTC", lambda row: Cell(utc(float(time[row])))),
        ("Statistic", lambda row: Cell(f"{statistic[row]:.3f}", float(statistic[row]))),
        ("False alarm rate", lambda row: _rate(float(table["far_per_year"][row]), bool(is_limit[row]))),
    ]
    if "p_astro" in has:
        columns.append(("p_astro", lambda row: _number(float(table["p_astro"][row]))))
    for heading, name in zip(CLASSES, CLASS_COLUMNS, strict=True):
        if name in has:
            columns.append((heading, lambda row, name=name: _number(float(table[name][row]))))  # type: ignore[misc]
    columns.append(("By chance", lambda row: _number(float(table["significance"][row]))))
    if "catalogue_event" in has and (table["catalogue_event"] != "").any():
        columns.append(("Known event", lambda row: _catalogue_event(str(table["catalogue_event"][row]))))
    if "far_extrapolated_low_per_year" in has and table["is_extrapolated"].any():
        columns.append(("Extrapolated rate", lambda row: _extrapolated(table, row)))
    if "far_cleaned_per_year" in has:
        columns.append(("Rate without the louder", lambda row: _cleaned(table, row)))
    columns.append(("GPS (s)", lambda row: Cell(f"{time[row]:.3f}", float(time[row]))))
    for index, ifo in enumerate(table.attributes.get("ifos", ()) if "detector_time" in has else ()):
        columns.append((f"At {ifo} (ms)", lambda row, index=index: _arrival(table, row, index)))  # type: ignore[misc]
    if "vetoes" in has and (table["vetoes"] != "").any():
        columns.append(("Vetoes in time slides", lambda row: Cell(str(table["vetoes"][row]))))
    return columns


def _explanations(table: CandidateTable, background: Background) -> dict[str, str]:
    """Explanations of the columns, by their headings."""
    attributes, has = table.attributes, table.parameters.keys()
    texts = {
        "False alarm rate": f"as measured: down to {rate(background.lowest_far_per_year)}, the upper limit for "
        "events that are louder than all time slides.",
        "By chance": "the probability that noise alone makes such an event in the searched time.",
    }
    if "merger_rate_gpc3_yr" in attributes:
        low, middle, high = (number(value) for value in attributes["merger_rate_gpc3_yr"])
        prior = {"lognormal": "the published rate of mergers", "jeffreys": "no other search"}[attributes["rate_prior"]]
        texts["p_astro"] = (
            f"the probability to be a signal. {middle} ({low} to {high}) mergers per Gpc³ and year, with {prior} as "
            f"prior, make {number(attributes['expected_signals'])} signals above a statistic of "
            f"{attributes['statistic_floor']:.2f} in that time."
        )
        if attributes["Tb"] < SUFFICIENT_BACKGROUND * attributes["T0"]:
            texts["p_astro"] += (
                " It neglects the error of the noise's rate, which is large with this little background."
            )
    elif "p_astro" in has:
        texts["p_astro"] = (
            "the probability to be a signal. It is not estimated, as it needs "
            f"{EVENTS_PER_EXCEEDANCE * FEWEST_EXCEEDANCES} background events whose tail can be extrapolated, and "
            f"recovered injections of different statistics with the weight of {FEWEST_SIGNALS} equal ones of the "
            "astrophysical population."
        )
    if set(CLASS_COLUMNS) <= has:
        texts[", ".join(CLASSES)] = (
            "the parts of p_astro by source class. The injections that are as loud, with a chirp mass like that of the "
            f"best template, share it out; a body of up to {NEUTRON_STAR_LIMIT:g} M☉ in the source's frame counts as a "
            "neutron star. Without a template, loudness alone tells the class."
        )
        if "expected_of_classes" in attributes:
            expected = zip(CLASSES, np.asarray(attributes["expected_of_classes"]).tolist(), strict=True)
            listed = ", ".join(f"{number(value)} {name}" for name, value in expected)
            texts[", ".join(CLASSES)] += f" The search expects {listed} in that time."
    if "far_extrapolated_low_per_year" in has and table["is_extrapolated"].any():
        texts["Extrapolated rate"] = "extrapolated with a generalised Pareto tail of the background; no measurement."
    if "Tb_cleaned" in attributes:
        texts["Rate without the louder"] = (
            "in the background without louder candidates. "
            f"{number(int(table['is_removed'].sum()))} are removed in all; {duration(attributes['Tb_cleaned'])} of "
            "background remain. Only candidates with a rate of at most removal_far_per_year are removed."
        )
    if "detector_time" in has:
        texts[f"At {', '.join(table.attributes['ifos'])}"] = (
            "time of the largest whitened power at the detector, after the event's GPS time."
        )
    if "vetoes" in has and (table["vetoes"] != "").any():
        texts["Vetoes in time slides"] = "vetoes that apply to the background alone."
    return texts


def _vetoed(table: EventTable, background: Background) -> Markup:
    """HTML of the loudest events in vetoed time. They are no candidates."""
    order = np.argsort(-table["detection_statistic"], kind="stable")[:LOUDEST]
    text = fill(
        "<h3>Vetoed events</h3><p>{{ number }} more events lie in the {{ vetoed }} of vetoed unshifted data. They are "
        "no candidates, and their rates are for comparison only.</p>",
        number=number(len(table)),
        vetoed=duration(table.livetime),
    )
    rows = []
    for row in order:
        time, statistic = float(table["detection_time"][row]), float(table["detection_statistic"][row])
        far = _rate(float(background.far_per_year(statistic)), bool(background.is_upper_limit(statistic)))
        cells = [Cell(utc(time)), Cell(f"{time:.3f}", time), Cell(f"{statistic:.3f}", statistic), far]
        rows.append([*cells, Cell(str(table["vetoes"][row]))])
    header = ("UTC", "GPS (s)", "Statistic", "False alarm rate", "Vetoed by")
    return text + (sortable_table("vetoed", header, rows) if rows else Markup())


def _rate(far: float, is_upper_limit: bool) -> Cell:
    return Cell(rate(far, is_upper_limit), far)


def _cleaned(table: CandidateTable, row: int) -> Cell:
    far, is_limit = float(table["far_cleaned_per_year"][row]), bool(table["far_cleaned_is_upper_limit"][row])
    removed = "removed from the background of those below" if table["is_removed"][row] else ""
    return Cell(rate(far, is_limit), far, title=removed)


def _extrapolated(table: CandidateTable, row: int) -> Cell:
    if not table["is_extrapolated"][row]:
        return Cell("", SORTED_LAST)
    names = ("", "low_", "high_")
    far, low, high = (float(table[f"far_extrapolated_{name}per_year"][row]) for name in names)
    text = rate(far) if far > LOWEST_WRITTEN_RATE else f"{far:.0e} per year"
    return Cell(f"≈ {text}", far, title=f"95 % interval: {low:.1e} to {high:.1e} per year")


def _number(value: float) -> Cell:
    return Cell("", SORTED_LAST) if np.isnan(value) else Cell(f"{value:.3g}", value)


def _catalogue_event(name: str) -> Cell:
    return Cell(name, link=gwosc_page(name))


def _arrival(table: CandidateTable, row: int, index: int) -> Cell:
    late = 1e3 * float(table["detector_time"][row, index] - table["detection_time"][row])
    return Cell("", SORTED_LAST) if np.isnan(late) else Cell(f"{late:+.1f}", late)
