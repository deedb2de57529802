"""Rates at which matched filters are computed: a template whose power ends early needs fewer samples."""

import math

import torch
from jaxtyping import Complex
from torch import Tensor

DECIMATIONS = (2, 4, 8)
"""Samples of the stream from one sample of a correlation to the next."""

BAND = 0.9
"""Usable part of the band of a decimated correlation."""

POWER_IN_BAND = 0.995
"""Smallest part of a template's power in the usable band of its decimation."""


def coincidence_over(light_travel_time: float, sample_rate: float) -> int:
    """Smallest ``coincidence`` that covers a light travel time, samples.

    >>> coincidence_over(0.01001, 1024.0)
    16

    Args:
        light_travel_time: Longest light travel time between two detectors, s.
        sample_rate: Sampling rate, Hz.
    """
    return DECIMATIONS[-1] * math.ceil(light_travel_time * sample_rate / DECIMATIONS[-1])


def slowest(bank: Complex[Tensor, "templates time"]) -> Tensor:
    """Slowest rate for each template, samples: that whose usable band has almost all of the template's power."""
    power = torch.fft.fft(bank, n=2 * bank.shape[1]).abs().square()
    within = power.cumsum(1) / power.sum(1, keepdim=True)
    slowest = torch.full((len(bank),), DECIMATIONS[0])
    for rate in DECIMATIONS[1:]:
        fits = within[:, int(BAND * power.shape[1] / rate) - 1] >= POWER_IN_BAND
        slowest[fits.cpu()] = rate
    return slowest
