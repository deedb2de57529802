"""Gravitational-wave polarizations from LAL, in batches, on all cores.

LAL gives the waveform in the frequency domain; taper, placement and inverse Fourier transform are ours, so every
approximant comes out alike: coalescence (LAL's time zero) lies ``right_pad`` before the end, to the sample.
"""

import functools
import math
import mmap
import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import lal
import lalsimulation
import numpy as np
from scipy import fft

from aframe.errors import ConfigurationError
from aframe.processes import die_with_parent
from aframe.spectral import to_samples
from aframe.types import Array

CHUNK = 32
"""Waveforms that are transformed together."""

LOWEST_START = 0.75
"""Start of the low-frequency taper over ``minimum_frequency``: as low as the chirp's length allows …"""

HIGHEST_START = 0.92
"""… and at most this; a signal that is then still too long is made on a longer grid."""

EDGE_LENGTH = 0.25
"""Seconds over which a waveform rises from zero at its first sample."""

SHORT = 4
"""High frequencies are made on a grid this many times shorter than the waveform …"""

CROSSOVER = 1.3
"""… that takes over between its lowest frequency and this multiple of it."""

SPIN_COLUMNS = ("theta_jn", "phi_jl", "tilt_1", "tilt_2", "phi_12", "a_1", "a_2")
COLUMNS = ("mass_1", "mass_2", "luminosity_distance", *SPIN_COLUMNS, "phase")


