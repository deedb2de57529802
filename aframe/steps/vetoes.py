"""Remove vetoed time from a run's events, live time, injections and rejected draws."""

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
        DataError: If vetoes cannot be read, no time is left, or the events do not belong to the slides.
    """
    grid, slides = Grid(trained_model(run).preprocessing, run.config.inference.shifts), plan_slides(run)
    segments, ifos = [parse_background_path(path) for path in run.background_files("test")], run.config.search.ifos
    starts = [start for start, _ in segments]
    vetoes = load_vetoes(run.config, [Segment(start, start + duration) for start, duration in segments])
    in_slides = union(vetoes, ifos, zero_lag=False)
    recovered = RecoveredTable.read(run.events("foreground"))
    injections = clean_injections(recovered, ifos, in_slides)
    injections.write(run.clean("foreground"), run.clean_event_parameters)
    unshifted = grid.event_spans(
        starts, [grid.slide(index, duration, 0) for index, (_, duration) in enumerate(segments)]
    )
    zero_lag, vetoed_events, live_unshifted = _clean_zero_lag(
        EventTable.read(run.events("0lag")), unshifted, ifos, vetoes
    )
    zero_lag.write(run.clean("0lag"), run.clean_event_parameters)
    vetoed_events.write(run.clean("vetoed"), run.clean_event_parameters)
    shifted = grid.event_spans(starts, slides)
    background, live = clean_events(EventTable.read(run.events("background")), shifted, ifos, in_slides)
    background.write(run.clean("background"), run.clean_event_parameters)
    columns = {
        name: np.concatenate([getattr(spans, name) for spans in (live, live_unshifted)])
        for name in ("start", "duration", "shift")
    }
    Table(columns).write(run.clean("live"), run.clean_event_parameters)
    seconds = [
        f"{table.livetime:.0f} of {table.attributes['Tb_before_vetoes']:.0f} s" for table in (background, zero_lag)
    ]
    count = f"{len(injections)} of {len(recovered)} injections"
    print(f"Vetoes leave: {seconds[0]} of background, {seconds[1]} of zero lag, {count}", flush=True)


def _clean_zero_lag(
    events: EventTable, spans: SlideSpans, ifos: Sequence[str], vetoes: Sequence[Veto]
) -> tuple[EventTable, EventTable, SlideSpans]:
    """Zero-lag events outside vetoed time, those inside, and the remaining live time.

    The column ``vetoes`` names the vetoes of each event. Events outside can lie in vetoes for time slides only.
    """
    for_zero_lag = [veto for veto in vetoes if veto.in_zero_lag]
    kept, live = clean_events(events, spans, ifos, union(for_zero_lag, ifos, zero_lag=True))
    names = reasons(events["detection_time"], events["shift"], ifos, for_zero_lag)
    vetoed = events.rows(np.array([name != "" for name in names], dtype=bool))
    for table in (kept, vetoed):
        all_names = reasons(table["detection_time"], table["shift"], ifos, vetoes)
        table.parameters["vetoes"] = np.char.encode(np.array(all_names, dtype=np.str_), "utf-8")
    vetoed.attributes["Tb"] = events.livetime - kept.livetime
    return kept, vetoed, live


def clean_rejected_draws(
    run: Artifacts, rejected: Iterable[RejectedTable], kept: RecoveredTable
) -> Iterable[RejectedTable]:
    """Rejected draws of the injections outside vetoed time. Without vetoes, all rejected draws.

    Args:
        run: The run.
        rejected: All rejected draws of the run, in order.
        kept: Injections outside vetoed time.
    """
    if not run.config.vetoes.given:
        return rejected
    return clean_rejected(rejected, InjectionTable.read(run.injections, ["injection_time", "shift", "num_draws"]), kept)


def livetimes(run: Artifacts) -> dict[str, float]:
    """Live time of background and zero lag after and before vetoes, s. Empty without vetoes."""
    result: dict[str, float] = {}
    for name, kind in (("Tb", "background"), ("T0", "0lag")) if run.config.vetoes.given else ():
        attributes = EventTable.read(run.clean(kind), [], slice(0)).attributes
        result |= {name: float(attributes["Tb"]), f"{name}_before_vetoes": float(attributes["Tb_before_vetoes"])}
    return result
