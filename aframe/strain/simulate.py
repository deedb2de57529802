"""Simulate coloured Gaussian noise as a function of seed, detector and GPS time alone."""

from collections.abc import Callable

import numpy as np
from scipy import signal

from aframe import seeding
from aframe.errors import DataError
from aframe.strain.noise_curves import NoiseCurve, asd_at
from aframe.types import Array

CHUNK_DURATION = 64.0
"""Length of white noise from one random generator, s. Chunks start at multiples of this length."""

KNOT_DURATION = 128.0
"""Time between two curves of noise whose curve changes, s."""

FILTER_DURATION = 8.0
"""Length of the colouring filter, s. It resolves spectral features down to a quarter of a hertz."""


def simulate(curve: NoiseCurve, ifo: str, start: float, stop: float, sample_rate: float, *, seed: int) -> Array:
    """Simulate Gaussian noise with an amplitude spectral density.

    Chunks of white noise start at fixed GPS times. A zero-phase filter colours them. The noise is therefore continuous
    across any border: simulate(a, c) equals simulate(a, b) followed by simulate(b, c).

    Args:
        curve: Noise curve from ``load_asd``. Beyond its ends, and below ``FLATTEN_FREQUENCY``, it is constant.
        ifo: Detector.
        start: Start of the noise, GPS s, at a sample.
        stop: End of the noise, GPS s, at a sample.
        sample_rate: Sampling rate, Hz.
        seed: Seed of the run.

    Returns:
        Double precision, shape ((stop - start) * sample_rate,).

    Raises:
        DataError: If a time lies between samples.
    """
    first, last = sample_index(start, sample_rate), sample_index(stop, sample_rate)
    half = sample_index(FILTER_DURATION / 2, sample_rate)
    taps = colouring_filter(curve, sample_rate, 2 * half + 1)
    white = _white_noise(ifo, first - half, last + half, sample_index(CHUNK_DURATION, sample_rate), seed)
    return signal.oaconvolve(white, taps, mode="valid")


def simulate_changing(
    curve_at: Callable[[float], NoiseCurve], ifo: str, start: float, stop: float, sample_rate: float, *, seed: int
) -> Array:
    """Simulate Gaussian noise whose amplitude spectral density changes with time.

    Filters of the curves at multiples of ``KNOT_DURATION`` colour the same white noise. Between two multiples, their
    results fade into each other. As with ``simulate``, the noise is continuous across any border.

    Args:
        curve_at: Noise curve at a time (GPS s).
        ifo: Detector.
        start: Start of the noise, GPS s, at a sample.
        stop: End of the noise, GPS s, at a sample.
        sample_rate: Sampling rate, Hz.
        seed: Seed of the run.

    Returns:
        Double precision, shape ((stop - start) * sample_rate,).

    Raises:
        DataError: If a time lies between samples.
    """
    first, last = sample_index(start, sample_rate), sample_index(stop, sample_rate)
    half, knot = (sample_index(each, sample_rate) for each in (FILTER_DURATION / 2, KNOT_DURATION))
    chunk = sample_index(CHUNK_DURATION, sample_rate)
    result = np.empty(last - first)
    numbers = range(first // knot, (last - 1) // knot + 1)
    right = colouring_filter(curve_at(numbers.start * KNOT_DURATION), sample_rate, 2 * half + 1)
    for number in numbers:
        left, right = right, colouring_filter(curve_at((number + 1) * KNOT_DURATION), sample_rate, 2 * half + 1)
        low, high = max(first, number * knot), min(last, (number + 1) * knot)
        white = _white_noise(ifo, low - half, high + half, chunk, seed)
        before, after = (signal.oaconvolve(white, taps, mode="valid") for taps in (left, right))
        share = np.arange(low - number * knot, high - number * knot) / knot
        result[low - first : high - first] = (1 - share) * before + share * after
    return result


def colouring_filter(curve: NoiseCurve, sample_rate: float, size: int) -> Array:
    """Design a zero-phase filter that colours white noise of unit variance with the spectrum of a noise curve.

    Args:
        curve: Noise curve.
        sample_rate: Sampling rate, Hz.
        size: Number of taps, odd.

    Returns:
        Symmetric, Hann-windowed taps, shape (size,).
    """
    response = asd_at(curve, np.fft.rfftfreq(4 * size, 1 / sample_rate))
    impulse = np.fft.irfft(response * np.sqrt(sample_rate / 2), n=4 * size)
    half = size // 2
    return np.concatenate([impulse[-half:], impulse[: half + 1]]) * signal.windows.hann(size + 2)[1:-1]


def _white_noise(ifo: str, first: int, last: int, chunk_size: int, seed: int) -> Array:
    """Samples [first, last) of the detector's white noise, counted from GPS 0."""
    chunks = range(first // chunk_size, (last - 1) // chunk_size + 1)
    noise = np.empty(len(chunks) * chunk_size)
    for position, chunk in enumerate(chunks):
        words = ("noise", ifo, chunk) if chunk >= 0 else ("noise before GPS 0", ifo, -chunk)
        rng = seeding.generator(seed, *words)
        rng.standard_normal(out=noise[position * chunk_size : (position + 1) * chunk_size])
    skip = first - chunks.start * chunk_size
    return noise[skip : skip + last - first]


def sample_index(time: float, sample_rate: float) -> int:
    """Number of samples from GPS 0 to a time.

    Args:
        time: GPS s.
        sample_rate: Sampling rate, Hz.

    Raises:
        DataError: If the time lies between samples.
    """
    second, fraction = divmod(time, 1.0)
    index = second * sample_rate + fraction * sample_rate
    if abs(index - round(index)) > 1e-2:
        raise DataError(
            f"{time} s lies between samples at {sample_rate} Hz: choose times that are whole numbers of samples"
        )
    return round(index)
