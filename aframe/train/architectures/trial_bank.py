"""Series in place of templates, to try or to time a network before there is a bank."""

import torch
from jaxtyping import Complex
from torch import Tensor

from aframe.bank.slices import is_long

PULSES_PER_TEMPLATE, PULSE_PER_TEMPLATE = 10, 13
"""Templates for each pulse, and length of a template as a multiple of a pulse's, in a network of noise."""

BANDS = 4
"""Largest number of bands in a network of noise."""

RISES, FALL = (1.95, 1.4), 0.4
"""Frequencies of chirps at one sample before their end, cycles a sample, and the power of the age with which amplitudes
fall: those of whitened neutron stars of chirp masses of 1 and 1.7 solar masses at 1024 Hz, about."""


def trial_bank(
    templates: int, template_size: int
) -> tuple[Complex[Tensor, "templates time"], Complex[Tensor, "pulses pulse_time"]]:
    """Make series of unit norm per quadrature: noise in place of short templates and of pulses, chirps for long ones.

    Args:
        templates: Number of templates.
        template_size: Samples of a template.
    """
    random = torch.Generator().manual_seed(0)
    size = -(-template_size // PULSE_PER_TEMPLATE)
    if is_long(template_size):
        series = chirps(templates, template_size)
        pulses = torch.randn(-(-templates // PULSES_PER_TEMPLATE), size, dtype=torch.complex64, generator=random)
        return series, pulses / size**0.5
    noise = torch.randn(templates, template_size, dtype=torch.complex64, generator=random) / template_size**0.5
    return noise, noise[: -(-templates // PULSES_PER_TEMPLATE), :size] * PULSE_PER_TEMPLATE**0.5


def chirps(number: int, size: int) -> Complex[Tensor, "templates time"]:
    """Series that resemble long templates of light binaries, to time a network before there is a bank.

    The frequency of a chirp rises with the -3/8 power of the time that is left.

    Args:
        number: Number of series.
        size: Samples of each.
    """
    age = torch.arange(size, 0, -1, dtype=torch.float64)
    scale = torch.linspace(*RISES, number, dtype=torch.float64)[:, None]
    phase = 2 * torch.pi * 8 / 5 * scale * age.pow(5 / 8)
    series = torch.polar(age.pow(-FALL).expand_as(phase), -phase).to(torch.complex64)
    return series * (2 / series.abs().square().sum(1, keepdim=True)).sqrt()
