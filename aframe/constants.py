"""Constants of physics, the calendar and machines, each defined once."""

from collections.abc import Collection, Mapping
from typing import Final

SECONDS_PER_DAY: Final = 86400.0
SECONDS_PER_YEAR: Final = 31557600.0
"""Julian year (365.25 d), in seconds: every rate per year in this project uses it."""

SPEED_OF_LIGHT: Final = 299792458.0
"""m/s."""

SOLAR_MASS_SECONDS: Final = 4.925490947641267e-06
"""G M_sun / c^3, in seconds (IAU 2015 nominal solar mass parameter)."""

LIGHT_TRAVEL_TIME_MAX: Final = 0.0427
"""Earth's diameter over the speed of light, in seconds: no two detectors are further apart."""

AUTO: Final = "auto"
"""Value of a key that leaves the choice to the machine that computes."""

GPU_FLOPS: Final = 4e13
"""Operations a second that a data centre's GPU is taken to do in half precision, a twentieth of what it can at most: by
count (docs/performance.md), not by measurement."""

GPU_WINDOWS: Final = 1e6
"""Windows a second that a GPU is taken to do at most: what the process around it keeps up with."""

TRAINER_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}
"""The precisions from which ``auto`` chooses, and Lightning's names of them."""

PRECISION_CHOICES: Mapping[str, Collection[str]] = {
    "training": tuple(TRAINER_PRECISIONS.values()),
    "scoring": tuple(TRAINER_PRECISIONS),
}
"""What ``auto`` may come to, by what is computed."""
