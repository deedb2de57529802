"""Strain of one detector that was written as that of another."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from aframe.errors import DataError
from aframe.strain.channels import Recording
from aframe.strain.recordings import read
from aframe.strain.samples import SIZE_OF_TYPICAL
from aframe.types import Array

FEWEST = 100
"""Samples from which on two series are compared."""

SAME = 0.9999
"""Correlation of two series from which on they are the same, but for their scale and sign."""


def check_detectors_differ(recordings: Mapping[str, Sequence[Recording]]) -> None:
    """Check that no two detectors have the same samples, in whatever unit and of whatever sign.

    Each glitch would be in both, as a signal is.

    The first pair of overlapping recordings of each two detectors is compared, in the middle of the overlap.

    Args:
        recordings: Recordings of each detector.

    Raises:
        DataError: With both files.
    """
    for first, second in itertools.combinations(recordings, 2):
        pairs = itertools.product(recordings[first], recordings[second])
        pair = next(((a, b) for a, b in pairs if max(a.start, b.start) < min(a.stop, b.stop)), None)
        if pair is None or pair[0].sample_rate != pair[1].sample_rate:
            continue
        low, high = max(each.start for each in pair), min(each.stop for each in pair)
        half = min(high - low, SIZE_OF_TYPICAL / pair[0].sample_rate) / 2
        one, other = (read(each, (low + high) / 2 - half, (low + high) / 2 + half).data for each in pair)
        if len(one) == len(other) and abs(_correlation(one, other)) > SAME:
            raise DataError(
                f"{pair[0].path} and {pair[1].path} have the same samples as strain of {first} and of {second}: give "
                "each detector its own strain"
            )


def _correlation(one: Array, other: Array) -> float:
    """Pearson's coefficient of two series where both have a value; 0 if one is constant or they are short."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < FEWEST or not (np.ptp(one[both]) > 0 and np.ptp(other[both]) > 0):
        return 0.0
    first, second = (each[both] - each[both].mean() for each in (one, other))
    first, second = first / np.abs(first).max(), second / np.abs(second).max()
    return float(first @ second / np.sqrt((first @ first) * (second @ second)))
