"""Waveforms of glitches: short pulses, arches of scattered light, and whistles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

from aframe.strain.noise_curves import FLATTEN_FREQUENCY
from aframe.types import Array

NUM_BOUNCES = 3
"""Arches of scattered light: at the fringe frequency of the slow motion and at its multiples."""

BOUNCE_RATIO = 0.5
"""Amplitude of an arch, relative to the arch below it."""

WHISTLE_RISE = 3.0
"""Rise of a whistle's frequency from its middle to its ends, as a multiple of the frequency in its middle."""

PULSES = ("blip", "low_frequency_blip", "tomte", "koi_fish")
"""Classes of short pulses. They differ in their distributions alone."""


@dataclass(frozen=True)
class Range:
    """Range of a parameter of a class of glitches.

    Attributes:
        lowest: Smallest value.
        highest: Largest value.
    """

    lowest: float
    highest: float


@dataclass(frozen=True)
class GlitchModel:
    """Waveform of a class of glitches.

    Attributes:
        reach: Time from the middle of a glitch to either end, s.
        frequency: Range of its frequency, Hz.
        width_name: Name of the parameter of its width: ``gamma`` or ``duration``.
        width: Range of the width. ``gamma`` is dimensionless, ``duration`` is in s.
        spectrum: Function of frequency, width, phase, offset and sampling rate; see ``pulse``.
    """

    reach: float
    frequency: Range
    width_name: str
    width: Range
    spectrum: Callable[[Array, Array, Array, Array, float], Array]

    def size(self, sample_rate: float) -> int:
        """Number of samples of a whole glitch. It is even.

        Args:
            sample_rate: Sampling rate, Hz.
        """
        return 2 * round(self.reach * sample_rate)


def band(frequency: Array, sample_rate: float) -> Array:
    """Share of a glitch that is left at a frequency: all in the band, none at 5 Hz and at the Nyquist frequency.

    Simulated noise is flat below 10 Hz, so glitches end there. Sharper edges would ring.

    Args:
        frequency: Frequencies, Hz.
        sample_rate: Sampling rate, Hz.
    """
    nyquist = sample_rate / 2
    low = np.clip(2 * frequency / FLATTEN_FREQUENCY - 1, 0, 1)
    high = np.clip(10 * (1 - frequency / nyquist), 0, 1)
    return np.sin(np.pi / 2 * low) ** 2 * np.sin(np.pi / 2 * high) ** 2


def pulse(
    frequency: Float[Array, " glitches"],
    width: Float[Array, " glitches"],
    phase: Float[Array, " glitches"],
    offset: Float[Array, " glitches"],
    sample_rate: float,
) -> Complex[Array, "glitches frequencies"]:
    """Compute spectra of blips, low-frequency blips, tomtes and koi fish: Bondarescu et al. 2023, arXiv:2309.06594.

    h(f) = exp(-γ/2 ln²(f / f₀) + iφ - 2πi f t), before whitening.

    Args:
        frequency: f₀, Hz.
        width: γ.
        phase: φ, rad.
        offset: Time of the glitch after the middle sample, s.
        sample_rate: Sampling rate, Hz.

    Returns:
        Spectra of the ``rfft`` of the series, whose middle sample is the one at half its length.
    """
    reach = MODELS["blip"].reach
    grid = np.fft.rfftfreq(MODELS["blip"].size(sample_rate), 1 / sample_rate)
    distance = np.log(np.maximum(grid, grid[1])) - np.log(frequency)[:, None]
    turn = phase[:, None] - 2 * np.pi * grid * (reach + offset)[:, None]
    return np.exp(-0.5 * width[:, None] * distance**2 + 1j * turn) * band(grid, sample_rate)


