"""Gravitational-wave polarizations from LAL, in batches, on all cores.

LAL gives the waveform in the frequency domain where the model has one, else its conditioned time series; taper,
placement and inverse Fourier transform are ours, so every approximant comes out alike: coalescence lies ``right_pad``
before the end, to the sample. Coalescence is LAL's time zero: of a frequency-domain model the zero of
``SimInspiralChooseFDWaveform``, of others that of ``SimInspiralTD``. (Of IMRPhenomA, B, C, D, HM, XAS and XHM,
``SimInspiralTD`` calls the loudest sample zero instead, which depends on the direction that the binary is seen from.)
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import lal
import lalsimulation
import numpy as np
from scipy import fft

from aframe.errors import ConfigurationError, DataError
from aframe.machine.parallel import in_slices, shared_array
from aframe.preprocessing import to_samples
from aframe.types import Array
from aframe.waveforms import approximants
from aframe.waveforms.bands import Band, half_cosine

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

SPLIT_RATIO = 8.0
"""Mass ratio up to which high frequencies are trusted to be young: beyond, IMRPhenomPv2 with large spins can put them
seconds before coalescence, or after."""

OVERSAMPLING = (1, 2, 4, 8)
"""Time-domain models that refuse a sample rate, their highest mode being above its Nyquist frequency, are made at a
multiple of it: the first of these that they take."""

COARSE = 4
"""Frequencies at which a model is asked whether it refuses a binary."""

ALIGNED = 1e-9
"""Spins whose part across the orbit's axis is smaller lie along it."""

SPIN_COLUMNS = ("theta_jn", "phi_jl", "tilt_1", "tilt_2", "phi_12", "a_1", "a_2")
COLUMNS = ("mass_1", "mass_2", "luminosity_distance", *SPIN_COLUMNS, "phase")


