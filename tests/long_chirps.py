"""Chirps that stand for the long templates of light binaries, small enough for tests."""

import torch

SIZE = 4096
"""Samples of a chirp."""


def chirps(number: int, size: int = SIZE) -> torch.Tensor:
    """Analytic chirps of unit norm per quadrature. They end at .14 to .17 of the sample rate, the lightest first.

    Args:
        number: Number of chirps.
        size: Samples of each.
    """
    age = torch.arange(size, 0, -1, dtype=torch.float64) + size / 256
    scale = torch.linspace(1.2, 1.0, number, dtype=torch.float64)[:, None]
    phase = 2 * torch.pi * 8 / 5 * 0.05 * (size / 16) ** (3 / 8) * scale * age.pow(5 / 8)
    time = torch.arange(size, dtype=torch.float64) / size
    ends = torch.minimum(((time - 0.08) / 0.08).clamp_min(0), (1 - time) * size / 32).clamp_max(1)
    amplitude = (torch.pi / 2 * ends).sin().square() * age.pow(-0.25)
    waves = torch.polar(amplitude.expand_as(phase), -phase)
    return (waves / (waves.abs().square().sum(1, keepdim=True) / 2).sqrt()).to(torch.complex64)
