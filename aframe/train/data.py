"""Training and validation data: whitened background in memory, signals injected into it on the device."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from aframe import config, seeding, storage
from aframe.artifacts import Artifacts
from aframe.errors import ConfigurationError, DataError
from aframe.spectral import whiten_stream
from aframe.strain.files import open_background
from aframe.train.augmentation import (
    MUTED,
    NOISE,
    SIGNAL,
    SWAPPED,
    Mixture,
    SnrDistribution,
    crop_at,
    invert_and_reverse,
    make_incoherent,
    network_snr,
    whiten_responses,
)
from aframe.train.background import WhitenedBackground
from aframe.train.model import Preprocessing
from aframe.train.signals import Signals, StoredSignals, WaveformSource, generated_signals
from aframe.train.validation import ValidationSet, validation_set
from aframe.waveforms.projection import antenna_patterns, arrival_delays, detector_geometry

DELAY_MARGIN = 0.025
"""Seconds kept at a signal's edges for its travel between the geocentre and a detector (at most 21.3 ms)."""


@dataclass(frozen=True)
class Batch:
    """Labelled whitened windows.

    Attributes:
        windows: Shape (batch, ifos, kernel_size).
        labels: 1 for a signal, 0 for anything else, shape (batch,).
        is_noise: Whether there is no signal in any detector, shape (batch,).
    """

    windows: Tensor
    labels: Tensor
    is_noise: Tensor


