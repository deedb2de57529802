"""What one candidate looks like: whitened strain, Q transform and scores, from no more strain than that takes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from aframe.errors import DataError
from aframe.events.cluster import Clustering, moving_average
from aframe.inference.engine import Engine
from aframe.inference.q_transform import QTransform, highest_frequency, loudest, q_transform
from aframe.inference.recorded import (
    PIECE_LENGTH,
    SearchedRecordings,
    common_time,
    strain_between,
    whitened_streams,
)
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid, Slide
from aframe.preprocessing import Preprocessing
from aframe.spectral import WhitenedStream, whiten_stream
from aframe.strain.files import open_background
from aframe.strain.recordings import Recording, format_gps
from aframe.train.model import Model
from aframe.types import Array

QS = (4.0, 8.0, 16.0, 32.0)
"""Of the Q transforms, of which the loudest is shown."""

ROWS = 100
"""Frequencies of a Q transform, evenly in logarithm."""

MARGIN = 3.5
"""Seconds of strain on either side of a Q transform, which takes it to be periodic, and of which each row's median
must be that of noise: the narrowest bands have one independent value in half a second."""


SHOWN_STRAIN = 0.5
"""Seconds of strain shown on either side of a candidate: its time is known to some 0.3 s."""

SHOWN_SCORES = 4.0
"""Seconds of scores shown on either side, at least."""

TIME_STEP = 1 / 256
"""Seconds from one column of a Q transform to the next."""


@dataclass(frozen=True)
class WhitenedStretch:
    """Whitened strain of all detectors about some time, its windows those of the search.

    Attributes:
        streams: Whitened strain, in units of the standard deviation of white noise of that PSD, shape (ifos, time).
        start: GPS s of the first sample.
        sample_rate: Hz.
    """

    streams: Float[Array, "ifos time"]
    start: float
    sample_rate: float

    @property
    def stop(self) -> float:
        """GPS s, one sample after the last."""
        return self.start + self.streams.shape[-1] / self.sample_rate

    def between(self, start: float, stop: float) -> "WhitenedStretch":
        """What of it lies between two GPS times."""
        size = self.streams.shape[-1]
        low, high = (int(np.clip(round((t - self.start) * self.sample_rate), 0, size)) for t in (start, stop))
        return WhitenedStretch(self.streams[:, low:high], self.start + low / self.sample_rate, self.sample_rate)


@dataclass(frozen=True)
class Closeup:
    """Data of a candidate's figures. Times are GPS s; whitened strain is in standard deviations of the noise.

    Attributes:
        time: Of each sample of ``whitened``.
        whitened: Per detector.
        q_transforms: Per detector, all with the Q at which the detectors' loudest tiles sum to most.
        score_time: When a signal would merge that stands in the middle of each window: window start plus coalescence
            offset.
        score: Each window's logit, dimensionless.
        statistic_time: Of each average of scores.
        statistic: The average over ``integration_window_length``, of which an event is a local maximum, dimensionless.
    """

    time: Float[Array, " samples"]
    whitened: dict[str, Array]
    q_transforms: dict[str, QTransform]
    score_time: Float[Array, " windows"]
    score: Float[Array, " windows"]
    statistic_time: Float[Array, " averages"]
    statistic: Float[Array, " averages"]


@dataclass(frozen=True)
class Extent:
    """How much is shown on either side of a candidate, in seconds.

    Attributes:
        strain: Of whitened strain and Q transform.
        scores: Of the scores.
        time_step: From one column of the Q transform to the next.
    """

    strain: float
    scores: float
    time_step: float


def usual_extent(clustering: Clustering) -> Extent:
    """How much is shown of a candidate: of the scores all among which it outdoes other events."""
    return Extent(SHOWN_STRAIN, max(SHOWN_SCORES, clustering.cluster_window_length / 2), TIME_STEP)


def needed_stretch(time: float, extent: Extent, model: Model, clustering: Clustering) -> tuple[float, float]:
    """GPS s between which a close-up needs whitened strain."""
    reach = extent.scores + clustering.integration_window_length
    before = reach + model.preprocessing.coalescence_offset
    after = reach + model.preprocessing.kernel_length - model.preprocessing.coalescence_offset
    strain = extent.strain + MARGIN
    return time - max(before, strain), time + max(after, strain)


def whitened_background(path: str, preprocessing: Preprocessing, start: float, stop: float) -> WhitenedStretch:
    """Whitened strain of a background file as the search had it, read block by block where it is needed.

    Args:
        path: Background file.
        preprocessing: Of the model.
        start: GPS s from which on strain is wanted, if the file has it whitened.
        stop: GPS s up to which it is wanted.

    Raises:
        DataError: If the file has nothing of it whitened.
    """
    whitening = preprocessing.whitening
    with open_background(path) as file:
        first, last = file.start + whitening.psd_length, file.start + file.duration - whitening.fduration / 2
        start, stop = max(start, first), min(stop, last)
        if stop <= start:
            raise DataError(
                f"{path} has no whitened strain at that time: it has between {format_gps(first)} and {format_gps(last)}"
            )
        block = int((start - first) / whitening.block_length)
        blocks = math.ceil((stop - first) / whitening.block_length)
        low = file.start + block * whitening.block_length
        high = min(first + blocks * whitening.block_length + whitening.fduration / 2, file.start + file.duration)
        strain = {ifo: file.read(ifo, low, high) for ifo in preprocessing.ifos}
    streams = [whiten_stream(torch.from_numpy(strain[ifo]), whitening) for ifo in preprocessing.ifos]
    return _cut(streams, low + whitening.psd_length, first, preprocessing, (start, stop))


def whitened_recording(
    recordings: Mapping[str, Sequence[Recording]], preprocessing: Preprocessing, start: float, stop: float
) -> WhitenedStretch:
    """Whitened strain of recordings, as ``search_recorded`` has it.

    Its PSDs are those of the search to the bit up to ``PIECE_LENGTH`` after a gap; later they begin at other times.

    Args:
        recordings: Of each detector.
        preprocessing: Of the model.
        start: GPS s from which on strain is wanted, if there is any.
        stop: GPS s up to which it is wanted.

    Raises:
        DataError: If there is none of it.
    """
    whitening, middle = preprocessing.whitening, (start + stop) / 2
    rate = whitening.sample_rate
    pieces = [
        piece
        for first, last in common_time(recordings)
        if first <= middle < last
        for piece in strain_between(
            recordings, rate, max(first, middle - PIECE_LENGTH), min(last, stop + 2 * whitening.psd_length)
        )
    ]
    piece = next((p for p in pieces if p.start <= middle < p.start + p.duration), None)
    if piece is None:
        raise DataError(f"no strain of {', '.join(preprocessing.ifos)} at {middle:.3f}: give other files")
    streams = whitened_streams(piece, preprocessing)
    begin = piece.start + streams[0].offset / rate
    return _cut(streams, begin, begin, preprocessing, (start, stop))


def recorded_closeups(
    found: SearchedRecordings,
    recordings: Mapping[str, Sequence[Recording]],
    model: Model,
    clustering: Clustering,
    number: int,
) -> Iterator[tuple[int, Closeup]]:
    """Ranks of the loudest events in recordings, from 1, and what they look like.

    Args:
        found: What ``search_recorded`` found.
        recordings: In which.
        model: By which.
        clustering: How its scores became events.
        number: How many.
    """
    extent = usual_extent(clustering)
    for row, time in enumerate(found.events["detection_time"][:number].tolist()):
        wanted = needed_stretch(time, extent, model, clustering)
        stretch = whitened_recording(recordings, model.preprocessing, *wanted)
        yield row + 1, closeup(model, stretch, clustering, time, extent)


def closeup(  # noqa: PLR0917 - a model and its settings, strain, and where to look
    model: Model, stretch: WhitenedStretch, clustering: Clustering, time: float, extent: Extent, device: str = "cpu"
) -> Closeup:
    """Data of a candidate's figures.

    Args:
        model: Network and preprocessing.
        stretch: Whitened strain about it, at least where ``needed_stretch`` says; less gives less.
        clustering: How scores become events.
        time: GPS s.
        extent: How much is shown.
        device: cpu or cuda.
    """
    ifos = model.preprocessing.ifos
    shown = stretch.between(time - extent.strain, time + extent.strain)
    wide = stretch.between(time - extent.strain - MARGIN, time + extent.strain + MARGIN)
    transforms = [[_transform(wide, row, q, model, extent) for row in wide.streams] for q in QS]
    best = transforms[loudest(transforms, time - extent.strain, time + extent.strain)]
    score_time, score = scores(model, stretch, device)
    statistic_time, statistic = averages(score_time, score, clustering)
    near, averaged = (np.abs(axis - time) <= extent.scores for axis in (score_time, statistic_time))
    return Closeup(
        shown.start + np.arange(shown.streams.shape[-1]) / shown.sample_rate,
        dict(zip(ifos, shown.streams, strict=True)),
        {ifo: _shown(t, time, extent) for ifo, t in zip(ifos, best, strict=True)},
        score_time[near], score[near], statistic_time[averaged], statistic[averaged],
    )  # fmt: skip


def averages(time: Array, score: Array, clustering: Clustering) -> tuple[Array, Array]:
    """Times and values of the averages of scores, of which events are local maxima; none of too few scores."""
    size, rate = clustering.integration_size, clustering.sampling_rate
    statistic = moving_average(score[None], size)[0] if len(score) >= size else np.empty(0)
    return time[: len(statistic)] + (size - 1) / 2 / rate, statistic


def scores(model: Model, stretch: WhitenedStretch, device: str = "cpu") -> tuple[Array, Array]:
    """Coalescence times (GPS s) that the windows of a stretch stand for, and their scores."""
    preprocessing = model.preprocessing
    grid = Grid(preprocessing, (0.0,) * len(preprocessing.ifos))
    windows = grid.windows(stretch.streams.shape[-1])
    if windows == 0:
        return np.empty(0), np.empty(0, np.float32)
    taps = torch.empty(0)  # no signals are added here
    streams = [WhitenedStream(torch.from_numpy(s.copy()), taps, 0, len(s)) for s in stretch.streams]
    engine = Engine(TorchScorer(model, torch.float32, device), lambda: streams, grid)
    time = stretch.start + np.arange(windows) / preprocessing.inference_sampling_rate
    return time + preprocessing.coalescence_offset, engine.scores(Slide(0, 0, grid.shifts, windows))


def _cut(
    streams: Sequence[WhitenedStream],
    start: float,
    grid_start: float,
    preprocessing: Preprocessing,
    wanted: tuple[float, float],
) -> WhitenedStretch:
    """What is wanted, from a window of the search on: there is one every stride from ``grid_start``."""
    rate, stride = preprocessing.whitening.sample_rate, preprocessing.stride_size
    before = round((start - grid_start) * rate)
    low = (before + max(0, round((wanted[0] - start) * rate))) // stride * stride - before
    low += stride if low < 0 else 0
    high = max(low, round((wanted[1] - start) * rate))
    data = np.stack([stream.data[low:high].numpy() for stream in streams])
    return WhitenedStretch(data, start + low / rate, rate)


def _transform(wide: WhitenedStretch, row: Array, q: float, model: Model, extent: Extent) -> QTransform:
    whitening = model.preprocessing.whitening
    highest = min(highest_frequency(wide.sample_rate, q), whitening.lowpass or np.inf)
    frequency = np.geomspace(whitening.highpass, highest, ROWS)
    return q_transform(row, wide.sample_rate, wide.start, q, frequency, extent.time_step)


def _shown(transform: QTransform, time: float, extent: Extent) -> QTransform:
    near = np.abs(transform.time - time) <= extent.strain
    return QTransform(transform.time[near], transform.frequency, transform.energy[:, near], transform.q)