@dataclass(frozen=True)
class WaveformGenerator:
    """How polarizations are made.

    Attributes:
        approximant: LAL's name of the waveform model. Tidal deformabilities are zero.
        sample_rate: Hz.
        duration: Seconds of each waveform; a longer signal's beginning is lost.
        right_pad: Seconds from coalescence to the waveform's end.
        minimum_frequency: Hz; below, the spectrum falls to zero smoothly.
        reference_frequency: Hz, at which spins are defined; by the models that LAL starts with the spins given
            (SEOBNRv3, SEOBNRv4P, SEOBNRv4PHM), at ``minimum_frequency`` instead.

    Raises:
        ConfigurationError: If LAL does not know the approximant or cannot run it here.
    """

    approximant: str
    sample_rate: float
    duration: float
    right_pad: float
    minimum_frequency: float
    reference_frequency: float

    def __post_init__(self) -> None:
        approximants.find(self.approximant)

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
        return self._model.has_higher_modes

    def check_spins(self, parameters: Mapping[str, Array]) -> None:
        """Refuse spins that no draw of a prior should have given to this model.

        Args:
            parameters: Columns as ``generate`` takes them.

        Raises:
            ConfigurationError: If a component spins and the model has no spins, or across the orbit's axis and the
                model does not precess.
        """
        self._check_precession(parameters)
        spinning = np.maximum(parameters["a_1"], parameters["a_2"]) != 0
        if spinning.any() and not self._model.has_spins:
            raise ConfigurationError(
                f"approximant = {self.approximant} has no spins, and {spinning.sum()} of {len(spinning)} binaries "
                "spin: choose a prior without, or a model with spins, such as IMRPhenomPv2"
            )

    def generate(self, parameters: Mapping[str, Array], workers: int | None = None) -> tuple[Array, Array]:
        """Make the polarizations of some binaries.

        Args:
            parameters: Columns of shape (n,) in bilby's names and units, masses detector-frame.
            workers: Processes; all cores when None. The result does not depend on it.

        Returns:
            Plus and cross, each float32 of shape (n, size). What LAL refuses to make, or makes not finite, is NaN.

        Raises:
            ConfigurationError: If a spin has a part across the orbit's axis and the model does not precess.
            DataError: If LAL crashes.
        """
        self._check_precession(parameters)
        number = len(parameters["mass_1"])
        waves = shared_array((2, number, self.size))

        def run(rows: slice) -> None:
            self._fill(waves[:, rows], {name: parameters[name][rows] for name in COLUMNS})

        self._in_slices(run, number, CHUNK, workers)
        return waves[0], waves[1]

    def refuses(self, parameters: Mapping[str, Array], workers: int | None = None) -> Array:
        """Which binaries LAL refuses to make: those that ``generate`` makes NaN, unless LAL made them not finite.

        Of the models that are computed frequency by frequency (``approximants.POINTWISE``) it asks for a few
        frequencies only; of others, it has LAL make the whole.

        Args:
            parameters: Columns as ``generate`` takes them.
            workers: Processes; all cores when None.

        Returns:
            Booleans of shape (n,).

        Raises:
            ConfigurationError: If a spin has a part across the orbit's axis and the model does not precess.
            DataError: If LAL crashes.
        """
        self._check_precession(parameters)
        number = len(parameters["mass_1"])
        refused = shared_array((number,))

        def run(rows: slice) -> None:
            refused[rows] = [self._is_refused(row) for row in _rows(parameters, rows)]

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
            with _silent_lal():
                in_slices(run, number, size, workers)
        except BrokenProcessPool:
            raise DataError(
                f"LAL crashed while it made waveforms with {self.approximant}: choose another approximant, or keep the "
                "prior to the masses and spins that the model is made for"
            ) from None

    def _bands(self, mass_1: float, mass_2: float, spin_1z: float, spin_2z: float) -> list[Band]:
        """In which pieces of the spectrum, each on how long a grid, nothing wraps around.

        Times before coalescence scale as frequency^(−8/3), nearly; the fourth mode at f is as old as the quadrupole at
        f / 2. High frequencies are all young: on a short grid they need a fraction of the points.
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

    def _binary(self, row: Mapping[str, float]) -> tuple[float, ...]:
        """The first arguments of LAL's waveform functions: masses to mean anomaly, in SI units."""
        heavy, light = row["mass_1"] * lal.MSUN_SI, row["mass_2"] * lal.MSUN_SI
        frequency = self.minimum_frequency if self._model.takes_spins_at_start else self.reference_frequency
        inclination, *spins = _spin_components(row, heavy, light, frequency)
        distance = row["luminosity_distance"] * 1e6 * lal.PC_SI
        return heavy, light, *spins, distance, inclination, row["phase"], 0.0, 0.0, 0.0

    def _spectra(self, row: Mapping[str, float]) -> list[tuple[Band, Array, Array]]:
        """Bands and spectra of one binary; coalescence at the grids' first sample."""
        binary = self._binary(row)
        result = []
        for band in self._bands(row["mass_1"], row["mass_2"], binary[4], binary[7]):
            step, top = self.sample_rate / band.size, self.sample_rate / 2 if band.fall is None else band.fall[1]
            plus, cross = lalsimulation.SimInspiralChooseFDWaveform(
                *binary, step, band.rise[0], top, self.reference_frequency, None, self._model.index
            )
            result.append((band, plus.data.data, cross.data.data))
        return result

    def _series(self, row: Mapping[str, float]) -> "tuple[lal.REAL8TimeSeries, lal.REAL8TimeSeries, int]":
        """LAL's conditioned time series of one binary, and how many times higher than ours their sample rate is.

        Raises:
            RuntimeError: If LAL refuses.
        """
        binary = self._binary(row)
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
                binary, top = self._binary(row), self.sample_rate / 2
                lowest = self._bands(row["mass_1"], row["mass_2"], binary[4], binary[7])[0].rise[0]
                lalsimulation.SimInspiralChooseFDWaveform(
                    *binary, top / COARSE, lowest, top, self.reference_frequency, None, self._model.index
                )
        except RuntimeError:  # LAL's word for parameters outside a model's domain
            return True
        return False

    def _fill(self, waves: Array, parameters: Mapping[str, Array]) -> None:
        """Make the polarizations of a few binaries, in an array of zeros of shape (2, n, size)."""
        made: dict[int, list[tuple[int, Band, Array, Array]]] = {}
        for i, row in enumerate(_rows(parameters, slice(None))):
            try:
                if self._model.in_frequency_domain:
                    for piece in self._spectra(row):
                        made.setdefault(piece[0].size, []).append((i, *piece))
                else:
                    *both, factor = self._series(row)
                    waves[:, i] = [self._place(series, factor) for series in both]
            except RuntimeError:
                waves[:, i] = np.nan
        for size, group in made.items():
            transformed = self._transform(size, [piece[1:] for piece in group])
            for j, (i, *_) in enumerate(group):
                waves[:, i, self.size - transformed.shape[-1] :] += transformed[:, j]
        if self._model.is_inspiral_only:
            self._stop(waves, parameters["mass_1"] + parameters["mass_2"])
        waves[:, ~np.isfinite(waves).all(axis=(0, 2))] = np.nan

    def _place(self, series: "lal.REAL8TimeSeries", factor: int) -> Array:
        """One of LAL's time series with its time zero ``right_pad`` before the end, between samples if need be."""
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
        """End waveforms of shape (2, n, size) at coalescence, falling over a cycle of the innermost stable orbit."""
        end = self.size - self.right_pad_size
        waves[..., end:] = 0
        for i, mass in enumerate(total_mass):
            fall = half_cosine(round(6**1.5 * np.pi * mass * lal.MTSUN_SI * self.sample_rate))[:end][::-1]
            waves[:, i, end - len(fall) : end] *= fall

    def _transform(self, size: int, pieces: list[tuple[Band, Array, Array]]) -> Array:
        """Taper, inverse transform and placement of the spectra of one grid length; at most ``self.size`` samples."""
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


@contextlib.contextmanager
def _silent_lal() -> Iterator[None]:
    """Keep LAL's messages about binaries that it refuses off the terminal."""
    before = lal.GetDebugLevel()
    lal.ClobberDebugLevel(0)
    try:
        yield
    finally:
        lal.ClobberDebugLevel(before)


def _rows(parameters: Mapping[str, Array], rows: slice) -> Iterator[dict[str, float]]:
    """Binaries one by one."""
    columns = [parameters[name][rows].tolist() for name in COLUMNS]
    return (dict(zip(COLUMNS, values, strict=True)) for values in zip(*columns, strict=True))


def _spin_components(
    row: Mapping[str, float], heavy: float, light: float, reference_frequency: float
) -> tuple[float, ...]:
    """Inclination and Cartesian spins from bilby's angles, as ``bilby.gw.conversion.bilby_to_lalsimulation_spins``."""
    z_1, z_2 = row["a_1"] * math.cos(row["tilt_1"]), row["a_2"] * math.cos(row["tilt_2"])
    if all(abs(row[f"a_{i}"] * math.sin(row[f"tilt_{i}"])) <= ALIGNED for i in (1, 2)):
        return row["theta_jn"], 0.0, 0.0, z_1, 0.0, 0.0, z_2
    angles = (row[name] for name in SPIN_COLUMNS)
    return tuple(
        lalsimulation.SimInspiralTransformPrecessingNewInitialConditions(
            *angles, heavy, light, reference_frequency, row["phase"]
        )
    )