class Steps(IterableDataset[int]):
    """The numbers of an epoch's steps: the batches themselves are made on the device."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.number))


class AframeDataModule(lightning.LightningDataModule):
    """Batches of whitened windows, half of them drawn from signals and half from noise, or as configured.

    What training shares with the other stages (detectors, rates, whitening) comes from the run's ``.cfg``;
    the keys here are training's own.

    Args:
        configuration: The run's ``.cfg``; default: the environment variable LAW_CONFIG_FILE.
        waveforms: Signals to train with: stored (the file made beforehand) or generated (drawn anew for each batch and
            made on the device: IMRPhenomD or IMRPhenomPv2, needs ml4gw). Those to validate with are always stored.
        batch_size: Windows in a batch, on each device.
        batches_per_epoch: Batches between two validations.
        waveform_prob: Fraction of windows with a signal.
        swap_prob: Fraction of windows in which each detector sees another signal: negatives.
        mute_prob: Fraction of windows in which one detector sees no signal: negatives.
        snr_minimum: Smallest network SNR, in the window.
        snr_maximum: Largest network SNR.
        snr_index: Exponent of the SNRs' power law.
        first_coalescence: Earliest coalescence, s from the window's start.
        last_coalescence: Latest coalescence, s from the window's start.
        validation_fraction: Fraction of the background, at its end, kept for validation.
        validation_slides: Time slides of the validation background.
        validation_views: Placements in the window at which each validation signal is scored.
    """

    def __init__(  # noqa: PLR0917 - each is a key of the training YAML
        self,
        configuration: str = "",
        waveforms: WaveformSource = "stored",
        batch_size: int = 384,
        batches_per_epoch: int = 1000,
        waveform_prob: float = 0.277,
        swap_prob: float = 0.014,
        mute_prob: float = 0.055,
        snr_minimum: float = 4.0,
        snr_maximum: float = 100.0,
        snr_index: float = -3.0,
        first_coalescence: float = 0.5,
        last_coalescence: float = 1.4,
        validation_fraction: float = 0.1,
        validation_slides: int = 50,
        validation_views: int = 3,
    ) -> None:
        super().__init__()
        configuration = configuration or os.environ.get("LAW_CONFIG_FILE", "")
        if not configuration:
            raise ConfigurationError("give the run's .cfg as --data.configuration, or in LAW_CONFIG_FILE")
        self.config = config.load(configuration)
        self.search = self.config.search
        self.directories = config.Directories.from_environment()
        self.directory = self.directories.train_data
        self.batch_size, self.batches_per_epoch = batch_size, batches_per_epoch
        self.mixture = Mixture(waveform_prob, swap_prob, mute_prob)
        self.snr = SnrDistribution(snr_minimum, snr_maximum, snr_index)
        self.coalescence = (first_coalescence, last_coalescence)
        if not 0 <= first_coalescence < last_coalescence <= self.search.kernel_length:
            raise ConfigurationError(
                f"first_coalescence = {first_coalescence} s and last_coalescence = {last_coalescence} s must follow "
                f"each other inside kernel_length = {self.search.kernel_length} s"
            )
        self.validation_fraction = validation_fraction
        self.validation_slides, self.validation_views = validation_slides, validation_views
        self.signals: Signals | None = None
        if waveforms == "generated":
            self.signals = generated_signals(self.config)
        self.background: WhitenedBackground | None = None
        self.validation: ValidationSet | None = None

    @property
    def preprocessing(self) -> Preprocessing:
        """What a network trained on these data needs to know."""
        s = self.search
        return Preprocessing(s.ifos, s.kernel_length, s.inference_sampling_rate, self.coalescence, s.whitening)

    @property
    def margin_size(self) -> int:
        """Samples of signal needed on each side of a window: half the whitening filter and the light's travel."""
        return self.search.whitening.crop_size + math.ceil(DELAY_MARGIN * self.search.sample_rate)

    @property
    def fft_size(self) -> int:
        """Samples of the transforms in which signals are whitened."""
        return self.search.kernel_size + 2 * self.margin_size

    def setup(self, stage: str) -> None:
        """Read and whiten the background, read the signals that are stored."""
        if self.background is not None:
            return
        paths = Artifacts(self.config, self.directories).background_files("train")
        if not paths:
            raise DataError(f"no background files in {self.directory}/background: make the training data first")
        stretches = []
        for path in paths:
            with open_background(path) as file:
                stretches.append(torch.stack([torch.from_numpy(file.read(ifo)) for ifo in self.search.ifos]))
        training, held_out = (
            [[whiten_stream(channel, self.search.whitening) for channel in stretch] for stretch in part]
            for part in self.split(stretches)
        )
        self.background = WhitenedBackground.from_streams(training, self.fft_size)
        if self.signals is None:
            path = storage.join(self.directory, "training_waveforms.hdf5")
            self.signals = StoredSignals.read(path, self.search.sample_rate)
        self.geometry = detector_geometry(self.search.ifos)
        self.validation = validation_set(
            held_out, storage.join(self.directory, "val_waveforms.hdf5"), self.preprocessing,
            self.validation_views, self.search.seed,
        )  # fmt: skip

    def split(self, stretches: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Keep the last ``validation_fraction`` of the time for validation; a cut leaves two parts that can be used.

        Raises:
            DataError: If nothing is left to train with.
        """
        search = self.search
        usable = search.whitening.psd_size + 4 * search.kernel_size + search.whitening.filter_size
        wanted = max(usable, round(self.validation_fraction * sum(s.shape[-1] for s in stretches)))
        training, held_out = list(stretches), []
        while wanted > 0 and training:
            last = training.pop()
            size = last.shape[-1]
            if size - wanted >= usable:
                training.append(last[:, : size - wanted])
                last = last[:, size - wanted :]
            held_out.append(last)
            wanted -= last.shape[-1]
            wanted = max(wanted, usable) if wanted > 0 else 0
        if not training:
            raise DataError(
                f"{self.directory}/background is too short to train and validate with: {len(stretches)} stretches of "
                f"{sum(s.shape[-1] for s in stretches) / search.sample_rate:.0f} s in all; take more data or a shorter "
                "psd_length"
            )
        return training, held_out

    def train_dataloader(self) -> DataLoader[int]:
        """Step numbers; ``on_after_batch_transfer`` makes the batches."""
        return DataLoader(Steps(self.batches_per_epoch), batch_size=None)

    def val_dataloader(self) -> DataLoader[int]:
        """A single step: the whole validation set is scored at once."""
        return DataLoader(Steps(1), batch_size=None)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Make a training batch from the number of its step."""
        if self.trainer is None or not self.trainer.training:
            return batch
        generator = torch.Generator(self.trainer.strategy.root_device)
        step = self.trainer.current_epoch * self.batches_per_epoch + int(batch)
        source = seeding.generator(self.search.seed, "batch", step, self.trainer.global_rank)
        generator.manual_seed(int(source.integers(2**63)))
        return self.make_batch(generator)

    def make_batch(self, generator: torch.Generator) -> Batch:
        """Windows and labels that depend on the generator alone."""
        if self.background is None:
            raise ConfigurationError("call setup() before make_batch()")
        device = generator.device
        if self.background.streams.device != device:
            self.background = self.background.to(device)
            self.geometry = self.geometry.to(device)
        size = self.search.kernel_size
        windows, responses = self.background.sample(self.batch_size, size, generator)
        windows = invert_and_reverse(windows, generator)
        kind = self.mixture.draw(self.batch_size, generator)
        rows = (kind != NOISE).nonzero()[:, 0]
        if len(rows) > 0:
            signals = self.make_signals(responses[rows], generator)
            windows[rows] += make_incoherent(signals, kind[rows] == SWAPPED, kind[rows] == MUTED, generator)
        return Batch(windows, (kind == SIGNAL).float(), kind == NOISE)

    def make_signals(self, responses: Tensor, generator: torch.Generator) -> Tensor:
        """Whitened signals from random directions, at random places in the window, with SNRs of the power law.

        Args:
            responses: Whitening responses, shape (batch, ifos, frequency).
            generator: Randomness.

        Returns:
            Shape (batch, ifos, kernel_size).
        """
        if self.signals is None:
            raise ConfigurationError("call setup() before make_signals()")
        number, device, rate = responses.shape[0], generator.device, self.search.sample_rate
        uniform = torch.rand((4, number), generator=generator, device=device)
        angle, declination = uniform[0] * 2 * torch.pi, torch.asin(2 * uniform[1] - 1)
        f_plus, f_cross = antenna_patterns(self.geometry, angle, declination, uniform[2] * torch.pi)
        delays = arrival_delays(self.geometry, angle, declination)
        waveforms = self.signals.sample(number, generator)
        first, last = self.coalescence
        place = ((first + (last - first) * uniform[3]) * rate).long()
        pieces = crop_at(waveforms, self.signals.coalescence_sample - place - self.margin_size, self.fft_size)
        whitened = whiten_responses(pieces, f_plus, f_cross, delays, responses, rate)
        signals = whitened[..., self.margin_size : self.margin_size + self.search.kernel_size]
        target = self.snr.sample(number, generator)
        return signals * (target / network_snr(signals).clamp_min(1e-6))[:, None, None]
