"""Units of work: events of some time slides of one segment, with and without injections; and events of plain strain."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aframe.errors import strain_of
from aframe.events.cluster import Clustering, cluster
from aframe.events.recover import SHIFT_RESOLUTION, recovered_table
from aframe.inference.embeddings import EmbeddingCache
from aframe.inference.engine import Engine, Injection, injection_start
from aframe.inference.scorers import Scorer
from aframe.inference.slides import Grid, Slide
from aframe.inference.timeseries import Kind, ScoreSeries
from aframe.spectral import WhitenedStream, whiten_stream
from aframe.strain.files import open_background
from aframe.tables import EventTable, InjectionTable, RecoveredTable
from aframe.types import Array
from aframe.waveforms.injections import with_responses

BATCH = 128
"""Injections whose waveforms are in memory at once: in two detectors 17 MB of 8 s at 2048 Hz."""


@dataclass(frozen=True)
class Searcher:
    """A network and how its scores become events.

    Attributes:
        scorer: What scores, and the preprocessing that it needs.
        grid: How windows and slides lie on a segment.
        clustering: How scores become events.
        recovery_window: Largest distance from an injection to the event that recovers it, s.
        cache: Where embeddings are kept for later units; None keeps none.
    """

    scorer: Scorer
    grid: Grid
    clustering: Clustering
    recovery_window: float
    cache: EmbeddingCache | None = None


@dataclass(frozen=True)
class Unit:
    """Some slides of one segment.

    Attributes:
        background: Path of the segment's strain.
        slides: Slides to score.
        injections: The injections, or None to score the background alone.
    """

    background: str
    slides: Sequence[Slide]
    injections: "InjectionIndex | None"


class InjectionIndex:
    """Where the injections of a table are, read once; their other columns and waveforms are read as they are needed.

    Args:
        path: Of the ``InjectionTable``.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        table = InjectionTable.read(path, ["injection_time", "shift"])
        self._time, self._shift = table["injection_time"], table["shift"]

    def rows(self, slide: Slide, start: float, stop: float) -> Array:
        """Rows of the injections of a segment's slide, in order of time.

        An injection belongs to the segment that the detector with the smallest shift sees at its time: slides that
        shift all detectors forwards reach times before the segment's start.

        Args:
            slide: The slide.
            start: GPS s of the segment's start.
            stop: GPS s of its end.
        """
        seen = self._time + self._shift.min(axis=1)
        wanted = (seen >= start) & (seen < stop)
        wanted &= np.isclose(self._shift, slide.shifts, rtol=0, atol=SHIFT_RESOLUTION).all(axis=1)
        rows = np.flatnonzero(wanted)
        return rows[np.argsort(self._time[rows], kind="stable")]

    def read(self, rows: Array, waveforms: bool = False) -> InjectionTable:
        """Some rows: all parameters, and the responses where asked for, which may have to be made anew."""
        low, high = (int(rows.min()), int(rows.max()) + 1) if len(rows) else (0, 0)
        table = InjectionTable.read(self.path, rows=slice(low, high), waveforms=waveforms).rows(rows - low)
        return with_responses(table, self.path) if waveforms else table

    def batches(self, rows: Array, reach: float) -> Iterator[Array]:
        """Rows in batches of about ``BATCH``, of which no two share a window.

        Args:
            rows: In order of time.
            reach: Seconds between two injections beyond which they share no window.
        """
        free = np.flatnonzero(np.diff(self._time[rows]) > reach) + 1
        cuts = [0]
        for place in free.tolist():
            if place - cuts[-1] >= BATCH:
                cuts.append(place)
        for first, last in itertools.pairwise([*cuts, len(rows)]):
            yield rows[first:last]


