"""Training and validation data: background whitened once, signals injected into it on the device."""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from aframe import seeding, storage
from aframe.errors import ConfigurationError, DataError, strain_of
from aframe.events.cluster import Clustering
from aframe.preprocessing import Preprocessing, check_coalescence
from aframe.progress.lines import Progress
from aframe.strain.files import open_background, parse_background_path
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.augmentation import (
    MUTED,
    NOISE,
    SIGNAL,
    SWAPPED,
    BatchMixture,
    SnrDistribution,
    SnrSchedule,
    crop_at,
    invert_and_reverse,
    make_incoherent,
    network_snr,
    whiten_responses,
)
from aframe.train.background import WhitenedBackground, to_device
from aframe.train.examples import ExampleCounts, MeasuredBatch, MeasuredExamples, collect_examples
from aframe.train.inputs import TrainingInputs
from aframe.train.local_copy import local_copies
from aframe.train.memory import Memory, allocate, choose_place
from aframe.train.signals import Signals, StoredSignals, WaveformSource, generated_signals
from aframe.train.validation import ValidationSet, validation_set
from aframe.waveforms.projection import antenna_patterns, arrival_delays, detector_geometry
from aframe.whitening import WhitenedStream, whiten_stream

SIGNALS_AT_ONCE = 64
"""Signals that a network with a fixed encoder measures at once."""

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
    """Counts an epoch's steps: the batches themselves are made on the device, each from the number of its step."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.number))


class AframeDataModule(lightning.LightningDataModule):
    """Batches of whitened windows: noise, signals, and negatives without a coincident signal.

    Args:
        inputs: What training shares with the other stages of the search.
        waveforms: Signals to train with: stored (the file made beforehand) or generated (drawn anew for each batch and
            made on the device: IMRPhenomD or IMRPhenomPv2, needs ml4gw). Those to validate with are always stored.
        background_memory: Where the whitened background lies: device, host (memory, locked where there is a GPU), disk
            (a file that is mapped into memory), or auto, the first of these that has room.
        waveform_memory: The same for stored waveforms.
        waveform_precision: float32, or float16, which takes half the memory and rounds by at most 1/2048.
        batch_size: Windows in a batch, on each device.
        batches_per_epoch: Batches between two validations.
        waveform_prob: Fraction of windows with a signal.
        swap_prob: Fraction of windows in which each detector sees another signal: negatives.
        mute_prob: Fraction of windows in which one detector alone sees a signal: negatives. For a network with a
            template bank, fraction of examples in which the loudest detector alone sees a loud signal.
        snr_minimum: Smallest network SNR, in the window.
        snr_maximum: Largest network SNR.
        snr_index: Exponent of the SNRs' power law.
        initial_snr_minimum: Smallest network SNR in the first batch, from which it falls linearly to ``snr_minimum``.
        snr_schedule_epochs: Epochs in which it falls; 0 for no such schedule.
        first_coalescence: Earliest coalescence, s from the window's start.
        last_coalescence: Latest coalescence, s from the window's start.
        validation_fraction: Fraction of the background, at its end, kept for validation.
        validation_background: Seconds of time-slid background that a validation scores, as far as there are so many.
        mined_slides: Time slides of the training background in which a network with a template bank looks for the
            loudest noise.
        mined_noise: Noise examples that it keeps of them.
        mined_signals: Signals that it measures once, and trains with.
    """

    def __init__(  # noqa: PLR0917 - each is a key of the training YAML
        self,
        inputs: TrainingInputs,
        waveforms: WaveformSource = "stored",
        background_memory: Memory = "auto",
        waveform_memory: Memory = "auto",
        waveform_precision: Literal["float32", "float16"] = "float32",
        batch_size: int = 384,
        batches_per_epoch: int = 1000,
        waveform_prob: float = 0.277,
        swap_prob: float = 0.014,
        mute_prob: float = 0.055,
        snr_minimum: float = 4.0,
        snr_maximum: float = 100.0,
        snr_index: float = -3.0,
        initial_snr_minimum: float = 12.0,
        snr_schedule_epochs: int = 0,
        first_coalescence: float = 0.5,
        last_coalescence: float = 1.4,
        validation_fraction: float = 0.1,
        validation_background: float = 200000.0,
        mined_slides: int = 1500,
        mined_noise: int = 20000,
        mined_signals: int = 8192,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.batch_size, self.batches_per_epoch = batch_size, batches_per_epoch
        self.mixture = BatchMixture(waveform_prob, swap_prob, mute_prob)
        self.snr = SnrDistribution(snr_minimum, snr_maximum, snr_index)
        self.schedule = SnrSchedule(self.snr, initial_snr_minimum, snr_schedule_epochs * batches_per_epoch)
        self.memory = (background_memory, waveform_memory)
        self.waveform_dtype: torch.dtype = getattr(torch, waveform_precision)
        self.coalescence = (first_coalescence, last_coalescence)
        check_coalescence(first_coalescence, last_coalescence, self.inputs.kernel_length)
        self.validation_fraction, self.validation_background = validation_fraction, validation_background
        self.mined = ExampleCounts(mined_slides, mined_noise, mined_signals)
        self.examples: MeasuredExamples | None = None
        self.trains_templates = False
        self.signals: Signals | None = None
        if waveforms == "generated":
            self.signals = generated_signals(*inputs.signal_model())
        self.background: WhitenedBackground | None = None
        self.validation: ValidationSet | None = None

    @property
    def preprocessing(self) -> Preprocessing:
        """What a network trained on these data needs to know."""
        s = self.inputs
        return Preprocessing(s.ifos, s.kernel_length, s.inference_sampling_rate, self.coalescence, s.whitening)

    @property
    def margin_size(self) -> int:
        """Samples of signal needed before a window: those that the whitening filter needs, and the light's travel."""
        return self.inputs.whitening.before_size + math.ceil(DELAY_MARGIN * self.inputs.sample_rate)

    @property
    def fft_size(self) -> int:
        """Samples of the transforms in which signals are whitened: a window, and what is needed on either side."""
        travel = math.ceil(DELAY_MARGIN * self.inputs.sample_rate)
        return self.inputs.kernel_size + self.inputs.whitening.filter_size + 2 * travel

    @property
    def device(self) -> torch.device:
        """Where the network trains."""
        return torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device

    def setup(self, stage: str) -> None:
        """Read and whiten the background, read the signals that are stored."""
        if self.validation is not None:
            return
        search = self.inputs
        paths = list(search.background_files())
        if not paths:
            raise DataError(
                f"no background files in {self.inputs.directory}/background: make the training data first, or lower "
                "min_duration if the gaps of all segments leave none"
            )
        stored, held = (storage.join(self.inputs.directory, f"{name}_waveforms.hdf5") for name in ("training", "val"))
        files = [*paths, held, *([stored] if stage == "fit" and self.signals is None else [])]
        local = local_copies(self.inputs.directory, files)
        paths = [local[path] for path in paths]
        sizes = [round(parse_background_path(path)[1] * search.sample_rate) for path in paths]
        training, held_out = split(sizes, self.validation_fraction, self.inputs)
        if stage == "fit":
            self.background = self._whitened_background([(paths[part.file], part) for part in training])
            if self.signals is None:
                self.signals = self._stored_signals(local[stored])
        self.geometry = detector_geometry(search.ifos).to(self.device)
        self.validation = validation_set(
            [self._whiten(paths[part.file], part) for part in held_out],
            local[held],
            self.preprocessing,
            Clustering(
                search.inference_sampling_rate, search.integration_window_length,
                search.cluster_window_length, self.preprocessing.coalescence_offset,
            ),
            search.seed,
        )  # fmt: skip

    def _whiten(self, path: str, part: "Part") -> list[WhitenedStream]:
        """Whitened streams, one per detector, of a part of a background file."""
        rate = self.inputs.sample_rate
        with open_background(path) as file:
            span = (file.start + part.start / rate, file.start + part.stop / rate)
            strain = [torch.from_numpy(file.read(ifo, *span)) for ifo in self.inputs.ifos]
        streams = []
        for ifo, channel in zip(self.inputs.ifos, strain, strict=True):
            with strain_of(f"{ifo} in {path}"):
                streams.append(whiten_stream(channel, self.inputs.whitening))
        return streams

    def _whitened_background(self, parts: list[tuple[str, "Part"]]) -> WhitenedBackground:
        lost = self.inputs.whitening.psd_size + self.inputs.whitening.after_size
        sizes = [part.stop - part.start - lost for _, part in parts]
        shape = (len(self.inputs.ifos), sum(sizes))
        streams = self._allocate("whitened background", self.memory[0], torch.float32, shape)
        progress = Progress("Whitening background", " s")

        def stretches() -> Iterator[list[WhitenedStream]]:
            for number, (path, part) in enumerate(parts):
                progress(sum(sizes[:number]) / self.inputs.sample_rate, shape[1] / self.inputs.sample_rate)
                yield self._whiten(path, part)

        return WhitenedBackground.from_streams(stretches(), streams, self.fft_size).on(self.device)

    def _stored_signals(self, path: str) -> StoredSignals:
        allocate = functools.partial(self._allocate, "waveforms", self.memory[1], self.waveform_dtype)
        return StoredSignals.read(path, self.inputs.sample_rate, allocate)

    def _allocate(self, what: str, memory: Memory, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
        """Room for an array, where it fits; says where that is if it is not the obvious place."""
        size = math.prod(shape) * dtype.itemsize
        sharers = 1 if self.trainer is None else self.trainer.num_devices
        place = choose_place(memory, size, self.device, sharers)
        if place != ("host" if self.device.type == "cpu" else "device"):
            print(f"{what} ({size / 1e9:.1f} GB): {place}", flush=True)
        return allocate(shape, dtype, place, self.device)

    def train_dataloader(self) -> DataLoader[int]:
        """Steps to count; ``on_after_batch_transfer`` makes the batches."""
        return DataLoader(Steps(self.batches_per_epoch), batch_size=None)

    def val_dataloader(self) -> DataLoader[int]:
        """A single step: the whole validation set is scored at once."""
        return DataLoader(Steps(1), batch_size=None)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Make the batch of the step that training has come to, in whichever process it was begun."""
        if self.trainer is None or not self.trainer.training:
            return batch
        done = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        step = self.trainer.current_epoch * self.batches_per_epoch + done
        if self.examples is not None and not (self.trains_templates and step % 2):
            return self._draw_examples(self.examples, step, self.trainer.global_rank)
        return self.make_batch(step, self.trainer.global_rank)

    def mine(self, network: MatchedFilterNetwork) -> None:
        """Collect the examples of a network with matched filters, and set its weights of groups.

        If its templates are trained, every second batch has windows instead, of which templates learn.

        Args:
            network: The network, on the device of the training.

        Raises:
            DataError: If the training background is too short.
        """
        if self.background is None:
            raise ConfigurationError("call setup() before mine()")
        self.trains_templates = network.trainable
        all_signals = BatchMixture(1.0, 0.0, 0.0)

        def signals(number: int) -> Tensor:
            return self.make_batch(number, mixture=all_signals, size=SIGNALS_AT_ONCE).windows

        epochs = self.trainer.max_epochs if self.trainer else None
        drawn = self.batches_per_epoch * self.batch_size * self.mixture.waveform_prob
        counts = self.mined.enough_for(drawn, epochs)
        self.examples = collect_examples(network, self.background, signals, counts, self.device)

    def _draw_examples(self, examples: MeasuredExamples, step: int, rank: int) -> MeasuredBatch:
        source = seeding.generator(self.inputs.seed, "examples", step, rank)
        generator = torch.Generator().manual_seed(int(source.integers(2**63)))
        return examples.batch(self.mixture, self.batch_size, generator)

    def make_batch(self, step: int, rank: int = 0, mixture: BatchMixture | None = None, size: int = 0) -> Batch:
        """Make windows and labels. They depend on the run's seed and the arguments alone.

        Args:
            step: Number of the step.
            rank: Number of the process.
            mixture: Fractions of the kinds of windows; None for those of the training.
            size: Number of windows; 0 for the batch size of the training.
        """
        mixture, size = mixture or self.mixture, size or self.batch_size
        if self.background is None:
            raise ConfigurationError("call setup() before make_batch()")
        device, source = self.device, seeding.generator(self.inputs.seed, "batch", step, rank)
        on_host, on_device = (
            torch.Generator(where).manual_seed(int(source.integers(2**63))) for where in ("cpu", device)
        )
        generator = on_device if self.background.streams.device == device else on_host
        windows, responses = self.background.sample(size, self.inputs.kernel_size, generator, device)
        windows = invert_and_reverse(windows, on_device)
        kind = mixture.draw(size, on_host)  # on the processor, so that none waits to learn how many
        rows = (kind != NOISE).nonzero()[:, 0]
        if len(rows) > 0:
            chosen = to_device(rows, device)
            signals = self.make_signals(responses[chosen], on_host, on_device, self.schedule.at(step))
            signals = make_incoherent(signals, kind[rows] == SWAPPED, kind[rows] == MUTED, on_device)
            windows.index_add_(0, chosen, signals)
        labels, is_noise = (to_device(x, device) for x in ((kind == SIGNAL).float(), kind == NOISE))
        return Batch(windows, labels, is_noise)

    def make_signals(
        self, responses: Tensor, on_host: torch.Generator, on_device: torch.Generator, snr: SnrDistribution
    ) -> Tensor:
        """Whitened signals from random directions, at random places in the window.

        Args:
            responses: Whitening responses, shape (batch, ifos, frequency).
            on_host: Randomness of which signals.
            on_device: Randomness of all else.
            snr: Distribution of the network SNR in the window.

        Returns:
            Shape (batch, ifos, kernel_size).
        """
        if self.signals is None:
            raise ConfigurationError("call setup() before make_signals()")
        number, device, rate = responses.shape[0], responses.device, self.inputs.sample_rate
        uniform = torch.rand((4, number), generator=on_device, device=device)
        angle, declination = uniform[0] * 2 * torch.pi, torch.asin(2 * uniform[1] - 1)
        f_plus, f_cross = antenna_patterns(self.geometry, angle, declination, uniform[2] * torch.pi)
        delays = arrival_delays(self.geometry, angle, declination)
        waveforms = self.signals.sample(number, on_host, device)
        first, last = self.coalescence
        place = ((first + (last - first) * uniform[3]) * rate).long()
        pieces = crop_at(waveforms, self.signals.coalescence_sample - place - self.margin_size, self.fft_size)
        whitened = whiten_responses(pieces, f_plus, f_cross, delays, responses, rate)
        signals = whitened[..., self.margin_size : self.margin_size + self.inputs.kernel_size]
        return signals * (snr.sample(number, on_device) / network_snr(signals).clamp_min(1e-6))[:, None, None]


@dataclass(frozen=True)
class Part:
    """Part of a background file: its number among the files, first sample, and sample after the last."""

    file: int
    start: int
    stop: int


def split(sizes: Sequence[int], validation_fraction: float, inputs: TrainingInputs) -> tuple[list[Part], list[Part]]:
    """Keep the last part of the time for validation; a cut leaves two parts that can be used.

    Args:
        sizes: Samples of each background file.
        validation_fraction: Of all samples, to be held out at least.
        inputs: What a usable part must be long enough for.

    Returns:
        Parts to train with, and parts to validate with.

    Raises:
        DataError: If nothing is left to train with.
    """
    usable = inputs.whitening.psd_size + 4 * inputs.kernel_size + inputs.whitening.filter_size
    remaining = max(usable, round(validation_fraction * sum(sizes)))
    training, held_out = [Part(number, 0, size) for number, size in enumerate(sizes)], []
    while remaining > 0 and training:
        last = training.pop()
        if last.stop - remaining >= usable:
            training.append(Part(last.file, 0, last.stop - remaining))
            last = Part(last.file, last.stop - remaining, last.stop)
        held_out.append(last)
        remaining -= last.stop - last.start
        remaining = max(remaining, usable) if remaining > 0 else 0
    if not training:
        raise DataError(
            f"the training background is too short to train and validate with: {len(sizes)} stretches of "
            f"{sum(sizes) / inputs.sample_rate:.0f} s in all; take more data or a shorter psd_length"
        )
    return training, held_out
