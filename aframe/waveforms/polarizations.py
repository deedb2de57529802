"""Gravitational-wave polarizations from LAL, in batches, on all cores.

LAL gives the spectrum of a frequency-domain model, and the conditioned time series of other models. This module adds
taper, placement and inverse Fourier transform. Coalescence is ``right_pad`` before the end, to the sample, for every
approximant. Coalescence is LAL's time zero: that of ``SimInspiralChooseFDWaveform`` for a frequency-domain model, and
that of ``SimInspiralTD`` for others. (For IMRPhenomA, B, C, D, HM, XAS and XHM, the time zero of ``SimInspiralTD`` is
the loudest sample instead, which depends on the direction to the observer.)
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace

import lal
import lalsimulation
import numpy as np
from scipy import fft

from aframe.errors import ConfigurationError, DataError
from aframe.machine.parallel import in_slices, shared_array
from aframe.preprocessing import to_samples
from aframe.types import Array
from aframe.waveforms import approximants
from aframe.waveforms.approximants import ALIGNED, SPIN_COLUMNS
from aframe.waveforms.bands import Band, half_cosine

CHUNK = 32
"""Number of waveforms in one transform."""

LOWEST_START = 0.75
"""Lowest start of the low-frequency taper, in units of ``minimum_frequency``. The chirp's length can raise it."""

HIGHEST_START = 0.92
"""Highest start of that taper on a grid of the waveform's length. Longer signals use a longer grid."""

EDGE_LENGTH = 0.25
"""Duration of the rise from zero at a waveform's first sample, s."""

SHORT = 4
"""Ratio of the waveform's length to that of the short grid for high frequencies."""

CROSSOVER = 1.3
"""Ratio of the frequencies between which the short grid takes over."""

SPLIT_RATIO = 8.0
"""Largest mass ratio for the short grid. Beyond it, IMRPhenomPv2 with large spins can place high frequencies seconds
before or after coalescence."""

OVERSAMPLING = (1, 2, 4, 8)
"""Factors on the sample rate for time-domain models, in order of trial. A model can require a higher rate if its
highest mode exceeds the Nyquist frequency."""

COARSE = 4
"""Number of frequencies in a test whether a model supports a binary."""

WAVEFORM_COLUMNS = ("mass_1", "mass_2", "luminosity_distance", *SPIN_COLUMNS, "phase")


