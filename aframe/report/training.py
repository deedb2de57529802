"""Figures of a training beside its model: metrics by epoch, and an example batch."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from aframe import storage
from aframe.constants import SECONDS_PER_DAY
from aframe.report import figures, paper
from aframe.report.gather import read_metrics
from aframe.report.html import Figures, fill, grid
from aframe.report.interactive import draw_titled
from aframe.report.page import simple_page
from aframe.report.palette import BLUE, VERMILION
from aframe.sensitivity.efficiency import Efficiency, snr_efficiency
from aframe.train.metrics import MONTHLY
from aframe.train.record import (
    EXAMPLE_BATCH,
    VALIDATION,
    ExampleBatch,
    LastValidation,
    read_example_batch,
    read_validation,
)
from aframe.types import Array

WINDOWS_PER_KIND = 4
"""Example windows of each kind in the figure."""

WINDOW_KINDS = 3
"""Kinds of example windows: signals, noise, and other negatives."""


def draw_training(directory: str) -> list[str]:
    """Write ``training.png``, ``training.html`` and ``example_batch.png``. Those without data are left out.

    The first two show loss, AUROC and signals found by epoch, SNR and chirp mass. The third shows some windows of each
    kind.

    Args:
        directory: Directory of the training, local or s3.

    Returns:
        Paths of the written files.
    """
    path = {name: storage.join(directory, name) for name in ("metrics.csv", VALIDATION, EXAMPLE_BATCH)}
    written = []
    if storage.exists(path["metrics.csv"]):
        curves = read_metrics(path["metrics.csv"])
        validation = read_validation(path[VALIDATION]) if storage.exists(path[VALIDATION]) else None
        efficiency = None if validation is None else _efficiency(validation)
        written += [storage.join(directory, f"training.{ending}") for ending in ("png", "html")]
        with paper.looks():
            drawn = paper.training_figure(curves, efficiency)
        paper.save(drawn, written[0])
        storage.write_text(written[1], training_html(curves, efficiency, validation))
    if storage.exists(path[EXAMPLE_BATCH]):
        written.append(storage.join(directory, "example_batch.png"))
        with paper.looks():
            drawn = example_figure(read_example_batch(path[EXAMPLE_BATCH]))
        paper.save(drawn, written[-1])
    return written


def training_html(
    curves: Mapping[str, tuple[Array, Array]], efficiency: Efficiency | None, validation: LastValidation | None
) -> str:
    """Build the self-contained HTML page of a training.

    Args:
        curves: Epochs and values of each metric.
        efficiency: Fraction of signals found against network SNR in the last validation, if any.
        validation: Signals and background events of the last validation, if any.
    """
    plots: Figures = {}
    content = grid(plots, draw_titled(figures.training(curves)), "training")
    if efficiency is not None:
        content += grid(plots, draw_titled([figures.efficiency_of_signals(efficiency)]), "found")
    if validation is not None:
        days = validation.background.livetime / SECONDS_PER_DAY
        origin = (
            "is the extrapolation of the background's tail, as the background is too short to measure that rate"
            if validation.is_extrapolated
            else "is measured"
        )
        content += fill(
            '<p class="note">Last validation: {{ signals }} signals, {{ days }} days of time-slid background; the '
            "threshold at one false alarm a month {{ origin }}.</p>",
            signals=len(validation.snr),
            days=f"{days:.3g}",
            origin=origin,
        )
    return simple_page("Training", content, plots)


def example_figure(batch: ExampleBatch) -> Figure:
    """Draw windows of each kind (signal, noise, other negative) in a column: whitened strain against time."""
    kinds = {
        "signal": batch.labels > 0,
        "noise": batch.is_noise,
        "no coincident signal": (batch.labels == 0) & ~batch.is_noise,
    }
    drawn = Figure(figsize=(paper.BOTH_COLUMNS, 1.3 * WINDOWS_PER_KIND))
    axes = drawn.subplots(WINDOWS_PER_KIND, WINDOW_KINDS, sharex=True, squeeze=False)
    time = np.arange(batch.windows.shape[-1]) / batch.sample_rate
    for column, (kind, inside) in enumerate(kinds.items()):
        axes[0, column].set_title(kind, fontsize=9)
        axes[-1, column].set_xlabel("Time in the window (s)")
        for row, window in zip(range(WINDOWS_PER_KIND), batch.windows[np.flatnonzero(inside)], strict=False):
            for ifo, strain, color in zip(batch.ifos, window, (VERMILION, BLUE, "#777777"), strict=False):
                axes[row, column].plot(time, strain, color=color, linewidth=0.4, alpha=0.8, label=ifo)
    drawn.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    drawn.supylabel("Whitened strain (standard deviations)", fontsize=9)
    return drawn


def _efficiency(validation: LastValidation) -> Efficiency | None:
    if np.isnan(validation.threshold) or not len(validation.snr):
        return None
    return snr_efficiency(validation.snr, validation.statistic, {MONTHLY: validation.threshold})
