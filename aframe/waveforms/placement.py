"""Times of injections in a time slide of a segment."""

from dataclasses import dataclass

import numpy as np

from aframe.errors import ConfigurationError
from aframe.types import Array


@dataclass(frozen=True)
class Placement:
    """Possible times of the injections of one segment and time slide.

    Attributes:
        start: Start of the segment, GPS s.
        stop: End of the segment, GPS s.
        spacing: Time between successive injections, s.
        buffer: Time without injections at both ends, s.
        jitter: Largest random offset from the regular spacing, s.
        shift: Shift of each detector's data, s.
    """

    start: float
    stop: float
    spacing: float
    buffer: float
    jitter: float
    shift: tuple[float, ...]

    @property
    def capacity(self) -> int:
        """Largest number of injections."""
        room = self.stop - self.start - 2 * (self.buffer + self.jitter)
        return 0 if room < 0 else int(np.floor(room / self.spacing + 1e-9)) + 1


def injection_times(placement: Placement, rng: np.random.Generator) -> Array:
    """Draw regularly spaced times with random offsets.

    Args:
        placement: Possible times. The buffers at both ends stay free for all offsets.
        rng: Source of the offsets.

    Returns:
        GPS s, shape (``placement.capacity``,).

    Raises:
        ConfigurationError: If offsets could change the order of injections.
    """
    p = placement
    if not 0 <= 2 * p.jitter < p.spacing:
        raise ConfigurationError(f"jitter = {p.jitter} s must be less than half of spacing = {p.spacing} s")
    regular = p.start + p.buffer + p.jitter + p.spacing * np.arange(p.capacity)
    return np.asarray(regular + rng.uniform(-p.jitter, p.jitter, p.capacity))
