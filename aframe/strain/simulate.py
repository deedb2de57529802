"""Simulate coloured Gaussian noise as a function of seed, detector and GPS time alone."""

from pathlib import Path

import numpy as np
from scipy import signal

from aframe import seeding, storage
from aframe.errors import ConfigurationError, DataError
from aframe.strain.lists import read_listing
from aframe.types import Array

CHUNK_DURATION = 64.0
"""Length of white noise from one random generator, s. Chunks start at multiples of this length."""

FILTER_DURATION = 8.0
"""Length of the colouring filter, s. It resolves spectral features down to a quarter of a hertz."""

FLATTEN_FREQUENCY = 10.0
"""Frequency below which the noise curve is constant, Hz. Strong seismic noise would reduce numerical precision."""

LOWEST_ASD = 1e-30
"""Lowest plausible ASD of a detector, 1/sqrt(Hz).

Third-generation detectors have 1e-25. Power spectral densities, given by mistake, have 1e-40 or less.
"""

HIGHEST_ASD = 1e-10
"""Highest plausible ASD of a detector, 1/sqrt(Hz). A bar has 1e-21."""

COVERED_SHARE = 0.9
"""Share of the highest frequency that a noise curve must reach. Tables end a little below the Nyquist frequency."""

NAMES_OF_INDEX = ("", "Unnamed: 0")
"""Names of the column of numbers of rows that pandas writes."""

NoiseCurve = tuple[Array, Array]
"""Frequencies in Hz, and amplitude spectral densities in 1/sqrt(Hz)."""


def load_asd(name_or_path: str) -> NoiseCurve:
    """Read a noise curve.

    Args:
        name_or_path: A text file of two columns (Hz, 1/sqrt(Hz)), a ``.npy`` file of two rows or columns, or the name
            of one of bilby's amplitude spectral densities, such as ``aLIGO_O4_high_asd.txt``.

    Returns:
        The table without a row at 0 Hz.

    Raises:
        ConfigurationError: If the curve does not exist. The message lists bilby's curves.
        DataError: If the table is not an amplitude spectral density.
    """
    path = Path(name_or_path)
    if not path.is_file():
        path = _bilby_curve(name_or_path)
    try:
        is_binary = storage.has_suffix(str(path), ".npy")
        table = np.asarray(np.load(path) if is_binary else _numbers(path), np.float64)
    except ValueError as error:
        raise DataError(
            f"{path} is no table of frequency and ASD ({error}): give two columns, Hz and 1/sqrt(Hz)"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): mend its permissions or the path") from None
    table = table.T if is_binary and table.shape[:1] == (2,) else table
    if table.ndim != 2 or table.shape[1] != 2:
        raise DataError(f"{path} has {table.shape[-1]} columns: give two columns, Hz and 1/sqrt(Hz)")
    frequency, asd = table.T
    if (np.diff(frequency) < 0).all():
        frequency, asd = frequency[::-1], asd[::-1]
    if frequency[0] == 0:  # the interpolation uses logarithms
        frequency, asd = frequency[1:], asd[1:]
    repeated = frequency[1:][np.diff(frequency) == 0]
    if repeated.size:
        raise DataError(f"{path} has two rows of {repeated[0]:g} Hz: leave one of them out")
    rising = frequency.size > 1 and bool((np.diff(frequency, prepend=0.0) > 0).all())
    if not rising or not np.isfinite(asd).all() or not (asd > 0).all():
        raise DataError(f"{path}: frequencies must rise and ASDs be positive and finite: mend the table")
    return frequency, asd


def _numbers(path: Path) -> Array:
    """Numbers of a text table without the index that pandas writes, shape (rows, columns)."""
    listing = read_listing(str(path))
    first = 1 if listing.header and listing.header.values[0] in NAMES_OF_INDEX else 0
    return np.array([[float(value) for value in row.values[first:]] for row in listing.rows])


def check_band(curve: NoiseCurve, path: str, lowest: float, highest: float) -> None:
    """Check that a noise curve covers the band, and has a plausible ASD in it.

    Args:
        curve: Noise curve from ``load_asd``.
        path: Path of the curve, for error messages.
        lowest: Lower end of the band, Hz.
        highest: Upper end of the band, Hz.

    Raises:
        DataError: With the frequencies of the curve, or its median in the band.
    """
    frequency, asd = curve
    if frequency[0] > lowest or frequency[-1] < COVERED_SHARE * highest:
        raise DataError(
            f"{path} covers {frequency[0]:g} to {frequency[-1]:g} Hz, not the band of {lowest:g} to {highest:g} Hz: "
            "give a curve that does, or change highpass, lowpass or sample_rate"
        )
    median = float(np.median(np.interp(np.geomspace(lowest, highest, 1000), frequency, asd)))
    if not LOWEST_ASD < median < HIGHEST_ASD:
        guess = "it looks like a PSD: give its square root" if median <= LOWEST_ASD else "give 1/sqrt(Hz)"
        raise DataError(f"{path} has a median of {median:.2g} in band, which is no detector's ASD: {guess}")


def _bilby_curve(name: str) -> Path:
    import bilby.gw.detector

    directory = Path(bilby.gw.detector.__file__).parent / "noise_curves"
    names = sorted(path.name for path in directory.glob("*_asd.txt"))
    if name not in names and (directory / name).is_file():
        raise ConfigurationError(f"asd = {name!r} is a PSD: give one of bilby's ASDs, {', '.join(names)}")
    if name not in names:
        raise ConfigurationError(
            f"asd = {name!r} is neither a file nor one of bilby's noise curves: {', '.join(names)}"
        )
    return directory / name


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
    first, last = _sample_index(start, sample_rate), _sample_index(stop, sample_rate)
    half = _sample_index(FILTER_DURATION / 2, sample_rate)
    taps = colouring_filter(curve, sample_rate, 2 * half + 1)
    white = _white_noise(ifo, first - half, last + half, _sample_index(CHUNK_DURATION, sample_rate), seed)
    return signal.oaconvolve(white, taps, mode="valid")


def colouring_filter(curve: NoiseCurve, sample_rate: float, size: int) -> Array:
    """Design a zero-phase filter that colours white noise of unit variance with the spectrum of a noise curve.

    Args:
        curve: Noise curve.
        sample_rate: Sampling rate, Hz.
        size: Number of taps, odd.

    Returns:
        Symmetric, Hann-windowed taps, shape (size,).
    """
    frequency, asd = curve
    grid = np.fft.rfftfreq(4 * size, 1 / sample_rate)
    response = np.exp(np.interp(np.log(np.maximum(grid, FLATTEN_FREQUENCY)), np.log(frequency), np.log(asd)))
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


def _sample_index(time: float, sample_rate: float) -> int:
    """Number of samples from GPS 0."""
    second, fraction = divmod(time, 1.0)
    index = second * sample_rate + fraction * sample_rate
    if abs(index - round(index)) > 1e-2:
        raise DataError(
            f"{time} s lies between samples at {sample_rate} Hz: choose times that are whole numbers of samples"
        )
    return round(index)
