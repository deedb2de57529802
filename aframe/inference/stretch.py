"""One stretch of one time slide: strain, whitened strain, scores and events of the search."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from aframe.errors import DataError
from aframe.events.cluster import Clustering, cluster
from aframe.inference.closeup import WhitenedStretch, averages, scores, whitened_background
from aframe.inference.slides import Grid, Slide
from aframe.inference.timeseries import ScoreSeries
from aframe.strain.files import open_background
from aframe.strain.times import format_gps
from aframe.train.model import Model
from aframe.types import Array


@dataclass(frozen=True)
class SlideStretch:
    """A stretch of a slide. Times are slide times, GPS s. Slide time t has detector k's data from t + shifts[k].

    Attributes:
        shifts: Shift of each detector, s.
        time: Time of each sample.
        strain: Strain of each detector, dimensionless, shape (samples,).
        whitened: Whitened strain of each detector, in standard deviations of the noise, shape (samples,).
        score_time: Coalescence time that each window stands for.
        score: Logit of each window, dimensionless.
        statistic_time: Time of each average of scores.
        statistic: Average of scores, dimensionless. Events are its local maxima.
        event_time: Time of each event.
        event_statistic: Detection statistic of each event, dimensionless.
    """

    shifts: tuple[float, ...]
    time: Float[Array, " samples"]
    strain: dict[str, Array]
    whitened: dict[str, Array]
    score_time: Float[Array, " windows"]
    score: Float[Array, " windows"]
    statistic_time: Float[Array, " averages"]
    statistic: Float[Array, " averages"]
    event_time: Float[Array, " events"]
    event_statistic: Float[Array, " events"]


def slide_stretch(  # noqa: PLR0917 - a model and its settings, a slide, and where to look
    model: Model,
    clustering: Clustering,
    path: str,
    slide: Slide,
    start: float,
    stop: float,
    kept: ScoreSeries | None = None,
) -> SlideStretch:
    """Compute the strain, whitened strain, scores and events of a stretch of a slide.

    Args:
        model: Network and preprocessing.
        clustering: Settings that turn scores into events.
        path: Background file.
        slide: Slide of that file.
        start: Slide time at which the stretch starts, GPS s.
        stop: Slide time at which the stretch ends, GPS s.
        kept: Stored scores of the slide; None computes them.

    Raises:
        DataError: If the slide has no window in this time.
    """
    preprocessing = model.preprocessing
    with open_background(path) as file:
        first, last = Grid(preprocessing, slide.shifts).span(file.start, file.duration, 1) or (math.inf, -math.inf)
    low, high = max(start, first), min(stop, last)
    if high - low < preprocessing.kernel_length:
        raise DataError(
            f"slide {slide.number} of {path} has no window between {format_gps(start)} and {format_gps(stop)}: "
            f"it has strain of all detectors between {format_gps(first)} and {format_gps(last)}"
        )
    if kept is None:
        reach = clustering.integration_window_length + clustering.cluster_window_length + preprocessing.kernel_length
        wide = _whitened(model, path, slide.shifts, max(low - reach, first), min(high + reach, last))
        time, score = scores(model, wide)
    else:
        wide = _whitened(model, path, slide.shifts, low, high)
        time, score = kept.times + preprocessing.coalescence_offset, kept.scores
    statistic_time, statistic = averages(time, score, clustering)
    event_statistic, event_time = cluster(score, float(time[0]) - preprocessing.coalescence_offset, clustering)
    windows, averaged, events = ((axis >= low) & (axis < high) for axis in (time, statistic_time, event_time))
    shown = wide.between(low, high)
    sample = shown.start + np.arange(shown.streams.shape[-1]) / shown.sample_rate
    with open_background(path) as file:
        strain = {
            ifo: file.read(ifo, shown.start + shift, shown.stop + shift)
            for ifo, shift in zip(preprocessing.ifos, slide.shifts, strict=True)
        }
    return SlideStretch(
        slide.shifts, sample, strain, dict(zip(preprocessing.ifos, shown.streams, strict=True)),
        time[windows], score[windows], statistic_time[averaged], statistic[averaged],
        event_time[events], event_statistic[events],
    )  # fmt: skip


def _whitened(model: Model, path: str, shifts: Sequence[float], start: float, stop: float) -> WhitenedStretch:
    """Whitened strain of a slide. It starts with a window of the search."""
    stretches = [whitened_background(path, model.preprocessing, start + s, stop + s) for s in shifts]
    # rounding may make one detector's stretch a sample longer than another's
    size = min(stretch.streams.shape[-1] for stretch in stretches)
    streams = np.stack([stretch.streams[k, :size] for k, stretch in enumerate(stretches)])
    return replace(stretches[0], streams=streams, start=stretches[0].start - shifts[0])
