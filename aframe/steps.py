"""The six steps as plain functions of a run's artifacts: law tasks and the command line call these alike."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch

from aframe import activity, ranking, seeding, storage, targets, vetoing
from aframe.artifacts import Artifacts, Stage
from aframe.errors import ConfigurationError, DataError, TrainingError
from aframe.events.candidates import CandidateTable, write_candidates
from aframe.events.cluster import Clustering
from aframe.events.significance import Background
from aframe.inference.closeup import Closeup
from aframe.inference.closeup_files import write_closeups
from aframe.inference.slides import Grid
from aframe.inference.timeseries import read_series, write_series
from aframe.planning import (
    InjectionBatch,
    WorkUnit,
    background_files,
    placement,
    plan_injections,
    plan_slides,
    plan_units,
    time_slides,
    unit_outputs,
)
from aframe.processes import claim_gpu, die_with, release_gpu
from aframe.sensitivity import volume
from aframe.spectral import power_spectral_density
from aframe.strain.fetch import strain_for_segment
from aframe.strain.files import background_path, open_background, parse_background_path, write_background
from aframe.strain.segments import Segment, analysable, read_segments, write_segments
from aframe.tables import EventTable, InjectionTable, RecoveredTable, RejectedTable, merge_tables, write_tables
from aframe.train.model import Model
from aframe.waveforms.injections import injection_set
from aframe.waveforms.loading import load_population
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.sieve import COUNTS, Selection, accepted_signals
from aframe.waveforms.source import SignalSource, polarization_batches

if TYPE_CHECKING:
    from aframe.inference.run import Searcher
    from aframe.inference.stretch import SlideStretch

ProgressReport = Callable[[float, float], None]


def use_one_thread() -> None:
    """Compute on one thread: sums over threads are in another order, so that only a fixed number gives the same bytes.

    More cores are used by more workers. Training, one process of its own, takes all cores.
    """
    torch.set_num_threads(1)


def find_segments(run: Artifacts, stage: Stage) -> None:
    """List the segments of a stage."""
    start, stop = run.interval(stage)
    segments = analysable(run.config.data, run.config.search, start, stop, run.config.resolve)
    write_segments(run.segments(stage), segments, run.made_strain(stage))


def segments_of(run: Artifacts, stage: Stage) -> list[Segment]:
    """The segments of a stage, once they are listed."""
    return read_segments(run.segments(stage))


def fetch_strain(run: Artifacts, stage: Stage, segment: Segment) -> None:
    """Write the strain of a segment, and last of all the list of its files."""
    search = run.config.search
    pieces = strain_for_segment(run.config.data, search, segment.start, segment.stop, run.config.resolve)
    names = []
    for piece in pieces:
        path = background_path(run.data_directory(stage), piece.start, piece.duration)
        names.append(path.rpartition("/")[2])
        strain = {ifo: piece.strain[ifo] for ifo in search.ifos}
        write_background(path, strain, piece.start, search.sample_rate, run.made_strain(stage))
    storage.sign(run.strain_index(stage, segment), run.made_strain(stage))
    storage.write_text(run.strain_index(stage, segment), "\n".join(names) + "\n")


def signal_source(run: Artifacts) -> SignalSource:
    """The run's population and waveforms."""
    made = run.config.waveforms
    generator = WaveformGenerator(
        made.approximant,
        run.config.search.sample_rate,
        made.waveform_duration,
        made.right_pad,
        made.minimum_frequency,
        made.reference_frequency,
    )
    return SignalSource(load_population(made.prior, run.config.resolve), generator)


def selection(run: Artifacts, background: str) -> Selection:
    """Which signals are loud enough in the noise of a background file."""
    search = run.config.search
    with open_background(background) as file:
        strain = [torch.from_numpy(file.read(ifo)) for ifo in search.ifos]
    psds = torch.stack([power_spectral_density(s, search.sample_rate, search.fftlength) for s in strain])
    return Selection(search.ifos, psds, search.highpass, search.lowpass, run.config.injections.snr_threshold)


def generate_training_waveforms(run: Artifacts, progress: ProgressReport | None = None) -> None:
    """Write the polarizations to train with."""
    rng = seeding.generator(run.config.search.seed, "training waveforms")
    number = run.config.waveforms.num_training_waveforms
    batches = polarization_batches(signal_source(run), number, rng, progress=progress)
    write_tables([run.training_waveforms], ((batch,) for batch in batches), run.made_training_waveforms, COUNTS)


