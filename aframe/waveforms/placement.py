"""Where in a time slide of a segment its injections lie."""

from dataclasses import dataclass

import numpy as np

from aframe.errors import ConfigurationError
from aframe.types import Array


@dataclass(frozen=True)
class Placement:
    """Where the injections of one segment and time slide may lie.

    Attributes:
        start: GPS s.
        stop: GPS s.
        spacing: Seconds from one to the next.
        buffer: Seconds kept free at both ends.
        jitter: Largest random offset, in seconds, from the regular spacing.
        shift: Seconds by which each detector's data are shifted.
    """

    start: float
    stop: float
    spacing: float
    buffer: float
    jitter: float
    shift: tuple[float, ...]

    @property
    def capacity(self) -> int:
        """How many injections fit."""
        room = self.stop - self.start - 2 * (self.buffer + self.jitter)
        return 0 if room < 0 else int(np.floor(room / self.spacing + 1e-9)) + 1


def injection_times(placement: Placement, rng: np.random.Generator) -> Array:
    """Regularly spaced times with a random offset each, in GPS s; as many as fit.

    Args:
        placement: Where they may lie; both ends' buffer stays free whatever the offsets.
        rng: Source of the offsets.

    Raises:
        ConfigurationError: If offsets could make injections change places.
    """
    p = placement
    if not 0 <= 2 * p.jitter < p.spacing:
        raise ConfigurationError(f"jitter = {p.jitter} s must be less than half of spacing = {p.spacing} s")
    regular = p.start + p.buffer + p.jitter + p.spacing * np.arange(p.capacity)
    return np.asarray(regular + rng.uniform(-p.jitter, p.jitter, p.capacity))
