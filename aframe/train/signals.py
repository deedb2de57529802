"""Where the signals to train with come from: a file of polarizations, or the population itself, on the device."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from aframe import config
from aframe.errors import DataError
from aframe.spectral import to_samples
from aframe.tables import PolarizationTable
from aframe.waveforms.loading import load_population
from aframe.waveforms.on_device import OnDeviceGenerator
from aframe.waveforms.polarizations import COLUMNS, WaveformGenerator
from aframe.waveforms.priors import Population, draw

WaveformSource = Literal["stored", "generated"]

MOST_DRAWS = 8
"""Batches of draws, none of which gives a waveform, after which the population is refused."""


class Signals(Protocol):
    """Polarizations in random order."""

    @property
    def coalescence_sample(self) -> int:
        """Sample at which all of them coalesce."""
        ...

    def sample(self, number: int, generator: torch.Generator) -> Tensor:
        """Plus and cross of some signals, on the generator's device, shape (number, 2, time)."""
        ...


@dataclass(frozen=True)
class StoredSignals:
    """Rows of a file, drawn at random.

    Attributes:
        polarizations: Plus and cross, shape (signals, 2, time).
        coalescence_sample: Sample at which all of them coalesce.
    """

    polarizations: Tensor
    coalescence_sample: int

    @classmethod
    def read(cls, path: str, sample_rate: float) -> "StoredSignals":
        """Read a ``PolarizationTable`` whose waveforms have a rate of ``sample_rate`` Hz."""
        table = PolarizationTable.read(path, [], waveforms=True)
        polarizations = torch.stack([torch.from_numpy(table.waveforms[name]) for name in ("plus", "cross")], 1)
        pad = to_samples(float(table.attributes["right_pad"]), sample_rate, "right_pad")
        return cls(polarizations, polarizations.shape[-1] - pad)

    def sample(self, number: int, generator: torch.Generator) -> Tensor:
        """Polarizations of random rows, shape (number, 2, time)."""
        device = generator.device
        chosen = torch.randint(0, len(self.polarizations), (number,), generator=generator, device=device)
        return self.polarizations[chosen.to(self.polarizations.device)].to(device)


@dataclass(frozen=True)
class GeneratedSignals:
    """Binaries drawn anew from the population each time, and their waveforms made on the device.

    Attributes:
        population: What to draw from.
        waveforms: What makes the polarizations.
    """

    population: Population
    waveforms: OnDeviceGenerator

    @property
    def coalescence_sample(self) -> int:
        """Sample at which all signals coalesce."""
        return self.waveforms.conventions.size - self.waveforms.conventions.right_pad_size

    def sample(self, number: int, generator: torch.Generator) -> Tensor:
        """Polarizations of new binaries, shape (number, 2, time); the draws depend on the generator alone.

        A waveform that is not finite, or zero throughout, is replaced by another one of the batch.

        Raises:
            DataError: If the population gives no waveform at all.
        """
        for _ in range(MOST_DRAWS):
            waves = torch.stack(self.waveforms.generate(self._parameters(number, generator)), 1)
            good = (waves.isfinite().all(-1).all(-1) & (waves != 0).any(-1).any(-1)).nonzero()[:, 0]
            if len(good) == number:
                return waves
            if len(good) > 0:
                return waves[good[torch.arange(number, device=good.device) % len(good)]]
        raise DataError(
            f"{self.waveforms.conventions.approximant} makes no finite waveform of {MOST_DRAWS * number} draws: "
            "check the prior's masses and spins against what the approximant allows"
        )

    def _parameters(self, number: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draws of bilby's, which take a fraction of a millisecond on the processor: seeded by the generator."""
        seed = int(torch.randint(2**63 - 1, (), generator=generator, device=generator.device))
        columns = draw(self.population, number, np.random.default_rng(seed))
        values = torch.from_numpy(np.stack([columns[name] for name in COLUMNS])).to(generator.device)
        return dict(zip(COLUMNS, values, strict=True))


def generated_signals(run: config.Config) -> GeneratedSignals:
    """The run's population and waveforms, made on the device.

    Raises:
        ConfigurationError: If the approximant cannot be made on the device, or ml4gw is not installed.
        DataError: If the population has nothing that the approximant can make.
    """
    made = run.waveforms
    conventions = WaveformGenerator(
        made.approximant, run.search.sample_rate, made.waveform_duration, made.right_pad, made.minimum_frequency,
        made.reference_frequency,
    )  # fmt: skip
    signals = GeneratedSignals(load_population(made.prior, run.resolve), OnDeviceGenerator(conventions))
    signals.sample(1, torch.Generator().manual_seed(0))
    return signals
