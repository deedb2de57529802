"""The report's list of candidates: when, how loud, how likely noise, and what else is known of each."""

from collections.abc import Callable
from html import escape

import numpy as np

from aframe.events.candidates import CandidateTable, utc
from aframe.events.catalogue import gwosc_page
from aframe.events.significance import Background
from aframe.report.html import Cell, Figures, missing, sortable_table
from aframe.report.inputs import ReportInputs
from aframe.report.text import duration, number, rate
from aframe.tables import EventTable

LOUDEST = 200
"""Events in a table; all are in candidates.csv."""

RARE = 1e-7
"""Events per year below which a rate is written as a power of ten."""

NEVER = 1e300
"""By what a cell without a number is sorted: after all others."""

Column = tuple[str, Callable[[int], Cell]]
"""A heading, and the cell of each row."""


def candidates(inputs: ReportInputs, plots: Figures) -> str:
    """The loudest events of unshifted data, and those in vetoed time."""
    del plots
    table, background = inputs.candidates, inputs.background
    if table is None or background is None:
        return missing("The list of unshifted events", "the inference step")
    columns = candidate_columns(table, background)
    shown = min(LOUDEST, len(table))
    rows = [[cell(row) for _, cell in columns] for row in range(shown)]
    return (
        f"<p>The {number(shown)} loudest of {number(len(table))} events in {escape(duration(table.attributes['T0']))} "
        f"of unshifted data. {' '.join(map(escape, _explanations(table, background)))}</p>"
        + sortable_table("loudest", [heading for heading, _ in columns], rows)
        + (_vetoed(inputs.vetoed, background) if inputs.vetoed is not None else "")
    )


def candidate_columns(table: CandidateTable, background: Background) -> list[Column]:
    """What is told of each candidate, as far as it is known."""
    lowest, has = background.lowest_far_per_year, table.parameters.keys()
    time, statistic = table["detection_time"], table["detection_statistic"]
    columns: list[Column] = [
        ("", lambda row: Cell(str(row + 1), row + 1.0)),
        ("UTC", lambda row: Cell(utc(float(time[row])))),
        ("GPS (s)", lambda row: Cell(f"{time[row]:.3f}", float(time[row]))),
        ("Statistic", lambda row: Cell(f"{statistic[row]:.3f}", float(statistic[row]))),
        ("False alarm rate", lambda row: _rate(float(table["far_per_year"][row]), lowest)),
    ]
    if "far_cleaned_per_year" in has:
        columns.append(("… without the louder", lambda row: _cleaned(table, row)))
    if "is_extrapolated" in has and table["is_extrapolated"].any():
        columns.append(("… extrapolated", lambda row: _extrapolated(table, row)))
    columns.append(("By chance", lambda row: _number(float(table["significance"][row]))))
    if "p_astro" in has:
        columns.append(("p_astro", lambda row: _number(float(table["p_astro"][row]))))
    if "catalogue_event" in has:
        columns.append(("Known event", lambda row: _known(str(table["catalogue_event"][row]))))
    if "vetoes" in has and (table["vetoes"] != "").any():
        columns.append(("Vetoes in time slides", lambda row: Cell(str(table["vetoes"][row]))))
    for index, ifo in enumerate(table.attributes.get("ifos", ()) if "detector_time" in has else ()):
        columns.append((f"At {ifo} (ms)", lambda row, index=index: _arrival(table, row, index)))  # type: ignore[misc]
    return columns


def _explanations(table: CandidateTable, background: Background) -> list[str]:
    """What the columns mean, sentence by sentence."""
    attributes, has = table.attributes, table.parameters.keys()
    lowest = rate(background.lowest_far_per_year)
    told = [
        f"Measured rates end at {lowest}: what is louder than all time slides has that as upper limit.",
        "By chance: the probability that noise alone makes one such event in that time.",
    ]
    if "Tb_cleaned" in attributes:
        told.append(
            f"Without the louder: rate in the background from which {number(int(table['is_removed'].sum()))} louder "
            f"candidates were removed ({duration(attributes['Tb_cleaned'])} of it are left), see docs/results.md."
        )
    if "is_extrapolated" in has and table["is_extrapolated"].any():
        told.append("An extrapolated rate is what an exponential tail of the background says, no measurement.")
    if "merger_rate_gpc3_yr" in attributes:
        low, middle, high = (number(value) for value in attributes["merger_rate_gpc3_yr"])
        prior = {"lognormal": "the published rate of mergers", "jeffreys": "no other search"}
        told.append(
            f"p_astro: the probability to be a signal, for {number(attributes['expected_signals'])} signals above "
            f"{attributes['statistic_floor']:.2f} in that time, as {middle} ({low} to {high}) mergers per Gpc³ and "
            f"year make them; with {prior[attributes['rate_prior']]} as prior."
        )
    if "detector_time" in has:
        told.append(
            "The last columns: when the whitened power at each detector was largest, after the event's GPS time."
        )
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
        far = _rate(float(background.far_per_year(statistic)), background.lowest_far_per_year)
        cells = [Cell(utc(time)), Cell(f"{time:.3f}", time), Cell(f"{statistic:.3f}", statistic), far]
        rows.append([*cells, Cell(str(table["vetoes"][row]))])
    header = ("UTC", "GPS (s)", "Statistic", "False alarm rate", "Vetoed by")
    return told + "</p>" + (sortable_table("vetoed", header, rows) if rows else "")


def _rate(far: float, lowest: float) -> Cell:
    return Cell(rate(far, lowest), far)


def _cleaned(table: CandidateTable, row: int) -> Cell:
    far, is_limit = float(table["far_cleaned_per_year"][row]), bool(table["far_cleaned_is_upper_limit"][row])
    removed = "removed from the background of those below" if table["is_removed"][row] else ""
    return Cell(rate(far, far if is_limit else 0.0), far, title=removed)


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
