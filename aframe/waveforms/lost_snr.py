"""Share of the squared signal-to-noise ratio that finite waveforms and sample rates lose, without any waveform."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from aframe.constants import SOLAR_MASS_SECONDS
from aframe.types import Array
from aframe.waveforms.ringdown import ringdown_frequency

FREQUENCIES = 2000
"""Number of frequencies of an integral."""

HIGHEST_FREQUENCY = 8192.0
"""Frequency at which integrals end at the latest, Hz."""

HEAVIEST_NEUTRON_STAR = 3.0
"""Mass from which on a component is a black hole, solar masses. Two neutron stars emit little after they touch."""


@dataclass(frozen=True)
class Band:
    """Frequencies of a search.

    Attributes:
        psd: PSD at some frequencies (Hz), 1/Hz.
        highpass: Lowest frequency, Hz.
        highest: Highest frequency, Hz.
    """

    psd: Callable[[Array], Array]
    highpass: float
    highest: float


def lost_shares(
    binaries: Mapping[str, Array], band: Band, before: float
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Shares of ρ² above ``highpass`` that are early, and that are above the band.

    The spectrum is that of a Newtonian inspiral, |h|² ∝ f^(−7/3), up to the merger. It then falls as f^(−4/3) to the
    ringdown (Ajith et al., arXiv:0710.2335). That of two neutron stars ends at the last stable circular orbit.

    Args:
        binaries: Columns of shape (n,), as ``priors.draw`` gives them.
        band: Frequencies, and their noise.
        before: Time before coalescence that a waveform or template holds, s.

    Returns:
        Share that comes earlier, and share above the highest frequency, each of shape (n,). Binaries without any signal
        above ``highpass`` lose nothing.
    """
    mass_1, mass_2 = binaries["mass_1"], binaries["mass_2"]
    along = (binaries[f"a_{i}"] * np.cos(binaries[f"tilt_{i}"]) for i in (1, 2))
    per_mass = 1 / (np.pi * (mass_1 + mass_2) * SOLAR_MASS_SECONDS)
    eta = mass_1 * mass_2 / (mass_1 + mass_2) ** 2
    merger = (0.2974 * eta**2 + 0.04481 * eta + 0.09556) * per_mass
    end = np.where(mass_1 < HEAVIEST_NEUTRON_STAR, per_mass / 6**1.5, ringdown_frequency(mass_1, mass_2, *along))
    start = frequency_at(before, binaries["chirp_mass"])
    frequency = np.geomspace(band.highpass, HIGHEST_FREQUENCY, FREQUENCIES)
    power = np.where(frequency < merger[:, None], frequency ** (-7 / 3), frequency ** (-4 / 3) / merger[:, None]) * (
        frequency / band.psd(frequency)
    )
    power = np.where(frequency <= end[:, None], power, 0.0)
    total = power.sum(axis=1)
    seen = np.where(total > 0, total, 1.0)
    early = np.where(frequency < start[:, None], power, 0.0).sum(axis=1) / seen
    high = np.where(frequency > band.highest, power, 0.0).sum(axis=1) / seen
    return early, high


def frequency_at(before: float, chirp_mass: Float[Array, " n"]) -> Float[Array, " n"]:
    """Frequency of a Newtonian inspiral some time before coalescence, Hz: (5 / 256 t)^(3/8) (G M / c³)^(−5/8) / π.

    >>> round(float(frequency_at(1.0, np.array([30.0]))[0]))
    18

    Args:
        before: Time before coalescence, s.
        chirp_mass: Detector-frame chirp mass, solar masses.
    """
    return np.asarray((5 / (256 * before)) ** 0.375 * (chirp_mass * SOLAR_MASS_SECONDS) ** -0.625 / np.pi)
