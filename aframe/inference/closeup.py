"""Close-up of one candidate: whitened strain, Q transform and scores. It reads only the strain that these need."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from aframe.strain.channels import Recording
from aframe.strain.files import open_background
from aframe.strain.times import format_gps
from aframe.train.model import Model
from aframe.types import Array
from aframe.whitening import WhitenedStream, whiten_stream

Q_VALUES = (4.0, 8.0, 16.0, 32.0)
"""Qs of the transforms that are computed. A close-up has the loudest."""

FREQUENCIES = 100
"""Number of frequencies of a Q transform, evenly spaced in logarithm."""

Q_TRANSFORM_MARGIN = 3.5
"""Seconds of strain on either side of the Q transform that is shown.

A Q transform takes the strain to be periodic, so both ends are cut. The median of each row must be that of noise, and
the narrowest bands have one independent value in half a second."""

SHOWN_STRAIN = 0.5
"""Seconds of strain shown on either side of a candidate. Its time is accurate to about 0.3 s."""

SHOWN_SCORES = 4.0
"""Smallest number of seconds of scores shown on either side of a candidate."""

TIME_STEP = 1 / 256
"""Seconds from one column of a Q transform to the next."""


@dataclass(frozen=True)
class WhitenedStretch:
    """Whitened strain of all detectors around a time. Its windows are windows of the search.

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
        """GPS s of the end: one sample after the last sample."""
        return self.start + self.streams.shape[-1] / self.sample_rate

    def between(self, start: float, stop: float) -> "WhitenedStretch":
        """The part between two times, as far as the stretch has it.

        Args:
            start: GPS s.
            stop: GPS s.
        """
        size = self.streams.shape[-1]
        low, high = (int(np.clip(round((t - self.start) * self.sample_rate), 0, size)) for t in (start, stop))
        return WhitenedStretch(self.streams[:, low:high], self.start + low / self.sample_rate, self.sample_rate)


