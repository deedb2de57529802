"""Validation on time-slid background and held-out signals, through the functions that inference uses."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aframe.events.cluster import Clustering, cluster, moving_average
from aframe.events.significance import Background
from aframe.preprocessing import Preprocessing, to_samples
from aframe.seeding import generator
from aframe.spectral import WhitenedStream
from aframe.tables import ResponseTable
from aframe.train.architectures import Network
from aframe.train.metrics import Validation

Scored = tuple[dict[int, Tensor], Tensor]
"""Scores of time slides by number, each of shape (windows,); and of signals, shape (signals, windows)."""

LONGEST = 1024.0
"""Seconds of background embedded at once: what memory holds, whatever the network."""

SIGNALS_AT_ONCE, READ_ROWS = 64, 1024
"""Signals that are embedded at once, and that are read at once."""


@dataclass(frozen=True)
class ValidationSet:
    """Held-out data.

    Attributes:
        streams: Whitened background of each stretch, each of shape (ifos, time).
        signals: Background with a signal in each, shape (signals, ifos, time): as many windows, a stride apart, as an
            average of scores that is all signal can come from.
        snr: Network SNR of the signals, shape (signals,).
        chirp_mass: Detector frame, solar masses, shape (signals,).
        coalescence: Sample, in ``signals``, of each coalescence, shape (signals,).
        clustering: How scores become events.
        preprocessing: Window, stride, and where in it coalescences belong.
    """

    streams: list[Tensor]
    signals: Tensor
    snr: Tensor
    chirp_mass: Tensor
    coalescence: Tensor
    clustering: Clustering
    preprocessing: Preprocessing

    @property
    def is_view(self) -> Tensor:
        """Windows that hold a coalescence where training puts it, shape (signals, windows)."""
        stride, size = self.preprocessing.stride_size, self.preprocessing.kernel_size
        starts = torch.arange((self.signals.shape[-1] - size) // stride + 1) * stride
        first, last = (round(x * self.preprocessing.whitening.sample_rate) for x in self.preprocessing.coalescence)
        place = self.coalescence[:, None] - starts
        return (place >= first) & (place <= last)

    def slides(self, seconds: float, ifos: int) -> list[tuple[int, tuple[int, ...], int]]:
        """Time slides: stretch, each detector's shift (samples), and samples that all detectors then share.

        Args:
            seconds: Background wanted; all that there is where this is more.
            ifos: Number of detectors.
        """
        prepared = self.preprocessing
        stride, rate = prepared.stride_size, prepared.whitening.sample_rate
        lengths = [stream.shape[-1] for stream in self.streams]
        wanted = seconds * rate
        spacing = stride * math.ceil(rate / stride)  # a second, which no signal's coincidence outlives
        found: list[tuple[int, tuple[int, ...], int]] = []
        number, total = 1, 0
        while total < wanted:
            there = [
                (stretch, tuple(number * spacing * k for k in range(ifos)), length - number * spacing * (ifos - 1))
                for stretch, length in enumerate(lengths)
            ]
            there = [slide for slide in there if slide[2] >= prepared.kernel_size]
            if not there:
                break
            found += there
            total += sum(size for _, _, size in there)
            number += 1
        return found

    @torch.no_grad()
    def score(self, network: Network, seconds: float, device: torch.device, share: tuple[int, int]) -> Scored:
        """Scores of a share of the time slides, and of the signals.

        Args:
            network: In evaluation mode.
            seconds: Background wanted.
            device: Where to compute.
            share: This process's number, and the number of processes among which slides and signals are dealt out.
        """
        slides = {number: scores.cpu() for number, scores in self._score_slides(network, seconds, device, share)}
        return slides, self._score_signals(network, device, share).cpu()

    def joined(self, parts: Sequence[Scored]) -> Validation:
        """What all processes scored, in an order that does not depend on how many they were."""
        slides = dict(item for scored, _ in parts for item in scored.items())
        scores = [slides[number] for number in sorted(slides)]
        signals = torch.empty((len(self.signals), self.is_view.shape[1]))
        for rank, (_, scored) in enumerate(parts):
            signals[rank :: len(parts)] = scored
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
        """Number and scores, shape (windows,), of time slides."""
        slides, hop = self.slides(seconds, network.num_ifos), network.hop(self.preprocessing.stride_size)
        mine = sorted(range(share[0], len(slides), share[1]), key=lambda number: slides[number][0])
        present, embeddings = -1, tuple[Tensor, ...]()
        for number in mine:
            stretch, shifts, size = slides[number]
            if stretch != present:
                stream = self.streams[stretch].to(device)
                present, embeddings = stretch, network.encode(stream[None]).unbind(1)
            steps = network.steps(size)
            starts = [shift // network.step_size for shift in shifts]
            shifted = [e[..., start : start + steps] for e, start in zip(embeddings, starts, strict=True)]
            yield number, network.fuse(shifted, hop).flatten().float()

    def _score_signals(self, network: Network, device: torch.device, share: tuple[int, int]) -> Tensor:
        """Shape (signals, windows)."""
        hop = network.hop(self.preprocessing.stride_size)
        scores = [torch.empty(0, self.is_view.shape[1], device=device)]
        for batch in self.signals[share[0] :: share[1]].split(SIGNALS_AT_ONCE):
            scores.append(network.fuse(network.encode(batch.to(device)).unbind(1), hop).float())
        return torch.cat(scores)


def validation_set(
    stretches: Sequence[Sequence[WhitenedStream]],
    waveforms: str,
    preprocessing: Preprocessing,
    clustering: Clustering,
    seed: int,
) -> ValidationSet:
    """Put each held-out signal into held-out background, at a random phase of the windows.

    Args:
        stretches: For each stretch of coincident time, one stream per detector.
        waveforms: Path of a ``ResponseTable``.
        preprocessing: Window, detectors and where coalescences belong.
        clustering: How scores become events.
        seed: The run's seed.
    """
    table = ResponseTable.read(waveforms)
    rate, size, stride = preprocessing.whitening.sample_rate, preprocessing.kernel_size, preprocessing.stride_size
    before = to_samples(float(table.attributes["duration"]) - float(table.attributes["right_pad"]), rate, "right_pad")
    random = generator(seed, "validation")
    first, last = (round(x * rate) for x in preprocessing.coalescence)
    windows = max((last - first) // stride + 1, clustering.integration_size) + 1
    span = size + (windows - 1) * stride
    usable = [s for s in stretches if s[0].data.shape[-1] >= span]
    signals = torch.empty((len(table), len(preprocessing.ifos), span))
    middle = ((windows - 1) * stride + first + last) // 2
    places = torch.from_numpy(middle + random.integers(-(stride // 2), stride - stride // 2, len(table)))
    for row, responses in enumerate(_responses(waveforms, len(table), preprocessing.ifos)):
        streams = usable[random.integers(len(usable))]
        start = int(random.integers(streams[0].data.shape[-1] - span + 1))
        for channel, (response, stream) in enumerate(zip(responses, streams, strict=True)):
            piece = _whitened_piece(stream, response, start, start + int(places[row]) - before, span)
            signals[row, channel] = stream.data[start : start + span] + piece
    mass_1, mass_2 = table["mass_1"], table["mass_2"]
    chirp_mass = (mass_1 * mass_2) ** 0.6 / (mass_1 + mass_2) ** 0.2
    longest = to_samples(LONGEST, rate, "the longest stretch")
    pieces = [
        piece
        for stretch in stretches
        for piece in torch.stack([s.data for s in stretch]).split(longest, dim=-1)
        if piece.shape[-1] >= size
    ]
    snr, chirp_mass = (torch.from_numpy(np.asarray(x, dtype=np.float32)) for x in (table["snr"], chirp_mass))
    return ValidationSet(pieces, signals, snr, chirp_mass, places, clustering, preprocessing)


def _responses(path: str, number: int, ifos: Sequence[str]) -> Iterator[Tensor]:
    """Responses of each signal in turn, shape (ifos, time), of which only some are read at once."""
    for first in range(0, number, READ_ROWS):
        table = ResponseTable.read(path, [], slice(first, first + READ_ROWS), waveforms=True)
        yield from torch.stack([torch.from_numpy(table.waveforms[ifo.lower()]) for ifo in ifos], 1)


def _whitened_piece(stream: WhitenedStream, signal: Tensor, start: int, signal_start: int, size: int) -> Tensor:
    """The part of a whitened signal that falls into a window of a stream."""
    half = stream.taps.shape[-1] // 2
    whitened = stream.whiten_signal(signal, signal_start)
    result = torch.zeros(size)
    low, high = max(start, signal_start - half), min(start + size, signal_start - half + len(whitened))
    if high > low:
        result[low - start : high - start] = whitened[low - signal_start + half : high - signal_start + half]
    return result
