"""Warn of signals that are longer than waveforms or templates, or that end above the Nyquist frequency."""

import copy
import sys
from collections.abc import Iterator

import numpy as np

from aframe.runs.artifacts import Artifacts
from aframe.settings.mixture import weighted_names
from aframe.steps.strain import noise_curves
from aframe.waveforms.loading import load_population
from aframe.waveforms.lost_snr import Band, lost_shares
from aframe.waveforms.mixtures import parts
from aframe.waveforms.population import draw

DRAWS = 1000
"""Number of binaries of each population."""

NOTICED_EARLY, NOTICED_HIGH = 0.01, 0.1
"""Mean share of the squared SNR before the waveforms, and above the Nyquist frequency, from which on a warning follows.
The second one is larger, because half the sample rate halves the cost of all stages."""


def check_signal_lengths(run: Artifacts) -> None:
    """Print a warning for each population that loses much of its signals.

    Args:
        run: The run.
    """
    for text in losses(run):
        print(f"warning: {text}", file=sys.stderr)


def losses(run: Artifacts) -> Iterator[str]:
    """What the signals of each population lose, in one line each. Nothing for losses of about a percent.

    Args:
        run: The run.
    """
    search, waveforms, bank = run.config.search, run.config.waveforms, run.config.bank
    frequency, asd = next(iter(noise_curves(run.config).values()))
    band = Band(lambda at: np.interp(at, frequency, asd) ** 2, search.highpass, search.sample_rate / 2)
    held = {f"waveform_duration = {waveforms.waveform_duration:g}": waveforms.waveform_duration - waveforms.right_pad}
    if run.needs_bank:
        held[f"template_length = {bank.template_length:g}"] = bank.template_length - bank.after
    population = load_population(waveforms.prior, run.config.resolve)
    for (_, name), part in zip(weighted_names(waveforms.prior), parts(population), strict=True):
        binaries = draw(copy.deepcopy(part), DRAWS, np.random.default_rng(0))
        for key, before in held.items():
            early, high = (share.mean() for share in lost_shares(binaries, band, before))
            if early > NOTICED_EARLY:
                yield (
                    f"prior = {name}: {key} s holds {before:g} s before coalescence, and {early:.1%} of the squared "
                    f"SNR above highpass = {search.highpass:g} Hz is earlier, on average: lengthen it, or raise "
                    "highpass"
                )
        if high > NOTICED_HIGH:
            yield (
                f"prior = {name}: {high:.1%} of the squared SNR is above half of sample_rate = {search.sample_rate:g} "
                "Hz, on average: raise sample_rate"
            )