@dataclass(frozen=True)
class Closeup:
    """Data of a candidate's figures. Times are GPS s; whitened strain is in standard deviations of the noise.

    Attributes:
        time: Time of each sample of ``whitened``.
        whitened: Whitened strain of each detector.
        q_transforms: Q transform of each detector. All have the same Q: it maximises the sum of the detectors' loudest
            tiles.
        score_time: Coalescence time that each window stands for: window start plus coalescence offset.
        score: Logit of each window, dimensionless.
        statistic_time: Time of each average of scores.
        statistic: Average of scores over ``integration_window_length``, dimensionless. Events are its local maxima.
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
    """Lengths that a close-up shows, in seconds.

    Attributes:
        strain: Length of whitened strain and Q transform on either side of the candidate.
        scores: Length of the scores on either side of the candidate.
        time_step: Time from one column of the Q transform to the next.
    """

    strain: float
    scores: float
    time_step: float


def usual_extent(clustering: Clustering) -> Extent:
    """Lengths that a close-up shows by default. Its scores cover at least the cluster window."""
    return Extent(SHOWN_STRAIN, max(SHOWN_SCORES, clustering.cluster_window_length / 2), TIME_STEP)


def needed_stretch(time: float, extent: Extent, model: Model, clustering: Clustering) -> tuple[float, float]:
    """Start and end (GPS s) of the whitened strain that a close-up needs.

    Args:
        time: GPS s of the candidate.
        extent: Lengths that the close-up shows.
        model: Network and preprocessing.
        clustering: Settings that turn scores into events.
    """
    reach = extent.scores + clustering.integration_window_length
    before = reach + model.preprocessing.coalescence_offset
    after = reach + model.preprocessing.kernel_length - model.preprocessing.coalescence_offset
    strain = extent.strain + Q_TRANSFORM_MARGIN
    return time - max(before, strain), time + max(after, strain)


def whitened_background(path: str, preprocessing: Preprocessing, start: float, stop: float) -> WhitenedStretch:
    """Whitened strain of a background file, equal to that of the search. It reads only the blocks that it needs.

    Args:
        path: Background file.
        preprocessing: Preprocessing of the model.
        start: GPS s at which the strain starts, or later if the file has no whitened strain there.
        stop: GPS s at which the strain ends, or earlier if the file has no whitened strain there.

    Raises:
        DataError: If the file has no whitened strain between these times.
    """
    whitening = preprocessing.whitening
    with open_background(path) as file:
        first, last = file.start + whitening.psd_length, file.start + file.duration - whitening.after_length
        start, stop = max(start, first), min(stop, last)
        if stop <= start:
            raise DataError(
                f"{path} has no whitened strain at that time: it has between {format_gps(first)} and {format_gps(last)}"
            )
        block = int((start - first) / whitening.block_length)
        blocks = math.ceil((stop - first) / whitening.block_length)
        low = file.start + block * whitening.block_length
        high = min(first + blocks * whitening.block_length + whitening.after_length, file.start + file.duration)
        strain = {ifo: file.read(ifo, low, high) for ifo in preprocessing.ifos}
    streams = [whiten_stream(torch.from_numpy(strain[ifo]), whitening) for ifo in preprocessing.ifos]
    return _cut(streams, low + whitening.psd_length, first, preprocessing, (start, stop))


def whitened_recording(
    recordings: Mapping[str, Sequence[Recording]], preprocessing: Preprocessing, start: float, stop: float
) -> WhitenedStretch:
    """Whitened strain of recordings, whitened as in ``search_recorded``.

    Up to ``PIECE_LENGTH`` after a gap, its PSDs equal those of the search to the bit. Later they start at other times.

    Args:
        recordings: Recordings of each detector.
        preprocessing: Preprocessing of the model.
        start: GPS s at which the strain starts, or later where recordings lack it.
        stop: GPS s at which the strain ends, or earlier where recordings lack it.

    Raises:
        DataError: If the recordings have no strain in the middle of these times.
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
    searched: SearchedRecordings,
    recordings: Mapping[str, Sequence[Recording]],
    model: Model,
    clustering: Clustering,
    ranks: Iterable[int],
) -> Iterator[tuple[int, Closeup]]:
    """Close-ups of events in recordings, each with its rank. Ranks start at 1, the loudest event's.

    Args:
        searched: Result of ``search_recorded``.
        recordings: Recordings that it searched, by detector.
        model: Network and preprocessing that it used.
        clustering: Settings that turned scores into events.
        ranks: Ranks of the events. There need not be an event of each.
    """
    extent = usual_extent(clustering)
    times = searched.events["detection_time"].tolist()
    for rank, time in [(rank, times[rank - 1]) for rank in ranks if rank <= len(times)]:
        start, stop = needed_stretch(time, extent, model, clustering)
        stretch = whitened_recording(recordings, model.preprocessing, start, stop)
        yield rank, closeup(model, stretch, clustering, time, extent)


def closeup(  # noqa: PLR0917 - a model and its settings, strain, and where to look
    model: Model, stretch: WhitenedStretch, clustering: Clustering, time: float, extent: Extent, device: str = "cpu"
) -> Closeup:
    """Data of a candidate's figures.

    Args:
        model: Network and preprocessing.
        stretch: Whitened strain around the candidate. ``needed_stretch`` tells its start and end; the close-up of a
            shorter stretch shows less.
        clustering: Settings that turn scores into events.
        time: GPS s of the candidate.
        extent: Lengths that the close-up shows.
        device: Device that scores: cpu or cuda.
    """
    ifos = model.preprocessing.ifos
    shown = stretch.between(time - extent.strain, time + extent.strain)
    reach = extent.strain + Q_TRANSFORM_MARGIN
    wide = stretch.between(time - reach, time + reach)
    transforms = [[_transform(wide, row, q, model, extent) for row in wide.streams] for q in Q_VALUES]
    best = transforms[loudest(transforms, time - extent.strain, time + extent.strain)]
    score_time, score = scores(model, stretch, device)
    statistic_time, statistic = averages(score_time, score, clustering)
    near, averaged = (np.abs(axis - time) <= extent.scores for axis in (score_time, statistic_time))
    return Closeup(
        shown.start + np.arange(shown.streams.shape[-1]) / shown.sample_rate,
        dict(zip(ifos, shown.streams, strict=True)),
        {ifo: _without_margins(t, time, extent) for ifo, t in zip(ifos, best, strict=True)},
        score_time[near], score[near], statistic_time[averaged], statistic[averaged],
    )  # fmt: skip


