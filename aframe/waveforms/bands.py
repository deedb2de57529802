"""Frequency bands of a waveform's spectrum, and their tapers."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from aframe.types import Array


@dataclass(frozen=True)
class Band:
    """A frequency band of a spectrum.

    Attributes:
        rise: Frequencies between which the band rises from 0 to 1, Hz.
        fall: Frequencies between which the band falls from 1 to 0, Hz; None without a fall.
        size: Length of the band's grid in samples.
    """

    rise: tuple[float, float]
    fall: tuple[float, float] | None
    size: int

    def taper(self, spectrum: Array, step: float) -> None:
        """Multiply a spectrum by the band's taper, in place. The fall of a band and the rise of the next add to 1.

        Args:
            spectrum: Spectrum, shape (bins,).
            step: Spacing of the bins, Hz.
        """
        rising, first, last = _between(self.rise, step)
        spectrum[:first] = 0
        spectrum[first:last] *= rising
        if self.fall is not None:
            rising, first, last = _between(self.fall, step)
            spectrum[first:last] *= 1 - rising
            spectrum[last:] = 0


@functools.lru_cache(maxsize=64)
def _between(limits: tuple[float, float], step: float) -> tuple[Array, int, int]:
    """Half a cosine from 0 to 1 between two frequencies, and its first and last (exclusive) bin."""
    low, high = limits
    first, last = math.ceil(low / step), math.ceil(high / step)
    phase = np.pi * (np.arange(first, last) * step - low) / (high - low)
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32), first, last


def half_cosine(size: int) -> Array:
    """Half a cosine from 0 to 1 in ``size`` samples, single precision."""
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(size) / size)).astype(np.float32)
