"""Count the work of a run, and the size of its files."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from aframe import storage
from aframe.constants import AUTO
from aframe.inference.run import AROUND_COALESCENCE
from aframe.machine.precision import resolve_trainer, trainer_dtype
from aframe.preprocessing import to_samples
from aframe.runs.artifacts import Artifacts, training_parameters
from aframe.runs.paths import Stage
from aframe.steps import planning
from aframe.steps.strain import strain_source
from aframe.strain.segments import Segment, analysable, cut, divide, read_segments
from aframe.train.architectures import MatchedFilterNetwork, Network
from aframe.train.architectures.loading import network_class
from aframe.train.data import AframeDataModule
from aframe.train.examples import ExampleCounts

ASSUMED_SHARE = 0.6
"""Assumed share of time in which all detectors observe, before it is known. Two LIGO detectors in O3: 0.62."""

MOST_TEMPLATE_SAMPLES, FEWEST_TEMPLATES = 2**23, 128
"""Samples of the templates of a network that is measured, and their smallest number. 0.07 GB, or 128 of a minute."""

PARAMETERS_BYTES = 200
"""Size of one signal's parameters in a table, bytes."""

EVENT_BYTES = 32
"""Size of one event of two detectors, bytes: statistic, time and shifts."""

OPEN_DATA_RATE = 4096.0
"""Sample rate of open data, Hz."""

OPEN_DATA_SAMPLE_BYTES = 7.5
"""Size of one sample in files of open data with data quality, bytes."""


@dataclass(frozen=True)
class Amounts:
    """Work and files of a run.

    Attributes:
        training_livetime: Strain for training, s.
        testing_livetime: Strain for the search, s.
        is_assumed: Whether these are estimates, before the detectors' observing times are known.
        trained: Number of windows in training; for a network with a bank, of windows that it measures.
        validated: Number of windows in validations.
        encoded: Strain that is whitened and encoded, s. Each unit of work encodes its segments.
        scored: Number of windows of background and zero lag.
        injected: Number of windows with injections.
        injected_strain: Strain of these windows, s.
        units: Number of units of work.
    """

    training_livetime: float
    testing_livetime: float
    is_assumed: bool
    trained: float
    validated: float
    encoded: float
    scored: float
    injected: float
    injected_strain: float
    units: int


def amounts(run: Artifacts) -> Amounts:
    """Count the work of a run.

    Raises:
        DataError: If its data cannot hold the injections or provide ``Tb``.
    """
    training, is_assumed = _segments(run, "train")
    testing, also_assumed = _segments(run, "test")
    search, grid = run.config.search, planning.time_slides(run)
    stretches = [(segment.start, segment.duration) for segment in testing]
    units = planning.units_over(run, stretches)
    keys = training_numbers(run)
    epochs, rate = keys["trainer.max_epochs"], search.inference_sampling_rate
    encoded = sum(stretches[segment][1] for unit in units for segment, _ in unit.by_segment())
    # a bank of templates looks at the end of a window alone
    attended = search.kernel_length - (run.config.bank.template_length if run.needs_bank else 0.0)
    number, held = run.config.injections.num_injections, 2 * AROUND_COALESCENCE + attended
    longest = max((segment.duration for segment in training), default=0.0)
    livetime = sum(segment.duration for segment in training)
    drawn = keys["data.batches_per_epoch"] * keys["data.batch_size"]
    trained = epochs * drawn
    validated = epochs * keys["data.validation_background"] * rate
    if run.needs_bank:  # it measures signals and the longest segment once, and slides the segment
        counts = ExampleCounts(*(int(keys[f"data.mined_{name}"]) for name in ("slides", "noise", "signals")))
        signals = counts.enough_for(drawn * keys["data.waveform_prob"], epochs).signals
        trained = signals + longest / search.kernel_length
        validated += counts.slides * longest / 2 * rate
    return Amounts(
        livetime,
        sum(segment.duration for segment in testing),
        is_assumed or also_assumed,
        float(trained),
        float(validated),
        encoded,
        sum(grid.livetime(unit.slides) for unit in units) * rate,
        number * held * rate,
        number * (held + search.kernel_length),
        len(units),
    )


def _segments(run: Artifacts, stage: Stage) -> tuple[list[Segment], bool]:
    """Segments of a stage, and whether they are an estimate."""
    path, data = run.segments(stage), run.config.data
    if storage.exists(path):
        return read_segments(path), False
    start, stop = run.interval(stage)
    if data.source != "gwosc" or data.segments is not None:
        return analysable(strain_source(run.config), start, stop), False
    observed = cut([Segment(start, start + math.floor(ASSUMED_SHARE * (stop - start)))], start, stop)
    return divide(observed, data.min_duration, data.max_duration), True


