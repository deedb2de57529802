"""Units of work: score some time slides of one segment, with and without injections, and cluster the scores."""

import itertools
import math
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
from aframe.preprocessing import Preprocessing
from aframe.progress.ledger import JobProgress
from aframe.strain.files import open_background
from aframe.tables import EventTable, InjectionTable, RecoveredTable
from aframe.train.architectures import Network
from aframe.types import Array
from aframe.waveforms.injections import with_responses
from aframe.whitening import WhitenedStream, whiten_stream

INJECTIONS_AT_ONCE = 128
"""Injections whose waveforms are in memory at once: 17 MB for two detectors and 8 s at 2048 Hz."""

AROUND_COALESCENCE = 0.25
"""Seconds before and after coalescence that a window holds, in part at least, if an injection is scored in it.

Other windows hold the early inspiral alone, or nothing of the signal. Their scores stay those of the background. A bank
of templates looks at a part of a window: see ``attended``.
"""


@dataclass(frozen=True)
class Searcher:
    """A network, and the settings that turn its scores into events.

    Attributes:
        scorer: Scores windows. It has the model's preprocessing.
        grid: Positions of windows and slides on a segment.
        clustering: Settings that turn scores into events.
        recovery_window: Largest time from an injection to the event that recovers it, s.
        cache: Directory that keeps embeddings for later units; None keeps none.
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
        injections: Injections; None scores the background alone.
    """

    background: str
    slides: Sequence[Slide]
    injections: "InjectionIndex | None"

    def injected_rows(self) -> list[Array]:
        """Rows of the injections in each slide, in order of time."""
        if self.injections is None:
            return [np.empty(0, np.int64) for _ in self.slides]
        with open_background(self.background) as file:
            start, stop = file.start, file.start + file.duration
        return [self.injections.rows(slide, start, stop) for slide in self.slides]


