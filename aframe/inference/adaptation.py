"""Adapt a model to the noise of the strain that it searches."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from aframe.inference.recorded import common_time, strain_between
from aframe.strain.channels import Recording
from aframe.tensors import Psd
from aframe.train.model import Model
from aframe.whitening import power_spectral_density, smooth_psd

SAMPLES, SAMPLE_LENGTH = 16, 128.0
"""Number of samples of strain, spread evenly over all of it, that give the average PSD, and length of one, s."""


def adapted(model: Model, recordings: Mapping[str, Sequence[Recording]]) -> Model:
    """Adapt a model to recordings: a network with templates gets those that are whitened by the recordings' own PSDs.

    The PSD of a detector wanders little, but differs from that of another detector or observing run. Templates that
    are whitened by another PSD lose up to a tenth of a signal's SNR.

    Args:
        model: Network and preprocessing.
        recordings: Recordings of each detector.

    Returns:
        The model itself if its network has no templates, or the recordings are too short for a PSD.
    """
    if not model.network.needs_bank:
        return model
    psds = average_psds(model, recordings)
    if psds is None:
        return model
    network = copy.deepcopy(model.network)
    network.adapt(psds)
    return replace(model, network=network)


def average_psds(model: Model, recordings: Mapping[str, Sequence[Recording]]) -> Psd | None:
    """Smooth average PSD of each detector, 1/Hz, shape (ifos, frequency); None if recordings are too short.

    It is the geometric mean over samples of strain.

    Args:
        model: Its preprocessing has the sample rate and the detectors.
        recordings: Recordings of each detector.
    """
    whitening, spans = model.preprocessing.whitening, common_time(recordings)
    total = sum(stop - start for start, stop in spans)
    number = int(min(SAMPLES, max(1, total // SAMPLE_LENGTH)))
    logarithms, weights = [], []
    before = np.cumsum([0.0, *(stop - start for start, stop in spans)])
    for middle in (np.arange(number) + 0.5) * total / number:
        row = int(np.searchsorted(before, middle, side="right")) - 1
        start, stop = spans[row]
        low = max(start, start + middle - before[row] - SAMPLE_LENGTH / 2)
        for piece in strain_between(recordings, whitening.sample_rate, low, min(stop, low + SAMPLE_LENGTH)):
            if piece.duration < 2 * whitening.fftlength:
                continue
            strain = torch.stack([torch.from_numpy(piece.strain[ifo]) for ifo in model.preprocessing.ifos])
            psds = power_spectral_density(strain, whitening.sample_rate, whitening.fftlength)
            if bool((psds > 0).all()) and bool(torch.isfinite(psds).all()):
                logarithms.append(psds.log())
                weights.append(piece.duration)
    if not logarithms:
        return None
    weighted = torch.tensor(weights, dtype=torch.float64)[:, None, None] * torch.stack(logarithms)
    return smooth_psd((weighted.sum(0) / sum(weights)).exp(), whitening.sample_rate)
