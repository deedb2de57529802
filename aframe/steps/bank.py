"""Make a run's bank of templates."""

import numpy as np
import torch

from aframe import seeding
from aframe.bank.placement import EVENED_DRAWS, even, matches, place
from aframe.bank.pulses import octaves, pulses
from aframe.bank.template_bank import TemplateBank
from aframe.bank.templates import TemplateMaker, face_on
from aframe.errors import DataError
from aframe.preprocessing import MINIMUM_PHASE
from aframe.progress.lines import ProgressReport
from aframe.runs.artifacts import Artifacts
from aframe.steps.planning import background_files
from aframe.steps.waveforms import signal_source
from aframe.strain.files import open_background
from aframe.tensors import Psd
from aframe.types import Array
from aframe.waveforms.population import draw
from aframe.waveforms.source import SignalSource, rows
from aframe.whitening import power_spectral_density, smooth_psd, whitening_filter

MATCHED_SIGNALS = 500
"""Number of signals that measure the bank's match with the population."""


def make_bank(run: Artifacts, progress: ProgressReport | None = None) -> None:
    """Write the bank of templates, and its match with the population.

    Args:
        run: The run.
        progress: Receives the number of templates and the largest one.

    Raises:
        DataError: If the population has no templates or signals.
    """
    search, keys = run.config.search, run.config.bank
    source, rng = signal_source(run.config), seeding.generator(search.seed, "template bank")
    psds = average_psds(run)
    whitening = search.whitening
    taps = whitening_filter(psds.log().mean(0).exp(), whitening)
    maker = TemplateMaker(source.generator, taps, keys.template_length, keys.after, whitening.after_size)

    def draws(number: int) -> dict[str, Array]:
        return even(_physical(source, EVENED_DRAWS * number, rng), number, rng)

    templates, columns = place(maker.make, draws, keys.size, keys.minimum_match, progress)
    drawn = _physical(source, MATCHED_SIGNALS, rng)
    signals = maker.signals(drawn)
    is_finite = torch.isfinite(signals).all(-1)
    if not is_finite.any():
        raise DataError(f"none of {MATCHED_SIGNALS} draws has a signal: check the prior against the approximant")
    match = matches(templates, signals[is_finite]).numpy()
    aligned = face_on(columns)
    parameters = {name: columns[name] for name in ("mass_1", "mass_2")}
    parameters |= {f"chi_{i}": aligned[f"a_{i}"] * np.cos(aligned[f"tilt_{i}"]) for i in (1, 2)}
    signal_chirp_mass = drawn["chirp_mass"][is_finite.numpy()]
    smooth = smooth_psd(psds, search.sample_rate)
    delaying = taps if whitening.phase == MINIMUM_PHASE else None
    short = pulses(smooth.log().mean(0).exp(), search.sample_rate, search.highpass, delaying)
    TemplateBank(
        templates, parameters, columns["chirp_mass"], search.sample_rate, keys.after, match, signal_chirp_mass,
        smooth.numpy(), short, octaves(search.sample_rate, search.highpass),
    ).write(run.bank, run.bank_parameters)  # fmt: skip


def average_psds(run: Artifacts) -> Psd:
    """Geometric mean of each detector's PSDs in all training strain, 1/Hz, shape (ifos, frequency).

    Args:
        run: The run.
    """
    search, logarithms = run.config.search, []
    for path in background_files(run, "train"):
        with open_background(path) as file:
            strain = torch.stack([torch.from_numpy(file.read(ifo)) for ifo in search.ifos])
            logarithms.append(power_spectral_density(strain, search.sample_rate, search.fftlength).log())
    return torch.stack(logarithms).mean(0).exp()


def _physical(source: SignalSource, number: int, rng: np.random.Generator) -> dict[str, Array]:
    """Draws of the population without the unphysical ones."""
    columns = draw(source.population, number, rng)
    dropped = np.any(list(source.without_waveform(columns).values()), axis=0)
    return rows(columns, np.flatnonzero(~dropped))
