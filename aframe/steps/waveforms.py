"""Generate a run's signals for training, validation and testing."""

import torch

from aframe import seeding, storage
from aframe.errors import DataError
from aframe.progress.lines import ProgressReport
from aframe.runs.artifacts import Artifacts
from aframe.settings.sections import Config
from aframe.steps.planning import (
    InjectionBatch,
    background_files,
    placement,
    plan_injections,
)
from aframe.strain.files import open_background, parse_background_path
from aframe.tables import InjectionTable, RejectedTable, merge_tables, write_tables
from aframe.waveforms.injections import injection_set
from aframe.waveforms.loading import load_population
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.sieve import COUNTS, Selection, accepted_signals
from aframe.waveforms.source import SignalSource, polarization_batches
from aframe.whitening import power_spectral_density


def signal_source(config: Config) -> SignalSource:
    """Population and waveforms of a configuration."""
    waveforms = config.waveforms
    generator = WaveformGenerator(
        waveforms.approximant,
        config.search.sample_rate,
        waveforms.waveform_duration,
        waveforms.right_pad,
        waveforms.minimum_frequency,
        waveforms.reference_frequency,
    )
    return SignalSource(load_population(waveforms.prior, config.resolve), generator)


def selection(run: Artifacts, background: str) -> Selection:
    """Selection of signals that are loud enough in the noise of a background file.

    Args:
        run: The run.
        background: Path of the background file.
    """
    search = run.config.search
    with open_background(background) as file:
        strain = [torch.from_numpy(file.read(ifo)) for ifo in search.ifos]
    psds = torch.stack([power_spectral_density(s, search.sample_rate, search.fftlength) for s in strain])
    return Selection(search.ifos, psds, search.highpass, search.lowpass, run.config.injections.snr_threshold)


def generate_training_waveforms(run: Artifacts, progress: ProgressReport | None = None) -> None:
    """Write the polarizations for training.

    Args:
        run: The run.
        progress: Receives the number of signals done and the total.
    """
    rng = seeding.generator(run.config.search.seed, "training waveforms")
    number = run.config.waveforms.num_training_waveforms
    batches = polarization_batches(signal_source(run.config), number, rng, progress=progress)
    write_tables([run.training_waveforms], ((batch,) for batch in batches), run.training_waveform_parameters, COUNTS)


def generate_validation_waveforms(run: Artifacts, progress: ProgressReport | None = None) -> None:
    """Write the responses for validation. They are loud enough in the noise of the last training segment.

    Args:
        run: The run.
        progress: Receives the number of signals done and the total.
    """
    rng = seeding.generator(run.config.search.seed, "validation waveforms")
    chosen = selection(run, background_files(run, "train")[-1])
    number = run.config.waveforms.num_validation_waveforms
    batches = accepted_signals(signal_source(run.config), chosen, number, rng, progress=progress)
    accepted = ((batch,) for batch, _ in batches)
    write_tables([run.validation_waveforms], accepted, run.validation_waveform_parameters, COUNTS)


def generate_injections(run: Artifacts, batch: InjectionBatch, progress: ProgressReport | None = None) -> None:
    """Write the injections of one slide of one segment, and the rejected draws.

    Args:
        run: The run.
        batch: Segment, slide and number of injections.
        progress: Receives the number of signals done and the total.

    Raises:
        DataError: If the slide holds no injections.
    """
    path = background_files(run, "test")[batch.segment]
    place = placement(run, parse_background_path(path), batch.slide)
    if place is None:
        raise DataError(f"slide {batch.slide} of {path} holds no injections: the data changed since they were planned")
    rng = seeding.generator(run.config.search.seed, "injections", batch.segment, batch.slide)
    source, chosen, store = signal_source(run.config), selection(run, path), run.config.injections.store_waveforms
    batches = injection_set(source, chosen, place, batch.count, rng, store_waveforms=store, progress=progress)
    parts = [run.injection_part(kind, batch.segment, batch.slide) for kind in ("accepted", "rejected")]
    write_tables(parts, batches, run.injection_parameters, COUNTS)


def merge_injections(run: Artifacts) -> None:
    """Merge the parts in order. They are deleted after both tables are complete."""
    parts = plan_injections(run)
    paths = {kind: [run.injection_part(kind, b.segment, b.slide) for b in parts] for kind in ("rejected", "accepted")}
    merge_tables(RejectedTable, paths["rejected"], run.rejected, run.injection_parameters, COUNTS)
    merge_tables(InjectionTable, paths["accepted"], run.injections, run.injection_parameters, COUNTS)
    for path in paths["rejected"] + paths["accepted"]:
        storage.remove(path)
