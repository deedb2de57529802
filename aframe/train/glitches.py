"""Simulated glitches that are added to training strain, so that a network meets many of them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from aframe.preprocessing import Whitening
from aframe.strain.glitch_population import GlitchPopulation, read_population
from aframe.strain.glitches import REACH, glitch_strain, glitches_between
from aframe.strain.simulate import sample_index
from aframe.tensors import Strain
from aframe.whitening import power_spectral_density, smooth_psd


@dataclass(frozen=True)
class TrainingGlitches:
    """Glitches of a population, more frequent than it has them.

    Attributes:
        population: The population, with its rates as they are added.
        whitening: Whitening of the strain. Its Welch segments give the noise curve that defines the SNRs.
        seed: Seed of their times and parameters.
    """

    population: GlitchPopulation
    whitening: Whitening
    seed: int

    @classmethod
    def of(cls, name: str, rate: float, ifos: Sequence[str], whitening: Whitening, seed: int) -> "TrainingGlitches":
        """Glitches of a population that the package has.

        Args:
            name: Name of the population.
            rate: Factor on its rates.
            ifos: Detectors.
            whitening: Whitening of the strain.
            seed: Seed of the run. Glitches of simulated strain have others than these.

        Raises:
            DataError: If the population has no glitches of a detector.
        """
        population = read_population(name)
        rows = [row for ifo in ifos for row in population.of(ifo)]
        more = tuple(dataclasses.replace(row, rate_per_hour=rate * row.rate_per_hour) for row in rows)
        return cls(GlitchPopulation(more), whitening, seed + 1)

    def added(self, strain: Strain, ifo: str, start: float) -> Strain:
        """Strain with glitches.

        Args:
            strain: Strain of a detector, shape (time,).
            ifo: Detector.
            start: Time of its first sample, GPS s.
        """
        rate = self.whitening.sample_rate
        psd = smooth_psd(power_spectral_density(strain, rate, self.whitening.fftlength)[None], rate)[0].numpy()
        frequency = torch.linspace(0, rate / 2, len(psd), dtype=torch.float64).numpy()
        curve = (frequency[1:], psd[1:] ** 0.5)
        stop = start + len(strain) / rate
        glitches = glitches_between(self.population, ifo, start - REACH, stop + REACH, seed=self.seed)
        added = glitch_strain(glitches, curve, sample_index(start, rate), len(strain), rate)
        return strain + torch.from_numpy(added).to(strain.dtype)
