"""The six steps as plain functions of a run's artifacts: law tasks and the command line call these alike."""

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from aframe import ranking, seeding, storage, vetoing
from aframe.artifacts import Artifacts, Stage
from aframe.errors import ConfigurationError, DataError, TrainingError
from aframe.events.candidates import write_candidates
from aframe.events.cluster import Clustering
from aframe.events.significance import Background
from aframe.inference.slides import Grid, Slide
from aframe.processes import die_with
from aframe.sensitivity.populations import population_targets
from aframe.sensitivity.volume import default_far_grid, efficiencies, remarks, volume_against_far, write_volumes
from aframe.sensitivity.weighing import Draws, read_rejected, weigh
from aframe.sensitivity.weights import Target, mass_targets
from aframe.spectral import power_spectral_density
from aframe.strain.fetch import strain_for_segment
from aframe.strain.files import background_path, open_background, parse_background_path, write_background
from aframe.strain.segments import Segment, analysable, read_segments, write_segments
from aframe.tables import EventTable, InjectionTable, RecoveredTable, RejectedTable, merge_tables, write_tables
from aframe.train.model import Model, Preprocessing
from aframe.waveforms.injections import Placement, injection_set
from aframe.waveforms.loading import load_population
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import Population
from aframe.waveforms.sieve import COUNTS, Selection, accepted_signals
from aframe.waveforms.source import SignalSource, polarization_batches

if TYPE_CHECKING:
    from aframe.inference.run import Searcher

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
    return _plan_injections(run, [parse_background_path(path) for path in background_files(run, "test")])


def _plan_injections(run: Artifacts, segments: Sequence[tuple[float, float]]) -> list[InjectionBatch]:
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
        for batch in _plan_injections(run, segments)
        if (batch.segment, batch.slide) not in there
    ]


@dataclass(frozen=True)
class SlideBatch:
    """Some slides of one background file; its first batch has slide 0, the zero lag, too.

    Attributes:
        segment: Index of the background file.
        slides: The slides.
    """

    segment: int
    slides: tuple[Slide, ...]


def plan_units(run: Artifacts) -> list[SlideBatch]:
    """Units of work: slides of each segment in ranges of ``slides_per_job``, zero lag with the first of them."""
    files = background_files(run, "test")
    slides, grid, size = plan_slides(run), time_slides(run), run.config.inference.slides_per_job
    units = []
    for index, path in enumerate(files):
        zero_lag = grid.slide(index, parse_background_path(path)[1], 0)
        own = sorted((slide for slide in slides if slide.segment == index), key=lambda slide: slide.number)
        batches = [own[first : first + size] for first in range(0, max(1, len(own)), size)]
        batches[0] = [zero_lag, *batches[0]]
        units += [SlideBatch(index, tuple(batch)) for batch in batches]
    return units


def unit_outputs(run: Artifacts, unit: SlideBatch) -> dict[str, str]:
    """Paths of a unit's tables, by kind."""
    numbers = [slide.number for slide in unit.slides]
    outputs = {"0lag": run.unit("0lag", unit.segment, 0, 0)} if 0 in numbers else {}
    shifted = [number for number in numbers if number != 0]
    if shifted:
        outputs |= {
            kind: run.unit(kind, unit.segment, shifted[0], shifted[-1]) for kind in ("foreground", "background")
        }
    return outputs


def score_unit(
    run: Artifacts, unit: SlideBatch, device: str, address: str | None = None, progress: ProgressReport | None = None
) -> None:
    """Write the events of one unit, scored here or by the Triton server at an address."""
    from aframe.inference.run import Unit
    from aframe.inference.run import score_unit as score

    path = background_files(run, "test")[unit.segment]
    search = searcher(run, device, address)
    with contextlib.closing(search.scorer):
        events, recovered = score(search, Unit(path, unit.slides, run.injections), progress)
    outputs = unit_outputs(run, unit)
    is_zero_lag = (events["shift"] == 0).all(axis=1)
    if "foreground" in outputs and recovered is not None:
        recovered.write(outputs["foreground"], run.made_units)
    for kind, rows in (("background", ~is_zero_lag), ("0lag", is_zero_lag)):
        if kind in outputs:
            table = events.rows(rows)
            table.attributes["Tb"] = search.grid.livetime(
                [s for s in unit.slides if (s.number == 0) == (kind == "0lag")]
            )
            table.write(outputs[kind], run.made_units)


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
    if isinstance(trained.network, JointResNet):
        trained.network.batch_size = run.config.inference.batch_size
    return trained


def searcher(run: Artifacts, device: str, address: str | None) -> "Searcher":
    """What scores with the trained model (asking the server at an address, if any), and how scores become events."""
    from aframe.engines import make_scorer
    from aframe.inference.run import Searcher

    trained, inference = trained_model(run), run.config.inference
    clustering = Clustering(
        run.config.search.inference_sampling_rate,
        inference.integration_window_length,
        inference.cluster_window_length,
        trained.preprocessing.coalescence_offset,
    )
    grid = Grid(trained.preprocessing, inference.shifts)
    scorer = make_scorer(run, trained, device, address)
    return Searcher(scorer, grid, clustering, run.config.sensitivity.recovery_window)


