"""What of a run is outside vetoed time: its events and live time, its injections and their rejected draws."""

from collections.abc import Iterable, Sequence

import numpy as np

from aframe.events.spans import SlideSpans
from aframe.events.vetoes import Veto, clean_events, clean_injections, clean_rejected, reasons, union
from aframe.inference.slides import Grid
from aframe.runs.artifacts import Artifacts
from aframe.steps.planning import plan_slides
from aframe.steps.scoring import trained_model
from aframe.steps.veto_sources import load_vetoes
from aframe.strain.files import parse_background_path
from aframe.strain.segments import Segment
from aframe.tables import EventTable, InjectionTable, RecoveredTable, RejectedTable, Table


def veto_events(run: Artifacts) -> None:
    """Write the events, injections and live time outside vetoed time, and the events inside.

    Args:
        run: The run, with all events merged.

    Raises:
        DataError: If vetoes cannot be read, nothing is left, or the events are not those of the slides.
    """
    grid, slides = Grid(trained_model(run).preprocessing, run.config.inference.shifts), plan_slides(run)
    segments, ifos = [parse_background_path(path) for path in run.background_files("test")], run.config.search.ifos
    starts = [start for start, _ in segments]
    vetoes = load_vetoes(run.config, [Segment(start, start + duration) for start, duration in segments])
    in_slides = union(vetoes, ifos, zero_lag=False)
    recovered = RecoveredTable.read(run.events("foreground"))
    injections = clean_injections(recovered, ifos, in_slides)
    injections.write(run.clean("foreground"), run.made_clean)
    unshifted = grid.event_spans(
        starts, [grid.slide(index, duration, 0) for index, (_, duration) in enumerate(segments)]
    )
    zero_lag, vetoed_events = _clean_zero_lag(EventTable.read(run.events("0lag")), unshifted, ifos, vetoes)
    zero_lag.write(run.clean("0lag"), run.made_clean)
    vetoed_events.write(run.clean("vetoed"), run.made_clean)
    shifted = grid.event_spans(starts, slides)
    background, live = clean_events(EventTable.read(run.events("background")), shifted, ifos, in_slides)
    background.write(run.clean("background"), run.made_clean)
    Table({"start": live.start, "duration": live.duration, "shift": live.shift}).write(
        run.clean("live"), run.made_clean
    )
    left = [f"{table.livetime:.0f} of {table.attributes['Tb_before_vetoes']:.0f} s" for table in (background, zero_lag)]
    told = f"{left[0]} of background, {left[1]} of zero lag, {len(injections)} of {len(recovered)} injections"
    print(f"Vetoes leave: {told}", flush=True)


def _clean_zero_lag(
    events: EventTable, spans: SlideSpans, ifos: Sequence[str], vetoes: Sequence[Veto]
) -> tuple[EventTable, EventTable]:
    """Events outside vetoed time, and those inside; a column ``vetoes`` says into whose vetoes each of them fell.

    What is kept may lie in vetoes that hold for time slides alone.
    """
    of_all = [veto for veto in vetoes if veto.in_zero_lag]
    kept, _ = clean_events(events, spans, ifos, union(of_all, ifos, zero_lag=True))
    why = reasons(events["detection_time"], events["shift"], ifos, of_all)
    lost = events.rows(np.array([each != "" for each in why], dtype=bool))
    for table in (kept, lost):
        named = reasons(table["detection_time"], table["shift"], ifos, vetoes)
        table.parameters["vetoes"] = np.char.encode(np.array(named, dtype=np.str_), "utf-8")
    lost.attributes["Tb"] = events.livetime - kept.livetime
    return kept, lost


def clean_rejected_draws(
    run: Artifacts, rejected: Iterable[RejectedTable], kept: RecoveredTable
) -> Iterable[RejectedTable]:
    """The rejected draws of the injections that are kept; all of them where nothing is vetoed.

    Args:
        run: The run.
        rejected: All of its rejected draws, in order.
        kept: The injections outside vetoed time.
    """
    if not run.config.vetoes.given:
        return rejected
    return clean_rejected(rejected, InjectionTable.read(run.injections, ["injection_time", "shift", "num_draws"]), kept)


def livetimes(run: Artifacts) -> dict[str, float]:
    """Live time in s of background and zero lag, after vetoes and before them; empty where nothing is vetoed."""
    result: dict[str, float] = {}
    for name, kind in (("Tb", "background"), ("T0", "0lag")) if run.config.vetoes.given else ():
        attributes = EventTable.read(run.clean(kind), [], slice(0)).attributes
        result |= {name: float(attributes["Tb"]), f"{name}_before_vetoes": float(attributes["Tb_before_vetoes"])}
    return result