def averages(time: Array, score: Array, clustering: Clustering) -> tuple[Array, Array]:
    """Times and values of the averages of scores. Events are local maxima of these averages.

    Args:
        time: GPS s that each score stands for, shape (windows,).
        score: Logits, dimensionless, shape (windows,).
        clustering: Settings that turn scores into events.

    Returns:
        Times (GPS s) and averages, both of shape (averages,); empty if there are too few scores for one average.
    """
    size, rate = clustering.integration_size, clustering.sampling_rate
    statistic = moving_average(score[None], size)[0] if len(score) >= size else np.empty(0)
    return time[: len(statistic)] + (size - 1) / 2 / rate, statistic


def scores(model: Model, stretch: WhitenedStretch, device: str = "cpu") -> tuple[Array, Array]:
    """Score all windows of a stretch.

    Args:
        model: Network and preprocessing.
        stretch: Whitened strain.
        device: Device that scores: cpu or cuda.

    Returns:
        Coalescence times (GPS s) that the windows stand for, and their logits, both of shape (windows,).
    """
    preprocessing = model.preprocessing
    grid = Grid(preprocessing, (0.0,) * len(preprocessing.ifos))
    windows = grid.windows(stretch.streams.shape[-1])
    if windows == 0:
        return np.empty(0), np.empty(0, np.float32)
    taps = torch.empty(0)  # only injections need the filter, and there are none here
    streams = [WhitenedStream(torch.from_numpy(s.copy()), taps, 0, len(s), 0) for s in stretch.streams]
    engine = Engine(TorchScorer(model, torch.float32, device), lambda: streams, grid)
    time = stretch.start + np.arange(windows) / preprocessing.inference_sampling_rate
    return time + preprocessing.coalescence_offset, engine.scores(Slide(0, 0, grid.shifts, windows))


def _cut(
    streams: Sequence[WhitenedStream],
    start: float,
    grid_start: float,
    preprocessing: Preprocessing,
    span: tuple[float, float],
) -> WhitenedStretch:
    """Cut streams to a span of time (GPS s), extended back to the start of a window of the search.

    The search has a window every stride from ``grid_start`` on.
    """
    rate, stride = preprocessing.whitening.sample_rate, preprocessing.stride_size
    before = round((start - grid_start) * rate)
    low = (before + max(0, round((span[0] - start) * rate))) // stride * stride - before
    low += stride if low < 0 else 0
    high = max(low, round((span[1] - start) * rate))
    data = np.stack([stream.data[low:high].numpy() for stream in streams])
    return WhitenedStretch(data, start + low / rate, rate)


def _transform(wide: WhitenedStretch, row: Array, q: float, model: Model, extent: Extent) -> QTransform:
    whitening = model.preprocessing.whitening
    highest = min(highest_frequency(wide.sample_rate, q), whitening.lowpass or np.inf)
    frequency = np.geomspace(whitening.highpass, highest, FREQUENCIES)
    return q_transform(row, wide.sample_rate, wide.start, q, frequency, extent.time_step)


def _without_margins(transform: QTransform, time: float, extent: Extent) -> QTransform:
    near = np.abs(transform.time - time) <= extent.strain
    return QTransform(transform.time[near], transform.frequency, transform.energy[:, near], transform.q)
