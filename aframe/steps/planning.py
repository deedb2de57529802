"""Plan the work on a run's testing data: slides, injections, and the units in which slides are scored."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aframe import storage
from aframe.errors import DataError
from aframe.inference.slides import Grid, Slide
from aframe.preprocessing import Preprocessing
from aframe.progress.ledger import Ledger
from aframe.runs.artifacts import Artifacts
from aframe.runs.paths import Stage
from aframe.strain.files import parse_background_path
from aframe.waveforms.placement import Placement


def background_files(run: Artifacts, stage: Stage) -> list[str]:
    """Background files of a stage.

    Args:
        run: The run.
        stage: Training or testing.

    Raises:
        DataError: If there are none.
    """
    paths = run.background_files(stage)
    if not paths:
        raise DataError(
            f"no background files in {run.data_directory(stage)}/background: make the data first, or lower "
            "min_duration if the gaps of all segments leave none"
        )
    return paths


@dataclass(frozen=True)
class InjectionBatch:
    """Injections to place in one slide of one background file.

    Attributes:
        segment: Index of the background file.
        slide: Number of the time slide.
        count: Number of signals to place.
    """

    segment: int
    slide: int
    count: int


def time_slides(run: Artifacts) -> Grid:
    """Grid of windows and slides on the testing data."""
    search = run.config.search
    preprocessing = Preprocessing(
        search.ifos, search.kernel_length, search.inference_sampling_rate, (0.0, search.kernel_length), search.whitening
    )
    return Grid(preprocessing, run.config.inference.shifts)


def plan_injections(run: Artifacts) -> list[InjectionBatch]:
    """Distribute all injections over the slides of all segments, smallest shifts first.

    Raises:
        DataError: If the segments hold fewer injections. The message says how many they hold.
    """
    return injections_over(run, [parse_background_path(path) for path in background_files(run, "test")])


def injections_over(run: Artifacts, segments: Sequence[tuple[float, float]]) -> list[InjectionBatch]:
    """Distribute all injections over the slides of given segments, smallest shifts first.

    Args:
        run: The run.
        segments: Start (GPS s) and duration (s) of each segment.

    Raises:
        DataError: If the segments hold fewer injections. The message says how many they hold.
    """
    target = run.config.injections.num_injections
    batches: list[InjectionBatch] = []
    placed, number, has_room = 0, 1, True
    while placed < target and has_room:
        has_room = False
        for index, segment in enumerate(segments):
            positions = placement(run, segment, number)
            count = min(0 if positions is None else positions.capacity, target - placed)
            if count > 0:
                has_room = True
                batches.append(InjectionBatch(index, number, count))
                placed += count
        number += 1
    if placed < target:
        raise DataError(
            f"num_injections = {target} do not fit into {len(segments)} segments and their time slides, "
            f"which hold {placed}: lower num_injections, spacing or buffer, or take more data"
        )
    return batches


def placement(run: Artifacts, segment: tuple[float, float], number: int) -> Placement | None:
    """Find where injections can lie in a slide of a segment.

    Args:
        run: The run.
        segment: Start (GPS s) and duration (s).
        number: Number of the slide.

    Returns:
        The placement. None if the slide has no time left.
    """
    span = time_slides(run).span(*segment, number)
    if span is None:
        return None
    injections, shifts = run.config.injections, run.config.inference.shifts
    shift = tuple(s * number for s in shifts)
    return Placement(*span, injections.spacing, injections.buffer, injections.jitter, shift)


def plan_slides(run: Artifacts) -> list[Slide]:
    """Slides of the background: enough for ``Tb``, and at least all slides with injections."""
    return slides_over(run, [parse_background_path(path) for path in background_files(run, "test")])


def slides_over(run: Artifacts, segments: Sequence[tuple[float, float]]) -> list[Slide]:
    """Slides of given segments: enough for ``Tb``, and at least all slides with injections.

    Args:
        run: The run.
        segments: Start (GPS s) and duration (s) of each segment.
    """
    durations = [duration for _, duration in segments]
    grid = time_slides(run)
    slides = grid.background(durations, run.config.inference.Tb)
    background = {(slide.segment, slide.number) for slide in slides}
    return slides + [
        grid.slide(batch.segment, durations[batch.segment], batch.slide)
        for batch in injections_over(run, segments)
        if (batch.segment, batch.slide) not in background
    ]


@dataclass(frozen=True)
class WorkUnit:
    """Slides that are scored together, in order of segment and number. Zero lag comes first in each segment.

    Attributes:
        slides: The slides, of one segment or of successive segments.
    """

    slides: tuple[Slide, ...]

    def by_segment(self) -> Iterator[tuple[int, tuple[Slide, ...]]]:
        """Yield the index of each background file, and its slides."""
        for segment, slides in itertools.groupby(self.slides, key=lambda slide: slide.segment):
            yield segment, tuple(slides)

    def of_kind(self, zero_lag: bool) -> list[Slide]:
        """The unit's unshifted slides (zero lag) or its shifted slides (background)."""
        return [slide for slide in self.slides if (slide.number == 0) == zero_lag]


