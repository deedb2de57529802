"""The challenge's data sets of simulated noise: which binaries, noise and waveforms each has.

Source: Schäfer et al., arXiv:2209.11146, section II. Its fourth data set is of recorded noise, and not made here.
"""

from dataclasses import dataclass
from typing import Final

from aframe.errors import ConfigurationError

IFOS: Final = ("H1", "L1")
"""Detectors of all data sets."""

SAMPLE_RATE: Final = 2048.0
"""Sampling rate of all data sets, Hz."""

MINIMUM_FREQUENCY: Final = 20.0
"""Frequency at which signals begin, and at which spins are defined, Hz."""

PADDING: Final = 30.0
"""Seconds at either end of a segment in which no signal counts."""

SPACING: Final = (18.0, 30.0)
"""Smallest and largest time from one merger to the next, s: 24 ± 6."""

CHIRP_DISTANCES: Final = (130.0, 350.0)
"""Smallest and largest chirp distance, Mpc."""

REFERENCE_CHIRP_MASS: Final = 1.4 * 2**-0.2
"""Chirp mass of two neutron stars of 1.4 solar masses, at which chirp distance and distance are equal, solar masses."""

SECONDS_PER_MONTH: Final = 30 * 86400.0
"""The challenge's month, s."""

LONGEST_SEGMENT: Final = 7200.0
"""Longest segment, s, of data without a list of segments."""

RIGHT_PAD: Final = 1.0
"""Time from a merger to the end of its waveform, s."""

DESIGN_CURVE: Final = "aLIGOZeroDetHighPower"
"""Noise curve of data set 1, by its name in lalsimulation."""

NO_SPINS, ALIGNED_SPINS, ISOTROPIC_SPINS = "none", "aligned", "isotropic"

MAXIMUM_SPIN: Final = 0.99
"""Largest dimensionless spin of a component."""


@dataclass(frozen=True)
class DataSet:
    """A data set.

    Attributes:
        number: Its number in the challenge.
        masses: Smallest and largest detector-frame mass of a component, solar masses.
        spins: ``none``; ``aligned``, uniform in ±``MAXIMUM_SPIN``; or ``isotropic``, of uniform size up to it.
        approximant: Waveform model. The challenge takes IMRPhenomXPHM for all, in sets 1 and 2 with the (2, ±2) modes
            alone. Without spins these are IMRPhenomXAS, and with aligned spins close to it.
        waveform_duration: Length of a waveform, s. Data set 3 has modes that begin before it: they are faint there.
        is_measured: Whether its noise has measured curves. Otherwise it has ``DESIGN_CURVE``.
        is_curve_per_segment: Whether each segment has a curve of its own.
    """

    number: int
    masses: tuple[float, float]
    spins: str
    approximant: str
    waveform_duration: float
    is_measured: bool
    is_curve_per_segment: bool


DATA_SETS: Final = {
    each.number: each
    for each in (
        DataSet(1, (10.0, 50.0), NO_SPINS, "IMRPhenomXAS", 8.0, False, False),
        DataSet(2, (7.0, 50.0), ALIGNED_SPINS, "IMRPhenomXAS", 16.0, True, False),
        DataSet(3, (7.0, 50.0), ISOTROPIC_SPINS, "IMRPhenomXPHM", 16.0, True, True),
    )
}
"""Data sets by number."""


def data_set(number: int) -> DataSet:
    """Find a data set.

    Raises:
        ConfigurationError: If there is no data set of this number.
    """
    if number not in DATA_SETS:
        raise ConfigurationError(f"data set {number} is not made here: choose {', '.join(map(str, DATA_SETS))}")
    return DATA_SETS[number]