@dataclass(frozen=True)
class WaveformGenerator:
    """Generator of polarizations with LAL.

    Attributes:
        approximant: LAL's name of the waveform model, or several names separated by commas, one for each component of
            a mixture of populations. Tidal deformabilities are zero.
        sample_rate: Sampling rate, Hz.
        duration: Length of each waveform, s. The beginning of a longer signal is lost.
        right_pad: Time from coalescence to the end of the waveform, s.
        minimum_frequency: Frequency below which the spectrum falls smoothly to zero, Hz.
        reference_frequency: Frequency at which spins are defined, Hz. Models that LAL starts with these spins
            (SEOBNRv3, SEOBNRv4P, SEOBNRv4PHM) define them at ``minimum_frequency`` instead.

    Raises:
        ConfigurationError: If LAL has no such approximant, or cannot run it here.
    """

    approximant: str
    sample_rate: float
    duration: float
    right_pad: float
    minimum_frequency: float
    reference_frequency: float

    def __post_init__(self) -> None:
        for name in self.names:
            approximants.find(name)

    @property
    def names(self) -> list[str]:
        """Names of the waveform models."""
        return [name.strip() for name in self.approximant.split(",")]

    def by_component(self, parameters: Mapping[str, Array]) -> "list[tuple[WaveformGenerator, Array]]":
        """Generators of one model each, and the rows of the binaries that each makes.

        Args:
            parameters: Columns of shape (n,). With several models, ``component`` has the number of each binary's model.
        """
        if len(self.names) == 1:
            return [(self, np.arange(len(parameters["mass_1"])))]
        component = parameters["component"]
        return [(replace(self, approximant=name), np.flatnonzero(component == k)) for k, name in enumerate(self.names)]

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
        """Whether the model has modes besides the quadrupole. They begin earlier and radiate in other directions."""
        return any(approximants.find(name).has_higher_modes for name in self.names)

    def check_spins(self, parameters: Mapping[str, Array]) -> None:
        """Check that the model supports the spins of draws.

        Args:
            parameters: Columns, as for ``generate``.

        Raises:
            ConfigurationError: If a component spins but the model has no spins, or a spin is in the orbital plane but
                the model does not precess.
        """
        if len(self.names) > 1:
            for each, rows in self.by_component(parameters):
                each.check_spins(_chosen(parameters, rows))
            return
        self._check_precession(parameters)
        spinning = np.maximum(parameters["a_1"], parameters["a_2"]) != 0
        if spinning.any() and not self._model.has_spins:
            raise ConfigurationError(
                f"approximant = {self.approximant} has no spins, and {spinning.sum()} of {len(spinning)} binaries "
                "spin: choose a prior without, or a model with spins, such as IMRPhenomPv2"
            )

    def generate(self, parameters: Mapping[str, Array], workers: int | None = None) -> tuple[Array, Array]:
        """Compute the polarizations of binaries.

        Args:
            parameters: Columns of shape (n,) in bilby's names and units. Masses are detector-frame.
            workers: Number of processes; None for all cores. The result does not depend on it.

        Returns:
            Plus and cross, each float32 of shape (n, size). They are NaN if LAL fails or the result is not finite.

        Raises:
            ConfigurationError: If a spin is in the orbital plane but the model does not precess.
            DataError: If LAL crashes.
        """
        number = len(parameters["mass_1"])
        if len(self.names) > 1:
            both = np.zeros((2, number, self.size), dtype=np.float32)
            for each, chosen in self.by_component(parameters):
                both[:, chosen] = each.generate(_chosen(parameters, chosen), workers)
            return both[0], both[1]
        self._check_precession(parameters)
        waves = shared_array((2, number, self.size))

        def run(rows: slice) -> None:
            self._fill(waves[:, rows], {name: parameters[name][rows] for name in WAVEFORM_COLUMNS})

        self._in_slices(run, number, CHUNK, workers)
        return waves[0], waves[1]

    def refuses(self, parameters: Mapping[str, Array], workers: int | None = None) -> Array:
        """Find the binaries that LAL refuses. ``generate`` returns NaN for them.

        Pointwise models (``approximants.POINTWISE``) are tested at a few frequencies. For other models LAL computes the
        whole waveform.

        Args:
            parameters: Columns, as for ``generate``.
            workers: Number of processes; None for all cores.

        Returns:
            Booleans of shape (n,).

        Raises:
            ConfigurationError: If a spin is in the orbital plane but the model does not precess.
            DataError: If LAL crashes.
        """
        number = len(parameters["mass_1"])
        if len(self.names) > 1:
            all_refused = np.zeros(number, dtype=bool)
            for each, chosen in self.by_component(parameters):
                all_refused[chosen] = each.refuses(_chosen(parameters, chosen), workers)
            return all_refused
        self._check_precession(parameters)
        refused = shared_array((number,))

        def run(rows: slice) -> None:
            refused[rows] = [self._is_refused(row) for row in binaries(parameters, rows)]

        self._in_slices(run, number, CHUNK * COARSE, workers)
        return refused != 0

    @functools.cached_property
    def _model(self) -> approximants.Approximant:
        return approximants.find(self.approximant)

    def _check_precession(self, parameters: Mapping[str, Array]) -> None:
        if self._model.has_precession:
            return
        across = np.maximum(*(np.abs(parameters[f"a_{i}"] * np.sin(parameters[f"tilt_{i}"])) for i in (1, 2))) > ALIGNED
        if across.any():
            raise ConfigurationError(
                f"approximant = {self.approximant} does not precess, and {across.sum()} of {len(across)} binaries have "
                "spins across the orbit's axis: choose a prior of aligned spins, such as "
                "aframe.waveforms.priors.aligned_spin_bbh, or a model that precesses, such as IMRPhenomPv2"
            )

    def _in_slices(self, run: Callable[[slice], None], number: int, size: int, workers: int | None) -> None:
        try:
            with approximants.silent_lal():
                in_slices(run, number, size, workers)
        except BrokenProcessPool:
            raise DataError(
                f"LAL crashed while it made waveforms with {self.approximant}: choose another approximant, or keep the "
                "prior to the masses and spins that the model is made for"
            ) from None

    def _bands(self, mass_1: float, mass_2: float, spin_1z: float, spin_2z: float) -> list[Band]:
        """Choose frequency bands and lengths of their grids, so that nothing wraps around.

        Times before coalescence scale approximately as frequency^(−8/3). The fourth mode at f has the age of the
        quadrupole at f / 2. High frequencies are close to coalescence and need only a short grid.
        """
        lowest, nyquist = self.minimum_frequency, self.sample_rate / 2
        heavy, light = mass_1 * lal.MSUN_SI, mass_2 * lal.MSUN_SI
        fourth = 2.0 if self.has_higher_modes else 1.0

        def age(frequency: float) -> float:
            return float(lalsimulation.SimInspiralChirpTimeBound(frequency, heavy, light, spin_1z, spin_2z))

        length, oldest = age(lowest), age(lowest / fourth)

        def fits(room: float) -> float:
            room -= self.right_pad + EDGE_LENGTH
            guess = lowest * (oldest / room) ** (3 / 8)
            return guess * (age(guess / fourth) / room) ** (3 / 8)

        short, start = self.duration / SHORT, LOWEST_START * lowest
        can_split = (
            self._model.is_pointwise
            and mass_1 <= SPLIT_RATIO * mass_2
            and self.size % (2 * SHORT) == 0
            and self.right_pad + EDGE_LENGTH < short
        )
        if can_split and fits(short) <= start:
            return [Band((start, lowest), None, self.size // SHORT)]
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
            return [Band(rise, None, self.size * factor)]
        return [Band(rise, border, self.size * factor), Band(border, None, self.size // SHORT)]

    def binary(self, row: Mapping[str, float]) -> tuple[float, ...]:
        """First arguments of LAL's waveform functions, from masses to mean anomaly, in SI units."""
        heavy, light = row["mass_1"] * lal.MSUN_SI, row["mass_2"] * lal.MSUN_SI
        frequency = self.minimum_frequency if self._model.takes_spins_at_start else self.reference_frequency
        inclination, *spins = approximants.spin_components(row, heavy, light, frequency)
        distance = row["luminosity_distance"] * 1e6 * lal.PC_SI
        return heavy, light, *spins, distance, inclination, row["phase"], 0.0, 0.0, 0.0

    def _spectra(self, row: Mapping[str, float]) -> list[tuple[Band, Array, Array]]:
        """Bands and spectra of one binary, with coalescence at the first sample of each grid."""
        binary = self.binary(row)
        result = []
        for band in self._bands(row["mass_1"], row["mass_2"], binary[4], binary[7]):
            step, top = self.sample_rate / band.size, self.sample_rate / 2 if band.fall is None else band.fall[1]
            plus, cross = lalsimulation.SimInspiralChooseFDWaveform(
                *binary, step, band.rise[0], top, self.reference_frequency, None, self._model.index
            )
            result.append((band, plus.data.data, cross.data.data))
        return result

    def _series(self, row: Mapping[str, float]) -> "tuple[lal.REAL8TimeSeries, lal.REAL8TimeSeries, int]":
        """LAL's conditioned time series of one binary, and the factor of their sample rate over ``sample_rate``.

        Raises:
            RuntimeError: If LAL refuses.
        """
        binary = self.binary(row)
        for factor in OVERSAMPLING:
            with contextlib.suppress(RuntimeError):
                plus, cross = lalsimulation.SimInspiralTD(
                    *binary, 1 / (factor * self.sample_rate), self.minimum_frequency, self.reference_frequency, None,
                    self._model.index,
                )  # fmt: skip
                return plus, cross, factor
        raise RuntimeError

    def _is_refused(self, row: Mapping[str, float]) -> bool:
        try:
            if not self._model.in_frequency_domain:
                self._series(row)
            elif not self._model.is_pointwise:
                self._spectra(row)
            else:
                binary, top = self.binary(row), self.sample_rate / 2
                lowest = self._bands(row["mass_1"], row["mass_2"], binary[4], binary[7])[0].rise[0]
                lalsimulation.SimInspiralChooseFDWaveform(
                    *binary, top / COARSE, lowest, top, self.reference_frequency, None, self._model.index
                )
        except RuntimeError:  # LAL raises it for parameters outside a model's domain
            return True
        return False

    def _fill(self, waves: Array, parameters: Mapping[str, Array]) -> None:
        """Compute the polarizations of binaries in an array of zeros of shape (2, n, size)."""
        spectra: dict[int, list[tuple[int, Band, Array, Array]]] = {}
        for i, row in enumerate(binaries(parameters, slice(None))):
            try:
                if self._model.in_frequency_domain:
                    for piece in self._spectra(row):
                        spectra.setdefault(piece[0].size, []).append((i, *piece))
                else:
                    *both, factor = self._series(row)
                    waves[:, i] = [self._place(series, factor) for series in both]
            except RuntimeError:
                waves[:, i] = np.nan
        for size, group in spectra.items():
            transformed = self._transform(size, [piece[1:] for piece in group])
            for j, (i, *_) in enumerate(group):
                waves[:, i, self.size - transformed.shape[-1] :] += transformed[:, j]
        if self._model.is_inspiral_only:
            self._stop(waves, parameters["mass_1"] + parameters["mass_2"])
        waves[:, ~np.isfinite(waves).all(axis=(0, 2))] = np.nan

    def _place(self, series: "lal.REAL8TimeSeries", factor: int) -> Array:
        """Shift a time series of LAL to put its time zero ``right_pad`` before the end, by a fraction of a sample."""
        size = factor * self.size
        start = factor * (self.size - self.right_pad_size) + float(series.epoch) * factor * self.sample_rate
        first = math.floor(start)
        skipped = max(0, -first)
        kept = series.data.data[skipped : max(0, size - first)]
        padded = np.zeros(2 * size)
        padded[first + skipped : first + skipped + len(kept)] = kept
        rise = half_cosine(round(EDGE_LENGTH * factor * self.sample_rate))
        padded[: len(rise)] *= rise
        spectrum = fft.rfft(padded)[: self.size + 1]
        spectrum *= np.exp(-1j * np.pi * (start - first) / size * np.arange(len(spectrum)))
        return fft.irfft(spectrum, n=2 * self.size)[: self.size] / factor

    def _stop(self, waves: Array, total_mass: Array) -> None:
        """End waveforms of shape (2, n, size) at coalescence. They fall over a cycle of the innermost stable orbit."""
        end = self.size - self.right_pad_size
        waves[..., end:] = 0
        for i, mass in enumerate(total_mass):
            fall = half_cosine(round(6**1.5 * np.pi * mass * lal.MTSUN_SI * self.sample_rate))[:end][::-1]
            waves[:, i, end - len(fall) : end] *= fall

    def _transform(self, size: int, pieces: list[tuple[Band, Array, Array]]) -> Array:
        """Taper, transform and place the spectra of one grid length. The result has at most ``self.size`` samples."""
        spectra = np.zeros((2, len(pieces), size // 2 + 1), dtype=np.complex64)
        for j, (band, plus, cross) in enumerate(pieces):
            for spectrum, values in zip(spectra[:, j], (plus, cross), strict=True):
                top = min(len(values), len(spectrum))
                spectrum[:top] = values[:top]
                band.taper(spectrum, self.sample_rate / size)
        waves = fft.irfft(spectra, n=size, axis=-1, overwrite_x=True)
        kept, pad, rise = min(size, self.size), self.right_pad_size, half_cosine(round(EDGE_LENGTH * self.sample_rate))
        result = np.empty((2, len(pieces), kept), dtype=np.float32)
        result[..., : kept - pad] = waves[..., size - (kept - pad) :]
        result[..., kept - pad :] = waves[..., :pad]
        result[..., : len(rise)] *= rise
        result *= np.float32(self.sample_rate)
        return result


def _chosen(parameters: Mapping[str, Array], rows: Array) -> dict[str, Array]:
    """Parameters of some of the binaries."""
    return {name: parameters[name][rows] for name in WAVEFORM_COLUMNS}


def binaries(parameters: Mapping[str, Array], rows: slice) -> Iterator[dict[str, float]]:
    """Parameters of each binary."""
    columns = [parameters[name][rows].tolist() for name in WAVEFORM_COLUMNS]
    return (dict(zip(WAVEFORM_COLUMNS, values, strict=True)) for values in zip(*columns, strict=True))
