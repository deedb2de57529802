"""Noise curves like those of O3, from a few numbers that docs/scripts/noise_curves.py fits to measured ones."""

import csv
import functools
from importlib import resources

import numpy as np
from scipy.interpolate import PchipInterpolator

from aframe.errors import DataError
from aframe.strain.noise_curves import NoiseCurve

NAME = "o3"
"""Value of the key ``asd`` that means these curves."""

TABLE = "curves_o3.csv"

NUM_CURVES = 20
"""Curves of each detector. They are always the same."""

STEP = 0.25
"""Step between frequencies of a curve, Hz."""

LINE_WIDTH = 0.5
"""Standard deviation of a line, Hz. Measured curves with steps of 1 Hz resolve no narrower one."""


@functools.cache
def o3_curves(ifo: str) -> tuple[NoiseCurve, ...]:
    """Make the curves of a detector.

    The logarithm of a smooth curve is a sum of a mean and two patterns, with normal random coefficients. Lines at fixed
    frequencies multiply it.

    Args:
        ifo: H1, L1 or V1.

    Raises:
        DataError: If there are none of this detector.
    """
    text = (resources.files("aframe.strain") / TABLE).read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    knots = [row for row in rows if row["ifo"] == ifo and row["kind"] == "smooth"]
    if not knots:
        ifos = ", ".join(sorted({row["ifo"] for row in rows}))
        raise DataError(f"asd = {NAME} has curves of {ifos}, not of {ifo}: give files with curves of {ifo}")
    frequency, asd, first, second = (
        np.array([float(row[name]) for row in knots]) for name in ("frequency", "value", "first", "second")
    )
    grid = np.arange(frequency[0], frequency[-1] + STEP, STEP)
    peaks = np.zeros(len(grid))
    for row in rows:
        if row["ifo"] == ifo and row["kind"] == "line":
            distance = (grid - float(row["frequency"])) / LINE_WIDTH
            peaks += np.log(float(row["value"])) * np.exp(-0.5 * distance**2)
    coefficients = np.random.default_rng(0).standard_normal((NUM_CURVES, 2))
    patterns = coefficients @ np.stack([first, second])
    smooth = PchipInterpolator(np.log(frequency), np.log(asd) + patterns, axis=1)(np.log(grid))
    return tuple((grid, np.exp(curve + peaks)) for curve in smooth)
