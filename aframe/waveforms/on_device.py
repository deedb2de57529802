"""Compute polarizations in batches on the training device, as ``polarizations`` does with LAL on the processor.

Spectra come from ``phenom``. Taper, placement and inverse Fourier transform follow ``WaveformGenerator``, so equal
parameters give equal samples. High frequencies are close to coalescence and use a short grid. Low frequencies use a
grid of twice the waveform's length, and the last half of the result is kept. Thus nothing wraps around.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor

from aframe.constants import SOLAR_MASS_SECONDS
from aframe.waveforms.phenom import Phenom
from aframe.waveforms.polarizations import (
    CROSSOVER,
    EDGE_LENGTH,
    HIGHEST_START,
    LOWEST_START,
    SHORT,
    SPLIT_RATIO,
    WAVEFORM_COLUMNS,
    WaveformGenerator,
)

MOST_AT_ONCE = 256
"""Largest number of binaries in one batch of spectra. Spectra and intermediate results take about 0.5 GB for 8 s at
2048 Hz."""


@dataclass(frozen=True)
class OnDeviceGenerator:
    """Generator of polarizations on any device, equivalent to ``WaveformGenerator`` with LAL.

    Attributes:
        conventions: Approximant, size, position of the coalescence, and frequencies.

    Raises:
        ConfigurationError: If ml4gw is not installed, or lacks the approximant.
    """

    conventions: WaveformGenerator

    def __post_init__(self) -> None:
        _ = self.model

    @functools.cached_property
    def model(self) -> Phenom:
        """Waveform model."""
        return Phenom(self.conventions.approximant)

    def generate(
        self, parameters: Mapping[str, Float[Tensor, " batch"]]
    ) -> tuple[Float32[Tensor, "batch time"], Float32[Tensor, "batch time"]]:
        """Compute the polarizations of binaries.

        Args:
            parameters: Columns ``polarizations.WAVEFORM_COLUMNS`` of shape (batch,) on one device, in bilby's names and
                units. Masses are detector-frame, with mass_1 >= mass_2. The computation is in double precision.

        Returns:
            Plus and cross on that device, each of shape (batch, time). Invalid binaries (a spin above one, a spin in
            the orbital plane for IMRPhenomD, mass_1 < mass_2) and results that are not finite are NaN.
        """
        columns = {name: parameters[name].double() for name in WAVEFORM_COLUMNS}
        arguments, valid = self.model.arguments(columns, self.conventions.reference_frequency)
        result = valid.new_zeros((len(valid), 2, self.conventions.size), dtype=torch.float32)
        split = arguments["mass_ratio"] * SPLIT_RATIO >= 1
        for group in (split, ~split):  # one binary on the long grid alone would put its whole batch on it
            for rows in group.nonzero()[:, 0].split(MOST_AT_ONCE):
                if len(rows) > 0:
                    result[rows] = self._batch({name: column[rows] for name, column in arguments.items()})
        valid = valid & result.isfinite().flatten(1).all(1)
        plus, cross = torch.where(valid[:, None, None], result, torch.nan).unbind(1)
        return plus, cross

    def _batch(self, arguments: Mapping[str, Tensor]) -> Float32[Tensor, "batch 2 time"]:
        conventions, device = self.conventions, arguments["total_mass"].device
        result = torch.zeros((len(arguments["total_mass"]), 2, conventions.size), device=device)
        bands = self._bands(arguments)
        long, short = 2 * conventions.size, conventions.size // self._short
        long_step, short_step = conventions.sample_rate / long, conventions.sample_rate / short
        lowest, highest = torch.stack([bands.rise[0].min(), (bands.border[1] * bands.is_long).max()]).tolist()
        first_long, first_short = (max(1, int(lowest / step)) for step in (long_step, short_step))
        long_bins = max(0, min(int(highest / long_step) + 1, long // 2 + 1) - first_long)
        grids = [
            torch.arange(first_long, first_long + long_bins, dtype=torch.float64, device=device) * long_step,
            torch.arange(first_short, short // 2 + 1, dtype=torch.float64, device=device) * short_step,
        ]
        frequency = torch.cat(grids)  # one evaluation for both grids, because kernel launches dominate on a GPU
        spectra = self.model.spectra(frequency, arguments, conventions.reference_frequency)
        spectra = (spectra * _rise(frequency, bands.rise)[:, None]).to(torch.complex64)
        high = _rise(grids[1], bands.border).where(bands.is_long[:, None], 1.0).float()
        late = self._place(spectra[..., long_bins:] * high[:, None], first_short, short)
        result[..., conventions.size - short :] = late
        rows = bands.is_long.nonzero()[:, 0]
        if len(rows) > 0:
            low = (1 - _rise(grids[0], bands.border))[rows].float()
            result[rows] += self._place(spectra[rows, :, :long_bins] * low[:, None], first_long, long)
        return result

    @functools.cached_property
    def _short(self) -> int:
        """Ratio of the waveform's length to the short grid's. The short grid holds ``right_pad`` and time before it."""
        conventions = self.conventions
        parts = [part for part in (SHORT, SHORT // 2) if conventions.size % (2 * part) == 0]
        needed = conventions.right_pad + 4 * EDGE_LENGTH
        return next((part for part in parts if needed <= conventions.duration / part), 1)

    def _bands(self, arguments: Mapping[str, Tensor]) -> "_Bands":
        """Tapers of each binary's spectrum, as in ``WaveformGenerator``."""
        conventions = self.conventions
        low = conventions.minimum_frequency
        length = _chirp_time_bound(torch.full_like(arguments["total_mass"], low), arguments)

        def fits(room: float) -> Tensor:
            room = max(room - conventions.right_pad - EDGE_LENGTH, 1e-3)
            guess = low * (length / room) ** (3 / 8)
            return guess * (_chirp_time_bound(guess, arguments) / room) ** (3 / 8)

        floor = torch.full_like(length, LOWEST_START * low)
        fitting = fits(conventions.duration) <= HIGHEST_START * low
        cut = torch.maximum(floor, low * (length / (2 * conventions.duration - conventions.right_pad)) ** (3 / 8))
        start = torch.where(fitting, torch.maximum(floor, fits(conventions.duration)), cut)
        full = torch.where(fitting, low, (1.2 * start).clamp_min(low))
        border = torch.maximum(fits(conventions.duration / self._short), full)
        can_split = arguments["mass_ratio"] * SPLIT_RATIO >= 1
        border = torch.where(can_split, border, conventions.sample_rate)
        is_long = ~can_split | (fits(conventions.duration / self._short) > floor)
        return _Bands((start, full), (border, CROSSOVER * border), is_long)

    def _place(self, spectrum: Tensor, first: int, size: int) -> Float32[Tensor, "batch 2 time"]:
        """Inverse transform of a spectrum from bin ``first`` on. Coalescence is ``right_pad`` before the end."""
        conventions = self.conventions
        missing = size // 2 + 1 - first - spectrum.shape[-1]
        waves = torch.fft.irfft(torch.nn.functional.pad(spectrum, (first, missing)), n=size)
        kept = min(size, conventions.size)
        waves = waves.roll(-conventions.right_pad_size, -1)[..., size - kept :] * conventions.sample_rate
        edge = torch.arange(round(EDGE_LENGTH * conventions.sample_rate), device=waves.device)
        waves[..., : len(edge)] *= 0.5 - 0.5 * torch.cos(torch.pi * edge / len(edge))
        return waves


