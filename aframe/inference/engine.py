"""The time-slide engine: whiten once, encode once, fuse per slide.

A slide is an offset between embedded streams. An injection adds its whitened signal to the whitened streams, and only
the windows that it touches are scored again.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aframe.errors import DataError
from aframe.inference.scorers import Scorer
from aframe.inference.slides import Grid, Slide
from aframe.preprocessing import to_samples
from aframe.spectral import WhitenedStream, whiten_signals, whiten_stream
from aframe.types import Array

SLACK = 4
"""Windows by which stretches that are scored together may differ in length: the shorter ones are scored further."""


@dataclass(frozen=True)
class Injection:
    """A signal in a slide.

    Attributes:
        responses: Strain in each detector, shape (ifos, time).
        start: Slide sample (on the whitened stream's axis) of the responses' first sample; may be negative.
    """

    responses: Tensor
    start: int


@dataclass(frozen=True)
class Stretch:
    """Neighbouring windows of a slide that signals touch.

    Attributes:
        first: Number of the first window.
        last: One more than that of the last.
        injections: The signals.
    """

    first: int
    last: int
    injections: tuple[Injection, ...]

    @property
    def windows(self) -> int:
        """How many there are."""
        return self.last - self.first


class Engine:
    """Scores of one segment.

    Args:
        scorer: What encodes and fuses.
        whiten: Makes each detector's whitened strain, from the same GPS time on and on the scorer's device; called
            when that is first needed.
        grid: How windows and slides lie on the streams.
        embeddings: Of the streams, where they are at hand: strain is then whitened only for injections.

    Raises:
        DataError: If the streams hold no window.
    """

    def __init__(
        self,
        scorer: Scorer,
        whiten: Callable[[], Sequence[WhitenedStream]],
        grid: Grid,
        embeddings: Sequence[Tensor] | None = None,
    ) -> None:
        self.scorer, self.grid, self._whiten = scorer, grid, whiten
        self.preprocessing, self.network = scorer.preprocessing, scorer.network
        self.stride_size, self.kernel_size = self.preprocessing.stride_size, self.preprocessing.kernel_size
        self.embeddings = self._embed() if embeddings is None else embeddings

    @classmethod
    def from_strain(cls, scorer: Scorer, strain: Mapping[str, Array], grid: Grid) -> "Engine":
        """Whiten a segment's strain, given per detector, and encode it."""
        made = scorer.preprocessing
        streams = [whiten_stream(scorer.to_device(strain[ifo]), made.whitening) for ifo in made.ifos]
        return cls(scorer, lambda: streams, grid)

    @functools.cached_property
    def streams(self) -> Sequence[WhitenedStream]:
        """Each detector's whitened strain."""
        return self._whiten()

    def _embed(self) -> Sequence[Tensor]:
        if self.streams[0].data.shape[-1] < self.kernel_size:
            raise DataError(
                f"{self.streams[0].data.shape[-1]} whitened samples are shorter than a window of {self.kernel_size}: "
                "the segment is too short to analyse"
            )
        streams = torch.stack([stream.data for stream in self.streams])
        return next(self.scorer.encode_each(iter([streams[None]])))[0].unbind(0)

    def scores(self, slide: Slide) -> Array:
        """Scores of all windows of a slide.

        Returns:
            float32, shape (windows,): window i begins i strides after the slide's first whitened sample.
        """
        return next(self.scores_each([slide]))

    def scores_each(self, slides: Sequence[Slide]) -> Iterator[Array]:
        """Scores of slides, in order: the next one is on its way to a GPU or a server while one is looked at."""
        scored = self.scorer.fuse_each(self._views(slide) for slide in slides if slide.windows > 0)
        for slide in slides:
            yield next(scored) if slide.windows > 0 else np.empty(0, np.float32)

    def _views(self, slide: Slide) -> list[Tensor]:
        starts = [offset // self.network.step_size for offset in self.grid.offsets(slide.number)]
        size = (slide.windows - 1) * self.scorer.hop + self.network.window_steps
        return [e[:, start : start + size] for e, start in zip(self.embeddings, starts, strict=True)]

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
        groups = list(_grouped(self._stretches(slide, injections), self.scorer.stretches_at_once))
        embedded = self.scorer.encode_each(self._strain(slide, group) for group in groups)
        views = (e.unbind(1) for e in embedded)
        single = ([view[0] for view in each] if len(each[0]) == 1 else each for each in views)
        for group, scores in zip(groups, self.scorer.fuse_each(single), strict=True):
            for stretch, own in zip(group, np.atleast_2d(scores), strict=True):
                first = stretch.first - self._first(slide, stretch, group)
                result[stretch.first : stretch.last] = own[first : first + stretch.windows]
        return result

    def _first(self, slide: Slide, stretch: Stretch, group: Sequence[Stretch]) -> int:
        """First window that is scored of a stretch, which is made as long as the longest of its group."""
        return min(stretch.first, slide.windows - max(each.windows for each in group))

    def _stretches(self, slide: Slide, injections: Sequence[Injection]) -> Iterator[Stretch]:
        """The stretches that signals touch, in order, without overlap."""
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
            yield Stretch(first, last, tuple(group))

    def _strain(self, slide: Slide, group: Sequence[Stretch]) -> Tensor:
        """Whitened strain, signals added, of a group of stretches: shape (stretches, ifos, time)."""
        offsets, half = self.grid.offsets(slide.number), self.preprocessing.whitening.crop_size
        size = (max(stretch.windows for stretch in group) - 1) * self.stride_size + self.kernel_size
        rows = []
        for stretch in group:
            low = self._first(slide, stretch, group) * self.stride_size
            high = low + size
            strain = torch.stack([s.data[low + o : high + o] for s, o in zip(self.streams, offsets, strict=True)])
            for injection in stretch.injections:
                responses = self.scorer.to_device(injection.responses, torch.float32)
                signals = whiten_signals(self.streams, responses, [injection.start + o for o in offsets])
                begin = injection.start - half
                start, stop = max(low, begin), min(high, begin + signals.shape[-1])
                if stop > start:
                    strain[:, start - low : stop - low] += signals[:, start - begin : stop - begin]
            rows.append(strain)
        return torch.stack(rows) if len(rows) > 1 else rows[0][None]


def _grouped(stretches: Iterable[Stretch], most: int) -> Iterator[list[Stretch]]:
    """Stretches in groups, in order, each of stretches of about one length."""
    group: list[Stretch] = []
    for stretch in stretches:
        if len(group) == most or (group and abs(stretch.windows - group[0].windows) > SLACK):
            yield group
            group = []
        group.append(stretch)
    if group:
        yield group


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