def merge_events(run: Artifacts) -> None:
    """Join the events of all units, in order, each kind in one table."""
    units = [unit_outputs(run, unit) for unit in plan_units(run)]
    for kind, table in (("0lag", EventTable), ("foreground", RecoveredTable), ("background", EventTable)):
        paths = [unit[kind] for unit in units if kind in unit]
        merge_tables(table, paths, run.events(kind), run.made_events, ["Tb"])


def veto_events(run: Artifacts) -> None:
    """Write the events and injections outside vetoed time, and the live time that is left."""
    grid = Grid(trained_model(run).preprocessing, run.config.inference.shifts)
    vetoing.veto_events(run, grid, plan_slides(run))


def use_gpus(gpus: str) -> str:
    """Let this process see some GPUs; the device to compute on, which is the CPU, with a note, where there is no GPU.

    Args:
        gpus: As in CUDA_VISIBLE_DEVICES; empty for the CPU.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    if gpus and not torch.cuda.is_available():
        print(f"note: there is no GPU {gpus} here: computing on the CPU", file=sys.stderr)
    return "cuda" if gpus and torch.cuda.is_available() else "cpu"


def train(run: Artifacts, gpus: str) -> None:
    """Train in a process of its own, which dies with this one.

    Args:
        run: The run.
        gpus: As in CUDA_VISIBLE_DEVICES.

    Raises:
        TrainingError: If it fails.
    """
    command = [sys.executable, "-P", "-m", "aframe.cli", "train", "fit", "--config", run.training_yaml]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": gpus, "LAW_CONFIG_FILE": str(run.config.path)}
    die = functools.partial(die_with, os.getpid())
    process = subprocess.run(command, env=environment, check=False, preexec_fn=die)
    if process.returncode != 0:
        raise TrainingError(
            f"training was ended by signal {-process.returncode}, perhaps as memory ran out: run again with a smaller "
            "batch_size, training continues from its last checkpoint",
            is_told=process.returncode > 0,
        )


def export(run: Artifacts) -> None:
    """Export the trained model to the run's Triton model repository."""
    from aframe.engines import serving_options
    from aframe.export.repository import publish
    from aframe.train import model

    options = serving_options(run.config.export)
    publish(model.load(run.model), storage.sha256(run.model), run.repository, options, run.made_repository)


def target_populations(run: Artifacts) -> tuple[Population, list[Target]]:
    """The population that injections are drawn from, and those for which volumes are wanted."""
    made, load = run.config.sensitivity, functools.partial(load_population, resolve=run.config.resolve)
    source = load(run.config.waveforms.prior)
    pairs = mass_targets(made.mass_combos, made.mass_width, source.redshift_range)
    named = population_targets({path: load(path) for path in made.populations}, source)
    return source, [*pairs, *named]


def estimate_sensitivity(run: Artifacts) -> None:
    """Write sensitive volumes, their figures, and the candidates."""
    from aframe.report.inputs import rates_to_show
    from aframe.report.page import sensitive_volume_html

    background, zero_lag = Background.read(run.clean("background")), EventTable.read(run.clean("0lag"))
    source, targets = target_populations(run)
    recovered = RecoveredTable.read(run.clean("foreground"))
    rejected = vetoing.clean_rejected_draws(run, read_rejected(run.rejected, targets), recovered)
    draws = weigh(Draws(recovered, rejected, source), targets)
    rates = default_far_grid(background)
    curves = volume_against_far(draws, background, rates, zero_lag.livetime)
    found = efficiencies(draws, background, np.array(rates_to_show(rates[0], rates[-1])))
    for remark in remarks(curves):
        print(f"warning: {remark}", file=sys.stderr)
    masses = run.config.candidates.astrophysical_prior
    populations = ranking.Populations(source, load_population(masses, run.config.resolve) if masses else None)
    ranked = ranking.rank_run(run, background, recovered, populations, time_slides(run), plan_slides)
    ranked.attributes |= vetoing.livetimes(run)
    write_candidates(ranked, run.directories.results, run.made_answers)
    storage.sign(run.plot("sensitive_volume.html"), run.made_answers)
    page = sensitive_volume_html(curves, run.config.data.source == "simulated")
    storage.write_text(run.plot("sensitive_volume.html"), page)
    write_volumes(run.plot("sensitive_volume.h5"), curves, found, run.made_answers, vetoing.livetimes(run))


def build_report(run: Artifacts) -> None:
    """Write the report of what there is."""
    from aframe.report.gather import gather
    from aframe.report.page import build_report as build

    where = run.directories
    page = build(gather(where.results, where.train_run, where.train_data, where.test_data))
    storage.sign(run.result("report.html"), run.made_answers)
    storage.write_text(run.result("report.html"), page)