class _Bands(NamedTuple):
    """Tapers of spectra. Frequencies are in Hz, each of shape (batch,).

    Attributes:
        rise: Lower and upper frequency of the rise at low frequencies.
        border: Lower and upper frequency of the crossover from the long to the short grid.
        is_long: Whether each binary needs the long grid. The others use the short grid alone.
    """

    rise: tuple[Tensor, Tensor]
    border: tuple[Tensor, Tensor]
    is_long: Bool[Tensor, " batch"]


def _rise(
    frequency: Float64[Tensor, " frequency"], limits: tuple[Tensor, Tensor]
) -> Float64[Tensor, "batch frequency"]:
    """Half a cosine from 0 to 1 between two frequencies of each binary."""
    low, high = (limit[:, None] for limit in limits)
    return 0.5 - 0.5 * torch.cos(torch.pi * ((frequency - low) / (high - low)).clamp(0, 1))


def _chirp_time_bound(
    frequency: Float64[Tensor, " batch"], arguments: Mapping[str, Tensor]
) -> Float64[Tensor, " batch"]:
    """Upper bound of the time from a frequency (Hz) to coalescence, s: LAL's SimInspiralChirpTimeBound."""
    ratio, mass = arguments["mass_ratio"], arguments["total_mass"] * SOLAR_MASS_SECONDS
    eta = ratio / (1 + ratio) ** 2
    spin = torch.maximum(arguments["s1z"].abs(), arguments["s2z"].abs())
    v = (torch.pi * mass * frequency) ** (1 / 3)
    second, third = 7.43 / 2.52 + 11 / 3 * eta, 226 / 15 * spin
    fourth = 30.58673 / 5.08032 + 54.29 / 5.04 * eta + 61.7 / 7.2 * eta**2
    return 5 * mass / (256 * eta) * v**-8 * (1 + v**2 * (second + v * (third + v * fourth)))