def generate_validation_waveforms(run: Artifacts, progress: ProgressReport | None = None) -> None:
    """Write the responses to validate with, loud enough in the last training segment's noise."""
    rng = seeding.generator(run.config.search.seed, "validation waveforms")
    chosen = selection(run, background_files(run, "train")[-1])
    number = run.config.waveforms.num_validation_waveforms
    batches = accepted_signals(signal_source(run), chosen, number, rng, progress=progress)
    accepted = ((batch,) for batch, _ in batches)
    write_tables([run.validation_waveforms], accepted, run.made_validation_waveforms, COUNTS)


def generate_injections(run: Artifacts, batch: InjectionBatch, progress: ProgressReport | None = None) -> None:
    """Write the injections of one slide of one segment, and the draws rejected on the way."""
    path = background_files(run, "test")[batch.segment]
    place = placement(run, parse_background_path(path), batch.slide)
    if place is None:
        raise DataError(f"slide {batch.slide} of {path} holds no injections: the data changed since they were planned")
    rng = seeding.generator(run.config.search.seed, "injections", batch.segment, batch.slide)
    source, chosen, store = signal_source(run), selection(run, path), run.config.injections.store_waveforms
    batches = injection_set(source, chosen, place, batch.count, rng, store_waveforms=store, progress=progress)
    parts = [run.injection_part(kind, batch.segment, batch.slide) for kind in ("accepted", "rejected")]
    write_tables(parts, batches, run.made_injections, COUNTS)


def merge_injections(run: Artifacts) -> None:
    """Join the parts, in order; they are deleted only when both tables are complete."""
    parts = plan_injections(run)
    paths = {kind: [run.injection_part(kind, b.segment, b.slide) for b in parts] for kind in ("rejected", "accepted")}
    merge_tables(RejectedTable, paths["rejected"], run.rejected, run.made_injections, COUNTS)
    merge_tables(InjectionTable, paths["accepted"], run.injections, run.made_injections, COUNTS)
    for path in paths["rejected"] + paths["accepted"]:
        storage.remove(path)


def score_unit(
    run: Artifacts, unit: WorkUnit, device: str, address: str | None = None, progress: ProgressReport | None = None
) -> None:
    """Write the events of one unit, scored here or by the Triton server at an address; score series where wanted."""
    from aframe.inference.run import InjectionIndex, Unit
    from aframe.inference.run import score_unit as score

    search, outputs, files = searcher(run, device, address), unit_outputs(run, unit), background_files(run, "test")
    injections, done = InjectionIndex(run.injections), 0.0
    total = search.grid.livetime(unit.of_kind(zero_lag=False))
    tables = []
    with contextlib.ExitStack() as stack:
        stack.callback(search.scorer.close)
        keep = None
        if "timeseries" in outputs:
            file = stack.enter_context(storage.create_hdf5(outputs["timeseries"], run.made_units))
            keep = functools.partial(write_series, file)
        for segment, slides in unit.by_segment():
            own = None if progress is None else functools.partial(_after, progress, done, total)
            tables.append(score(search, Unit(files[segment], slides, injections), own, keep))
            done += search.grid.livetime([slide for slide in slides if slide.number != 0])
    if "foreground" in outputs:
        recovered = RecoveredTable.concatenate([table for _, table in tables if table is not None])
        recovered.write(outputs["foreground"], run.made_units)
    together = EventTable.concatenate([events for events, _ in tables])
    for kind, is_zero_lag in (("background", False), ("0lag", True)):
        if kind in outputs:
            table = together.rows((together["shift"] == 0).all(axis=1) == is_zero_lag)
            table.attributes["Tb"] = search.grid.livetime(unit.of_kind(is_zero_lag))
            table.write(outputs[kind], run.made_units)


def _after(progress: ProgressReport, before: float, total: float, done: float, _: float) -> None:
    """Report a segment's progress as a part of its unit's."""
    progress(before + done, total)