def scattered_light(
    frequency: Float[Array, " glitches"],
    width: Float[Array, " glitches"],
    phase: Float[Array, " glitches"],
    offset: Float[Array, " glitches"],
    sample_rate: float,
) -> Complex[Array, "glitches frequencies"]:
    """Compute spectra of scattered light: Accadia et al. 2010, CQG 27 194011; Soni et al. 2021, arXiv:2007.14876.

    A surface that moves as x(t) = x₀ sin(πt / D) scatters light back. The strain is the sine of 4π/λ times its
    distance, with the fringe frequency F cos(πt / D), F = 2 x₀ π / (λ D). Light that bounces n times has n times the
    frequency.

    Args:
        frequency: F, top of the lowest arch, Hz.
        width: D, duration of an arch, half a period of the motion, s.
        phase: 4π/λ times the mean distance, rad.
        offset: Time of the glitch after the middle sample, s.
        sample_rate: Sampling rate, Hz.

    Returns:
        Spectra, as from ``pulse``.
    """
    time = _times(MODELS["scattered_light"].size(sample_rate), offset, sample_rate)
    angle = np.pi * time / width[:, None]
    fringes = phase[:, None] + 2 * (frequency * width)[:, None] * np.sin(angle)
    strain = np.zeros_like(time)
    for bounce in range(1, NUM_BOUNCES + 1):
        share = band(bounce * np.abs(frequency[:, None] * np.cos(angle)), sample_rate)
        strain += BOUNCE_RATIO ** (bounce - 1) * share * np.sin(bounce * fringes)
    return _spectra(strain * _window(time, width), sample_rate)


def whistle(
    frequency: Float[Array, " glitches"],
    width: Float[Array, " glitches"],
    phase: Float[Array, " glitches"],
    offset: Float[Array, " glitches"],
    sample_rate: float,
) -> Complex[Array, "glitches frequencies"]:
    """Compute spectra of whistles: Nuttall et al. 2015, CQG 32 245005.

    A whistle is the beat of two radio-frequency oscillators. Here their difference passes its smallest value F as
    F (1 + 3 (2t / D)²).

    Args:
        frequency: F, Hz.
        width: D, duration, s.
        phase: Phase of the beat in the middle, rad.
        offset: Time of the glitch after the middle sample, s.
        sample_rate: Sampling rate, Hz.

    Returns:
        Spectra, as from ``pulse``.
    """
    time = _times(MODELS["whistle"].size(sample_rate), offset, sample_rate)
    square = (2 * time / width[:, None]) ** 2
    beat = phase[:, None] + 2 * np.pi * frequency[:, None] * time * (1 + WHISTLE_RISE * square / 3)
    share = band(frequency[:, None] * (1 + WHISTLE_RISE * square), sample_rate)
    return _spectra(np.cos(beat) * share * _window(time, width), sample_rate)


def _times(size: int, offset: Array, sample_rate: float) -> Array:
    """Times of samples after the middle of each glitch, s, shape (glitches, time)."""
    return (np.arange(size) - size // 2) / sample_rate - offset[:, None]


def _window(time: Array, duration: Array) -> Array:
    """Tukey window over a duration: flat in its middle half, 0 beyond its ends."""
    edge = np.clip(2 - 4 * np.abs(time) / duration[:, None], 0, 1)
    return np.sin(np.pi / 2 * edge) ** 2


def _spectra(strain: Array, sample_rate: float) -> Array:
    """Spectra of series, without what lies outside the band."""
    return np.fft.rfft(strain) * band(np.fft.rfftfreq(strain.shape[-1], 1 / sample_rate), sample_rate)


PULSE = GlitchModel(1.0, Range(10.0, 600.0), "gamma", Range(0.25, 8.0), pulse)

MODELS: Mapping[str, GlitchModel] = dict.fromkeys(PULSES, PULSE) | {
    "scattered_light": GlitchModel(4.0, Range(15.0, 60.0), "duration", Range(1.5, 6.0), scattered_light),
    "whistle": GlitchModel(1.5, Range(80.0, 300.0), "duration", Range(0.2, 2.0), whistle),
}
"""Models of all classes. The ranges of pulses are those of the fits of arXiv:2309.06594."""
