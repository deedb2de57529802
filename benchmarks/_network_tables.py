"""Tables and figure of the comparison of networks in docs/networks.md."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SNR_BANDS = ((5.0, 7.0), (7.0, 9.0), (9.0, 12.0), (12.0, 16.0))
"""Ranges of network SNR in which efficiency is measured."""

MASSES = ("Mc < 10", "Mc 10–20", "Mc 20–40", "Mc > 40")
"""Labels of the ranges of chirp mass."""

RATES = (1e-3, 1e-4)
"""False positive rates."""

TABLES = re.compile("(?<=<!-- tables -->\\n).*(?=<!-- end of tables -->)", re.DOTALL)
"""Matches the tables in the document."""


def formatted(parts: Sequence[float]) -> str:
    """A fraction, with its total error in units of the last digit in parentheses."""
    return f"{parts[0]:.3f}({1000 * (parts[1] ** 2 + parts[2] ** 2) ** 0.5:.0f})"


def tables(results: dict[str, Any], kernel_lengths: Mapping[str, float]) -> str:
    """Markdown tables of costs and efficiencies.

    Args:
        results: Result of each network.
        kernel_lengths: Window of each network, s.
    """
    columns = [
        "network",
        "window",
        "parameters",
        "FLOP of a window",
        "of it in a slide",
        "training",
        "samples",
        "AUROC",
    ]
    text = f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    for name, result in results.items():
        c = result["cost"]
        cells = (
            name, f"{kernel_lengths[name]:g} s",
            f"{c['encoder_parameters'] / 1000:.0f} k + {c['head_parameters'] / 1000:.0f} k",
            f"{c['encoder_flops'] / 1e6:.1f} M + {c['head_flops'] / 1e6:.2f} M", f"{c['slide_flops'] / 1e6:.2f} M",
            f"{result['training']['seconds']} s", f"{result['training']['samples'] / 1000:.0f} k",
            f"{result['auroc']:.3f}",
        )  # fmt: skip
        text += f"| {' | '.join(cells)} |\n"
    bands = [f"SNR {low:g}–{high:g}" for low, high in SNR_BANDS]
    columns = ["network", *bands, *MASSES, "one detector", "swapped"]
    for rate in RATES:
        text += f"\nFalse positive rate {rate:g}:\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
        for name, result in results.items():
            at = result[f"{rate:g}"]
            parts = (*at["snr"], *at["chirp_mass"], at["one_detector"], at["swapped"])
            text += f"| {name} | {' | '.join(map(formatted, parts))} |\n"
    return text + "\n"


def draw(path: Path, results: dict[str, Any]) -> None:
    """Draw the efficiency at the lowest false positive rate by SNR and by chirp mass.

    Args:
        path: Path of the SVG.
        results: Result of each network.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "aframe"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
    snr = [f"{low:g}–{high:g}" for low, high in SNR_BANDS]
    for axis, kind, ticks, label in (
        (axes[0], "snr", snr, "Network SNR"),
        (axes[1], "chirp_mass", MASSES, "Chirp mass (M☉), SNR 9–12"),
    ):
        for number, (name, result) in enumerate(results.items()):
            values = result[f"{min(RATES):g}"][kind]
            error = [(binomial**2 + threshold**2) ** 0.5 for _, binomial, threshold in values]
            place = [k + 0.1 * (number - (len(results) - 1) / 2) for k in range(len(values))]
            axis.errorbar(place, [efficiency for efficiency, _, _ in values], error, fmt="o", ms=4, label=name)
        axis.set(xlabel=label, xticks=range(len(ticks)), xticklabels=ticks, ylim=(0, 1))
    axes[0].set_ylabel(f"Efficiency at a false positive rate of {min(RATES):g}")
    axes[0].legend(frameon=False, fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def write_tables(document: Path, results: dict[str, Any], kernel_lengths: Mapping[str, float]) -> None:
    """Replace the tables in a document.

    Args:
        document: Path of the document.
        results: Result of each network.
        kernel_lengths: Window of each network, s.
    """
    text = tables(results, kernel_lengths)
    document.write_text(TABLES.sub(lambda _: text, document.read_text("utf-8")), "utf-8")