def score_unit(
    searcher: Searcher,
    unit: Unit,
    progress: Callable[[float, float], None] | None = None,
    keep: Callable[[ScoreSeries], None] | None = None,
) -> tuple[EventTable, RecoveredTable | None]:
    """Events of a unit's slides, and its injections with the events that recovered them.

    Args:
        searcher: Network and clustering.
        unit: What to score.
        progress: Called with the seconds of background done and to do.
        keep: Called with the scores of each slide, and again with injections in it.

    Raises:
        DataError: If the segment is too short to analyse.
    """
    preprocessing = searcher.scorer.preprocessing
    with open_background(unit.background) as file:
        start, stop = file.start, file.start + file.duration
    engine = segment_engine(searcher, unit.background)
    backgrounds, foregrounds = [], []
    shifted = [slide for slide in unit.slides if slide.number != 0]
    done, total = 0.0, searcher.grid.livetime(shifted)
    for slide, scores in zip(unit.slides, engine.scores_each(unit.slides), strict=True):
        begin = start + preprocessing.whitening.psd_length - min(slide.shifts)
        made = _Scored(searcher, slide, begin)
        backgrounds.append(made.events(scores))
        if keep:
            keep(made.series("background", scores))
        rows = unit.injections.rows(slide, start, stop) if unit.injections else np.empty(0)
        if unit.injections and len(rows):
            injected = _with_injections(engine, made, scores, unit.injections, rows)
            table = unit.injections.read(rows)
            foregrounds.append(recovered_table(table, made.events(injected), searcher.recovery_window))
            if keep:
                keep(made.series("foreground", injected))
        if progress and slide.number != 0:
            done += searcher.grid.livetime([slide])
            progress(done, total)
    background = EventTable.concatenate(backgrounds)
    background.attributes["Tb"] = searcher.grid.livetime(unit.slides)
    if unit.injections is None:
        return background, None
    empty = recovered_table(unit.injections.read(np.empty(0, np.int64)), background.rows(slice(0)), 0.0)
    return background, RecoveredTable.concatenate([empty, *foregrounds])


def segment_engine(searcher: Searcher, background: str) -> Engine:
    """The engine of a background file; its embeddings are taken from the cache, or kept there, where there is one.

    Raises:
        DataError: If the segment is too short to analyse.
    """
    scorer, cache = searcher.scorer, searcher.cache
    made = scorer.preprocessing

    def whiten() -> list[WhitenedStream]:
        with open_background(background) as file:
            # one detector's strain at a time: in double precision it is twice as long as all that is kept of it
            streams = []
            for ifo in made.ifos:
                with strain_of(f"{ifo} in {background}"):
                    streams.append(whiten_stream(scorer.to_device(file.read(ifo)), made.whitening))
            return streams

    kept = cache.read(background, made.ifos) if cache else None
    if kept is not None:
        return Engine(scorer, whiten, searcher.grid, [scorer.to_device(embedding) for embedding in kept])
    engine = Engine(scorer, whiten, searcher.grid)
    if cache:
        cache.write(background, dict(zip(made.ifos, engine.embeddings, strict=True)))
    return engine


@dataclass(frozen=True)
class _Scored:
    """A slide's place in time, by which scores become events."""

    searcher: Searcher
    slide: Slide
    begin: float

    def events(self, scores: Array) -> EventTable:
        statistic, time = cluster(scores, self.begin, self.searcher.clustering)
        shift = np.tile(np.asarray(self.slide.shifts), (len(statistic), 1))
        columns = {"detection_statistic": statistic, "detection_time": time, "shift": shift}
        return EventTable(columns, attributes={"Tb": 0.0})

    def series(self, kind: Kind, scores: Array) -> ScoreSeries:
        slide, rate = self.slide, self.searcher.grid.preprocessing.inference_sampling_rate
        return ScoreSeries(kind, slide.segment, slide.number, slide.shifts, self.begin, rate, scores)


def _with_injections(engine: Engine, made: _Scored, scores: Array, index: InjectionIndex, rows: Array) -> Array:
    """Scores of a slide with its injections in it, of which few are in memory at a time."""
    preprocessing = made.searcher.grid.preprocessing
    attributes = index.read(rows[:0]).attributes
    reach = float(attributes["duration"]) + preprocessing.whitening.fduration + preprocessing.kernel_length
    for batch in index.batches(rows, reach + 1 / preprocessing.inference_sampling_rate):
        table = index.read(batch, waveforms=True)
        signals = [_injection(table, row, made.begin, preprocessing.ifos) for row in range(len(table))]
        scores = engine.scores_with(made.slide, scores, signals)
    return scores


def _injection(table: InjectionTable, row: int, begin: float, ifos: Sequence[str]) -> Injection:
    responses = torch.stack([torch.from_numpy(np.asarray(table.waveforms[ifo.lower()][row])) for ifo in ifos])
    rate, right_pad = float(table.attributes["sample_rate"]), float(table.attributes["right_pad"])
    time = float(table["injection_time"][row])
    return Injection(responses, injection_start(time, begin, rate, responses.shape[-1], right_pad))
