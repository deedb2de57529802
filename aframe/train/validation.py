"""Validation on time-slid background and held-out signals, with the functions of inference."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from aframe.events.cluster import Clustering, cluster, moving_average
from aframe.events.significance import Background
from aframe.preprocessing import Preprocessing, to_samples
from aframe.seeding import generator
from aframe.tables import ResponseTable
from aframe.train.architectures import MatchedFilterNetwork, Network
from aframe.train.metrics import Validation
from aframe.train.signals import rows_at_once
from aframe.whitening import WhitenedStream

ValidationScores = tuple[dict[int, Float[Tensor, " _"]], Float[Tensor, "_ windows"]]
"""Scores of time slides by number, each of shape (windows,), and of signals, shape (signals, windows)."""

LONGEST_PIECE = 1024.0
"""Seconds of background embedded at once. Their embeddings fit into memory for any network."""

SIGNALS_AT_ONCE = 64
"""Signals that are embedded at once."""


@dataclass(frozen=True)
class ValidationSet:
    """Held-out data.

    Attributes:
        streams: Whitened background of each stretch.
        signals: Whitened background with a signal each. It is as long as the windows whose averages of scores can come
            from the signal alone.
        snr: Network SNR of each signal.
        chirp_mass: Detector-frame chirp mass of each signal, solar masses.
        coalescence: Sample of each coalescence in ``signals``.
        clustering: Settings that turn scores into events.
        preprocessing: Window, stride, and interval of coalescences in the window.
        measured: What a network with a fixed encoder measured in a stretch, by its number, and in a part of the
            signals, in half precision. It is the same in all epochs.
    """

    streams: list[Float[Tensor, "ifos _"]]
    signals: Float[Tensor, "signals ifos time"]
    snr: Float[Tensor, " signals"]
    chirp_mass: Float[Tensor, " signals"]
    coalescence: Int[Tensor, " signals"]
    clustering: Clustering
    preprocessing: Preprocessing
    measured: dict[int | tuple[int, int, int], Tensor] = field(default_factory=dict)

    @property
    def is_view(self) -> Bool[Tensor, "signals windows"]:
        """Whether each window has its coalescence in the training interval."""
        stride, size = self.preprocessing.stride_size, self.preprocessing.kernel_size
        starts = torch.arange((self.signals.shape[-1] - size) // stride + 1) * stride
        first, last = (round(x * self.preprocessing.whitening.sample_rate) for x in self.preprocessing.coalescence)
        offset = self.coalescence[:, None] - starts
        return (offset >= first) & (offset <= last)

    def slides(self, seconds: float, ifos: int) -> list[tuple[int, tuple[int, ...], int]]:
        """Choose time slides: stretch, shift of each detector (samples), and samples that all detectors share.

        Args:
            seconds: Background to reach, s. If the stretches give less, all slides are taken.
            ifos: Number of detectors.
        """
        stride, rate = self.preprocessing.stride_size, self.preprocessing.whitening.sample_rate
        lengths = [stream.shape[-1] for stream in self.streams]
        spacing = stride * math.ceil(rate / stride)  # a second, much longer than the light travel time
        chosen: list[tuple[int, tuple[int, ...], int]] = []
        number, total = 1, 0
        while total < seconds * rate:
            shifted = [
                (stretch, tuple(number * spacing * k for k in range(ifos)), length - number * spacing * (ifos - 1))
                for stretch, length in enumerate(lengths)
            ]
            shifted = [slide for slide in shifted if slide[2] >= self.preprocessing.kernel_size]
            if not shifted:
                break
            chosen += shifted
            total += sum(size for _, _, size in shifted)
            number += 1
        return chosen

    @torch.no_grad()
    def score(self, network: Network, seconds: float, device: torch.device, share: tuple[int, int]) -> ValidationScores:
        """Score a share of the time slides and of the signals.

        Args:
            network: Network in evaluation mode.
            seconds: Background to reach, s.
            device: Device of the computation.
            share: Number of this process, and number of processes that share slides and signals.
        """
        slides = {number: scores.cpu() for number, scores in self._score_slides(network, seconds, device, share)}
        return slides, self._score_signals(network, device, share).cpu()

    def joined(self, parts: Sequence[ValidationScores]) -> Validation:
        """Join the scores of all processes. The order does not depend on the number of processes."""
        slides = dict(item for slide_scores, _ in parts for item in slide_scores.items())
        scores = [slides[number] for number in sorted(slides)]
        signals = torch.empty((len(self.signals), self.is_view.shape[1]))
        for rank, (_, signal_scores) in enumerate(parts):
            signals[rank :: len(parts)] = signal_scores
        events = [cluster(series.numpy(), 0.0, self.clustering)[0] for series in scores]
        windows = torch.cat(scores)
        livetime = len(windows) / self.clustering.sampling_rate
        statistics = moving_average(signals.numpy(), self.clustering.integration_size).max(axis=1)
        return Validation(
            windows, Background(np.concatenate(events), livetime), signals[self.is_view],
            self.is_view.nonzero()[:, 0], statistics, self.snr.numpy(), self.chirp_mass.numpy(),
        )  # fmt: skip

    def _score_slides(
        self, network: Network, seconds: float, device: torch.device, share: tuple[int, int]
    ) -> Iterator[tuple[int, Tensor]]:
        """Numbers and scores, shape (windows,), of time slides."""
        slides, hop = self.slides(seconds, network.num_ifos), network.hop(self.preprocessing.stride_size)
        numbers = sorted(range(share[0], len(slides), share[1]), key=lambda number: slides[number][0])
        encoded, embeddings, stream = -1, tuple[Tensor, ...](), torch.empty(0)
        for number in numbers:
            stretch, shifts, size = slides[number]
            if stretch != encoded:
                stream = self.streams[stretch].to(device)
                encoded, embeddings = stretch, self._encode(network, stream[None], stretch).unbind(1)
            steps = network.steps(size)
            starts = [shift // network.step_size for shift in shifts]
            shifted = [e[..., start : start + steps] for e, start in zip(embeddings, starts, strict=True)]
            strain = [channel[None, low : low + size] for channel, low in zip(stream, shifts, strict=True)]
            yield number, network.follow_up(network.fuse(shifted, hop).float(), shifted, strain, hop).flatten()

    def _score_signals(
        self, network: Network, device: torch.device, share: tuple[int, int]
    ) -> Float[Tensor, "signals windows"]:
        """Scores of a share of the signals."""
        hop = network.hop(self.preprocessing.stride_size)
        scores = [torch.empty(0, self.is_view.shape[1], device=device)]
        for number, batch in enumerate(self.signals[share[0] :: share[1]].split(SIGNALS_AT_ONCE)):
            strain = batch.to(device)
            embeddings = self._encode(network, strain, (*share, number)).unbind(1)
            scores.append(network.follow_up(network.fuse(embeddings, hop).float(), embeddings, strain.unbind(1), hop))
        return torch.cat(scores)

    def _encode(self, network: Network, streams: Tensor, key: int | tuple[int, int, int]) -> Tensor:
        """Embed streams. What a fixed encoder measured in them before is used again."""
        if not isinstance(network, MatchedFilterNetwork) or network.trainable:
            return network.encode(streams)
        if key not in self.measured:
            self.measured[key] = network.measure(streams).half()
        return network.weigh(self.measured[key].float())


def validation_set(
    stretches: Sequence[Sequence[WhitenedStream]],
    waveforms: str,
    preprocessing: Preprocessing,
    clustering: Clustering,
    seed: int,
) -> ValidationSet:
    """Add each held-out signal to held-out background, at a random phase of the stride.

    Args:
        stretches: Stretches of coincident time, each with one stream per detector.
        waveforms: Path of a ``ResponseTable``.
        preprocessing: Window, detectors, and interval of coalescences in the window.
        clustering: Settings that turn scores into events.
        seed: Seed of the run.
    """
    table = ResponseTable.read(waveforms)
    rate, size, stride = preprocessing.whitening.sample_rate, preprocessing.kernel_size, preprocessing.stride_size
    before = to_samples(float(table.attributes["duration"]) - float(table.attributes["right_pad"]), rate, "right_pad")
    waveform_size = to_samples(float(table.attributes["duration"]), rate, "waveform_duration")
    random = generator(seed, "validation")
    first, last = (round(x * rate) for x in preprocessing.coalescence)
    windows = max((last - first) // stride + 1, clustering.integration_size) + 1
    span = size + (windows - 1) * stride
    usable = [s for s in stretches if s[0].data.shape[-1] >= span]
    signals = torch.empty((len(table), len(preprocessing.ifos), span))
    middle = ((windows - 1) * stride + first + last) // 2
    coalescence = torch.from_numpy(middle + random.integers(-(stride // 2), stride - stride // 2, len(table)))
    for row, responses in enumerate(_responses(waveforms, len(table), waveform_size, preprocessing.ifos)):
        streams = usable[random.integers(len(usable))]
        start = int(random.integers(streams[0].data.shape[-1] - span + 1))
        for channel, (response, stream) in enumerate(zip(responses, streams, strict=True)):
            piece = _whitened_piece(stream, response, start, start + int(coalescence[row]) - before, span)
            signals[row, channel] = stream.data[start : start + span] + piece
    mass_1, mass_2 = table["mass_1"], table["mass_2"]
    chirp_mass = (mass_1 * mass_2) ** 0.6 / (mass_1 + mass_2) ** 0.2
    longest = to_samples(LONGEST_PIECE, rate, "the longest stretch")
    pieces = [
        piece
        for stretch in stretches
        for piece in torch.stack([s.data for s in stretch]).split(longest, dim=-1)
        if piece.shape[-1] >= size
    ]
    snr, chirp_mass = (torch.from_numpy(np.asarray(x, dtype=np.float32)) for x in (table["snr"], chirp_mass))
    return ValidationSet(pieces, signals, snr, chirp_mass, coalescence, clustering, preprocessing)


def _responses(path: str, number: int, waveform_size: int, ifos: Sequence[str]) -> Iterator[Tensor]:
    """Responses of each signal, shape (ifos, time). Only some signals are in memory at a time."""
    at_once = rows_at_once(waveform_size)
    for first in range(0, number, at_once):
        table = ResponseTable.read(path, [], slice(first, first + at_once), waveforms=True)
        yield from torch.stack([torch.from_numpy(table.waveforms[ifo.lower()]) for ifo in ifos], 1)


def _whitened_piece(
    stream: WhitenedStream, signal: Float[Tensor, " signal"], start: int, signal_start: int, size: int
) -> Float[Tensor, " time"]:
    """Part of a whitened signal inside a window of a stream."""
    begin = signal_start - stream.after
    whitened = stream.whiten_signal(signal, signal_start)
    result = torch.zeros(size)
    low, high = max(start, begin), min(start + size, begin + len(whitened))
    if high > low:
        result[low - start : high - start] = whitened[low - begin : high - begin]
    return result
