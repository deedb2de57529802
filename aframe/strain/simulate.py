"""Coloured Gaussian noise that depends on the seed, the detector and the GPS time, and on nothing else."""

from pathlib import Path

import numpy as np
from scipy import signal

from aframe import seeding
from aframe.errors import ConfigurationError, DataError
from aframe.types import Array

CHUNK_DURATION = 64.0
"""Seconds of white noise that come from one generator; chunks start at multiples of it."""

FILTER_DURATION = 8.0
"""Seconds of the colouring filter: features down to a quarter of a hertz are kept."""

FLATTEN_FREQUENCY = 10.0
"""Hz below which the noise curve is held constant, so that seismic noise does not eat the numbers' precision."""

QUIETEST, LOUDEST = 1e-30, 1e-10
"""ASDs, 1/sqrt(Hz), beyond which a curve is no detector's: third-generation ones have 1e-25, a bar has 1e-21; power
spectral densities, given by mistake, have 1e-40 and less."""

COVERED = 0.9
"""Share of the band's upper end that a curve has to reach: tables end a little below the Nyquist frequency."""

NoiseCurve = tuple[Array, Array]
"""Frequencies in Hz, and amplitude spectral densities in 1/sqrt(Hz)."""


def load_asd(name_or_path: str) -> NoiseCurve:
    """Read a noise curve.

    Args:
        name_or_path: A text file of two columns (Hz, 1/sqrt(Hz)), a ``.npy`` file of two rows, or the name of one
            of bilby's amplitude spectral densities, such as ``aLIGO_O4_high_asd.txt``.

    Returns:
        The table without a row at 0 Hz.

    Raises:
        ConfigurationError: If there is no such curve, naming bilby's.
        DataError: If it is no amplitude spectral density.
    """
    path = Path(name_or_path)
    if not path.is_file():
        path = _bilby_curve(name_or_path)
    try:
        table = np.load(path) if path.suffix == ".npy" else np.loadtxt(path).T
        frequency, asd = np.asarray(table, dtype=np.float64)[:2]
    except ValueError as error:
        raise DataError(
            f"{path} is no table of frequency and ASD ({error}): give two columns, Hz and 1/sqrt(Hz)"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): mend its permissions or the path") from None
    if frequency.ndim == 1 and frequency.size and frequency[0] == 0:  # the curve is interpolated between logarithms
        frequency, asd = frequency[1:], asd[1:]
    rising = frequency.ndim == 1 and frequency.size > 1 and bool((np.diff(frequency, prepend=0.0) > 0).all())
    if not rising or not np.isfinite(asd).all() or not (asd > 0).all():
        raise DataError(f"{path}: frequencies must rise and ASDs be positive and finite: mend the table")
    return frequency, asd


def check_band(curve: NoiseCurve, path: str, lowest: float, highest: float) -> None:
    """Refuse a noise curve that does not cover the band, or is no detector's there.

    Args:
        curve: Noise curve, as from ``load_asd``.
        path: Where it was read from.
        lowest: Hz, where the band begins.
        highest: Hz, where it ends.

    Raises:
        DataError: Naming the frequencies, or the median in the band.
    """
    frequency, asd = curve
    if frequency[0] > lowest or frequency[-1] < COVERED * highest:
        raise DataError(
            f"{path} covers {frequency[0]:g} to {frequency[-1]:g} Hz, not the band of {lowest:g} to {highest:g} Hz: "
            "give a curve that does, or change highpass, lowpass or sample_rate"
        )
    median = float(np.median(np.interp(np.geomspace(lowest, highest, 1000), frequency, asd)))
    if not QUIETEST < median < LOUDEST:
        guess = "it looks like a PSD: give its square root" if median <= QUIETEST else "give 1/sqrt(Hz)"
        raise DataError(f"{path} has a median of {median:.2g} in band, which is no detector's ASD: {guess}")


def _bilby_curve(name: str) -> Path:
    import bilby.gw.detector

    directory = Path(bilby.gw.detector.__file__).parent / "noise_curves"
    known = sorted(path.name for path in directory.glob("*_asd.txt"))
    if name not in known:
        raise ConfigurationError(
            f"asd = {name!r} is neither a file nor one of bilby's noise curves: {', '.join(known)}"
        )
    return directory / name


def simulate(curve: NoiseCurve, ifo: str, start: float, stop: float, sample_rate: float, *, seed: int) -> Array:
    """Gaussian noise with a given amplitude spectral density.

    White noise is drawn in chunks fixed to GPS time and filtered with a zero-phase impulse response, so that
    the noise is continuous across any borders: simulate(a, c) = simulate(a, b) followed by simulate(b, c).

    Args:
        curve: Noise curve, as from ``load_asd``; beyond its ends, and below ``FLATTEN_FREQUENCY``, it is constant.
        ifo: Detector.
        start: GPS seconds, on a sample.
        stop: GPS seconds, on a sample.
        sample_rate: Hz.
        seed: The run's seed.

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
    """Zero-phase filter that gives white noise of unit variance a noise curve's spectrum.

    Args:
        curve: Noise curve.
        sample_rate: Hz.
        size: Taps, an odd number.

    Returns:
        Shape (size,), symmetric; Hann-windowed.
    """
    frequency, asd = curve
    grid = np.fft.rfftfreq(4 * size, 1 / sample_rate)
    wanted = np.exp(np.interp(np.log(np.maximum(grid, FLATTEN_FREQUENCY)), np.log(frequency), np.log(asd)))
    impulse = np.fft.irfft(wanted * np.sqrt(sample_rate / 2), n=4 * size)
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
