"""Spectra of binaries at chosen frequencies, and the age of an inspiral at them."""

from collections.abc import Mapping

import lal
import lalsimulation
import numpy as np

from aframe.constants import SOLAR_MASS_SECONDS
from aframe.types import Array
from aframe.waveforms import approximants
from aframe.waveforms.polarizations import WAVEFORM_COLUMNS, WaveformGenerator, binaries

IN_SEQUENCE = frozenset({
    "TaylorF2", "IMRPhenomD", "IMRPhenomD_NRTidal", "IMRPhenomD_NRTidalv2", "IMRPhenomHM", "IMRPhenomPv2",
    "IMRPhenomXAS", "IMRPhenomXHM", "IMRPhenomXP", "IMRPhenomXPHM",
})  # fmt: skip
"""Models whose spectrum LAL gives at any frequencies (``SimInspiralChooseFDWaveformSequence``), as on an even grid."""

SCALE = 1e21
"""Factor on spectra. Squares of strain are too small for single precision."""


def has_spectra(generator: WaveformGenerator) -> bool:
    """Whether LAL gives the spectrum of all the generator's models at any frequencies.

    Args:
        generator: Generator of the binaries' polarizations.
    """
    return set(generator.names) <= IN_SEQUENCE


def spectra(generator: WaveformGenerator, parameters: Mapping[str, Array], frequencies: Array) -> Array:
    """Compute the plus polarization of binaries at frequencies, with coalescence at time zero.

    Args:
        generator: Generator of the binaries' polarizations, whose models are of ``IN_SEQUENCE``.
        parameters: Columns of shape (n,), as for ``WaveformGenerator.generate``.
        frequencies: Frequencies, Hz, shape (frequency,), ascending.

    Returns:
        Spectra in units of 1e-21/Hz, complex64, shape (n, frequency). They are NaN if LAL fails.
    """
    columns = {name: np.asarray(parameters[name]) for name in WAVEFORM_COLUMNS}
    if len(generator.names) > 1:
        mixed = np.empty((len(columns["mass_1"]), len(frequencies)), np.complex64)
        for each, chosen in generator.by_component(parameters):
            mixed[chosen] = spectra(each, {name: values[chosen] for name, values in columns.items()}, frequencies)
        return mixed
    index = approximants.find(generator.approximant).index
    sequence = lal.CreateREAL8Vector(len(frequencies))
    sequence.data = np.asarray(frequencies, dtype=np.float64)
    result = np.empty((len(columns["mass_1"]), len(frequencies)), np.complex64)
    with approximants.silent_lal():
        for spectrum, row in zip(result, binaries(columns, slice(None)), strict=True):
            try:
                heavy, light, *spins, distance, inclination, phase, _, _, _ = generator.binary(row)
                plus, _ = lalsimulation.SimInspiralChooseFDWaveformSequence(
                    phase, heavy, light, *spins, generator.reference_frequency, distance, inclination, None, index,
                    sequence,
                )  # fmt: skip
                spectrum[:] = SCALE * plus.data.data
            except RuntimeError:  # LAL raises it for parameters outside a model's domain
                spectrum[:] = np.nan
    return result


def newtonian_phase(chirp_mass: Array, frequency: float) -> Array:
    """Leading term of the phase of an inspiral's spectrum: 3/128 (π G M f / c³)^(−5/3).

    See Allen et al., arXiv:gr-qc/0509116, eq. 3.4.

    Args:
        chirp_mass: Chirp masses in the detector frame, solar masses, shape (n,).
        frequency: Frequency, Hz.

    Returns:
        Phases in radians, shape (n,).
    """
    return 3 / 128 * (np.pi * SOLAR_MASS_SECONDS * np.asarray(chirp_mass) * frequency) ** (-5 / 3)


def ages(parameters: Mapping[str, Array], frequencies: Array) -> Array:
    """Time from each frequency of an inspiral to its coalescence, in the stationary phase approximation.

    It is the slope of TaylorF2's phase, to 3.5 post-Newtonian order. At the end of an inspiral it means nothing.

    Args:
        parameters: Columns of shape (n,), as for ``spectra``. Spins count along the orbit's axis.
        frequencies: Frequencies, Hz, shape (frequency,).

    Returns:
        Times in seconds, shape (n, frequency).
    """
    along = [np.asarray(parameters[f"a_{i}"]) * np.cos(parameters[f"tilt_{i}"]) for i in (1, 2)]
    columns = [np.asarray(parameters[f"mass_{i}"], dtype=np.float64) for i in (1, 2)]
    phasings = [
        lalsimulation.SimInspiralTaylorF2AlignedPhasing(*map(float, binary), None)
        for binary in zip(*columns, *along, strict=True)
    ]
    unit = np.pi * SOLAR_MASS_SECONDS * (columns[0] + columns[1])[:, None]
    speed = (unit * frequencies) ** (1 / 3)
    slope, logarithm = np.zeros_like(speed), np.log(speed)
    for power in range(-5, 3):  # of the speed v in the phase
        plain, logarithmic = (
            np.array([getattr(phasing, name)[power + 5] for phasing in phasings])[:, None] for name in ("v", "vlogv")
        )
        slope += speed**power * (power * plain + logarithmic * (1 + power * logarithm))
    return -slope / (6 * np.pi * frequencies)  # dv/df = v/3f, and 2π
