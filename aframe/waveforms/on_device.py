"""Polarizations in batches on the device that trains: what ``polarizations`` makes with LAL on the processor.

Spectra come from ``phenom``; taper, placement and inverse Fourier transform follow ``WaveformGenerator``, so that the
same parameters give the same samples. High frequencies, all of them young, are made on a short grid, and low ones on
a grid of twice the waveform's length, of which the last half is kept: nothing wraps around.
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
    COLUMNS,
    CROSSOVER,
    EDGE_LENGTH,
    HIGHEST_START,
    LOWEST_START,
    SHORT,
    SPLIT_RATIO,
    WaveformGenerator,
)

MOST_AT_ONCE = 256
"""Binaries whose spectra are in memory together, with all intermediate results: about 0.5 GB for 8 s at 2048 Hz."""


@dataclass(frozen=True)
class OnDeviceGenerator:
    """Makes on any device what a ``WaveformGenerator`` makes with LAL.

    Attributes:
        conventions: Approximant, size, place of the coalescence, and frequencies.

    Raises:
        ConfigurationError: If ml4gw is not installed, or does not have the approximant.
    """

    conventions: WaveformGenerator

    def __post_init__(self) -> None:
        _ = self.model

    @functools.cached_property
    def model(self) -> Phenom:
        """The waveform model."""
        return Phenom(self.conventions.approximant)

    def generate(
        self, parameters: Mapping[str, Float[Tensor, " batch"]]
    ) -> tuple[Float32[Tensor, "batch time"], Float32[Tensor, "batch time"]]:
        """Make the polarizations of some binaries.

        Args:
            parameters: ``polarizations.COLUMNS`` on one device, in bilby's names and units, masses detector-frame,
                mass_1 >= mass_2; computed in double precision.

        Returns:
            Plus and cross, on that device. What the model cannot make (a spin above one, a spin in the orbital plane
            for IMRPhenomD, mass_1 < mass_2), or makes not finite, is NaN.
        """
        made = self.conventions
        columns = {name: parameters[name].double() for name in COLUMNS}
        arguments, valid = self.model.arguments(columns, made.reference_frequency)
        result = valid.new_zeros((len(valid), 2, made.size), dtype=torch.float32)
        split = arguments["mass_ratio"] * SPLIT_RATIO >= 1
        for alike in (split, ~split):  # a binary that needs the long grid up to the end would make all others' long
            for rows in alike.nonzero()[:, 0].split(MOST_AT_ONCE):
                if len(rows) > 0:
                    result[rows] = self._made({name: column[rows] for name, column in arguments.items()})
        good = valid & result.isfinite().flatten(1).all(1)
        plus, cross = torch.where(good[:, None, None], result, torch.nan).unbind(1)
        return plus, cross

    def _made(self, arguments: Mapping[str, Tensor]) -> Float32[Tensor, "batch 2 time"]:
        made, device = self.conventions, arguments["total_mass"].device
        result = torch.zeros((len(arguments["total_mass"]), 2, made.size), device=device)
        bands = self._bands(arguments)
        long, short = 2 * made.size, made.size // self._short
        long_step, short_step = made.sample_rate / long, made.sample_rate / short
        lowest, highest = torch.stack([bands.rise[0].min(), (bands.border[1] * bands.is_long).max()]).tolist()
        first_long, first_short = (max(1, int(lowest / step)) for step in (long_step, short_step))
        long_bins = max(0, min(int(highest / long_step) + 1, long // 2 + 1) - first_long)
        grids = [
            torch.arange(first_long, first_long + long_bins, dtype=torch.float64, device=device) * long_step,
            torch.arange(first_short, short // 2 + 1, dtype=torch.float64, device=device) * short_step,
        ]
        frequency = torch.cat(grids)  # one evaluation for both grids: on a GPU it is launching kernels that takes time
        spectra = self.model.spectra(frequency, arguments, made.reference_frequency)
        spectra = (spectra * _rise(frequency, bands.rise)[:, None]).to(torch.complex64)
        young = _rise(grids[1], bands.border).where(bands.is_long[:, None], 1.0).float()
        result[..., made.size - short :] = self._place(spectra[..., long_bins:] * young[:, None], first_short, short)
        rows = bands.is_long.nonzero()[:, 0]
        if len(rows) > 0:
            old = (1 - _rise(grids[0], bands.border))[rows].float()
            result[rows] += self._place(spectra[rows, :, :long_bins] * old[:, None], first_long, long)
        return result

    @functools.cached_property
    def _short(self) -> int:
        """How many times shorter than the waveform the short grid is: it holds ``right_pad`` and some time before."""
        made = self.conventions
        parts = [part for part in (SHORT, SHORT // 2) if made.size % (2 * part) == 0]
        return next((part for part in parts if made.right_pad + 4 * EDGE_LENGTH <= made.duration / part), 1)

    def _bands(self, arguments: Mapping[str, Tensor]) -> "_Bands":
        """Where each binary's spectrum rises, and where the short grid takes over; as ``WaveformGenerator`` has it."""
        made = self.conventions
        low = made.minimum_frequency
        length = _chirp_time_bound(torch.full_like(arguments["total_mass"], low), arguments)

        def fits(room: float) -> Tensor:
            room = max(room - made.right_pad - EDGE_LENGTH, 1e-3)
            guess = low * (length / room) ** (3 / 8)
            return guess * (_chirp_time_bound(guess, arguments) / room) ** (3 / 8)

        floor = torch.full_like(length, LOWEST_START * low)
        fitting = fits(made.duration) <= HIGHEST_START * low
        cut = torch.maximum(floor, low * (length / (2 * made.duration - made.right_pad)) ** (3 / 8))
        start = torch.where(fitting, torch.maximum(floor, fits(made.duration)), cut)
        full = torch.where(fitting, low, (1.2 * start).clamp_min(low))
        border = torch.maximum(fits(made.duration / self._short), full)
        can_split = arguments["mass_ratio"] * SPLIT_RATIO >= 1
        border = torch.where(can_split, border, made.sample_rate)
        is_long = ~can_split | (fits(made.duration / self._short) > floor)
        return _Bands((start, full), (border, CROSSOVER * border), is_long)

    def _place(self, spectrum: Tensor, first: int, size: int) -> Float32[Tensor, "batch 2 time"]:
        """Inverse transform of a spectrum that begins at a bin; coalescence ``right_pad`` before the end."""
        made = self.conventions
        missing = size // 2 + 1 - first - spectrum.shape[-1]
        waves = torch.fft.irfft(torch.nn.functional.pad(spectrum, (first, missing)), n=size)
        kept = min(size, made.size)
        waves = waves.roll(-made.right_pad_size, -1)[..., size - kept :] * made.sample_rate
        edge = torch.arange(round(EDGE_LENGTH * made.sample_rate), device=waves.device)
        waves[..., : len(edge)] *= 0.5 - 0.5 * torch.cos(torch.pi * edge / len(edge))
        return waves


class _Bands(NamedTuple):
    """Frequencies (Hz, each of shape (batch,)) between which spectra rise, and between which the short grid takes over.

    Attributes:
        rise: Taper at low frequencies.
        border: Crossover between the grids.
        is_long: Which binaries need the long grid; of the others, all is on the short one.
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
    """Upper bound on the seconds from a frequency (Hz) to coalescence: LAL's SimInspiralChirpTimeBound."""
    ratio, mass = arguments["mass_ratio"], arguments["total_mass"] * SOLAR_MASS_SECONDS
    eta = ratio / (1 + ratio) ** 2
    spin = torch.maximum(arguments["s1z"].abs(), arguments["s2z"].abs())
    v = (torch.pi * mass * frequency) ** (1 / 3)
    second, third = 7.43 / 2.52 + 11 / 3 * eta, 226 / 15 * spin
    fourth = 30.58673 / 5.08032 + 54.29 / 5.04 * eta + 61.7 / 7.2 * eta**2
    return 5 * mass / (256 * eta) * v**-8 * (1 + v**2 * (second + v * (third + v * fourth)))
