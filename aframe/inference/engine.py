"""The time-slide engine: whiten once, encode once, fuse per slide.

A slide is an offset between embedded streams. An injection adds its whitened signal to the whitened streams. The engine
then scores again only the windows that the signal touches, or those that hold its loud part.

Some networks look at loud windows again, with the strain of all detectors together. The engine does this, whatever
scores the windows.
"""

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from aframe.errors import DataError
from aframe.inference.scorers import Scorer
from aframe.inference.slides import Grid, Slide
from aframe.preprocessing import to_samples
from aframe.types import Array
from aframe.whitening import WhitenedStream, whiten_signals, whiten_stream

LENGTH_DIFFERENCE = 4
"""Windows by which stretches that are scored together may differ in length. The shorter ones are lengthened."""


@dataclass(frozen=True)
class Injection:
    """A signal in a slide.

    Attributes:
        responses: Strain in each detector, dimensionless.
        start: Sample of the whitened stream at which the responses start. It may be negative.
        loud: First sample of its loud part, and the sample after the last. Windows that hold nothing of it keep their
            scores. None to score all windows that the signal touches.
        part: First sample of the part of a window that must hold some of the loud part, and the sample after its last.
            None for the whole window.
    """

    responses: Float[Tensor, "ifos time"]
    start: int
    loud: tuple[int, int] | None = None
    part: tuple[int, int] | None = None


@dataclass(frozen=True)
class Stretch:
    """Neighbouring windows of a slide to score again.

    Attributes:
        first: Number of the first window.
        stop: Number of the window after the last.
        injections: All signals that touch them.
    """

    first: int
    stop: int
    injections: tuple[Injection, ...]

    @property
    def windows(self) -> int:
        """Number of windows."""
        return self.stop - self.first


