"""The time-slide engine: whiten once, encode once, fuse per slide.

A slide is an offset between embedded streams. An injection adds its whitened signal to the whitened streams, and only
the windows that it touches are scored again.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aframe.errors import DataError
from aframe.inference.slides import Grid, Slide
from aframe.spectral import WhitenedStream, to_samples, whiten_stream
from aframe.train.model import Model
from aframe.types import Array

FUSED_WINDOWS = 512
"""Windows of a slide fused at once: their embeddings fit a processor's cache, which measured fastest."""

ENCODED_WINDOWS = 128
"""Windows' worth of a stream encoded at once, for the same reason."""


@dataclass(frozen=True)
class Injection:
    """A signal in a slide.

    Attributes:
        responses: Strain in each detector, shape (ifos, time).
        start: Slide sample (on the whitened stream's axis) of the responses' first sample; may be negative.
    """

    responses: Tensor
    start: int


class Engine:
    """Scores of one segment.

    Args:
        model: Network and preprocessing.
        streams: Whitened strain of each detector, from the same GPS time on.
        grid: How windows and slides lie on the streams.
        precision: Type in which networks compute.
        device: Where they compute.
    """

    def __init__(
        self,
        model: Model,
        streams: Sequence[WhitenedStream],
        grid: Grid,
        precision: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> None:
        self.network = copy.deepcopy(model.network).to(device=device, dtype=precision)  # the caller's stays as it is
        self.preprocessing, self.grid = model.preprocessing, grid
        self.streams, self.precision, self.device = streams, precision, device
        self.stride_size, self.kernel_size = model.preprocessing.stride_size, model.preprocessing.kernel_size
        self.hop = self.network.hop(self.stride_size)
        if streams[0].data.shape[-1] < self.kernel_size:
            raise DataError(
                f"{streams[0].data.shape[-1]} whitened samples are shorter than a window of {self.kernel_size}: "
                "the segment is too short to analyse"
            )
        self.embeddings = [self._encode(stream.data) for stream in streams]

    @classmethod
    def from_strain(
        cls, model: Model, strain: Mapping[str, Array], grid: Grid, precision: torch.dtype, device: str
    ) -> "Engine":
        """Whiten a segment's strain, given per detector, and encode it."""
        whitening = model.preprocessing.whitening
        streams = [whiten_stream(torch.from_numpy(strain[ifo]), whitening) for ifo in model.preprocessing.ifos]
        return cls(model, streams, grid, precision, device)

    @torch.inference_mode()
    def _encode(self, stream: Tensor) -> Tensor:
        """Embed a stream piece by piece: equal to embedding it at once, in bounded memory."""
        network = self.network
        steps, pieces, first = network.steps(stream.shape[-1]), [], 0
        tile = ENCODED_WINDOWS * self.hop
        while first < steps:
            last = first + tile if first + tile + network.window_steps < steps else steps
            end = (last - 1) * network.step_size + network.receptive_field
            piece = stream[first * network.step_size : end].to(self.device, self.precision)
            pieces.append(network.encode(piece[None])[..., : last - first])
            first = last
        return torch.cat(pieces, dim=-1)

    @torch.inference_mode()
    def scores(self, slide: Slide) -> Array:
        """Scores of all windows of a slide.

        Returns:
            float32, shape (windows,): window i begins i strides after the slide's first whitened sample.
        """
        starts = [offset // self.network.step_size for offset in self.grid.offsets(slide.number)]
        steps, hop = self.network.window_steps, self.hop
        result = []
        for first in range(0, slide.windows, FUSED_WINDOWS):
            count = min(FUSED_WINDOWS, slide.windows - first)
            size = (count - 1) * hop + steps
            views = [
                e[..., start + first * hop : start + first * hop + size]
                for e, start in zip(self.embeddings, starts, strict=True)
            ]
            result.append(self.network.fuse(views, hop)[0].float().cpu())
        return torch.cat([torch.empty(0), *result]).numpy()

    @torch.inference_mode()
    def scores_with(self, slide: Slide, background: Array, injections: Sequence[Injection]) -> Array:
        """Scores of a slide with signals in it.

        Args:
            slide: The slide.
            background: Its scores without signals.
            injections: Signals, which may overlap each other and reach beyond the slide.

        Returns:
            float32, shape (windows,): equal to ``background`` but for the windows that a signal touches.
        """
        result = background.copy()
        for first, last, group in self._stretches(slide, injections):
            windows = self._stretch(slide, first, last, group)
            embeddings = self.network.encode(windows.to(self.device, self.precision))
            fused = self.network.fuse(list(embeddings[:, None]), self.hop)
            result[first:last] = fused[0, : last - first].float().cpu().numpy()
        return result

    def _stretches(self, slide: Slide, injections: Sequence[Injection]) -> Iterator[tuple[int, int, list[Injection]]]:
        """First window, last window and signals of each stretch that signals touch, in order, without overlap."""
        half = self.preprocessing.whitening.crop_size
        touched: list[tuple[int, int, Injection]] = []
        for injection in injections:
            begin, end = injection.start - half, injection.start + injection.responses.shape[-1] + half
            first = max(0, (begin - self.kernel_size) // self.stride_size + 1)
            last = min(slide.windows, -(-end // self.stride_size))
            if last > first:
                touched.append((first, last, injection))
        touched.sort(key=lambda item: item[:2])
        while touched:
            first, last, injection = touched.pop(0)
            group = [injection]
            # signals share a stretch where their windows do
            while touched and touched[0][0] < last:
                _, other, injection = touched.pop(0)
                last = max(last, other)
                group.append(injection)
            yield first, last, group

    def _stretch(self, slide: Slide, first: int, last: int, injections: Sequence[Injection]) -> Tensor:
        """Whitened strain, signals added, of windows first to last: shape (ifos, time)."""
        low = first * self.stride_size
        high = (last - 1) * self.stride_size + self.kernel_size
        half = self.preprocessing.whitening.crop_size
        channels = []
        for index, (stream, offset) in enumerate(zip(self.streams, self.grid.offsets(slide.number), strict=True)):
            channel = stream.data[low + offset : high + offset].clone()
            for injection in injections:
                signal = stream.whiten_signal(injection.responses[index], injection.start + offset)
                begin = injection.start - half
                start, stop = max(low, begin), min(high, begin + len(signal))
                if stop > start:
                    channel[start - low : stop - low] += signal[start - begin : stop - begin]
            channels.append(channel)
        return torch.stack(channels)


def injection_start(time: float, first_sample: float, sample_rate: float, size: int, right_pad: float) -> int:
    """Sample, on a slide's axis, of a response's first sample.

    Args:
        time: Coalescence at the geocentre, s; taken to the nearest sample.
        first_sample: Time of the slide's first whitened sample, s.
        sample_rate: Hz.
        size: Samples of the response.
        right_pad: Seconds from coalescence to the response's end.
    """
    return round((time - first_sample) * sample_rate) - (size - to_samples(right_pad, sample_rate, "right_pad"))
