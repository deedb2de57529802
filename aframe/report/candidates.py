"""The report's list of candidates: when, how loud, how likely noise, and what else is known of each."""

from collections.abc import Callable
from html import escape

import numpy as np

from aframe.candidates.catalogue import gwosc_page
from aframe.candidates.p_astro import FEWEST_SIGNALS
from aframe.candidates.table import CandidateTable, utc
from aframe.events.significance import Background
from aframe.events.tail import EVENTS_PER_EXCEEDANCE, FEWEST_EXCEEDANCES
from aframe.report.closeups import closeups
from aframe.report.html import Cell, Figures, missing, sortable_table
from aframe.report.inputs import ReportInputs
from aframe.report.text import duration, number, rate
from aframe.tables import EventTable

LOUDEST = 200
"""Events in a table; all are in candidates.csv."""

ENOUGH_BACKGROUND = 10
"""Times the searched time from which the noise's rate may be taken as known."""

RARE = 1e-7
"""Events per year below which a rate is written as a power of ten."""

NEVER = 1e300
"""By what a cell without a number is sorted: after all others."""

Column = tuple[str, Callable[[int], Cell]]
"""A heading, and the cell of each row."""


def candidates(inputs: ReportInputs, plots: Figures) -> str:
    """The loudest events of unshifted data, and those in vetoed time."""
    table, background = inputs.candidates, inputs.background
    if table is None or background is None:
        return missing("The list of unshifted events", "the inference step")
    columns = candidate_columns(table, background)
    meaning = "".join(
        f"<li><b>{escape(heading)}</b>: {escape(text)}</li>"
        for heading, text in _explanations(table, background).items()
    )
    shown = min(LOUDEST, len(table))
    rows = [[cell(row) for _, cell in columns] for row in range(shown)]
    return (
        f"<p>The {number(shown)} loudest of {number(len(table))} events in {escape(duration(table.attributes['T0']))} "
        "of unshifted data.</p>"
        + sortable_table("loudest", [heading for heading, _ in columns], rows)
        + f"<details><summary>What the columns mean</summary><ul>{meaning}</ul></details>"
        + closeups(inputs, plots)
        + (_vetoed(inputs.vetoed, background) if inputs.vetoed is not None else "")
    )


def candidate_columns(table: CandidateTable, background: Background) -> list[Column]:
    """What is told of each candidate, as far as it is known."""
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
    columns.append(("By chance", lambda row: _number(float(table["significance"][row]))))
    if "catalogue_event" in has and (table["catalogue_event"] != "").any():
        columns.append(("Known event", lambda row: _known(str(table["catalogue_event"][row]))))
    if "is_extrapolated" in has and table["is_extrapolated"].any():
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
    """What columns mean, by their headings."""
    attributes, has = table.attributes, table.parameters.keys()
    told = {
        "False alarm rate": f"as measured: down to {rate(background.lowest_far_per_year)}, the upper limit for "
        "whatever is louder than all time slides.",
        "By chance": "the probability that noise alone makes one such event in the time that was searched.",
    }
    if "merger_rate_gpc3_yr" in attributes:
        low, middle, high = (number(value) for value in attributes["merger_rate_gpc3_yr"])
        prior = {"lognormal": "the published rate of mergers", "jeffreys": "no other search"}[attributes["rate_prior"]]
        told["p_astro"] = (
            f"the probability to be a signal. {middle} ({low} to {high}) mergers per Gpc³ and year, with {prior} as "
            f"prior, make {number(attributes['expected_signals'])} signals above a statistic of "
            f"{attributes['statistic_floor']:.2f} in that time."
        )
        if attributes["Tb"] < ENOUGH_BACKGROUND * attributes["T0"]:
            told["p_astro"] += " It takes the rate of noise as known, which so little background does not make true."
    elif "p_astro" in has:
        told["p_astro"] = (
            f"the probability to be a signal: not told, as that takes {EVENTS_PER_EXCEEDANCE * FEWEST_EXCEEDANCES} "
            f"background events, and recovered injections worth {FEWEST_SIGNALS} equal ones of the astrophysical "
            "population."
        )
    if "is_extrapolated" in has and table["is_extrapolated"].any():
        told["Extrapolated rate"] = "what an exponential tail of the background says; no measurement."
    if "Tb_cleaned" in attributes:
        told["Rate without the louder"] = (
            "in the background from which louder candidates are removed, "
            f"{number(int(table['is_removed'].sum()))} in all; {duration(attributes['Tb_cleaned'])} of it are left. "
            "Only candidates whose own rate is at most removal_far_per_year are removed."
        )
    if "detector_time" in has:
        told[f"At {', '.join(table.attributes['ifos'])}"] = (
            "when the whitened power at the detector was largest, after the event's GPS time."
        )
    if "vetoes" in has and (table["vetoes"] != "").any():
        told["Vetoes in time slides"] = "those that hold for the background alone."
    return told


def _vetoed(table: EventTable, background: Background) -> str:
    """The loudest events in vetoed time, which are no candidates."""
    order = np.argsort(-table["detection_statistic"], kind="stable")[:LOUDEST]
    told = (
        f"<h3>Vetoed events</h3><p>{number(len(table))} more events lie in the {escape(duration(table.livetime))} of "
        "unshifted data that are vetoed; they are no candidates, and their rates are only to compare with."
    )
    rows = []
    for row in order:
        time, statistic = float(table["detection_time"][row]), float(table["detection_statistic"][row])
        far = _rate(float(background.far_per_year(statistic)), bool(background.is_upper_limit(statistic)))
        cells = [Cell(utc(time)), Cell(f"{time:.3f}", time), Cell(f"{statistic:.3f}", statistic), far]
        rows.append([*cells, Cell(str(table["vetoes"][row]))])
    header = ("UTC", "GPS (s)", "Statistic", "False alarm rate", "Vetoed by")
    return told + "</p>" + (sortable_table("vetoed", header, rows) if rows else "")


def _rate(far: float, is_upper_limit: bool) -> Cell:
    return Cell(rate(far, is_upper_limit), far)


def _cleaned(table: CandidateTable, row: int) -> Cell:
    far, is_limit = float(table["far_cleaned_per_year"][row]), bool(table["far_cleaned_is_upper_limit"][row])
    removed = "removed from the background of those below" if table["is_removed"][row] else ""
    return Cell(rate(far, is_limit), far, title=removed)


def _extrapolated(table: CandidateTable, row: int) -> Cell:
    if not table["is_extrapolated"][row]:
        return Cell("", NEVER)
    far, error = float(table["far_extrapolated_per_year"][row]), float(table["far_extrapolated_log_error"][row])
    text = rate(far) if far > RARE else f"{far:.0e} per year"
    return Cell(f"≈ {text}", far, title=f"uncertain by a factor of {np.exp(error):.2g} if the tail is exponential")


def _number(value: float) -> Cell:
    return Cell("", NEVER) if np.isnan(value) else Cell(f"{value:.3g}", value)


def _known(name: str) -> Cell:
    return Cell(name, link=gwosc_page(name))


def _arrival(table: CandidateTable, row: int, index: int) -> Cell:
    late = 1e3 * float(table["detector_time"][row, index] - table["detection_time"][row])
    return Cell("", NEVER) if np.isnan(late) else Cell(f"{late:+.1f}", late)