class Engine:
    """Scores of one segment.

    Args:
        scorer: Encodes streams and fuses embeddings.
        whiten: Returns the whitened strain of each detector on the scorer's device. All streams start at the same GPS
            time. The engine calls it when it first needs this strain.
        grid: Positions of windows and slides on the streams.
        embeddings: Embedding of each detector, shape (channels, steps), if already computed. Strain is then whitened
            only for injections and for loud windows.

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
        """Whiten the strain of a segment and encode it.

        Args:
            scorer: Encodes streams and fuses embeddings.
            strain: Strain of each detector, dimensionless, shape (time,).
            grid: Positions of windows and slides on the streams.

        Raises:
            DataError: If the segment holds no window.
        """
        preprocessing = scorer.preprocessing
        streams = [whiten_stream(scorer.to_device(strain[ifo]), preprocessing.whitening) for ifo in preprocessing.ifos]
        return cls(scorer, lambda: streams, grid)

    @functools.cached_property
    def streams(self) -> Sequence[WhitenedStream]:
        """Whitened strain of each detector."""
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
        """Score all windows of a slide.

        Returns:
            Logits, float32, shape (windows,). Window i starts i strides after the slide's first whitened sample.
        """
        return next(self.scores_each([slide]))

    def scores_each(self, slides: Sequence[Slide]) -> Iterator[Array]:
        """Score slides in order. A GPU or a server computes the next slide while the caller uses one."""
        scored = self.scorer.fuse_each(self._views(slide) for slide in slides if slide.windows > 0)
        for slide in slides:
            if slide.windows == 0:
                yield np.empty(0, np.float32)
                continue
            scores = next(scored)
            if scores.max() > self.network.followed_from:
                views, strain = self._views(slide), self._strain_views(slide)
                scores = self._followed(scores[None], [e[None] for e in views], [s[None] for s in strain])[0]
            yield scores

    def _views(self, slide: Slide) -> list[Tensor]:
        starts = [offset // self.network.step_size for offset in self.grid.offsets(slide.number)]
        size = (slide.windows - 1) * self.scorer.hop + self.network.window_steps
        return [e[:, start : start + size] for e, start in zip(self.embeddings, starts, strict=True)]

    def _strain_views(self, slide: Slide) -> list[Tensor]:
        size = (slide.windows - 1) * self.stride_size + self.kernel_size
        offsets = self.grid.offsets(slide.number)
        return [s.data[start : start + size] for s, start in zip(self.streams, offsets, strict=True)]

    def _followed(self, scores: Array, embeddings: Sequence[Tensor], strain: Sequence[Tensor]) -> Array:
        """Scores of which the network has looked at the loud ones again: see ``Network.follow_up``."""
        on_device = torch.from_numpy(scores).to(strain[0].device)
        with torch.inference_mode():
            return self.network.follow_up(on_device, embeddings, strain, self.scorer.hop).cpu().numpy()

    def scores_with(self, slide: Slide, background: Array, injections: Sequence[Injection]) -> Array:
        """Score a slide with injections.

        Args:
            slide: The slide.
            background: Scores of the slide without signals, float32, shape (windows,).
            injections: Signals. They may overlap and reach beyond the slide.

        Returns:
            Logits, float32, shape (windows,). They equal ``background`` except in windows that a signal's loud
            part touches.
        """
        result = background.copy()
        groups = list(_grouped(self._stretches(slide, injections), self.scorer.stretches_at_once))
        strain, views = deque[Tensor](), deque[Sequence[Tensor]]()  # of the groups that are being scored

        def kept_strain() -> Iterator[Tensor]:
            for group in groups:
                strain.append(self._strain(slide, group))
                yield strain[-1]

        def kept_views() -> Iterator[Sequence[Tensor]]:
            for embedded in self.scorer.encode_each(kept_strain()):
                views.append(embedded.unbind(1))
                yield [view[0] for view in views[-1]] if len(embedded) == 1 else views[-1]

        for group, scored in zip(groups, self.scorer.fuse_each(kept_views()), strict=True):
            scores, embeddings, streams = np.atleast_2d(scored), views.popleft(), strain.popleft()
            if scores.max() > self.network.followed_from:
                scores = self._followed(scores, embeddings, streams.unbind(1))
            for stretch, stretch_scores in zip(group, scores, strict=True):
                first = stretch.first - self._first(slide, stretch, group)
                result[stretch.first : stretch.stop] = stretch_scores[first : first + stretch.windows]
        return result

    def _first(self, slide: Slide, stretch: Stretch, group: Sequence[Stretch]) -> int:
        """First window to score, where a stretch is lengthened to the longest of its group."""
        return min(stretch.first, slide.windows - max(each.windows for each in group))

    def _stretches(self, slide: Slide, injections: Sequence[Injection]) -> Iterator[Stretch]:
        """Stretches that the loud parts of signals touch, in order and without overlap."""
        before, after = self.preprocessing.whitening.before_size, self.preprocessing.whitening.after_size
        whole = [(each.start - after, each.start + each.responses.shape[-1] + before) for each in injections]
        touched = [(*self._touched(slide, *span), each) for span, each in zip(whole, injections, strict=True)]
        loud = [self._touched(slide, *(each.loud or span), each.part)
                for span, each in zip(whole, injections, strict=True)]  # fmt: skip
        spans = sorted(span for span in loud if span[1] > span[0])
        while spans:
            first, stop = spans.pop(0)
            # two signals that touch the same window share a stretch
            while spans and spans[0][0] < stop:
                stop = max(stop, spans.pop(0)[1])
            yield Stretch(first, stop, tuple(each for low, high, each in touched if low < stop and high > first))

    def _touched(self, slide: Slide, begin: int, end: int, part: tuple[int, int] | None = None) -> tuple[int, int]:
        """First window that holds a sample from ``begin`` to ``end`` in a part of it, and the window after the last."""
        low, high = part or (0, self.kernel_size)
        first = max(0, (begin - high) // self.stride_size + 1)
        return first, min(slide.windows, -(-(end - low) // self.stride_size))

    def _strain(self, slide: Slide, group: Sequence[Stretch]) -> Float[Tensor, "stretches ifos time"]:
        """Whitened strain of a group of stretches, with their signals."""
        offsets, after = self.grid.offsets(slide.number), self.preprocessing.whitening.after_size
        size = (max(stretch.windows for stretch in group) - 1) * self.stride_size + self.kernel_size
        rows = []
        for stretch in group:
            low = self._first(slide, stretch, group) * self.stride_size
            high = low + size
            strain = torch.stack([s.data[low + o : high + o] for s, o in zip(self.streams, offsets, strict=True)])
            for injection in stretch.injections:
                responses = self.scorer.to_device(injection.responses, torch.float32)
                signals = whiten_signals(self.streams, responses, [injection.start + o for o in offsets])
                begin = injection.start - after
                start, stop = max(low, begin), min(high, begin + signals.shape[-1])
                if stop > start:
                    strain[:, start - low : stop - low] += signals[:, start - begin : stop - begin]
            rows.append(strain)
        return torch.stack(rows) if len(rows) > 1 else rows[0][None]


def _grouped(stretches: Iterable[Stretch], most: int) -> Iterator[list[Stretch]]:
    """Stretches in groups of about the same length, in order."""
    group: list[Stretch] = []
    for stretch in stretches:
        if len(group) == most or (group and abs(stretch.windows - group[0].windows) > LENGTH_DIFFERENCE):
            yield group
            group = []
        group.append(stretch)
    if group:
        yield group


def injection_start(time: float, first_sample: float, sample_rate: float, size: int, right_pad: float) -> int:
    """Sample of a slide at which a response starts.

    Args:
        time: Coalescence time at the geocentre, s. It is rounded to the nearest sample.
        first_sample: Time of the slide's first whitened sample, s.
        sample_rate: Sample rate, Hz.
        size: Number of samples of the response.
        right_pad: Seconds from coalescence to the end of the response.
    """
    return round((time - first_sample) * sample_rate) - (size - to_samples(right_pad, sample_rate, "right_pad"))