@dataclass(frozen=True)
class WaveformGenerator:
    """How polarizations are made.

    Attributes:
        approximant: LAL's name of the waveform model.
        sample_rate: Hz.
        duration: Seconds of each waveform.
        right_pad: Seconds from coalescence to the waveform's end.
        minimum_frequency: Hz; below, the spectrum falls to zero smoothly.
        reference_frequency: Hz, at which spins are defined.

    Raises:
        ConfigurationError: If LAL does not know the approximant.
    """

    approximant: str
    sample_rate: float
    duration: float
    right_pad: float
    minimum_frequency: float
    reference_frequency: float

    def __post_init__(self) -> None:
        index = getattr(lalsimulation, self.approximant, None)
        known = isinstance(index, int) and 0 <= index < lalsimulation.NumApproximants
        if not known or lalsimulation.GetStringFromApproximant(index) != self.approximant:
            raise ConfigurationError(
                f"approximant = {self.approximant} is unknown to LAL: IMRPhenomPv2 is one it knows"
            )
        if not any(f(index) for f in (lalsimulation.SimInspiralImplementedFDApproximants,
                                      lalsimulation.SimInspiralImplementedTDApproximants)):  # fmt: skip
            raise ConfigurationError(f"approximant = {self.approximant} has no code in LAL: choose another")

    @property
    def size(self) -> int:
        """Samples in a waveform."""
        return 2 * to_samples(self.duration / 2, self.sample_rate, "half of waveform_duration")

    @property
    def right_pad_size(self) -> int:
        """Samples from coalescence to the end."""
        return to_samples(self.right_pad, self.sample_rate, "right_pad")

    @property
    def has_higher_modes(self) -> bool:
        """Whether the model has modes besides the quadrupole, which begin earlier and radiate otherwise."""
        return any(word in self.approximant for word in ("HM", "SEOBNRv4P", "NRSur", "SEOBNRv5P", "XO4"))

    def generate(self, parameters: Mapping[str, Array], workers: int | None = None) -> tuple[Array, Array]:
        """Make the polarizations of some binaries.

        Args:
            parameters: Columns of shape (n,) in bilby's names and units, masses detector-frame.
            workers: Processes; all cores when None. The result does not depend on it.

        Returns:
            Plus and cross, each float32 of shape (n, size). What LAL fails to make, or makes not finite, is NaN.
        """
        number = len(parameters["mass_1"])
        job = _Job(self, parameters, *_shared_arrays(number, self.size))
        starts = range(0, number, CHUNK)
        processes = min(_processes(workers), len(starts))
        if processes <= 1:
            for start in starts:
                job.run(start)
            return job.plus, job.cross
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(processes, context, initializer=_adopt, initargs=(job,)) as pool:
            for _ in pool.map(_run_adopted, starts, chunksize=4):
                pass
        return job.plus, job.cross

    @functools.cached_property
    def _index(self) -> int:
        return int(getattr(lalsimulation, self.approximant))

    @functools.cached_property
    def _in_frequency_domain(self) -> bool:
        return bool(lalsimulation.SimInspiralImplementedFDApproximants(self._index))

    def _bands(self, mass_1: float, mass_2: float, spin_1z: float, spin_2z: float) -> "list[_Band]":
        """In which pieces of the spectrum, each on how long a grid, nothing wraps around.

        Times before coalescence scale as frequency^(−8/3); the fourth mode at f is as old as the quadrupole at f / 2.
        High frequencies are all young: on a short grid they need a fraction of the points.
        """
        lowest, nyquist = self.minimum_frequency, self.sample_rate / 2
        heavy, light = mass_1 * lal.MSUN_SI, mass_2 * lal.MSUN_SI
        length = lalsimulation.SimInspiralChirpTimeBound(lowest, heavy, light, spin_1z, spin_2z)
        oldest = length * (2.0 ** (8 / 3) if self.has_higher_modes else 1.0)

        def fits(room: float) -> float:
            return lowest * (oldest / (room - self.right_pad - EDGE_LENGTH)) ** (3 / 8)

        short, start = self.duration / SHORT, LOWEST_START * lowest
        can_split = self.size % (2 * SHORT) == 0 and self.right_pad + EDGE_LENGTH < short and self._in_frequency_domain
        if can_split and fits(short) <= start:
            return [_Band((start, lowest), None, self.size // SHORT)]
        if fits(self.duration) <= HIGHEST_START * lowest:
            rise, factor = (max(start, fits(self.duration)), lowest), 1
        else:
            start = max(start, lowest * (length / (2 * self.duration - self.right_pad)) ** (3 / 8))
            needed = oldest * (lowest / start) ** (8 / 3) + self.right_pad
            rise, factor = (
                (start, max(lowest, 1.2 * start)),
                2 ** max(1, math.ceil(math.log2(needed / self.duration) - 1e-6)),
            )
        border = (max(fits(short), rise[1]), CROSSOVER * max(fits(short), rise[1])) if can_split else (nyquist, nyquist)
        if border[1] >= nyquist / 2:
            return [_Band(rise, None, self.size * factor)]
        return [_Band(rise, border, self.size * factor), _Band(border, None, self.size // SHORT)]

    def _spectra(self, row: Mapping[str, float]) -> "list[tuple[_Band, Array, Array]]":
        """Bands and spectra of one binary; coalescence at the grids' first sample."""
        heavy, light = row["mass_1"] * lal.MSUN_SI, row["mass_2"] * lal.MSUN_SI
        inclination, *spins = _spin_components(row, heavy, light, self.reference_frequency)
        make = lalsimulation.SimInspiralChooseFDWaveform if self._in_frequency_domain else lalsimulation.SimInspiralFD
        result = []
        for band in self._bands(row["mass_1"], row["mass_2"], spins[2], spins[5]):
            step = self.sample_rate / band.size
            top = self.sample_rate / 2 if band.fall is None else band.fall[1]
            plus, cross = make(
                heavy, light, *spins, row["luminosity_distance"] * 1e6 * lal.PC_SI, inclination, row["phase"],
                0.0, 0.0, 0.0, step, band.rise[0], top, self.reference_frequency, None, self._index,
            )  # fmt: skip
            result.append((band, self._at_coalescence(plus, step), self._at_coalescence(cross, step)))
        return result

    def _at_coalescence(self, series: "lal.COMPLEX16FrequencySeries", step: float) -> Array:
        """The series on a grid of ``step`` Hz, its phase referred to coalescence."""
        values: Array = series.data.data
        if self._in_frequency_domain:
            return values
        frequency = np.arange(len(values)) * series.deltaF
        return (values * np.exp(-2j * np.pi * frequency * float(series.epoch)))[:: max(1, round(step / series.deltaF))]

    def _chunk(self, parameters: Mapping[str, Array]) -> Array:
        """Polarizations of shape (2, n, size) of a few binaries."""
        number = len(parameters["mass_1"])
        result = np.zeros((2, number, self.size), dtype=np.float32)
        made: dict[int, list[tuple[int, _Band, Array, Array]]] = {}
        for i in range(number):
            try:
                pieces = self._spectra({name: float(parameters[name][i]) for name in COLUMNS})
            except RuntimeError:  # LAL's word for parameters outside a model's domain
                result[:, i] = np.nan
                continue
            for piece in pieces:
                made.setdefault(piece[0].size, []).append((i, *piece))
        for size, group in made.items():
            wave = self._transform(size, [piece[1:] for piece in group])
            result[:, [i for i, *_ in group], self.size - wave.shape[-1] :] += wave
        result[:, ~np.isfinite(result).all(axis=(0, 2))] = np.nan
        return result

    def _transform(self, size: int, pieces: "list[tuple[_Band, Array, Array]]") -> Array:
        """Taper, inverse transform and placement of the spectra of one grid length; at most ``self.size`` samples."""
        spectra = np.zeros((2, len(pieces), size // 2 + 1), dtype=np.complex64)
        for j, (band, plus, cross) in enumerate(pieces):
            for spectrum, values in zip(spectra[:, j], (plus, cross), strict=True):
                top = min(len(values), len(spectrum))
                spectrum[:top] = values[:top]
                band.taper(spectrum, self.sample_rate / size)
        waves = fft.irfft(spectra, n=size, axis=-1, overwrite_x=True)
        kept, pad, rise = min(size, self.size), self.right_pad_size, _cosine(round(EDGE_LENGTH * self.sample_rate))
        result = np.empty((2, len(pieces), kept), dtype=np.float32)
        result[..., : kept - pad] = waves[..., size - (kept - pad) :]
        result[..., kept - pad :] = waves[..., :pad]
        result[..., : len(rise)] *= rise
        result *= np.float32(self.sample_rate)
        return result


@dataclass(frozen=True)
class _Band:
    """A piece of the spectrum: frequencies (Hz) between which it rises and falls, and its grid's length in samples."""

    rise: tuple[float, float]
    fall: tuple[float, float] | None
    size: int

    def taper(self, spectrum: Array, step: float) -> None:
        """Multiply a spectrum of spacing ``step`` Hz, in place; one band's fall and the next one's rise add to 1."""
        rising, first, last = _between(self.rise, step)
        spectrum[:first] = 0
        spectrum[first:last] *= rising
        if self.fall is not None:
            rising, first, last = _between(self.fall, step)
            spectrum[first:last] *= 1 - rising
            spectrum[last:] = 0


@functools.lru_cache(maxsize=64)
def _between(limits: tuple[float, float], step: float) -> tuple[Array, int, int]:
    """Half a cosine from 0 to 1 between two frequencies, and the bins it stands in."""
    low, high = limits
    first, last = math.ceil(low / step), math.ceil(high / step)
    phase = np.pi * (np.arange(first, last) * step - low) / (high - low)
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32), first, last


@dataclass(frozen=True)
class _Job:
    """Parameters of many binaries and the arrays, shared between processes, that their waveforms go to."""

    generator: WaveformGenerator
    parameters: Mapping[str, Array]
    plus: Array
    cross: Array

    def run(self, start: int) -> None:
        """Fill the rows of one chunk."""
        rows = slice(start, start + CHUNK)
        self.plus[rows], self.cross[rows] = self.generator._chunk(
            {name: self.parameters[name][rows] for name in COLUMNS}
        )


_adopted: list[_Job] = []
"""In a forked process: the job that it inherited."""


def _adopt(job: _Job) -> None:
    die_with_parent()
    lal.ClobberDebugLevel(0)
    _adopted.append(job)


def _run_adopted(start: int) -> None:
    _adopted[-1].run(start)


def _processes(workers: int | None) -> int:
    """Processes to use: batch-pool children may not have children of their own."""
    if multiprocessing.current_process().daemon:
        return 1
    return workers or len(os.sched_getaffinity(0))


def _shared_arrays(number: int, size: int) -> tuple[Array, Array]:
    """Two float32 arrays of shape (number, size) that forked processes write into."""
    if number == 0:
        return np.empty((0, size), np.float32), np.empty((0, size), np.float32)
    plus, cross = (
        np.frombuffer(mmap.mmap(-1, 4 * number * size), dtype=np.float32).reshape(number, size) for _ in range(2)
    )
    return plus, cross


def _cosine(size: int) -> Array:
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(size) / size)).astype(np.float32)


def _spin_components(
    row: Mapping[str, float], heavy: float, light: float, reference_frequency: float
) -> tuple[float, ...]:
    """Inclination and Cartesian spins from bilby's angles, as ``bilby.gw.conversion.bilby_to_lalsimulation_spins``."""
    z_1, z_2 = row["a_1"] * math.cos(row["tilt_1"]), row["a_2"] * math.cos(row["tilt_2"])
    if all(row[f"a_{i}"] == 0 or row[f"tilt_{i}"] in (0.0, math.pi) for i in (1, 2)):
        return row["theta_jn"], 0.0, 0.0, z_1, 0.0, 0.0, z_2
    angles = (row[name] for name in SPIN_COLUMNS)
    return tuple(
        lalsimulation.SimInspiralTransformPrecessingNewInitialConditions(
            *angles, heavy, light, reference_frequency, row["phase"]
        )
    )