def plan_units(run: Artifacts) -> list[WorkUnit]:
    """Divide a run into units of about ``background_per_job`` seconds of background, in order of segment and slide."""
    return units_over(run, [parse_background_path(path) for path in background_files(run, "test")])


def units_over(run: Artifacts, segments: Sequence[tuple[float, float]]) -> list[WorkUnit]:
    """Divide given segments into units of about ``background_per_job`` seconds of background.

    Args:
        run: The run.
        segments: Start (GPS s) and duration (s) of each segment.
    """
    durations = [duration for _, duration in segments]
    grid, by_segment = time_slides(run), dict[int, list[Slide]]()
    for slide in slides_over(run, segments):
        by_segment.setdefault(slide.segment, []).append(slide)
    ordered = [
        [grid.slide(index, duration, 0), *sorted(by_segment.get(index, []), key=lambda slide: slide.number)]
        for index, duration in enumerate(durations)
    ]
    return pack(ordered, grid, run.config.inference.background_per_job)


def pack(segments: Sequence[Sequence[Slide]], grid: Grid, target: float) -> list[WorkUnit]:
    """Divide slides into units of about ``target`` seconds of live time.

    A long segment is divided into ranges of slides that reach the target. The size of a range does not depend on the
    number of slides. More slides (a longer ``Tb``) therefore leave these units unchanged. The remaining slides of a
    segment, or all slides of a short segment, share a unit with those of neighbouring segments, up to the target.

    Args:
        segments: Slides of each segment in order, zero lag first.
        grid: Grid of windows and slides.
        target: Live time of a unit, s.
    """
    units: list[WorkUnit] = []
    shared: list[Slide] = []
    for slides in segments:
        size = max(1, int(target / max(grid.livetime(slides[1:2]), 1.0)))
        starts = [0, *range(1 + size, len(slides), size)]
        for first, last in itertools.pairwise([*starts, len(slides)]):
            piece = slides[first:last]
            is_whole = len(piece) - (first == 0) == size
            if shared and (is_whole or grid.livetime([*shared, *piece]) > target):
                units.append(WorkUnit(tuple(shared)))
                shared = []
            shared += piece
            if is_whole:
                units.append(WorkUnit(tuple(shared)))
                shared = []
    return [*units, WorkUnit(tuple(shared))] if shared else units


def unit_outputs(run: Artifacts, unit: WorkUnit) -> dict[str, str]:
    """Paths of a unit's tables, by kind.

    The first and last segment and slide, and the number of slides, form the names.

    Args:
        run: The run.
        unit: One of its units of work.
    """
    kinds = ["timeseries"] if run.config.inference.return_timeseries else []
    kinds += ["0lag"] if unit.of_kind(zero_lag=True) else []
    kinds += ["foreground", "background"] if unit.of_kind(zero_lag=False) else []
    first, last = ((slide.segment, slide.number) for slide in (unit.slides[0], unit.slides[-1]))
    return {kind: run.unit(kind, first, last, len(unit.slides)) for kind in kinds}


def ledger(run: Artifacts) -> Ledger:
    """Accounts of the background in the run's units."""
    units, grid = plan_units(run), time_slides(run)

    def was_done(index: int) -> bool:
        return all(storage.exists(path) for path in unit_outputs(run, units[index]).values())

    seconds = [grid.livetime(unit.of_kind(zero_lag=False)) for unit in units]
    return Ledger(seconds, run.config.search.inference_sampling_rate, was_done)
