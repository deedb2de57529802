"""Find samples that no detector measured, and split strain at them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from aframe.strain.resample import EDGE_DURATION, Stretch
from aframe.types import Array

LONGEST_LINE = 0.1
"""Longest time for which measured strain may have one value, or lie on a straight line between two, s."""

STRAIGHT = 1e-6
"""Largest change of a step in a straight line, in median changes. Of measured samples, one in a million is as close."""

LEAST_SIZE = 4
"""Largest number of samples that may lie on a line at any sample rate."""

LARGEST_DEVIATION = 1e4
"""Largest deviation of measured strain from its median, in median deviations. Glitches are a thousand times smaller."""

LARGEST_STEP = 1e3
"""Largest step of measured strain from a sample to the next, in median steps. In open data it is 8."""

SIZE_OF_MEDIAN = 2**16
"""Number of samples of which medians are taken."""


@dataclass(frozen=True)
class Gap:
    """Time without measured strain of one detector.

    Attributes:
        ifo: Detector.
        start: GPS s.
        stop: GPS s.
        value: What the samples are, such as ``NaN`` or ``-9999``.
    """

    ifo: str
    start: float
    stop: float
    value: str

    def __str__(self) -> str:
        return f"{self.value} in {self.ifo} from {self.start:.6f} to {self.stop:.6f} ({self.stop - self.start:.6g} s)"


Report = Callable[[Gap], object]
"""Function that is called with each gap."""


def split_at_gaps(stretch: Stretch, report: Report | None = None) -> list[Stretch]:
    """Split a stretch into contiguous pieces of measured samples.

    Samples are missing if they are NaN or infinite, on a line for longer than ``LONGEST_LINE``, at a step that no noise
    makes, or farther from the median than any noise or glitch. Near samples of the last two kinds, filters may have
    spoilt the strain, so ``EDGE_DURATION`` on either side is left out too.

    Args:
        stretch: Strain, shape (time,).
        report: Called with each gap; None to report none.

    Returns:
        Pieces that are longer than resampling cuts off, in order of time.
    """
    data, rate = stretch.data, stretch.sample_rate
    is_missing, is_jump = _missing(data, rate)
    margin = round(EDGE_DURATION * rate)
    if report is not None:
        for low, high in _runs(is_missing, 2 * margin):
            value = _text(data[low:high][is_missing[low:high]])
            report(Gap(stretch.ifo, stretch.start + low / rate, stretch.start + high / rate, value))
    for low, high in _runs(is_jump, 2 * margin):
        is_missing[max(0, low - margin) : high + margin] = True
    least = 2 * margin if is_missing.any() else 0
    return [
        Stretch(stretch.ifo, stretch.start + low / rate, rate, data[low:high])
        for low, high in _runs(~is_missing)
        if high - low > least
    ]


def described(gaps: Iterable[Gap], start: float = -np.inf, stop: float = np.inf) -> str:
    """Values and detectors of the gaps between two times, such as ``-9999 in L1, NaN in H1``.

    Args:
        gaps: Gaps, in any order.
        start: GPS s.
        stop: GPS s.
    """
    return ", ".join(dict.fromkeys(f"{g.value} in {g.ifo}" for g in gaps if g.start < stop and g.stop > start))


def _missing(data: Array, sample_rate: float) -> tuple[Array, Array]:
    """Samples that were not measured, and those of them to which the strain jumps, each of shape (time,)."""
    is_missing, is_jump = ~np.isfinite(data), np.zeros(len(data), bool)
    with np.errstate(invalid="ignore"):
        steps = np.diff(data)
        bends = np.abs(np.diff(steps))
        np.abs(steps, out=steps)
    thin = max(1, len(data) // SIZE_OF_MEDIAN)
    step, bend = (_median(values[::thin][values[::thin] > 0]) for values in (steps, bends))
    for low, last in _runs(bends <= STRAIGHT * bend):
        if last + 2 - low > max(LONGEST_LINE * sample_rate, LEAST_SIZE):
            is_missing[low : last + 2] = True
    values = data[::thin][~is_missing[::thin]]
    median = _median(values)
    largest = LARGEST_DEVIATION * _median(np.abs(values - median))
    if largest > 0:
        is_jump |= ~is_missing & ((data > median + largest) | (data < median - largest))
    is_measured = ~(is_missing | is_jump)
    is_step = (steps > LARGEST_STEP * step) & is_measured[1:] & is_measured[:-1] & (step > 0)
    is_jump[1:] |= is_step
    is_jump[:-1] |= is_step
    return is_missing | is_jump, is_jump


def _median(values: Array) -> float:
    return float(np.median(values[np.isfinite(values)])) if np.isfinite(values).any() else 0.0


def _runs(flags: Array, joined: int = 0) -> list[tuple[int, int]]:
    """First sample of each run of true values, and the one after its last. Runs closer than ``joined`` are one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    first, last = edges[::2], edges[1::2]
    if not len(first):
        return []
    is_apart = first[1:] - last[:-1] > joined
    return list(zip(first[np.append(True, is_apart)].tolist(), last[np.append(is_apart, True)].tolist(), strict=True))


def _text(samples: Array) -> str:
    """The value of all samples, or their range."""
    values = [np.fmin.reduce(samples), np.fmax.reduce(samples), *samples[np.isnan(samples)][:1]]
    return " to ".join(dict.fromkeys(f"{value:.6g}".replace("nan", "NaN") for value in values))
