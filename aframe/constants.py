"""Constants of physics, the calendar and machines, each defined once."""

from collections.abc import Collection, Mapping
from typing import Final

SECONDS_PER_DAY: Final = 86400.0
SECONDS_PER_YEAR: Final = 31557600.0
"""Julian year (365.25 d), in seconds. All rates per year in this project use it."""

SPEED_OF_LIGHT: Final = 299792458.0
"""Speed of light in vacuum, in m/s."""

SOLAR_MASS_SECONDS: Final = 4.925490947641267e-06
"""G M_sun / c^3, in seconds (IAU 2015 nominal solar mass parameter)."""

LIGHT_TRAVEL_TIME_MAX: Final = 0.0427
"""Earth's diameter over the speed of light, in seconds. It bounds the light travel time between two detectors."""

AUTO: Final = "auto"
"""Value of a configuration key. The machine that runs the computation chooses the setting."""

GPU_FLOPS: Final = 4e13
"""Assumed operations per second of a data centre's GPU in half precision.

It is a twentieth of the peak rate. It follows from a count (docs/performance.md), not from a measurement.
"""

GPU_WINDOWS: Final = 1e6
"""Assumed maximum of windows per second on a GPU. The host process limits this rate."""

TRAINER_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}
"""Precisions from which ``auto`` chooses, and Lightning's name for each."""

PRECISION_CHOICES: Mapping[str, Collection[str]] = {
    "training": tuple(TRAINER_PRECISIONS.values()),
    "scoring": tuple(TRAINER_PRECISIONS),
}
"""Precisions from which ``auto`` chooses, for training and for scoring."""
