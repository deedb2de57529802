"""Noise curves that change with time: from one curve of a pool to another, in level, and in the place of lines."""

import functools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from aframe import seeding
from aframe.strain.curve_pool import CurvePool
from aframe.strain.noise_curves import FLATTEN_FREQUENCY, NoiseCurve, asd_at
from aframe.types import Array

LEVEL_SPREAD = 0.03
"""Standard deviation of the logarithm of a curve's level. It adds to the differences between the pool's curves."""

LINE_SPREAD = 0.25
"""Standard deviation of the distance of a line from its frequency, Hz."""

STEP = 0.25
"""Step between frequencies of a changing curve, Hz. Simulated noise resolves no smaller one."""

SMOOTH_WIDTH = 16.0
"""Width of the running median that separates lines from the smooth curve, Hz."""


@dataclass(frozen=True)
class State:
    """State of a detector at a time.

    Attributes:
        curve: Number of its curve in the pool.
        level: Logarithm of its level.
        line_distance: Distance of its lines from their frequencies, Hz.
    """

    curve: int
    level: float
    line_distance: float


@dataclass(frozen=True)
class DriftingCurve:
    """Curve of a detector that changes with time.

    At each multiple of the time scale, a detector has a random state. Between two of them, a cosine leads from one to
    the other. The curve depends on time, detector and seed alone, so it is continuous across segments and files.

    Attributes:
        pool: Curves of the detector.
        time_scale: Time from one state to the next, s.
        seed: Seed of the run.
    """

    pool: CurvePool
    time_scale: float
    seed: int

    def state(self, number: int) -> State:
        """Draw the state at a multiple of the time scale.

        Args:
            number: The multiple.
        """
        before = () if number >= 0 else ("before GPS 0",)
        rng = seeding.generator(self.seed, "drift", self.pool.ifo, *before, abs(number))
        level, distance = rng.standard_normal(2) * (LEVEL_SPREAD, LINE_SPREAD)
        return State(int(rng.integers(len(self.pool.curves))), float(level), float(distance))

    def at(self, time: float) -> NoiseCurve:
        """Noise curve at a time.

        Args:
            time: GPS s.
        """
        number, rest = divmod(time, self.time_scale)
        first, second = self.state(int(number)), self.state(int(number) + 1)
        weight = (1 - np.cos(np.pi * rest / self.time_scale)) / 2
        distance = (1 - weight) * first.line_distance + weight * second.line_distance
        log_asd = np.zeros(len(self._grid))
        for state, share in ((first, 1 - weight), (second, weight)):
            smooth, lines = self._parts[state.curve]
            log_asd += share * (smooth + state.level + np.interp(self._grid - distance, self._grid, lines))
        return self._grid, np.exp(log_asd)

    @functools.cached_property
    def _grid(self) -> Array:
        highest = max(frequency[-1] for frequency, _ in self.pool.curves)
        return np.arange(FLATTEN_FREQUENCY, highest + STEP, STEP)

    @functools.cached_property
    def _parts(self) -> list[tuple[Array, Array]]:
        """Logarithms of the smooth part and of the lines of each curve."""
        parts = []
        for curve in self.pool.curves:
            log_asd = np.log(asd_at(curve, self._grid))
            smooth = median_filter(log_asd, round(SMOOTH_WIDTH / STEP) + 1)
            parts.append((smooth, log_asd - smooth))
        return parts
