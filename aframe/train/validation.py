"""Validation on time-slid background and held-out signals, through the functions that inference uses."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aframe.seeding import generator
from aframe.spectral import WhitenedStream, to_samples
from aframe.tables import ResponseTable
from aframe.train.architectures import Network
from aframe.train.model import Preprocessing


@dataclass(frozen=True)
class ValidationSet:
    """Held-out data.

    Attributes:
        streams: Whitened background of each stretch, each of shape (ifos, time).
        windows: Background windows with a signal in each, shape (signals * views, ifos, kernel_size).
        snr: Network SNR of the signals, shape (signals * views,).
    """

    streams: list[Tensor]
    windows: Tensor
    snr: Tensor

    def score(self, network: Network, stride_size: int, slides: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Scores of the time-slid background and of the signals.

        Args:
            network: In evaluation mode.
            stride_size: Samples from one background window to the next; slides are this many windows apart.
            slides: Number of time slides.
            device: Where to compute.
        """
        hop = network.hop(stride_size)
        background = []
        for stretch in self.streams:
            embeddings = list(network.encode(stretch[None].to(device)).unbind(1))
            count = embeddings[0].shape[-1]
            shift = max(1, (count - network.window_steps) // (slides * (len(embeddings))) // hop) * hop
            for slide in range(1, slides + 1):
                starts = [index * slide * shift for index in range(len(embeddings))]
                size = count - starts[-1]
                if size < network.window_steps:
                    break
                shifted = [e[..., start : start + size] for e, start in zip(embeddings, starts, strict=True)]
                background.append(network.fuse(shifted, hop).flatten())
        foreground = [network(batch.to(device)) for batch in self.windows.split(256)]
        return torch.cat(background).float(), torch.cat(foreground).float()


def validation_set(
    stretches: Sequence[Sequence[WhitenedStream]],
    waveforms: str,
    preprocessing: Preprocessing,
    views: int,
    seed: int,
) -> ValidationSet:
    """Put each held-out signal into held-out background, ``views`` times, at places spread over the window.

    Args:
        stretches: For each stretch of coincident time, one stream per detector.
        waveforms: Path of a ``ResponseTable``.
        preprocessing: Window, detectors and where coalescences belong.
        views: Placements of each signal.
        seed: The run's seed.
    """
    table = ResponseTable.read(waveforms, waveforms=True)
    rate, size = preprocessing.whitening.sample_rate, preprocessing.kernel_size
    coalescence = table.waveforms[preprocessing.ifos[0].lower()].shape[-1] - to_samples(
        float(table.attributes["right_pad"]), rate, "right_pad"
    )
    random = generator(seed, "validation")
    usable = [s for s in stretches if s[0].data.shape[-1] >= size]
    first, last = preprocessing.coalescence
    windows = torch.empty((len(table) * views, len(preprocessing.ifos), size))
    for row in range(len(table)):
        for view in range(views):
            streams = usable[random.integers(len(usable))]
            start = int(random.integers(streams[0].data.shape[-1] - size + 1))
            place = round((first + (last - first) * (view + 0.5) / views) * rate)
            for channel, (ifo, stream) in enumerate(zip(preprocessing.ifos, streams, strict=True)):
                signal = torch.from_numpy(table.waveforms[ifo.lower()][row])
                window = stream.data[start : start + size].clone()
                windows[row * views + view, channel] = window + _whitened_piece(
                    stream, signal, start, start + place - coalescence, size
                )
    snr = torch.from_numpy(table["snr"]).float().repeat_interleave(views)
    return ValidationSet([torch.stack([s.data for s in streams]) for streams in stretches], windows, snr)


def _whitened_piece(stream: WhitenedStream, signal: Tensor, start: int, signal_start: int, size: int) -> Tensor:
    """The part of a whitened signal that falls into a window of a stream."""
    half = stream.taps.shape[-1] // 2
    whitened = stream.whiten_signal(signal, signal_start)
    result = torch.zeros(size)
    low, high = max(start, signal_start - half), min(start + size, signal_start - half + len(whitened))
    if high > low:
        result[low - start : high - start] = whitened[low - signal_start + half : high - signal_start + half]
    return result
