"""Glitches of L1 as in O3, in an hour of simulated strain at 2048 Hz: real time per second of a core.

Each glitch is checked: its SNR in the strain must be that of its row.
"""

import numpy as np
from _clocks import core_seconds, middle
from _rows import at_least, sized, tell

from aframe.strain.glitch_population import read_population
from aframe.strain.glitches import REACH, glitch_strain, glitches_between, waveforms
from aframe.strain.noise_curves import NoiseCurve
from aframe.strain.o3_curves import o3_curves
from aframe.types import Array

TARGET = at_least(1000.0)
START, RATE = 1_262_304_000.0, 2048.0
HOURS, ROUNDS = sized((24, 5), (2, 3))


def strain(curve: NoiseCurve, start: float, duration: float) -> Array:
    """Glitches of an hour, without noise."""
    table = glitches_between(read_population("o3"), "L1", start - REACH, start + duration + REACH, seed=1)
    return glitch_strain(table, curve, round(start * RATE), round(duration * RATE), RATE)


def main() -> None:
    curve = o3_curves("L1")[0]
    table = glitches_between(read_population("o3"), "L1", START, START + 3600, seed=1)
    white = waveforms(table, curve, RATE, 2 * REACH, whitened_band=(10.0, RATE / 2))
    if not np.allclose(np.sqrt((white**2).sum(axis=1)), table["snr"], rtol=1e-6):
        raise SystemExit("the SNRs of glitches are not those of their rows")
    strain(curve, START, 3600.0)
    times = [
        core_seconds(lambda: [strain(curve, START + 3600.0 * hour, 3600.0) for hour in range(HOURS)])
        for _ in range(ROUNDS)
    ]
    speeds = HOURS * 3600.0 / np.array(times)
    speed, error = middle(speeds)
    print(f"{HOURS} hours of L1, {len(table)} glitches in the first, each with the SNR of its row")
    tell("simulated_glitches", speed, "× real time", TARGET, error)


if __name__ == "__main__":
    main()
