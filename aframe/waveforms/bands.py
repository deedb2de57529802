"""Pieces of a waveform's spectrum, and the tapers between which they stand."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from aframe.types import Array


@dataclass(frozen=True)
class Band:
    """A piece of the spectrum: frequencies (Hz) between which it rises and falls, and its grid's length in samples."""

    rise: tuple[float, float]
    fall: tuple[float, float] | None
    size: int

    def taper(self, spectrum: Array, step: float) -> None:
        """Multiply a spectrum of spacing ``step`` Hz, in place; one band's fall and the next one's rise add to 1."""
        rising, first, last = _between(self.rise, step)
        spectrum[:first] = 0
        spectrum[first:last] *= rising
        if self.fall is not None:
            rising, first, last = _between(self.fall, step)
            spectrum[first:last] *= 1 - rising
            spectrum[last:] = 0


@functools.lru_cache(maxsize=64)
def _between(limits: tuple[float, float], step: float) -> tuple[Array, int, int]:
    """Half a cosine from 0 to 1 between two frequencies, and the bins it stands in."""
    low, high = limits
    first, last = math.ceil(low / step), math.ceil(high / step)
    phase = np.pi * (np.arange(first, last) * step - low) / (high - low)
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32), first, last


def half_cosine(size: int) -> Array:
    """A rise from 0 to 1, in so many samples, single precision."""
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(size) / size)).astype(np.float32)
