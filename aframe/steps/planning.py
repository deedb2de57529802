"""What work a run's testing data make: slides and injections, and the units in which they are scored."""

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

    Raises:
        DataError: If there are none.
    """
    paths = run.background_files(stage)
    if not paths:
        raise DataError(f"no background files in {run.data_directory(stage)}/background: make the data first")
    return paths


@dataclass(frozen=True)
class InjectionBatch:
    """Injections to place in one slide of one background file.

    Attributes:
        segment: Index of the background file.
        slide: Number of the time slide.
        count: Signals to place.
    """

    segment: int
    slide: int
    count: int


def time_slides(run: Artifacts) -> Grid:
    """How windows and slides lie on the testing data."""
    search = run.config.search
    preprocessing = Preprocessing(
        search.ifos, search.kernel_length, search.inference_sampling_rate, (0.0, search.kernel_length), search.whitening
    )
    return Grid(preprocessing, run.config.inference.shifts)


def plan_injections(run: Artifacts) -> list[InjectionBatch]:
    """Fill the slides of all segments, the smallest shifts first, until all injections have a place.

    Raises:
        DataError: If the segments do not hold as many; says how many they hold.
    """
    return injections_over(run, [parse_background_path(path) for path in background_files(run, "test")])


def injections_over(run: Artifacts, segments: Sequence[tuple[float, float]]) -> list[InjectionBatch]:
    """The same in segments of which start and duration (s) are given."""
    wanted = run.config.injections.num_injections
    batches: list[InjectionBatch] = []
    placed, number, fits = 0, 1, True
    while placed < wanted and fits:
        fits = False
        for index, segment in enumerate(segments):
            room = placement(run, segment, number)
            count = min(0 if room is None else room.capacity, wanted - placed)
            if count > 0:
                fits = True
                batches.append(InjectionBatch(index, number, count))
                placed += count
        number += 1
    if placed < wanted:
        raise DataError(
            f"num_injections = {wanted} do not fit into {len(segments)} segments and their time slides, "
            f"which hold {placed}: lower num_injections, spacing or buffer, or take more data"
        )
    return batches


def placement(run: Artifacts, segment: tuple[float, float], number: int) -> Placement | None:
    """Where injections may lie in a slide of a segment (start and duration, s); None where nothing is left of it."""
    span = time_slides(run).span(*segment, number)
    if span is None:
        return None
    made, shifts = run.config.injections, run.config.inference.shifts
    shift = tuple(s * number for s in shifts)
    return Placement(*span, made.spacing, made.buffer, made.jitter, shift)


def plan_slides(run: Artifacts) -> list[Slide]:
    """Slides of the background: as many as ``Tb`` needs, and at least those that hold injections."""
    return slides_over(run, [parse_background_path(path) for path in background_files(run, "test")])


def slides_over(run: Artifacts, segments: Sequence[tuple[float, float]]) -> list[Slide]:
    """Slides of segments (start and duration, s): as many as ``Tb`` needs, and at least those that hold injections."""
    durations = [duration for _, duration in segments]
    grid = time_slides(run)
    slides = grid.background(durations, run.config.inference.Tb)
    there = {(slide.segment, slide.number) for slide in slides}
    return slides + [
        grid.slide(batch.segment, durations[batch.segment], batch.slide)
        for batch in injections_over(run, segments)
        if (batch.segment, batch.slide) not in there
    ]


@dataclass(frozen=True)
class WorkUnit:
    """Slides that are scored together, in order of segment and number; a segment's first one is its zero lag.

    Attributes:
        slides: The slides, of one segment or of several that follow each other.
    """

    slides: tuple[Slide, ...]

    def by_segment(self) -> Iterator[tuple[int, tuple[Slide, ...]]]:
        """Index of each background file, and its slides."""
        for segment, slides in itertools.groupby(self.slides, key=lambda slide: slide.segment):
            yield segment, tuple(slides)

    def of_kind(self, zero_lag: bool) -> list[Slide]:
        """Its unshifted or its shifted slides."""
        return [slide for slide in self.slides if (slide.number == 0) == zero_lag]


def plan_units(run: Artifacts) -> list[WorkUnit]:
    """Units of work of about ``background_per_job`` seconds of background, in order of segment and slide."""
    return units_over(run, [parse_background_path(path) for path in background_files(run, "test")])


def units_over(run: Artifacts, segments: Sequence[tuple[float, float]]) -> list[WorkUnit]:
    """Units of work over segments (start and duration, s)."""
    durations = [duration for _, duration in segments]
    grid, own = time_slides(run), dict[int, list[Slide]]()
    for slide in slides_over(run, segments):
        own.setdefault(slide.segment, []).append(slide)
    ordered = [
        [grid.slide(index, duration, 0), *sorted(own.get(index, []), key=lambda slide: slide.number)]
        for index, duration in enumerate(durations)
    ]
    return pack(ordered, grid, run.config.inference.background_per_job)


def pack(segments: Sequence[Sequence[Slide]], grid: Grid, target: float) -> list[WorkUnit]:
    """Slides in units of about ``target`` seconds of live time.

    A long segment is cut into ranges of as many slides as reach the target, which do not depend on how many slides
    there are: more of them (a longer ``Tb``) leave those units as they are. What is left of a segment, or a short
    segment whole, shares a unit with its neighbours' up to the target.

    Args:
        segments: Slides of each segment in order, zero lag first.
        grid: How windows lie on slides.
        target: Seconds.
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
    """Paths of a unit's tables, by kind: the first and last segment and slide, and how many slides, name it."""
    kinds = ["timeseries"] if run.config.inference.return_timeseries else []
    kinds += ["0lag"] if unit.of_kind(zero_lag=True) else []
    kinds += ["foreground", "background"] if unit.of_kind(zero_lag=False) else []
    first, last = ((slide.segment, slide.number) for slide in (unit.slides[0], unit.slides[-1]))
    return {kind: run.unit(kind, first, last, len(unit.slides)) for kind in kinds}


def ledger(run: Artifacts) -> Ledger:
    """Accounts of the background that the run's units score."""
    units, grid = plan_units(run), time_slides(run)

    def was_done(index: int) -> bool:
        return all(storage.exists(path) for path in unit_outputs(run, units[index]).values())

    seconds = [grid.livetime(unit.of_kind(zero_lag=False)) for unit in units]
    return Ledger(seconds, run.config.search.inference_sampling_rate, was_done)