def training_numbers(run: Artifacts, training_yaml: str = "") -> Mapping[str, Any]:
    """Numbers of a training's YAML, by default the run's, with the defaults of the data module."""
    values = training_parameters(training_yaml or run.training_yaml)
    configured = {key.removeprefix("train."): value for key, value in values.items()}
    parameters = inspect.signature(AframeDataModule).parameters.items()
    defaults = {f"data.{name}": each.default for name, each in parameters}
    return {"trainer.max_epochs": 1000, "trainer.precision": AUTO, "model.repairings": 0} | defaults | configured


def network(run: Artifacts, training_yaml: str = "") -> Network:
    """Build the network of a training's YAML with random weights, and with noise for templates if it needs a bank.

    Args:
        run: The run.
        training_yaml: Path of the YAML. Empty for the run's YAML.
    """
    keys = training_numbers(run, training_yaml)
    prefix = "model.architecture."
    kind = network_class(str(keys[f"{prefix}class_path"]), training_yaml or run.training_yaml)
    names = [key for key in keys if key.startswith(f"{prefix}init_args.")]
    arguments = {name.removeprefix(f"{prefix}init_args."): keys[name] for name in names}
    search, bank = run.config.search, run.config.bank
    built = kind(len(search.ifos), search.kernel_size, **arguments)
    if isinstance(built, MatchedFilterNetwork):
        size = to_samples(bank.template_length, search.sample_rate, "template_length")
        built.set_noise(_measured_templates(bank.size, size), size)
    return built


def _measured_templates(templates: int, template_size: int) -> int:
    """Number of templates of a network that is measured. Those of a large bank of long templates need much memory."""
    return min(templates, max(FEWEST_TEMPLATES, MOST_TEMPLATE_SAMPLES // template_size))


def unmeasured(run: Artifacts) -> float:
    """Number of templates of the run's bank over those of the measured network. 1 for a network without a bank."""
    if not run.needs_bank:
        return 1.0
    bank = run.config.bank
    size = to_samples(bank.template_length, run.config.search.sample_rate, "template_length")
    return bank.size / _measured_templates(bank.size, size)


def training_dtype(run: Artifacts, device: str) -> torch.dtype:
    """Type of the products of training on a device, as configured or recorded.

    Args:
        run: The run.
        device: Type of the device: cpu or cuda.
    """
    name = run.precision("training", training_numbers(run)["trainer.precision"])
    return trainer_dtype(resolve_trainer(name, device))


def repairings(run: Artifacts, training_yaml: str = "") -> int:
    """Number of additional negatives per window of noise in training.

    Args:
        run: The run.
        training_yaml: Path of the YAML. Empty for the run's YAML.
    """
    return int(training_numbers(run, training_yaml)["model.repairings"])


def sizes(run: Artifacts, work: Amounts, rejected: float, parameters: int) -> dict[str, float]:
    """Bytes that each stage writes, by its task.

    Args:
        run: The run.
        work: The run's amounts of work.
        rejected: Number of rejected draws per injection.
        parameters: Number of the network's parameters.
    """
    search, signals, injected = run.config.search, run.config.waveforms, run.config.injections
    bank = run.config.bank
    wave = 4 * signals.waveform_duration * search.sample_rate
    strain = 8 * search.sample_rate * len(search.ifos)
    stored = signals.num_training_waveforms * 2 * wave if run.stores_training_waveforms else 0.0
    responses = len(search.ifos) * wave
    kept = responses if injected.store_waveforms else 0.0
    windows = run.config.search.inference_sampling_rate
    events = work.scored / windows / run.config.inference.cluster_window_length * EVENT_BYTES
    series = 4 * work.scored / 2 if run.config.inference.return_timeseries else 0.0
    return {
        "FetchStrain train": work.training_livetime * strain,
        "FetchStrain test": work.testing_livetime * strain,
        "GenerateTrainingWaveforms": stored,
        "GenerateValidationWaveforms": signals.num_validation_waveforms * responses,
        "TemplateBank": bank.size * bank.template_length * search.sample_rate * 4.0,
        "GenerateInjections": injected.num_injections * (kept + PARAMETERS_BYTES * (1 + rejected)),
        "Train": 5 * 4.0 * parameters,
        "Tune": run.study_trials * 5 * 4.0 * parameters,
        "Export": 3 * 4.0 * parameters,
        "ScoreSlides": 2 * events + series + run.config.inference.embeddings_cache * 1e9,
    }
