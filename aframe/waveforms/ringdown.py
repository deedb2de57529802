"""Spin, energy and ringdown frequency of a binary's remnant. There is little radiation above this frequency."""

import numpy as np

from aframe.constants import SOLAR_MASS_SECONDS
from aframe.types import Array


def final_spin(mass_1: Array, mass_2: Array, spin_1z: Array, spin_2z: Array) -> Array:
    """Dimensionless spin of the remnant of a binary with aligned spins (Husa et al., arXiv:1508.07250, eq. 3.6).

    Args:
        mass_1: Mass of one component, any unit, shape (n,).
        mass_2: Mass of the other component, same unit, shape (n,).
        spin_1z: Dimensionless spin of the first component along the orbital angular momentum, shape (n,).
        spin_2z: Dimensionless spin of the other component along the orbital angular momentum, shape (n,).
    """
    total = mass_1 + mass_2
    eta = mass_1 * mass_2 / total**2
    s = (mass_1**2 * spin_1z + mass_2**2 * spin_2z) / total**2
    orbital = 2 * np.sqrt(3) - 4.399247300629289 * eta + 9.397292189321194 * eta**2 - 13.180949901606242 * eta**3
    first = 1 / eta - 0.0850917821418767 - 5.837029316602263 * eta
    second = 0.1014665242971878 - 2.0967746996832157 * eta
    third = -1.3546806617824356 + 4.108962025369336 * eta
    fourth = -0.8676969352555539 + 2.064046835273906 * eta
    return np.asarray(eta * (orbital + s * (first + s * (second + s * (third + s * fourth)))))


def radiated_energy(mass_1: Array, mass_2: Array, spin_1z: Array, spin_2z: Array) -> Array:
    """Radiated share of the total mass (Husa et al., arXiv:1508.07250, eq. 3.8).

    Args:
        mass_1: Mass of one component, any unit, shape (n,).
        mass_2: Mass of the other component, same unit, shape (n,).
        spin_1z: Dimensionless spin of the first component along the orbital angular momentum, shape (n,).
        spin_2z: Dimensionless spin of the other component along the orbital angular momentum, shape (n,).
    """
    eta = mass_1 * mass_2 / (mass_1 + mass_2) ** 2
    s = (mass_1**2 * spin_1z + mass_2**2 * spin_2z) / (mass_1**2 + mass_2**2)
    nonspinning = eta * (
        0.055974469826360077 + 0.5809510763115132 * eta - 0.9606726679372312 * eta**2 + 3.352411249771192 * eta**3
    )
    above = 1 + (-0.0030302335878845507 - 2.0066110851351073 * eta + 7.7050567802399215 * eta**2) * s
    below = 1 + (-0.6714403054720589 - 1.4756929437702908 * eta + 7.304676214885011 * eta**2) * s
    return np.asarray(nonspinning * above / below)


def ringdown_frequency(mass_1: Array, mass_2: Array, spin_1z: Array, spin_2z: Array) -> Array:
    """Frequency of the remnant's fundamental quadrupole mode, f = (1.5251 − 1.1568 (1 − a)^0.1292) / (2π M).

    M and a are the remnant's mass and spin (Berti, Cardoso & Will, gr-qc/0512160, table VIII; accurate to 2 per cent
    up to a = 0.98). The quadrupole's spectrum falls off exponentially above this frequency. Spins in the orbital plane
    and higher modes radiate at somewhat higher frequencies.

    Args:
        mass_1: Mass of one component, detector frame, solar masses, shape (n,).
        mass_2: Mass of the other component, detector frame, solar masses, shape (n,).
        spin_1z: Dimensionless spin of the first component along the orbital angular momentum, shape (n,).
        spin_2z: Dimensionless spin of the other component along the orbital angular momentum, shape (n,).

    Returns:
        Frequency in Hz, shape (n,).
    """
    binary = mass_1, mass_2, spin_1z, spin_2z
    spin = np.clip(final_spin(*binary), -1.0, 1.0)
    mass = (mass_1 + mass_2) * (1 - radiated_energy(*binary)) * SOLAR_MASS_SECONDS
    return np.asarray((1.5251 - 1.1568 * (1 - spin) ** 0.1292) / (2 * np.pi * mass))
