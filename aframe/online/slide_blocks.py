"""Score the time slides of a block of time.

Time is cut into blocks at fixed GPS times. In slide n, detector k lags the detector with the largest shift by n times
the difference of their shifts. A block holds the slide times at which that leading detector sees it. All other data of
its slides are older, so a block can be scored as soon as a little time after it is known.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aframe.errors import ConfigurationError
from aframe.events.cluster import Clustering, cluster_slides
from aframe.events.spans import SlideSpans
from aframe.events.vetoes import Intervals, live_spans, vetoed
from aframe.inference.engine import Engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid, Slide
from aframe.online.slide_history import Geometry, Stretch
from aframe.preprocessing import check_shifts
from aframe.tables import EventTable
from aframe.types import Array
from aframe.whitening import WhitenedStream

SLIDES_AT_ONCE = 64
"""Slides whose embeddings are read and converted together. More need more memory, fewer convert more often."""

KEPT_PER_HOUR = 10.0
"""Events that a block keeps, per hour of its live time, loudest first. Quieter ones have no part in any alert."""

FLOOR, SLIDES = "floor", "slides"
"""Attributes of a block's events: the loudest statistic that it did not keep, and the number of slides."""


@dataclass(frozen=True)
class SlideSearch:
    """What turns embeddings into events of slides.

    Attributes:
        scorer: Fuses embeddings.
        clustering: Settings that turn scores into events.
        shifts: Shift of each detector from one slide to the next, s.

    Raises:
        ConfigurationError: If two detectors have one shift, or a shift lies between windows.
    """

    scorer: TorchScorer
    clustering: Clustering
    shifts: tuple[float, ...]

    def __post_init__(self) -> None:
        check_shifts(self.shifts, self.clustering.sampling_rate)
        if len(set(self.shifts)) < len(self.shifts):
            raise ConfigurationError(f"shifts = {self.shifts}: two detectors with one shift are never slid apart")

    @property
    def geometry(self) -> Geometry:
        """Sizes of windows."""
        return Geometry.of(self.scorer.model)

    @property
    def ifos(self) -> tuple[str, ...]:
        """Detectors, in the order of the shifts."""
        return self.scorer.preprocessing.ifos

    @property
    def context(self) -> int:
        """Windows on either side of a block on which its events depend.

        An event depends on the averages within half a cluster window, and lies within that of its largest average.
        """
        return 2 * self.clustering.half_width_size + self.clustering.integration_size


@dataclass(frozen=True)
class SlideData:
    """What is slid.

    Attributes:
        stretches: All data, in order of time.
        excluded: Time of each detector that slides leave out.
    """

    stretches: Sequence[Stretch]
    excluded: Intervals


@dataclass(frozen=True)
class Block:
    """A block of the leading detector's time.

    Attributes:
        start: GPS s of the first window's start.
        stop: GPS s after the last window's start.
    """

    start: float
    stop: float


@dataclass(frozen=True)
class _Run:
    """Neighbouring windows of a slide, for which all detectors have data.

    Attributes:
        number: Number of the slide.
        first: First window, in windows of the leading detector's stretch.
        stop: Window after the last.
        places: For each detector its stretch, and the step of it at the leading stretch's first window.
    """

    number: int
    first: int
    stop: int
    places: tuple[tuple[Stretch, int], ...]


def score_block(
    search: SlideSearch,
    data: SlideData,
    block: Block,
    numbers: Sequence[int],
    goes_on: Callable[[], bool],
    *,
    least: int = 0,
) -> EventTable:
    """Score slides of a block, and cluster the scores.

    Args:
        search: Network and clustering.
        data: Data, with the block's context.
        block: Time of the leading detector.
        numbers: Numbers of the slides, in the order in which they are scored.
        goes_on: Called after some slides. If it returns False, the other slides are left out.
        least: Number of events that the block keeps even if ``KEPT_PER_HOUR`` allows fewer.

    Returns:
        The loudest events. Attribute ``Tb`` is the live time (s) without excluded time, ``slides`` the number of slides
        that were scored, and ``floor`` the loudest statistic of an event that is not kept.
    """
    parts, livetime, done = [_no_events(len(search.ifos))], 0.0, 0
    for first in range(0, len(numbers), SLIDES_AT_ONCE):
        some = numbers[first : first + SLIDES_AT_ONCE]
        for leading in data.stretches:
            core = _windows_in(leading, block)
            if core[1] > core[0]:
                events, live = _score_part(search, data, leading, core, some)
                parts.append(events)
                livetime += live
        done += len(some)
        if not goes_on():
            break
    events = EventTable.concatenate(parts)
    events = events.rows(np.argsort(-events["detection_statistic"], kind="stable"))
    kept = max(least, math.ceil(livetime / 3600 * KEPT_PER_HOUR))
    floor = float(events["detection_statistic"][kept]) if len(events) > kept else -math.inf
    events = events.rows(slice(kept))
    events.attributes |= {"Tb": livetime, FLOOR: floor, SLIDES: done}
    return events


def _no_events(ifos: int) -> EventTable:
    return EventTable(
        {"detection_statistic": np.empty(0), "detection_time": np.empty(0), "shift": np.empty((0, ifos))},
        attributes={"Tb": 0.0},
    )


def _windows_in(stretch: Stretch, block: Block) -> tuple[int, int]:
    """First window of a stretch that starts in a block, and the window after the last."""
    rate = stretch.geometry.sampling_rate
    first, stop = (math.ceil((time - stretch.start) * rate) for time in (block.start, block.stop))
    return max(0, first), min(stretch.windows, stop)


