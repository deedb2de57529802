"""Make a run's bank of templates."""

import numpy as np
import torch

from aframe import seeding, storage
from aframe.bank import interruption
from aframe.bank.making import check_memory, make_all, shapes_of
from aframe.bank.matching import matcher_of
from aframe.bank.placement import EVENED_DRAWS, Bank, even, matches, place
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
from aframe.train.memory import free_on_host
from aframe.types import Array
from aframe.waveforms.population import draw
from aframe.waveforms.source import Columns, SignalSource, rows
from aframe.whitening import power_spectral_density, smooth_psd, whitening_filter

MATCHED_SIGNALS = 500
"""Number of signals that measure the bank's match with the population."""

PLANNING_DRAWS = 256
"""Number of draws whose lightest and heaviest binaries choose the slices of long templates."""


def make_bank(run: Artifacts, progress: ProgressReport | None = None) -> None:
    """Write the bank of templates, and its match with the population.

    An interrupted placement goes on where its last state was saved, if the parameters are the same.

    Args:
        run: The run.
        progress: Receives the number of templates and the largest one.

    Raises:
        DataError: If the population has no templates or signals, or the bank does not fit into memory.
    """
    search, keys = run.config.search, run.config.bank
    source = signal_source(run.config)
    psds = average_psds(run)
    whitening = search.whitening
    taps = whitening_filter(psds.log().mean(0).exp(), whitening)
    maker = TemplateMaker(source.generator, taps, keys.template_length, keys.after, whitening.after_size)

    def draws(number: int, batch: int) -> dict[str, Array]:
        rng = seeding.generator(search.seed, "template bank", batch)
        return even(_physical(source, EVENED_DRAWS * number, rng), number, rng)

    shapes = shapes_of(maker, draws(PLANNING_DRAWS, 0))
    check_memory(maker, shapes, keys.size, float(free_on_host()))
    state, parameters = f"{run.bank.removesuffix('.hdf5')}.placement.hdf5", run.bank_parameters
    placement, bank = place(
        matcher_of(maker), draws, keys.size, keys.minimum_match, interruption.resume(state, parameters),
        lambda placement: interruption.save(placement, state, parameters), progress,
    )  # fmt: skip
    drawn, match = _matched_signals(source, bank, seeding.generator(search.seed, "signals of the template bank"))
    templates, columns = make_all(maker, placement.columns, shapes)
    aligned = face_on(columns)
    binaries = {name: columns[name] for name in ("mass_1", "mass_2")}
    binaries |= {f"chi_{i}": aligned[f"a_{i}"] * np.cos(aligned[f"tilt_{i}"]) for i in (1, 2)}
    smooth = smooth_psd(psds, search.sample_rate)
    delaying = taps if whitening.phase == MINIMUM_PHASE else None
    short = pulses(smooth.log().mean(0).exp(), search.sample_rate, search.highpass, delaying)
    TemplateBank(
        templates, binaries, columns["chirp_mass"], search.sample_rate, keys.after, match, drawn["chirp_mass"],
        smooth.numpy(), short, octaves(search.sample_rate, search.highpass), placement.joining_share,
    ).write(run.bank, parameters)  # fmt: skip
    storage.remove(state)


def _matched_signals(source: SignalSource, bank: Bank, rng: np.random.Generator) -> tuple[Columns, Array]:
    """Draws of the population, and the match of each with the bank.

    Raises:
        DataError: If the population has no signals.
    """
    drawn = _physical(source, MATCHED_SIGNALS, rng)
    signals = bank.matcher.signals(drawn)
    is_finite = torch.isfinite(torch.view_as_real(signals)).all(-1).all(-1)
    if not is_finite.any():
        raise DataError(f"none of {MATCHED_SIGNALS} draws has a signal: check the prior against the approximant")
    drawn = rows(drawn, is_finite.numpy())
    return drawn, matches(bank, drawn, signals[is_finite])


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
