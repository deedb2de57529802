"""What a training looks like: its curves and an example batch, as figures that lie beside the model."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from aframe import storage
from aframe.constants import SECONDS_PER_DAY
from aframe.report import figures, paper
from aframe.report.gather import read_metrics
from aframe.report.html import Figures, grid
from aframe.report.page import simple_page
from aframe.report.palette import BLUE, VERMILION
from aframe.sensitivity.efficiency import Efficiency, snr_efficiency
from aframe.train.metrics import MONTHLY
from aframe.train.record import EXAMPLE_BATCH, VALIDATION, ExampleBatch, Validated, read_example_batch, read_validation
from aframe.types import Array

ROWS, COLUMNS = 4, 3
"""Example windows that are drawn, and kinds of them."""


def draw_training(directory: str) -> list[str]:
    """Write ``training.png``, ``training.html`` and ``example_batch.png``, as far as there is what they show.

    The first two have loss, AUROC and signals found by epoch, SNR and chirp mass; the third some windows of each kind.

    Args:
        directory: Of the training, local or s3.

    Returns:
        Their paths.
    """
    path = {name: storage.join(directory, name) for name in ("metrics.csv", VALIDATION, EXAMPLE_BATCH)}
    made = []
    if storage.exists(path["metrics.csv"]):
        curves = read_metrics(path["metrics.csv"])
        validated = read_validation(path[VALIDATION]) if storage.exists(path[VALIDATION]) else None
        efficiency = None if validated is None else _efficiency(validated)
        made += [storage.join(directory, f"training.{ending}") for ending in ("png", "html")]
        with paper.looks():
            drawn = paper.training_figure(curves, efficiency)
        paper.save(drawn, made[0])
        storage.write_text(made[1], training_html(curves, efficiency, validated))
    if storage.exists(path[EXAMPLE_BATCH]):
        made.append(storage.join(directory, "example_batch.png"))
        with paper.looks():
            drawn = example_figure(read_example_batch(path[EXAMPLE_BATCH]))
        paper.save(drawn, made[-1])
    return made


def training_html(
    curves: Mapping[str, tuple[Array, Array]], efficiency: Efficiency | None, validated: Validated | None
) -> str:
    """A page of a training's curves that needs nothing else.

    Args:
        curves: Epochs and values of each metric.
        efficiency: Share of signals found against network SNR in the last validation.
        validated: What that scored.
    """
    plots: Figures = {}
    content = grid(plots, figures.training_figures(curves), "training")
    if efficiency is not None:
        content += grid(plots, {"Signals found against network SNR": figures.efficiency_figure(efficiency)}, "found")
    if validated is not None:
        days = validated.background.livetime / SECONDS_PER_DAY
        told = (
            "is the exponential tail's extrapolation, as the background is too short to measure that rate"
            if validated.is_extrapolated
            else "is measured"
        )
        content += (
            f'<p class="note">Last validation: {len(validated.snr)} signals, {days:.3g} days of time-slid background; '
            f"the threshold at one false alarm a month {told}.</p>"
        )
    return simple_page("Training", content, plots)


def example_figure(batch: ExampleBatch) -> Figure:
    """Windows of each kind (signal, noise, other negative), a column each, whitened strain against time."""
    kinds = {
        "signal": batch.labels > 0,
        "noise": batch.is_noise,
        "no coincident signal": (batch.labels == 0) & ~batch.is_noise,
    }
    drawn = Figure(figsize=(paper.BOTH_COLUMNS, 1.3 * ROWS))
    axes = drawn.subplots(ROWS, COLUMNS, sharex=True, squeeze=False)
    time = np.arange(batch.windows.shape[-1]) / batch.sample_rate
    for column, (kind, inside) in enumerate(kinds.items()):
        axes[0, column].set_title(kind, fontsize=9)
        axes[-1, column].set_xlabel("Time in the window (s)")
        for row, window in zip(range(ROWS), batch.windows[np.flatnonzero(inside)], strict=False):
            for ifo, strain, color in zip(batch.ifos, window, (VERMILION, BLUE, "#777777"), strict=False):
                axes[row, column].plot(time, strain, color=color, linewidth=0.4, alpha=0.8, label=ifo)
    drawn.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    drawn.supylabel("Whitened strain (standard deviations)", fontsize=9)
    return drawn


def _efficiency(validated: Validated) -> Efficiency | None:
    if np.isnan(validated.threshold) or not len(validated.snr):
        return None
    return snr_efficiency(validated.snr, validated.statistic, {MONTHLY: validated.threshold})
