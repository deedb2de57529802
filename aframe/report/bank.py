"""The report's part on the bank of templates: its figures, and its match with the population in words."""

import itertools
import math

import numpy as np
from markupsafe import Markup

from aframe.bank.placement import LARGEST_JOINING_SHARE
from aframe.bank.template_bank import TemplateBank
from aframe.report.html import Figures, fill, grid, table
from aframe.report.interactive import draw_titled
from aframe.report.palette import BLUE, VERMILION
from aframe.report.plots import Axis, Dash, Line, Plot, Points
from aframe.report.text import number

TEXT = """
<h3>Bank of templates</h3><p>{{ templates }} templates{{ ended }}. {{ signals }} signals of the population have a mean
 match of {{ mean }} with the bank; 10 % of them are below {{ tenth }}, and 1 % below {{ hundredth }}. A match is the
 share of a signal's SNR that the best template keeps.</p>
""".replace("\n", "")

HEADER = ("chirp mass, M☉", "templates", "signals", "mean match", "10 % are below", "1 % are below")

CHIRP_MASSES = (0.0, 1.7, 5.0, 10.0, 30.0, np.inf)
"""Borders of the table's rows, M☉. Two neutron stars are lightest, then mixed pairs and light black holes."""

ROUND_MASSES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
"""Masses with a tick, M☉."""


def bank_html(bank: TemplateBank, plots: Figures) -> Markup:
    """HTML of the bank's figures and of its match with the population.

    Args:
        bank: The bank.
        plots: Figures of the page. Those of the bank are added.
    """
    words = fill(
        TEXT, templates=number(len(bank.templates)), signals=number(len(bank.match)), mean=f"{bank.mean_match:.3f}",
        tenth=f"{bank.quantile_10:.3f}", hundredth=f"{bank.quantile_01:.3f}", ended=ended(bank),
    )  # fmt: skip
    return words + table(HEADER, mass_rows(bank)) + grid(plots, draw_titled([matches(bank), masses(bank)]), "bank")


def ended(bank: TemplateBank) -> str:
    """How the placement of the bank ended, in words; empty if the bank does not tell.

    Args:
        bank: The bank.
    """
    if math.isnan(bank.joining_share):
        return ""
    share = f"{100 * bank.joining_share:.1f} %"
    if bank.joining_share <= LARGEST_JOINING_SHARE:
        return f": the bank is complete, as {share} of the last draws would still have joined"
    return f": the bank is full, and {share} of the last draws still joined; a larger size would cover more"


def mass_rows(bank: TemplateBank) -> list[tuple[str, ...]]:
    """Matches of the population's signals in ranges of chirp mass that have any, as ``HEADER`` says.

    Args:
        bank: The bank.
    """
    result: list[tuple[str, ...]] = []
    for low, high in itertools.pairwise(CHIRP_MASSES):
        match = bank.match[(bank.signal_chirp_mass >= low) & (bank.signal_chirp_mass < high)]
        if not len(match):
            continue
        masses = f"above {low:g}" if high == np.inf else f"{low:g} to {high:g}" if low else f"below {high:g}"
        templates = int(((bank.chirp_mass >= low) & (bank.chirp_mass < high)).sum())
        values = (match.mean(), *np.quantile(match, (0.1, 0.01)))
        result.append((masses, number(templates), number(len(match)), *(f"{value:.3f}" for value in values)))
    return result


def matches(bank: TemplateBank) -> Plot:
    """Match of each signal with the bank against its chirp mass.

    Args:
        bank: The bank.
    """
    ends = float(bank.signal_chirp_mass.min()), float(bank.signal_chirp_mass.max())
    tips = (("match", "@y{0.000}"), ("chirp mass", "@x{0.0} M☉"))
    levels: tuple[tuple[str, float, Dash], ...] = (
        ("mean", bank.mean_match, "solid"),
        ("10 % are below", bank.quantile_10, "dashed"),
        ("1 % are below", bank.quantile_01, "dotted"),
    )
    return Plot(
        title="Match with the bank",
        x=Axis("Chirp mass, detector frame", "M☉", "log", ticks=ROUND_MASSES),
        y=Axis("Match", "dimensionless"),
        marks=(
            Points(x=bank.signal_chirp_mass, y=bank.match, color=BLUE, label="signals", alpha=0.6, tips=tips),
            *(
                Line(x=np.array(ends), y=np.full(2, level), color=VERMILION, dash=dash, width=0.7, label=label)
                for label, level, dash in levels
            ),
        ),
    )


def masses(bank: TemplateBank) -> Plot:
    """Masses of the templates.

    Args:
        bank: The bank.
    """
    heavier, lighter = (bank.parameters[name] for name in ("mass_1", "mass_2"))
    tips = (("mass 1", "@x{0.0} M☉"), ("mass 2", "@y{0.0} M☉"))
    return Plot(
        title="Masses of the templates",
        x=Axis("Heavier mass, detector frame", "M☉", "log", ticks=ROUND_MASSES),
        y=Axis("Lighter mass, detector frame", "M☉", "log", ticks=ROUND_MASSES),
        marks=(Points(x=heavier, y=lighter, color=BLUE, label="templates", is_filled=False, tips=tips),),
    )