def _score_part(
    search: SlideSearch,
    data: SlideData,
    leading: Stretch,
    core: tuple[int, int],
    numbers: Sequence[int],
) -> tuple[EventTable, float]:
    """Events and live time (s) of the part of a block that lies in one stretch of the leading detector."""
    wide = max(0, core[0] - search.context), min(leading.windows, core[1] + search.context)
    runs = [
        run
        for number in numbers
        for run in _runs(search, data.stretches, leading, wide, number)
        if min(run.stop, core[1]) > max(run.first, core[0])
    ]
    rows: dict[tuple[int, int], list[tuple[_Run, Array]]] = {}
    for run, scores in zip(runs, _scores(search, runs), strict=True):
        rows.setdefault((run.first, run.stop), []).append((run, scores))
    parts = [_no_events(len(search.ifos))]
    for (first, _), scored in rows.items():
        start = leading.start + first / leading.geometry.sampling_rate
        statistic, time, row = cluster_slides(np.stack([scores for _, scores in scored]), start, search.clustering)
        number = np.array([run.number for run, _ in scored])[row]
        columns = {"detection_statistic": statistic, "detection_time": time - number * max(search.shifts)}
        low, high = (_edge(search, leading, window) for window in core)
        events = EventTable(columns | {"shift": number[:, None] * np.array(search.shifts)}, attributes={"Tb": 0.0})
        parts.append(events.rows((time >= low) & (time < high)))
    events = EventTable.concatenate(parts)
    events = events.rows(~vetoed(events["detection_time"], events["shift"], search.ifos, data.excluded))
    return events, live_spans(_spans(search, leading, core, runs), search.ifos, data.excluded)[0].livetime


def _edge(search: SlideSearch, leading: Stretch, window: int) -> float:
    """Coalescence time (GPS s) between a window and the one before it."""
    clustering = search.clustering
    return leading.start + (window - 0.5) / clustering.sampling_rate + clustering.coalescence_offset


def _spans(search: SlideSearch, leading: Stretch, core: tuple[int, int], runs: Sequence[_Run]) -> SlideSpans:
    """Live time of runs within a block: see ``Grid.event_spans``."""
    number = np.array([run.number for run in runs], dtype=np.float64)
    edges = [[_edge(search, leading, w) for w in (max(run.first, core[0]), min(run.stop, core[1]))] for run in runs]
    low, high = np.array(edges).reshape(-1, 2).T
    return SlideSpans(low - number * max(search.shifts), high - low, number[:, None] * np.array(search.shifts))


def _runs(
    search: SlideSearch, stretches: Sequence[Stretch], leading: Stretch, wide: tuple[int, int], number: int
) -> Iterator[_Run]:
    """Windows of a slide for which all detectors have data.

    Two stretches may begin between each other's steps. The shift is then that of the slide to half a step.
    """
    geometry = search.geometry
    places: list[tuple[int, int, tuple[tuple[Stretch, int], ...]]] = [(*wide, ())]
    for shift in search.shifts:
        lag = (max(search.shifts) - shift) * number
        found = []
        for low, high, before in places:
            for stretch in stretches if lag else [leading]:
                step = round((leading.start - lag - stretch.start) * geometry.step_rate)
                first = max(low, -(step // geometry.hop))
                stop = min(high, (stretch.steps - geometry.window_steps - step) // geometry.hop + 1)
                if stop > first:
                    found.append((first, stop, (*before, (stretch, step))))
        places = found
    for first, stop, where in places:
        yield _Run(number, first, stop, where)


def _scores(search: SlideSearch, runs: Sequence[_Run]) -> Iterator[Array]:
    """Scores of runs, in order. What several runs need of a stretch is read once."""
    geometry, spans = search.geometry, [_steps(search.geometry, run) for run in runs]
    needed: dict[tuple[int, int], tuple[Stretch, int, int]] = {}
    for run, each in zip(runs, spans, strict=True):
        for ifo, ((stretch, _), (first, stop)) in enumerate(zip(run.places, each, strict=True)):
            _, low, high = needed.get((ifo, id(stretch)), (stretch, first, stop))
            needed[ifo, id(stretch)] = stretch, min(low, first), max(high, stop)
    loaded = {
        key: stretch.embedding(key[0], low, high, search.scorer.precision)
        for key, (stretch, low, high) in needed.items()
    }
    grid = Grid(search.scorer.preprocessing, (0.0,) * len(search.ifos))
    for run, each in zip(runs, spans, strict=True):
        views = []
        for ifo, ((stretch, _), (first, stop)) in enumerate(zip(run.places, each, strict=True)):
            low = needed[ifo, id(stretch)][1]
            views.append(loaded[ifo, id(stretch)][:, first - low : stop - low])
        engine = Engine(search.scorer, functools.partial(_streams, geometry, run), grid, views)
        yield engine.scores(Slide(0, run.number, grid.shifts, run.stop - run.first))


def _steps(geometry: Geometry, run: _Run) -> list[tuple[int, int]]:
    """First step that a run needs of each detector's stretch, and the step after the last."""
    size = (run.stop - run.first - 1) * geometry.hop + geometry.window_steps
    starts = [run.first * geometry.hop + step for _, step in run.places]
    return [(start, start + size) for start in starts]


def _streams(geometry: Geometry, run: _Run) -> list[WhitenedStream]:
    """Whitened strain of a run."""
    size = (run.stop - run.first - 1) * geometry.stride_size + geometry.kernel_size
    streams = []
    for ifo, ((stretch, _), (first, _)) in enumerate(zip(run.places, _steps(geometry, run), strict=True)):
        strain = stretch.strain(ifo, first * geometry.step_size, first * geometry.step_size + size)
        streams.append(WhitenedStream(strain, strain.new_empty((0, 0)), 0, size, 0))
    return streams
