"""The time-slide engine: whiten once, encode once, fuse per slide.

A slide is an offset between embedded streams. An injection adds its whitened signal to the whitened streams, and only
the windows that it touches are scored again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aframe.errors import DataError
from aframe.inference.scorers import Scorer
from aframe.inference.slides import Grid, Slide
from aframe.spectral import WhitenedStream, to_samples, whiten_stream
from aframe.types import Array


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
        scorer: What encodes and fuses.
        streams: Whitened strain of each detector, from the same GPS time on.
        grid: How windows and slides lie on the streams.

    Raises:
        DataError: If the streams hold no window.
    """

    def __init__(self, scorer: Scorer, streams: Sequence[WhitenedStream], grid: Grid) -> None:
        self.scorer, self.streams, self.grid = scorer, streams, grid
        self.preprocessing, self.network = scorer.preprocessing, scorer.network
        self.stride_size, self.kernel_size = self.preprocessing.stride_size, self.preprocessing.kernel_size
        if streams[0].data.shape[-1] < self.kernel_size:
            raise DataError(
                f"{streams[0].data.shape[-1]} whitened samples are shorter than a window of {self.kernel_size}: "
                "the segment is too short to analyse"
            )
        self.embeddings = next(scorer.encode_each(iter([[stream.data for stream in streams]])))

    @classmethod
    def from_strain(cls, scorer: Scorer, strain: Mapping[str, Array], grid: Grid) -> "Engine":
        """Whiten a segment's strain, given per detector, and encode it."""
        made = scorer.preprocessing
        streams = [whiten_stream(torch.from_numpy(strain[ifo]), made.whitening) for ifo in made.ifos]
        return cls(scorer, streams, grid)

    def scores(self, slide: Slide) -> Array:
        """Scores of all windows of a slide.

        Returns:
            float32, shape (windows,): window i begins i strides after the slide's first whitened sample.
        """
        if slide.windows == 0:
            return np.empty(0, np.float32)
        starts = [offset // self.network.step_size for offset in self.grid.offsets(slide.number)]
        size = (slide.windows - 1) * self.scorer.hop + self.network.window_steps
        views = [e[:, start : start + size] for e, start in zip(self.embeddings, starts, strict=True)]
        return next(self.scorer.fuse_each([views]))

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
        stretches = list(self._stretches(slide, injections))
        windows = (self._stretch(slide, first, last, group) for first, last, group in stretches)
        embeddings = self.scorer.encode_each(windows)
        for (first, last, _), scores in zip(stretches, self.scorer.fuse_each(embeddings), strict=True):
            result[first:last] = scores[: last - first]
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

    def _stretch(self, slide: Slide, first: int, last: int, injections: Sequence[Injection]) -> list[Tensor]:
        """Whitened strain of each detector, signals added, of windows first to last."""
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
        return channels


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
