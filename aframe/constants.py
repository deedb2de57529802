"""Physical and calendar constants, each defined once."""

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