def trained_model(run: Artifacts) -> Model:
    """The trained model.

    Raises:
        ConfigurationError: If it was trained for another preprocessing.
    """
    from aframe.train import model
    from aframe.train.architectures import JointResNet

    trained, made = model.load(run.model), time_slides(run).preprocessing
    for name in ("ifos", "kernel_length", "inference_sampling_rate", "whitening"):
        if getattr(trained.preprocessing, name) != getattr(made, name):
            raise ConfigurationError(
                f"{run.model} was trained with {name} = {getattr(trained.preprocessing, name)}, the configuration says "
                f"{getattr(made, name)}: restore the configuration, or train again"
            )
    size = run.config.inference.batch_size
    if isinstance(trained.network, JointResNet) and size != "auto":
        trained.network.batch_size = size
    return trained


def clustering(run: Artifacts, model: Model) -> Clustering:
    """How scores of a model become events."""
    return Clustering(
        run.config.search.inference_sampling_rate,
        run.config.inference.integration_window_length,
        run.config.inference.cluster_window_length,
        model.preprocessing.coalescence_offset,
    )


def searcher(run: Artifacts, device: str, address: str | None) -> "Searcher":
    """What scores with the trained model (asking the server at an address, if any), and how scores become events."""
    from aframe.engines import embedding_cache, make_scorer
    from aframe.inference.run import Searcher

    trained = trained_model(run)
    grid, scorer = Grid(trained.preprocessing, run.config.inference.shifts), make_scorer(run, trained, device, address)
    cache = embedding_cache(run, scorer, device)
    return Searcher(scorer, grid, clustering(run, trained), run.config.sensitivity.recovery_window, cache)


def merge_events(run: Artifacts) -> None:
    """Join the events of all units, in order, each kind in one table."""
    units = [unit_outputs(run, unit) for unit in plan_units(run)]
    for kind, table in (("0lag", EventTable), ("foreground", RecoveredTable), ("background", EventTable)):
        paths = [unit[kind] for unit in units if kind in unit]
        merge_tables(table, paths, run.events(kind), run.made_events, ["Tb"])


def look_at(run: Artifacts, number: int, span: tuple[float, float], injected: bool) -> "SlideStretch":
    """What a stretch of a slide looks like; its scores are those that were kept, or else computed anew.

    Args:
        run: The run.
        number: Of the slide; 0 is zero lag.
        span: Slide times between which it is shown, GPS s.
        injected: Whether with the slide's injections, of which only kept scores tell.

    Raises:
        DataError: If there is no strain then, or no scores with injections were kept.
    """
    from aframe.inference.stretch import slide_stretch

    trained, middle = trained_model(run), sum(span) / 2
    grid = Grid(trained.preprocessing, run.config.inference.shifts)
    kept = storage.glob(storage.join(run.directories.results, "units", "timeseries-*.hdf5"))
    for segment, path in enumerate(background_files(run, "test")):
        start, duration = parse_background_path(path)
        there = grid.span(start, duration, number)
        if there is not None and there[0] <= middle < there[1]:
            series = read_series(kept, segment, number, "foreground") if injected else None
            slide = grid.slide(segment, duration, number)
            return slide_stretch(trained, clustering(run, trained), path, slide, *span, series)
    raise DataError(f"slide {number} has no whitened strain at {middle:.3f}: choose another --time or --slide")


def veto_events(run: Artifacts) -> None:
    """Write the events and injections outside vetoed time, and the live time that is left."""
    grid = Grid(trained_model(run).preprocessing, run.config.inference.shifts)
    vetoing.veto_events(run, grid, plan_slides(run))


def use_one_gpu(gpus: str) -> str:
    """Let this process see one of some GPUs, which no other worker sees; the device to compute on.

    Workers beyond the number of GPUs wait. Where there is no GPU the device is the CPU, with a note.

    Args:
        gpus: As in CUDA_VISIBLE_DEVICES; empty for the CPU.
    """
    mine = claim_gpu(gpus) if gpus else ""
    os.environ["CUDA_VISIBLE_DEVICES"] = mine
    if not mine:
        return "cpu"
    if not torch.cuda.is_available():
        release_gpu(mine)
        print(f"note: there is no GPU {mine} here: computing on the CPU", file=sys.stderr)
        return "cpu"
    return "cuda"


