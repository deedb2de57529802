"""Fit the numbers of aframe/strain/curves_o3.csv: `python docs/scripts/noise_curves.py PSDS ASDS`.

PSDS is a directory with 20 PSDs of O3a each in H1 and L1, of steps of 1 Hz, as the first machine-learning mock data
challenge publishes them (arXiv:2209.11146, Apache 2.0). ASDS has measured ASDs of O3 up to 1600 Hz, in files whose
names end in _H_O3.npy, _L_O3.npy and _V_O3.npy: they continue the PSDs, and are all there is of V1.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import median_filter

import aframe
from aframe.strain.noise_curves import NoiseCurve, load_asd
from aframe.types import Array

KNOTS = np.array([10, 12, 15, 18, 20, 22, 25, 30, 35, 40, 50, 60, 80, 120, 180, 260, 400, 600, 800, 1300, 1590, 2048.0])
"""Frequencies of the smooth curve, Hz."""

STEEP, BENT, LAST = 30.0, 150.0, 990.0
"""Frequencies, Hz, below which spectra are too steep or too bent for a wide median, and above which PSDs end."""

MEDIAN_WIDTH = 31
"""Width of the running median that lines leave unchanged, Hz."""

LEAST_RATIO, MOST_LINES = 2.0, 10
"""Smallest height of a line above the smooth curve, and largest number of lines of a detector."""

HEADING = """\
# Noise of O3 in a few numbers, which docs/scripts/noise_curves.py fits. aframe/strain/o3_curves.py makes curves of
# them. smooth: frequency (Hz), ASD (1/sqrt(Hz)), and the two patterns of its logarithm's changes. line: frequency (Hz),
# and height above the smooth curve.
ifo,kind,frequency,value,first,second"""


def binned(curve: NoiseCurve) -> Array:
    """ASD of a measured curve in bins of 1 Hz, from 0 Hz on. Below the curve, it is constant."""
    frequency, asd = curve
    number = np.round(frequency).astype(int)
    power = np.bincount(number, asd**2) / np.maximum(np.bincount(number), 1)
    power[: number[0]] = power[number[0]]
    return np.sqrt(power)


def smooth(asd: Array) -> Array:
    """ASD without lines, in the same bins."""
    frequency = np.arange(len(asd))
    widths = (3, 9, MEDIAN_WIDTH)
    return np.select([frequency < STEEP, frequency < BENT, frequency >= BENT], [median_filter(asd, w) for w in widths])


def knots(asd: Array, continuation: Array) -> Array:
    """Logarithms of the smooth ASD at the knots."""
    own, other = smooth(asd), smooth(continuation)
    inner = np.minimum(KNOTS, LAST)
    value = np.interp(inner, np.arange(len(own)), own)
    last = len(other) - MEDIAN_WIDTH
    beyond = np.interp(np.minimum(KNOTS, last), np.arange(len(other)), other) * np.maximum(KNOTS / last, 1)
    return np.log(value * np.where(KNOTS > LAST, beyond / np.interp(LAST, np.arange(len(other)), other), 1))


def lines(asd: Array) -> list[tuple[int, float]]:
    """Frequencies and heights of the highest lines."""
    ratio = asd / smooth(asd)
    ratio[: int(STEEP)] = ratio[int(LAST) :] = 0
    found: list[tuple[int, float]] = []
    for k in np.argsort(ratio)[::-1]:
        if len(found) == MOST_LINES or ratio[k] < LEAST_RATIO:
            break
        if all(abs(k - other) > 2 for other, _ in found):
            found.append((int(k), float(ratio[k])))
    return sorted(found)


def main() -> None:
    """Fit each detector, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("psds", type=Path)
    parser.add_argument("asds", type=Path)
    options = parser.parse_args()
    longs = {
        f"{letter}1": binned(load_asd(str(next(options.asds.glob(f"*_{letter}_O3.npy"))))) for letter in ("H", "L", "V")
    }
    rows, patterns = [HEADING], np.zeros((2, len(KNOTS)))
    for ifo, long in longs.items():
        paths = sorted((options.psds / ifo).glob("*.hdf"))
        curves = [binned(load_asd(str(path))) for path in paths] or [long]
        logs = np.array([knots(curve, long) for curve in curves])
        if len(logs) > 2:
            _, size, axes = np.linalg.svd(logs - logs.mean(axis=0), full_matrices=False)
            patterns = size[:2, None] * axes[:2] / np.sqrt(len(logs) - 1)
        columns = zip(KNOTS, np.exp(logs.mean(axis=0)), *patterns, strict=True)
        rows += [f"{ifo},smooth,{knot:g},{asd:.3g},{a:.2g},{b:.2g}" for knot, asd, a, b in columns]
        mean = np.exp(np.mean([np.log(curve[: int(LAST) + 20]) for curve in curves], axis=0))
        rows += [f"{ifo},line,{frequency},{ratio:.3g},," for frequency, ratio in lines(mean)]
    path = Path(aframe.__file__).parent / "strain" / "curves_o3.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
