"""A score as a table on the terminal, and as a CSV or HDF5 file."""

import csv
import dataclasses
import io

import numpy as np

from aframe import storage
from aframe.challenge.data_sets import SECONDS_PER_MONTH
from aframe.challenge.score import PROBABILITY, Score, Trial, sensitive_distance
from aframe.types import Array

UNITS = {"far_per_month": "1 / (30 d)", "distance_mpc": "Mpc", "low_mpc": "Mpc", "high_mpc": "Mpc"}
"""Units of columns. All other columns are dimensionless."""

MOST_CURVE_ROWS = 1000
"""Largest number of background events whose distances are in the file's curve."""

UNMEASURED = "–"
"""Stands for a distance at a rate that the background cannot measure."""


def printed(trial: Trial, score: Score) -> str:
    """Table of a score for the terminal."""
    months = trial.duration / SECONDS_PER_MONTH
    lines = [
        f"{len(trial.found)} signals count, {len(trial.background)} background events in {trial.duration:.0f} s "
        f"({months:.3g} months of 30 days)",
        f"{'rate a month':>14}{'threshold':>12}{'found':>8}{'distance (Mpc)':>17}{f'{PROBABILITY:.0%} interval':>19}",
    ]
    for far, threshold, found, distance, low, high in zip(*dataclasses.astuple(score), strict=True):
        cells = (UNMEASURED,) * 4
        if np.isfinite(threshold):
            cells = (f"{threshold:.4g}", f"{found:.0f}", f"{distance:.0f}", f"{low:.0f} to {high:.0f}")
        lines.append(f"{far:>14g}{cells[0]:>12}{cells[1]:>8}{cells[2]:>17}{cells[3]:>19}")
    if np.isnan(score.threshold).any():
        lines.append(f"{UNMEASURED}: the background is too short, or has too few events, to measure this rate")
    return "\n".join(lines)


def curve(trial: Trial) -> dict[str, Array]:
    """Rates, thresholds and distances of the loudest ``MOST_CURVE_ROWS`` background events, loudest first."""
    thresholds = trial.background[:MOST_CURVE_ROWS]
    return {
        "far_per_month": np.arange(len(thresholds)) * SECONDS_PER_MONTH / trial.duration,
        "threshold": thresholds,
        "distance_mpc": np.array([sensitive_distance(trial, each) for each in thresholds]),
    }


def write_score(path: str, trial: Trial, score: Score, made_with: storage.Parameters) -> None:
    """Write a score as CSV, or as HDF5 with the curve of all rates besides.

    Args:
        path: Local or s3 path, ending in ``.csv`` or as an HDF5 file does.
        trial: What the score follows from.
        score: The score.
        made_with: Parameters of the score.
    """
    columns = {field.name: getattr(score, field.name) for field in dataclasses.fields(score)}
    if storage.has_suffix(path, (".csv",)):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow("" if np.isnan(value) else f"{value:.10g}" for value in row)
        storage.write_text(path, text.getvalue())
        return
    with storage.create_hdf5(path, made_with) as file:
        file.attrs.update({"duration": trial.duration, "num_signals": len(trial.found), "interval": PROBABILITY})
        for group, table in (("rates", columns), ("curve", curve(trial))):
            for name, column in table.items():
                file[f"{group}/{name}"] = column
                file[f"{group}/{name}"].attrs["unit"] = UNITS.get(name, "")