class InjectionIndex:
    """Times and shifts of the injections of a table. Other columns and waveforms are read when they are needed.

    Args:
        path: Path of the ``InjectionTable``.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        table = InjectionTable.read(path, ["injection_time", "shift"])
        self._time, self._shift = table["injection_time"], table["shift"]

    def rows(self, slide: Slide, start: float, stop: float) -> Array:
        """Rows of the injections in a slide of a segment, in order of time.

        An injection belongs to the segment that the detector with the smallest shift sees at its time. Slides that
        shift all detectors forwards reach times before the segment's start.

        Args:
            slide: The slide.
            start: GPS s of the segment's start.
            stop: GPS s of its end.
        """
        strain_time = self._time + self._shift.min(axis=1)
        is_in_slide = (strain_time >= start) & (strain_time < stop)
        is_in_slide &= np.isclose(self._shift, slide.shifts, rtol=0, atol=SHIFT_RESOLUTION).all(axis=1)
        rows = np.flatnonzero(is_in_slide)
        return rows[np.argsort(self._time[rows], kind="stable")]

    def rows_of(self, time: Array, shift: Array) -> Array:
        """Rows of injections by their time and shift; −1 for those that are not in the table.

        Args:
            time: Injection times, GPS s, shape (n,).
            shift: Their shifts, s, shape (n, ifos).
        """
        keys = zip(self._time.tolist(), self._shift.tolist(), strict=True)
        rows = {(when, *by): row for row, (when, by) in enumerate(keys)}
        found = [rows.get((when, *by), -1) for when, by in zip(time.tolist(), shift.tolist(), strict=True)]
        return np.array(found, dtype=np.int64)

    def read(self, rows: Array, waveforms: bool = False) -> InjectionTable:
        """Read rows with all their parameters.

        Args:
            rows: Numbers of the rows, shape (rows,).
            waveforms: Whether to read the responses too. Those that are not in the file are computed again.
        """
        low, high = (int(rows.min()), int(rows.max()) + 1) if len(rows) else (0, 0)
        table = InjectionTable.read(self.path, rows=slice(low, high), waveforms=waveforms).rows(rows - low)
        return with_responses(table, self.path) if waveforms else table

    def batches(self, rows: Array, reach: float) -> Iterator[Array]:
        """Split rows into batches of about ``INJECTIONS_AT_ONCE``. No two batches share a window.

        Args:
            rows: Numbers of the rows in order of time, shape (rows,).
            reach: Seconds beyond which two injections share no window.
        """
        possible_cuts = np.flatnonzero(np.diff(self._time[rows]) > reach) + 1
        cuts = [0]
        for cut in possible_cuts.tolist():
            if cut - cuts[-1] >= INJECTIONS_AT_ONCE:
                cuts.append(cut)
        for first, last in itertools.pairwise([*cuts, len(rows)]):
            yield rows[first:last]


def score_unit(
    searcher: Searcher,
    unit: Unit,
    progress: JobProgress | None = None,
    keep: Callable[[ScoreSeries], None] | None = None,
) -> tuple[EventTable, RecoveredTable | None]:
    """Score a unit and cluster its scores into events.

    Args:
        searcher: Network and clustering.
        unit: Slides to score.
        progress: Receives what is done of the injections, whose slides come first, and then of the background.
        keep: Called with the scores of each slide, and again with those of the slide with injections.

    Returns:
        Events of the slides, and the injections with the events that recovered them; None if the unit has no
        injections.

    Raises:
        DataError: If the segment is too short to analyse, or a score is not finite.
    """
    preprocessing = searcher.scorer.preprocessing
    with open_background(unit.background) as file:
        start = file.start
    engine = segment_engine(searcher, unit.background)
    backgrounds, foregrounds = [], []
    done, total = 0.0, searcher.grid.livetime([slide for slide in unit.slides if slide.number != 0])
    rows_by_slide = unit.injected_rows()
    injected = _Injected(sum(map(len, rows_by_slide)), progress)
    for slide, rows, scores in zip(unit.slides, rows_by_slide, engine.scores_each(unit.slides), strict=True):
        begin = start + preprocessing.whitening.psd_length - min(slide.shifts)
        scored = _ScoredSlide(searcher, unit.background, slide, begin)
        backgrounds.append(scored.events(scores))
        if keep:
            keep(scored.series("background", scores))
        if unit.injections and len(rows):
            with_signals = _with_injections(engine, scored, scores, unit.injections, rows, injected)
            table = unit.injections.read(rows)
            foregrounds.append(recovered_table(table, scored.events(with_signals), searcher.recovery_window))
            if keep:
                keep(scored.series("foreground", with_signals))
        done += searcher.grid.livetime([slide]) if slide.number != 0 else 0.0
        if progress and not injected.left:
            progress.background(done, total)
    background = EventTable.concatenate(backgrounds)
    background.attributes["Tb"] = searcher.grid.livetime(unit.slides)
    if unit.injections is None:
        return background, None
    empty = recovered_table(unit.injections.read(np.empty(0, np.int64)), background.rows(slice(0)), 0.0)
    return background, RecoveredTable.concatenate([empty, *foregrounds])


def segment_engine(searcher: Searcher, background: str) -> Engine:
    """Create the engine of a background file. It reads embeddings from the cache if there is one, else it writes them.

    Args:
        searcher: Network and cache.
        background: Path of the background file.

    Raises:
        DataError: If the segment is too short to analyse.
    """
    scorer, cache = searcher.scorer, searcher.cache
    preprocessing = scorer.preprocessing

    def whiten() -> list[WhitenedStream]:
        with open_background(background) as file:
            # one detector at a time: its strain in double precision takes twice the memory of its whitened strain
            streams = []
            for ifo in preprocessing.ifos:
                with strain_of(f"{ifo} in {background}"):
                    streams.append(whiten_stream(scorer.to_device(file.read(ifo)), preprocessing.whitening))
            return streams

    cached = cache.read(background, preprocessing.ifos) if cache else None
    if cached is not None:
        return Engine(scorer, whiten, searcher.grid, [scorer.to_device(embedding) for embedding in cached])
    engine = Engine(scorer, whiten, searcher.grid)
    if cache:
        cache.write(background, dict(zip(preprocessing.ifos, engine.embeddings, strict=True)))
    return engine


@dataclass(frozen=True)
class _ScoredSlide:
    """A slide of a background file, and the time (slide time, GPS s) of its first window.

    It clusters scores into events. Scores that are not finite go no further: the error names segment, slide and engine.
    """

    searcher: Searcher
    background: str
    slide: Slide
    begin: float

    def events(self, scores: Array) -> EventTable:
        with strain_of(f"{self.background}, slide {self.slide.number}, engine {self.searcher.scorer.engine}"):
            statistic, time = cluster(scores, self.begin, self.searcher.clustering)
        shift = np.tile(np.asarray(self.slide.shifts), (len(statistic), 1))
        columns = {"detection_statistic": statistic, "detection_time": time, "shift": shift}
        return EventTable(columns, attributes={"Tb": 0.0})

    def series(self, kind: Kind, scores: Array) -> ScoreSeries:
        slide, rate = self.slide, self.searcher.grid.preprocessing.inference_sampling_rate
        return ScoreSeries(kind, slide.segment, slide.number, slide.shifts, self.begin, rate, scores)


class _Injected:
    """Number of injections that are still to score. It reports those that are scored."""

    def __init__(self, number: int, progress: JobProgress | None) -> None:
        self.left = self.number = number
        self._report = progress.injections if progress and number else None
        self.add(0)

    def add(self, number: int) -> None:
        """Take note that some more are scored."""
        self.left -= number
        if self._report:
            self._report(float(self.number - self.left), float(self.number))


def _with_injections(  # noqa: PLR0917 - what is scored, and how much of it
    engine: Engine, scored: _ScoredSlide, scores: Array, index: InjectionIndex, rows: Array, injected: _Injected
) -> Array:
    """Scores of a slide with its injections. Only one batch of injections is in memory at a time."""
    preprocessing = scored.searcher.grid.preprocessing
    attributes = index.read(rows[:0]).attributes
    reach = float(attributes["duration"]) + preprocessing.whitening.fduration + preprocessing.kernel_length
    for batch in index.batches(rows, reach + 1 / preprocessing.inference_sampling_rate):
        table = index.read(batch, waveforms=True)
        part = attended(engine.network, preprocessing)
        signals = [_injection(table, row, scored.begin, preprocessing.ifos, part) for row in range(len(table))]
        scores = engine.scores_with(scored.slide, scores, signals)
        injected.add(len(batch))
    return scores


def attended(network: Network, preprocessing: Preprocessing) -> tuple[int, int] | None:
    """Part of a window in which a signal's coalescence raises the score of a bank of templates. None for all of it.

    A step is loud where a template ends with the signal. A window of a minute for neutron stars has steps for its last
    half second alone, so that few windows about a coalescence need a new score.

    Args:
        network: The network.
        preprocessing: Window, and interval of coalescences in training.
    """
    if not network.needs_bank:
        return None
    rate = preprocessing.whitening.sample_rate
    half = max(
        (preprocessing.kernel_size - network.receptive_field) / 2,
        (preprocessing.coalescence[1] - preprocessing.coalescence[0]) / 2 * rate,
    )
    middle = preprocessing.coalescence_offset * rate
    return max(0, math.floor(middle - half)), min(preprocessing.kernel_size, math.ceil(middle + half))


def _injection(
    table: InjectionTable, row: int, begin: float, ifos: Sequence[str], part: tuple[int, int] | None
) -> Injection:
    responses = torch.stack([torch.from_numpy(np.asarray(table.waveforms[ifo.lower()][row])) for ifo in ifos])
    rate, right_pad = float(table.attributes["sample_rate"]), float(table.attributes["right_pad"])
    time = float(table["injection_time"][row])
    start = injection_start(time, begin, rate, responses.shape[-1], right_pad)
    coalescence, reach = start + responses.shape[-1] - round(right_pad * rate), round(AROUND_COALESCENCE * rate)
    return Injection(responses, start, (coalescence - reach, coalescence + reach), part)
