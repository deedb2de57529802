"""Glitches in simulated strain, as a function of seed, detector and GPS time alone.

Waveforms need no file:

    population = read_population("o3")
    glitches = population.draw("L1", 1000, np.random.default_rng(1), classes=("blip", "tomte"))
    series = waveforms(glitches, load_asd("aLIGO_O4_high_asd.txt"), 2048.0, 2.0, whitened_band=(32.0, 1024.0))
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from aframe import seeding
from aframe.strain.glitch_models import MODELS, GlitchModel
from aframe.strain.glitch_population import ClassDistribution, GlitchPopulation
from aframe.strain.noise_curves import FLATTEN_FREQUENCY, NoiseCurve, asd_at
from aframe.tables import GlitchTable
from aframe.types import Array

PERIOD_DURATION = 512.0
"""Length of the time whose glitches come from one random generator, s. Periods start at multiples of it."""

REACH = max(model.reach for model in MODELS.values())
"""Longest time from the middle of a glitch to its end, s."""

BATCH_SIZE = 128
"""Glitches whose waveforms are computed at once."""


def waveforms(
    glitches: GlitchTable,
    curve: NoiseCurve,
    sample_rate: float,
    duration: float,
    *,
    whitened_band: tuple[float, float] | None = None,
) -> Float[Array, "glitches time"]:
    """Compute the waveforms of glitches, each in the middle of its series.

    Args:
        glitches: Glitches. Their times do not matter.
        curve: Noise curve that defines their SNRs.
        sample_rate: Sampling rate, Hz.
        duration: Length of each series, s. What does not fit is cut off.
        whitened_band: None for strain. Otherwise the band, Hz, in which the series is divided by the noise curve. The
            noise itself then has a PSD of 2 / ``sample_rate`` in the band, and the sum of a waveform's squares is the
            square of its SNR in this band.

    Returns:
        Series, shape (glitches, duration * sample_rate). The middle of a glitch is at half of this size.
    """
    size = round(duration * sample_rate)
    result = np.zeros((len(glitches), size))
    for rows, model, spectra, grid in _spectra(glitches, np.zeros(len(glitches)), curve, sample_rate):
        weight: Array | float = 1.0
        if whitened_band is not None:
            inside = (grid >= whitened_band[0]) & (grid <= whitened_band[1])
            weight = inside / asd_at(curve, grid) * np.sqrt(2 / sample_rate)
        whole = model.size(sample_rate)
        first = size // 2 - whole // 2
        part = slice(max(0, -first), min(whole, size - first))
        result[rows, max(0, first) : first + whole] = np.fft.irfft(spectra * weight, n=whole)[:, part]
    return result


def glitches_between(population: GlitchPopulation, ifo: str, start: float, stop: float, *, seed: int) -> GlitchTable:
    """Find the glitches of a detector whose middle is in [start, stop).

    Args:
        population: Population of glitches.
        ifo: Detector.
        start: GPS s.
        stop: GPS s.
        seed: Seed of the run.

    Returns:
        Glitches in order of time.
    """
    periods = range(int(start // PERIOD_DURATION), int(stop // PERIOD_DURATION) + 1)
    table = GlitchTable.concatenate([_of_period(each, k, seed) for each in population.of(ifo) for k in periods])
    table = table.rows(np.argsort(table["glitch_time"], kind="stable"))
    return table.rows((table["glitch_time"] >= start) & (table["glitch_time"] < stop))


def _of_period(distribution: ClassDistribution, period: int, seed: int) -> GlitchTable:
    """Glitches of a class and detector in a period."""
    words = ("glitches", distribution.ifo, distribution.glitch_class)
    before = () if period >= 0 else ("before GPS 0",)
    rng = seeding.generator(seed, *words, *before, abs(period))
    number = int(rng.poisson(distribution.rate_per_hour / 3600 * PERIOD_DURATION))
    times = (period + rng.random(number)) * PERIOD_DURATION
    table = distribution.draw(number, rng)
    table.parameters["glitch_time"] = times
    return table


def glitch_strain(
    glitches: GlitchTable, curve: NoiseCurve, first: int, size: int, sample_rate: float
) -> Float[Array, " time"]:
    """Compute the strain of glitches in a stretch of time.

    Args:
        glitches: Glitches in and around the stretch.
        curve: Noise curve that defines their SNRs.
        first: First sample, counted from GPS 0.
        size: Number of samples.
        sample_rate: Sampling rate, Hz.

    Returns:
        Their sum, shape (size,).
    """
    strain = np.zeros(size)
    position = glitches["glitch_time"] * sample_rate
    middle = np.round(position)
    for rows, model, spectra, _ in _spectra(glitches, (position - middle) / sample_rate, curve, sample_rate):
        whole = model.size(sample_rate)
        series = np.fft.irfft(spectra, n=whole)
        for start, one in zip((middle[rows] - whole // 2 - first).astype(np.int64).tolist(), series, strict=True):
            low, high = max(0, start), min(size, start + whole)
            if low < high:
                strain[low:high] += one[low - start : high - start]
    return strain


def optimal_snr(
    glitches: GlitchTable, reference: NoiseCurve, curve: NoiseCurve, band: tuple[float, float], sample_rate: float
) -> Float[Array, " glitches"]:
    """Compute the optimal SNR of glitches in other noise, or in another band.

    Args:
        glitches: Glitches.
        reference: Noise curve that defines their SNRs.
        curve: Curve of the noise.
        band: Band, Hz.
        sample_rate: Sampling rate, Hz.
    """
    snr = np.zeros(len(glitches))
    for rows, _, spectra, grid in _spectra(glitches, np.zeros(len(glitches)), reference, sample_rate):
        snr[rows] = _norms(spectra, grid, curve, band)
    return snr


def _spectra(
    glitches: GlitchTable, offset: Array, curve: NoiseCurve, sample_rate: float
) -> Iterator[tuple[Array, GlitchModel, Array, Array]]:
    """Discrete transforms of glitches, class by class: numbers of rows, model, transforms, and frequencies in Hz."""
    for name, model in MODELS.items():
        numbers = np.flatnonzero(glitches["glitch_class"] == name)
        grid = np.fft.rfftfreq(model.size(sample_rate), 1 / sample_rate)
        for start in range(0, len(numbers), BATCH_SIZE):
            rows = numbers[start : start + BATCH_SIZE]
            frequency, width, phase = (glitches[column][rows] for column in ("frequency", model.width_name, "phase"))
            spectra = model.spectrum(frequency, width, phase, offset[rows], sample_rate)
            norms = _norms(spectra, grid, curve, (FLATTEN_FREQUENCY, grid[-1]))
            scales = np.divide(glitches["snr"][rows], norms, out=np.zeros(len(rows)), where=norms > 0)
            yield rows, model, scales[:, None] * spectra, grid


def _norms(spectra: Array, grid: Array, curve: NoiseCurve, band: tuple[float, float]) -> Array:
    """Optimal SNRs of series with these transforms: (4 ∫ |h|² / S df)^½, of sums instead of integrals over time."""
    sample_rate, size = 2 * grid[-1], 2 * (len(grid) - 1)
    inside = (grid >= band[0]) & (grid <= band[1])
    power = np.abs(spectra[:, inside] / asd_at(curve, grid[inside])) ** 2
    return np.sqrt(4 / (size * sample_rate) * power.sum(axis=1))
