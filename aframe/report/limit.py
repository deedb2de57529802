"""Words and tables about what a plain bank of matched filters finds, beside the network."""

import numpy as np
from markupsafe import Markup

from aframe.report.html import fill, table
from aframe.report.inputs import PlainBankResults
from aframe.report.text import aligned, number, rate
from aframe.sensitivity.limit import LimitTable
from aframe.sensitivity.volume import population_label

HEADER = ("False alarm rate", "Bank's threshold (SNR)", "Injections above it", "Found by the bank", "By the network",
          "Ratio")  # fmt: skip

VOLUME_HEADER = ("Population", "False alarm rate", "Plain bank (Gpc³)", "Network (Gpc³)", "Ratio")

EXPLANATION = (
    "The plain bank is an ideal matched-filter search without any training, in the same noise and with the same "
    "injections. Its statistic is the network SNR of the best template. "
)


def sentence(limit: LimitTable) -> str:
    """What the network and the plain bank find at one false alarm a month, or at the lowest rate above it.

    Args:
        limit: The comparison.
    """
    row = limit.monthly
    far, size = rate(float(limit["far_per_year"][row])), limit.attributes["num_templates"]
    if limit.has_network:
        first = (
            f"The network finds {_ratio(limit, 'found_ratio', row)} times what a plain bank of {size} matched filters "
            f"finds, at a false alarm rate of {far}."
        )
    else:
        first = (
            f"A plain bank of {size} matched filters finds {limit['found_bank'][row]:.2f} of all injections, at a "
            f"false alarm rate of {far}; the run's network has no scores yet."
        )
    return (
        f"{first} {limit['share_louder'][row]:.2f} of all injections are louder than the bank's threshold, a network "
        f"SNR of {limit['snr_threshold'][row]:.2f}."
    )


def found_rows(limit: LimitTable) -> list[list[str]]:
    """Cells of a table of found injections, a row for each rate.

    Args:
        limit: The comparison.
    """
    rows = []
    for row, far in enumerate(limit["far_per_year"]):
        cells = [rate(float(far)), f"{limit['snr_threshold'][row]:.2f}"]
        cells += [f"{limit[name][row]:.3f}" for name in ("share_louder", "found_bank")]
        cells += [f"{limit['found_network'][row]:.3f}", _ratio(limit, "found_ratio", row)] if limit.has_network else []
        rows.append(cells)
    return rows


def volume_rows(limit: LimitTable) -> list[list[str]]:
    """Cells of a table of sensitive volumes, a row for each population and rate.

    Args:
        limit: The comparison.
    """
    rows = []
    for column, population in enumerate(limit.attributes["populations"]):
        for row, far in enumerate(limit["far_per_year"]):
            cells = [population_label(population), rate(float(far)), _volume(limit, "bank", row, column)]
            if limit.has_network:
                cells += [_volume(limit, "network", row, column), _ratio(limit, "volume_ratio", (row, column))]
            rows.append(cells)
    return rows


def printed(limit: LimitTable) -> str:
    """Tables of injections and volumes for a terminal.

    Args:
        limit: The comparison.
    """
    parts = []
    for header, rows in ((HEADER, found_rows(limit)), (VOLUME_HEADER, volume_rows(limit))):
        parts += [*aligned([header[: len(rows[0])], *rows]), ""]
    return "\n".join(parts)


def found_html(results: PlainBankResults) -> Markup:
    """HTML of a sentence and a table of found injections.

    Args:
        results: Results of the plain bank.
    """
    words = fill("<h3>Beside a plain bank of matched filters</h3><p>{{ text }}</p>",
                 text=f"{sentence(results.table)} {EXPLANATION}")  # fmt: skip
    return words + table(HEADER, found_rows(results.table))


def volume_html(results: PlainBankResults) -> Markup:
    """HTML of a table of the sensitive volumes of bank and network.

    Args:
        results: Results of the plain bank.
    """
    heading = Markup("<h3>Beside a plain bank of matched filters</h3>")
    return heading + table(VOLUME_HEADER, volume_rows(results.table), 2)


def _volume(limit: LimitTable, search: str, row: int, column: int) -> str:
    value, error = (float(limit[f"volume_{search}_{name}"][row, column]) for name in ("gpc3", "error"))
    return f"{number(value)} ± {number(error, 2)}" if value > 0 else "0"


def _ratio(limit: LimitTable, name: str, place: int | tuple[int, int]) -> str:
    """Text of a ratio. It has no error if the network finds nothing, and no value if the bank finds nothing."""
    value, error = (float(limit[column][place]) for column in (name, f"{name}_error"))
    if np.isnan(error):
        return "0" if value == 0 else "–"
    return f"{value:.2f} ± {error:.2f}"
