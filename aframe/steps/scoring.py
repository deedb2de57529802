"""Score a run's slides and injections, and cluster the scores into events."""

import contextlib
import functools
from typing import TYPE_CHECKING

from aframe import storage
from aframe.errors import ConfigurationError, DataError
from aframe.events.cluster import Clustering
from aframe.inference.slides import Grid
from aframe.inference.timeseries import read_series, write_series
from aframe.progress.ledger import JobProgress
from aframe.progress.lines import ProgressReport
from aframe.runs.artifacts import Artifacts
from aframe.steps.planning import (
    WorkUnit,
    background_files,
    plan_units,
    time_slides,
    unit_outputs,
)
from aframe.strain.files import parse_background_path
from aframe.tables import EventTable, RecoveredTable, merge_tables
from aframe.train.model import Model

if TYPE_CHECKING:
    from aframe.inference.run import Searcher
    from aframe.inference.stretch import SlideStretch


def score_unit(
    run: Artifacts, unit: WorkUnit, device: str, address: str | None = None, progress: JobProgress | None = None
) -> None:
    """Write the events of one unit of work, and its series of scores if the configuration asks for them.

    Args:
        run: The run.
        unit: The unit.
        device: Device of this process: cpu or cuda.
        address: Address of the Triton server. None to score in this process.
        progress: Receives what is done of the injections and of the background.
    """
    from aframe.inference.run import InjectionIndex, Unit
    from aframe.inference.run import score_unit as score

    search, outputs, files = searcher(run, device, address), unit_outputs(run, unit), background_files(run, "test")
    injections, done, scored = InjectionIndex(run.injections), 0.0, 0.0
    parts = [Unit(files[segment], slides, injections) for segment, slides in unit.by_segment()]
    signals = [float(sum(map(len, part.injected_rows()))) for part in parts]
    total = search.grid.livetime(unit.of_kind(zero_lag=False))
    tables = []
    with contextlib.ExitStack() as stack:
        stack.callback(search.scorer.close)
        writer = None
        if "timeseries" in outputs:
            file = stack.enter_context(storage.create_hdf5(outputs["timeseries"], run.unit_parameters))
            writer = functools.partial(write_series, file)
        for part, number in zip(parts, signals, strict=True):
            report = None
            if progress:
                report = JobProgress(
                    functools.partial(_after, progress.injections, scored, sum(signals)),
                    functools.partial(_after, progress.background, done, total),
                )
            tables.append(score(search, part, report, writer))
            done += search.grid.livetime([slide for slide in part.slides if slide.number != 0])
            scored += number
    if "foreground" in outputs:
        recovered = RecoveredTable.concatenate([table for _, table in tables if table is not None])
        recovered.write(outputs["foreground"], run.unit_parameters)
    merged = EventTable.concatenate([events for events, _ in tables])
    for kind, is_zero_lag in (("background", False), ("0lag", True)):
        if kind in outputs:
            table = merged.rows((merged["shift"] == 0).all(axis=1) == is_zero_lag)
            table.attributes["Tb"] = search.grid.livetime(unit.of_kind(is_zero_lag))
            table.write(outputs[kind], run.unit_parameters)


def _after(progress: ProgressReport, offset: float, total: float, done: float, _: float) -> None:
    """Report the progress in a segment as progress of its unit."""
    progress(offset + done, total)


def trained_model(run: Artifacts) -> Model:
    """Load the trained model.

    Raises:
        ConfigurationError: If the model belongs to another preprocessing.
    """
    from aframe.train import model
    from aframe.train.architectures import JointResNet

    trained, configured = model.load(run.model), time_slides(run).preprocessing
    for name in ("ifos", "kernel_length", "inference_sampling_rate", "whitening"):
        if getattr(trained.preprocessing, name) != getattr(configured, name):
            raise ConfigurationError(
                f"{run.model} was trained with {name} = {getattr(trained.preprocessing, name)}, the configuration says "
                f"{getattr(configured, name)}: restore the configuration, or train again"
            )
    size = run.config.inference.batch_size
    if isinstance(trained.network, JointResNet) and size != "auto":
        trained.network.batch_size = size
    return trained


def clustering(run: Artifacts, model: Model) -> Clustering:
    """Settings with which scores of a model are clustered into events.

    Args:
        run: The run.
        model: Its network and preprocessing.
    """
    return Clustering(
        run.config.search.inference_sampling_rate,
        run.config.inference.integration_window_length,
        run.config.inference.cluster_window_length,
        model.preprocessing.coalescence_offset,
    )


def searcher(run: Artifacts, device: str, address: str | None) -> "Searcher":
    """Create the scorer of the trained model, with the settings of clustering.

    Args:
        run: The run.
        device: Device of this process: cpu or cuda.
        address: Address of the Triton server. None to score in this process.
    """
    from aframe.inference.run import Searcher
    from aframe.steps.engines import embedding_cache, make_scorer

    trained = trained_model(run)
    grid, scorer = Grid(trained.preprocessing, run.config.inference.shifts), make_scorer(run, trained, device, address)
    cache = embedding_cache(run, scorer, device)
    return Searcher(scorer, grid, clustering(run, trained), run.config.sensitivity.recovery_window, cache)


def merge_events(run: Artifacts) -> None:
    """Merge the events of all units, in order, into one table per kind."""
    units = [unit_outputs(run, unit) for unit in plan_units(run)]
    for kind, table in (("0lag", EventTable), ("foreground", RecoveredTable), ("background", EventTable)):
        paths = [unit[kind] for unit in units if kind in unit]
        merge_tables(table, paths, run.events(kind), run.event_parameters, ["Tb"])


def look_at(run: Artifacts, number: int, span: tuple[float, float], injected: bool) -> "SlideStretch":
    """Strain and scores in a stretch of a slide. Stored scores are used, if any; otherwise they are computed.

    Args:
        run: The run.
        number: Number of the slide; 0 is zero lag.
        span: First and last slide time, GPS s.
        injected: Whether the slide has its injections. This needs stored scores.

    Raises:
        DataError: If there is no strain at this time, or no stored scores with injections.
    """
    from aframe.inference.stretch import slide_stretch

    trained, middle = trained_model(run), sum(span) / 2
    grid = Grid(trained.preprocessing, run.config.inference.shifts)
    series_files = storage.glob(run.directories.results, "units", "timeseries-*.hdf5")
    for segment, path in enumerate(background_files(run, "test")):
        start, duration = parse_background_path(path)
        slide_span = grid.span(start, duration, number)
        if slide_span is not None and slide_span[0] <= middle < slide_span[1]:
            series = read_series(series_files, segment, number, "foreground") if injected else None
            slide = grid.slide(segment, duration, number)
            return slide_stretch(trained, clustering(run, trained), path, slide, *span, series)
    raise DataError(f"slide {number} has no whitened strain at {middle:.3f}: choose another --time or --slide")
