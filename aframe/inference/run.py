"""Units of work: events of some time slides of one segment, with and without injections; and events of plain strain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aframe.events.cluster import Clustering, cluster
from aframe.events.recover import recovered_table
from aframe.inference.engine import Engine, Injection, injection_start
from aframe.inference.scorers import Scorer
from aframe.inference.slides import Grid, Slide
from aframe.strain.files import open_background
from aframe.tables import EventTable, InjectionTable, RecoveredTable
from aframe.waveforms.injections import with_responses


@dataclass(frozen=True)
class Searcher:
    """A network and how its scores become events.

    Attributes:
        scorer: What scores, and the preprocessing that it needs.
        grid: How windows and slides lie on a segment.
        clustering: How scores become events.
        recovery_window: Largest distance from an injection to the event that recovers it, s.
    """

    scorer: Scorer
    grid: Grid
    clustering: Clustering
    recovery_window: float


@dataclass(frozen=True)
class Unit:
    """Some slides of one segment.

    Attributes:
        background: Path of the segment's strain.
        slides: Slides to score.
        injections: Path of the ``InjectionTable``, or None to score the background alone.
    """

    background: str
    slides: Sequence[Slide]
    injections: str | None


def score_unit(
    searcher: Searcher, unit: Unit, progress: Callable[[float, float], None] | None = None
) -> tuple[EventTable, RecoveredTable | None]:
    """Events of a unit's slides, and its injections with the events that recovered them.

    Args:
        searcher: Network and clustering.
        unit: What to score.
        progress: Called with the seconds of background done and to do.

    Raises:
        DataError: If the segment is too short to analyse.
    """
    preprocessing = searcher.scorer.preprocessing
    with open_background(unit.background) as file:
        strain = {ifo: file.read(ifo) for ifo in preprocessing.ifos}
        start = file.start
    engine = Engine.from_strain(searcher.scorer, strain, searcher.grid)
    rate = preprocessing.whitening.sample_rate
    first_sample = start + preprocessing.whitening.psd_length
    backgrounds, foregrounds = [], []
    stop = start + len(strain[preprocessing.ifos[0]]) / rate
    total = searcher.grid.livetime(unit.slides)
    for position, slide in enumerate(unit.slides):
        scores = engine.scores(slide)
        begin = first_sample - min(slide.shifts)
        backgrounds.append(_events(scores, begin, slide, searcher.clustering))
        if unit.injections is not None:
            table = _injections_of(unit.injections, slide, start, stop)
            if len(table) > 0:
                signals = [_injection(table, row, begin, preprocessing.ifos) for row in range(len(table))]
                events = _events(engine.scores_with(slide, scores, signals), begin, slide, searcher.clustering)
                foregrounds.append(recovered_table(_without_waveforms(table), events, searcher.recovery_window))
        if progress:
            progress(searcher.grid.livetime(unit.slides[: position + 1]), total)
    background = EventTable.concatenate(backgrounds)
    background.attributes["Tb"] = total
    if unit.injections is None:
        return background, None
    empty = recovered_table(InjectionTable.read(unit.injections, rows=slice(0)), background.rows(slice(0)), 0.0)
    return background, RecoveredTable.concatenate([empty, *foregrounds])


def _events(scores: np.ndarray, begin: float, slide: Slide, clustering: Clustering) -> EventTable:
    statistic, time = cluster(scores, begin, clustering)
    shift = np.tile(np.asarray(slide.shifts), (len(statistic), 1))
    return EventTable(
        {"detection_statistic": statistic, "detection_time": time, "shift": shift}, attributes={"Tb": 0.0}
    )


def _injections_of(path: str, slide: Slide, start: float, stop: float) -> InjectionTable:
    """The injections of a segment's slide, which lie together in the table, with their responses.

    An injection belongs to the segment that the detector with the smallest shift sees at its time: slides that shift
    all detectors forwards reach times before the segment's start.
    """
    table = InjectionTable.read(path, ["injection_time", "shift"])
    seen = table["injection_time"] + table["shift"].min(axis=1)
    wanted = (seen >= start) & (seen < stop)
    wanted &= np.isclose(table["shift"], slide.shifts, rtol=0, atol=1e-6).all(axis=1)
    rows = np.flatnonzero(wanted)
    low, high = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
    return with_responses(InjectionTable.read(path, rows=slice(low, high), waveforms=True).rows(rows - low), path)


def _without_waveforms(table: InjectionTable) -> InjectionTable:
    return InjectionTable(table.parameters, attributes=table.attributes)


def _injection(table: InjectionTable, row: int, begin: float, ifos: Sequence[str]) -> Injection:
    responses = torch.stack([torch.from_numpy(np.asarray(table.waveforms[ifo.lower()][row])) for ifo in ifos])
    rate, right_pad = float(table.attributes["sample_rate"]), float(table.attributes["right_pad"])
    time = float(table["injection_time"][row])
    return Injection(responses, injection_start(time, begin, rate, responses.shape[-1], right_pad))
