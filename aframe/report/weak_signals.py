"""The report's table of weak signals: how many of each chirp mass are found."""

import math
from collections.abc import Mapping

import numpy as np
from bilby.gw.conversion import component_masses_to_chirp_mass as chirp_mass
from markupsafe import Markup

from aframe.report import html
from aframe.report.html import fill
from aframe.report.inputs import PlainBankResults
from aframe.report.text import number, rate
from aframe.sensitivity.efficiency import WEAK_SNRS, Efficiency, weak_signal_efficiency
from aframe.tables import RecoveredTable


def weak_signals(
    table: RecoveredTable, thresholds: Mapping[float, float], plain_bank: PlainBankResults | None
) -> Markup:
    """HTML of the share of weak signals that are found, by chirp mass; empty without weak signals.

    Args:
        table: Accepted injections and the events that recovered them.
        thresholds: Detection threshold for each false alarm rate (events per Julian year).
        plain_bank: What a plain bank of matched filters finds of the same injections; None without one.
    """
    of_search = _efficiency(table, thresholds)
    if not of_search.number.any():
        return Markup()
    header = ["Chirp mass, detector frame (M☉)", "Injections", *(rate(far) for far in of_search.far_per_year)]
    columns = [_cells(of_search, index) for index in range(len(of_search.far_per_year))]
    if plain_bank is not None:
        far = float(plain_bank.table["far_per_year"][plain_bank.table.monthly])
        limit = {far: float(plain_bank.background.threshold_at_far(far))}
        header.append(f"Plain bank, {rate(far)}")
        columns.append(_cells(_efficiency(plain_bank.injections, limit), 0))
    ranges = zip(of_search.edges[:-1], of_search.edges[1:], strict=True)
    names = [f"above {low:g}" if math.isinf(high) else f"{low:g} to {high:g}" for low, high in ranges]
    counts = [number(int(count)) for count in of_search.number]
    rows = [list(row) for row in zip(names, counts, *columns, strict=True)]
    return fill(
        "<h3>Weak signals</h3><p>The share of injections with an SNR of {{ low }} to {{ high }} that is found at each "
        "false alarm rate, with its 68 % interval.</p>",
        low=f"{WEAK_SNRS[0]:g}", high=f"{WEAK_SNRS[1]:g}",
    ) + html.table(header, rows)  # fmt: skip


def _efficiency(table: RecoveredTable, thresholds: Mapping[float, float]) -> Efficiency:
    names = ("mass_1", "mass_2", "snr", "detection_statistic")
    first, second, snr, statistic = (np.asarray(table[name], dtype=np.float64) for name in names)
    return weak_signal_efficiency(chirp_mass(first, second), snr, statistic, thresholds)


def _cells(shares: Efficiency, index: int) -> list[str]:
    """Share and interval in each range of chirp mass at one false alarm rate."""
    values = zip(shares.share[index], shares.low[index], shares.high[index], strict=True)
    return ["–" if np.isnan(share) else f"{share:.3f} ({low:.3f} to {high:.3f})" for share, low, high in values]