def given_device() -> str:
    """The device to compute on, of a process that a batch system has given its GPUs, or none."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def train(run: Artifacts, gpus: str) -> None:
    """Train in a process of its own, which is asked to end when this one does: it keeps a checkpoint first.

    Where ``[luigi_kubernetes]`` names an image, that process is a cluster's.

    Args:
        run: The run.
        gpus: As in CUDA_VISIBLE_DEVICES.

    Raises:
        TrainingError: If it fails.
    """
    if run.config.kubernetes.trains:
        from aframe.kubernetes import lifecycle

        lifecycle.train(run)
        return
    command = [sys.executable, "-P", "-m", "aframe.cli", "train", "fit", "--config", run.training_yaml]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": gpus, "LAW_CONFIG_FILE": str(run.config.path)}
    environment[activity.FILE] = run.activity("Train")
    die = functools.partial(die_with, os.getpid(), signal.SIGTERM)
    process = subprocess.run(command, env=environment, check=False, preexec_fn=die)
    if process.returncode > 0:
        raise TrainingError("training failed: what it printed says why", is_told=True)
    if process.returncode < 0:
        raise TrainingError(
            f"training was ended by signal {-process.returncode}, perhaps as memory ran out: run again to continue "
            "from its last checkpoint, with data.background_memory and data.waveform_memory: disk if it comes back"
        )


def export(run: Artifacts) -> None:
    """Export the trained model to the run's Triton model repository."""
    from aframe.engines import serving_options
    from aframe.export.repository import publish
    from aframe.train import model

    options = serving_options(run.config.export)
    publish(model.load(run.model), storage.sha256(run.model), run.repository, options, run.made_repository)


def estimate_sensitivity(run: Artifacts) -> None:
    """Write sensitive volumes, their figures, and the candidates."""
    from aframe.report.inputs import rates_to_show
    from aframe.report.page import sensitive_volume_html

    background, zero_lag = Background.read(run.clean("background")), EventTable.read(run.clean("0lag"))
    source, wanted = targets.target_populations(run)
    recovered = RecoveredTable.read(run.clean("foreground"))
    draws = targets.weigh_draws(run, recovered, source, wanted)
    rates = volume.default_far_grid(background)
    curves = volume.volume_against_far(draws, background, rates, zero_lag.livetime)
    found = volume.efficiencies(draws, background, np.array(rates_to_show(rates[0], rates[-1])))
    for remark in volume.remarks(curves):
        print(f"warning: {remark}", file=sys.stderr)
    masses = run.config.candidates.astrophysical_prior
    judged_by = ranking.Populations(source, load_population(masses, run.config.resolve) if masses else None)
    ranked = ranking.rank_run(run, background, recovered, judged_by, time_slides(run), plan_slides)
    ranked.attributes |= vetoing.livetimes(run)
    write_candidates(ranked, run.directories.results, run.made_answers)
    write_closeups(run.result("closeups.hdf5"), _closeups(run, ranked), run.made_answers)
    storage.sign(run.plot("sensitive_volume.html"), run.made_answers)
    page = sensitive_volume_html(curves, run.config.data.source == "simulated")
    storage.write_text(run.plot("sensitive_volume.html"), page)
    volume.write_volumes(run.plot("sensitive_volume.h5"), curves, found, run.made_answers, vetoing.livetimes(run))


def _closeups(run: Artifacts, ranked: CandidateTable) -> Iterable[tuple[int, Closeup]]:
    """What the loudest candidates look like, by rank; nothing where the model is no longer there."""
    number = run.config.candidates.num_shown
    if number == 0 or not storage.exists(run.model):
        return []
    trained = trained_model(run)
    return ranking.loudest_closeups(ranked, run.background_files("test"), trained, clustering(run, trained), number)


def build_report(run: Artifacts) -> None:
    """Write the report of what there is, and its figures for papers in ``figures`` beside it."""
    from aframe.report.gather import gather
    from aframe.report.page import build_report as build
    from aframe.report.paper import write_figures

    where = run.directories
    inputs = gather(where.results, where.train_run, where.train_data, where.test_data)
    names = write_figures(inputs, run.result("figures"))
    page = build(inputs, [f"figures/{name}" for name in names])
    storage.sign(run.result("report.html"), run.made_answers)
    storage.write_text(run.result("report.html"), page)
