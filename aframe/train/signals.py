"""Where the signals to train with come from: a file of polarizations, or the population itself, on the device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from aframe import storage
from aframe.errors import DataError
from aframe.preprocessing import to_samples
from aframe.tables import PolarizationTable
from aframe.train.background import to_device
from aframe.waveforms.mixtures import AnyPopulation
from aframe.waveforms.on_device import OnDeviceGenerator
from aframe.waveforms.polarizations import WAVEFORM_COLUMNS, WaveformGenerator
from aframe.waveforms.population import draw

WaveformSource = Literal["stored", "generated"]

READ_SAMPLES = 2**24
"""Samples of waveforms in memory at once while a file of them is read, for each polarization or detector."""

MOST_DRAWS = 8
"""Batches of draws, none of which gives a waveform, after which the population is refused."""


class Signals(Protocol):
    """Polarizations in random order."""

    @property
    def coalescence_sample(self) -> int:
        """Sample at which all of them coalesce."""
        ...

    def sample(self, number: int, generator: torch.Generator, device: torch.device) -> Tensor:
        """Plus and cross of some signals.

        Args:
            number: Of signals.
            generator: Randomness, on the processor.
            device: Where they are wanted.

        Returns:
            Shape (number, 2, time).
        """
        ...


@dataclass(frozen=True)
class StoredSignals:
    """Rows of a file, drawn at random.

    Attributes:
        polarizations: Plus and cross in units of ``scales``, float32 or float16, shape (signals, 2, time).
        scales: Largest absolute value of each signal, shape (signals,).
        coalescence_sample: Sample at which all of them coalesce.
    """

    polarizations: Tensor
    scales: Tensor
    coalescence_sample: int

    @classmethod
    def read(cls, path: str, sample_rate: float, allocate: Callable[[Sequence[int]], Tensor]) -> "StoredSignals":
        """Read a ``PolarizationTable``, some rows at a time.

        In half precision each sample is rounded by at most 1/2048 of itself, or 3e-8 of the signal's largest.

        Args:
            path: Of the table, whose waveforms have a rate of ``sample_rate``.
            sample_rate: Hz.
            allocate: Gives the tensor of a shape that the waveforms are copied into.
        """
        shape, pad = waveform_shape(path), 0
        polarizations, scales = allocate(shape), torch.empty(shape[0])
        at_once = rows_at_once(shape[-1])
        for start in range(0, shape[0], at_once):
            rows = slice(start, min(start + at_once, shape[0]))
            table = PolarizationTable.read(path, [], rows, waveforms=True)
            waves = torch.stack([torch.from_numpy(table.waveforms[name]) for name in ("plus", "cross")], 1)
            scales[rows] = waves.abs().amax((1, 2))
            polarizations[rows] = waves / scales[rows, None, None].clamp_min(torch.finfo(torch.float32).tiny)
            pad = to_samples(float(table.attributes["right_pad"]), sample_rate, "right_pad")
        return cls(polarizations, scales, shape[-1] - pad)

    def sample(self, number: int, generator: torch.Generator, device: torch.device) -> Tensor:
        """Polarizations of random rows: see ``Signals.sample``."""
        chosen = torch.randint(0, len(self.polarizations), (number,), generator=generator)
        rows = to_device(chosen, self.polarizations.device)
        waves = to_device(self.polarizations[rows], device)
        return waves.float() * to_device(self.scales[chosen], device)[:, None, None]


def rows_at_once(size: int) -> int:
    """Number of waveforms of ``size`` samples to read at once, from ``READ_SAMPLES``."""
    return max(1, READ_SAMPLES // size)


def waveform_shape(path: str) -> tuple[int, int, int]:
    """Shape (signals, 2, time) of the waveforms of a ``PolarizationTable``, without reading any."""
    with storage.open_hdf5(path) as file:
        return int(file.attrs["length"]), 2, int(file["waveforms/plus"].shape[1])


@dataclass(frozen=True)
class GeneratedSignals:
    """Binaries drawn anew from the population each time, and their waveforms made on the device.

    Attributes:
        population: What to draw from.
        waveforms: What makes the polarizations.
    """

    population: AnyPopulation
    waveforms: OnDeviceGenerator

    @property
    def coalescence_sample(self) -> int:
        """Sample at which all signals coalesce."""
        return self.waveforms.conventions.size - self.waveforms.conventions.right_pad_size

    def sample(self, number: int, generator: torch.Generator, device: torch.device) -> Tensor:
        """Polarizations of new binaries, which depend on the generator alone: see ``Signals.sample``.

        A waveform that is not finite, or zero throughout, is replaced by another one of the batch.

        Raises:
            DataError: If the population gives no waveform at all.
        """
        for _ in range(MOST_DRAWS):
            waves = torch.stack(self.waveforms.generate(self._parameters(number, generator, device)), 1)
            good = (waves.isfinite().all(-1).all(-1) & (waves != 0).any(-1).any(-1)).nonzero()[:, 0]
            if len(good) == number:
                return waves
            if len(good) > 0:
                return waves[good[torch.arange(number, device=good.device) % len(good)]]
        raise DataError(
            f"{self.waveforms.conventions.approximant} makes no finite waveform of {MOST_DRAWS * number} draws: "
            "check the prior's masses and spins against what the approximant allows"
        )

    def _parameters(self, number: int, generator: torch.Generator, device: torch.device) -> dict[str, Tensor]:
        """Draws of bilby's, which take a fraction of a millisecond on the processor: seeded by the generator."""
        seed = int(torch.randint(2**63 - 1, (), generator=generator))
        columns = draw(self.population, number, np.random.default_rng(seed))
        values = torch.from_numpy(np.stack([columns[name] for name in WAVEFORM_COLUMNS])).to(device)
        return dict(zip(WAVEFORM_COLUMNS, values, strict=True))


def generated_signals(population: AnyPopulation, conventions: WaveformGenerator) -> GeneratedSignals:
    """Signals that are drawn anew for each batch, and made on the device.

    Args:
        population: What to draw from.
        conventions: Approximant, length and frequencies of the polarizations.

    Raises:
        ConfigurationError: If the approximant cannot be made on the device, or ml4gw is not installed.
        DataError: If the population has nothing that the approximant can make.
    """
    signals = GeneratedSignals(population, OnDeviceGenerator(conventions))
    signals.sample(1, torch.Generator().manual_seed(0), torch.device("cpu"))
    return signals
