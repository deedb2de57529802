"""Augmentations that turn background windows and polarizations into labelled training examples, on any device."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Inexact, Int
from torch import Tensor

from aframe.errors import ConfigurationError


@dataclass(frozen=True)
class SnrDistribution:
    """Power-law distribution of network SNRs.

    Attributes:
        minimum: Smallest SNR, above 0.
        maximum: Largest SNR.
        index: Exponent of the density.
    """

    minimum: float
    maximum: float
    index: float

    def __post_init__(self) -> None:
        if not 0 < self.minimum < self.maximum:
            raise ConfigurationError(
                f"snr_minimum = {self.minimum} and snr_maximum = {self.maximum}: the first must be positive and the "
                "smaller one"
            )

    def sample(self, size: int, generator: torch.Generator) -> Float[Tensor, " batch"]:
        """Draw SNRs by inversion of the cumulative distribution.

        Args:
            size: Number of SNRs.
            generator: Random generator. The SNRs are on its device.
        """
        u = torch.rand(size, generator=generator, device=generator.device)
        power = self.index + 1.0
        if power == 0.0:
            return self.minimum * (self.maximum / self.minimum) ** u
        low, high = self.minimum**power, self.maximum**power
        return (low + u * (high - low)) ** (1.0 / power)


@dataclass(frozen=True)
class SnrSchedule:
    """Schedule from loud to quiet signals: the smallest SNR falls linearly with the steps of a training.

    Attributes:
        final: Distribution at the end of the schedule.
        initial_minimum: Smallest SNR in the first step.
        steps: Steps until the smallest SNR reaches that of ``final``; 0 for no schedule.
    """

    final: SnrDistribution
    initial_minimum: float
    steps: int

    def __post_init__(self) -> None:
        if self.steps and not self.final.minimum <= self.initial_minimum < self.final.maximum:
            raise ConfigurationError(
                f"initial_snr_minimum = {self.initial_minimum} must lie between snr_minimum = {self.final.minimum} and "
                f"snr_maximum = {self.final.maximum}"
            )

    def at(self, step: int) -> SnrDistribution:
        """Distribution in a step. It depends on the step alone, so a resumed training continues the schedule."""
        share = max(0.0, 1.0 - step / self.steps) if self.steps else 0.0
        minimum = self.final.minimum + share * (self.initial_minimum - self.final.minimum)
        return replace(self.final, minimum=minimum)


@dataclass(frozen=True)
class BatchMixture:
    """Fractions of the kinds of windows in a batch. The rest is noise.

    Attributes:
        waveform_prob: Fraction of positives: all detectors see the same signal.
        swap_prob: Fraction of negatives in which each detector sees a different signal.
        mute_prob: Fraction of negatives in which one detector alone sees a signal.
    """

    waveform_prob: float
    swap_prob: float
    mute_prob: float

    def __post_init__(self) -> None:
        fractions = (self.waveform_prob, self.swap_prob, self.mute_prob)
        if min(fractions) < 0 or sum(fractions) > 1:
            raise ConfigurationError(
                f"waveform_prob, swap_prob and mute_prob = {fractions} must not be negative, nor exceed 1 together"
            )

    def draw(self, batch_size: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
        """Draw the kind of each window: 0 a signal, 1 swapped, 2 muted, 3 noise.

        Args:
            batch_size: Number of windows.
            generator: Random generator. The kinds are on its device.
        """
        fractions = (self.waveform_prob, self.swap_prob, self.mute_prob)
        edges = torch.tensor(fractions, device=generator.device).cumsum(0)
        return torch.bucketize(torch.rand(batch_size, generator=generator, device=generator.device), edges, right=True)


SIGNAL, SWAPPED, MUTED, NOISE = range(4)
"""Kinds of windows."""


def invert_and_reverse(
    windows: Float[Tensor, "batch ifos time"], generator: torch.Generator
) -> Float[Tensor, "batch ifos time"]:
    """Flip the sign and the direction of time of each detector's noise, each with probability 1/2.

    Args:
        windows: Whitened noise.
        generator: Random generator on the device of the windows.
    """
    shape, device = windows.shape[:2], windows.device
    sign = torch.randint(0, 2, shape, generator=generator, device=device) * 2 - 1
    reverse = torch.randint(0, 2, shape, generator=generator, device=device).bool()
    windows = torch.where(reverse[..., None], windows.flip(-1), windows)
    return windows * sign[..., None]


def make_incoherent(
    responses: Float[Tensor, "batch ifos time"],
    swapped: Bool[Tensor, " batch"],
    muted: Bool[Tensor, " batch"],
    generator: torch.Generator,
) -> Float[Tensor, "batch ifos time"]:
    """Turn some signals into glitch-like ones that no astrophysical source emits.

    Args:
        responses: Responses of the detectors.
        swapped: Rows in which each detector sees a different signal, or none if there are too few signals. The mask
            should be on the CPU, as counting the rows of a mask on a GPU waits for the GPU.
        muted: Rows in which one random detector alone sees the signal. Of three detectors, two that fit are a signal.
            The mask should be on the CPU too.
        generator: Random generator on the device of the responses.
    """
    result = responses.clone()
    rows = swapped.nonzero()[:, 0].to(responses.device)
    if len(rows) > 0:
        ifos = responses.shape[1]
        for ifo in range(1, ifos):
            partner = (rows + ifo) % len(responses)
            result[rows, ifo] = responses[partner, ifo] * (partner != rows)[:, None]
    rows = muted.nonzero()[:, 0].to(responses.device)
    number = responses.shape[1]
    silent = torch.randint(0, number, rows.shape, generator=generator, device=responses.device)
    alone = (silent + 1) % number  # with two detectors, the other one
    result[rows] *= (torch.arange(number, device=responses.device) == alone[:, None])[..., None]
    return result


def crop_at(
    waveforms: Float[Tensor, "batch channels time"], starts: Int[Tensor, " batch"], size: int
) -> Float[Tensor, "batch channels size"]:
    """Cut a piece from each waveform. The piece is zero where it reaches beyond the waveform.

    Args:
        waveforms: Waveforms.
        starts: First sample of each piece. It may be negative.
        size: Number of samples of a piece.
    """
    index = starts[:, None] + torch.arange(size, device=waveforms.device)
    inside = (index >= 0) & (index < waveforms.shape[-1])
    index = index.clamp(0, waveforms.shape[-1] - 1)[:, None].expand(-1, waveforms.shape[1], -1)
    return waveforms.gather(-1, index) * inside[:, None]


def network_snr(whitened: Float[Tensor, "batch ifos time"]) -> Float[Tensor, " batch"]:
    """Optimal network SNR of whitened signals in their windows."""
    return whitened.square().sum((-2, -1)).sqrt()


def whiten_responses(  # noqa: PLR0917 - two quantities per row of the equation
    polarizations: Float[Tensor, "batch 2 time"],
    f_plus: Float[Tensor, "batch ifos"],
    f_cross: Float[Tensor, "batch ifos"],
    delays: Float[Tensor, "batch ifos"],
    responses: Inexact[Tensor, "batch ifos frequency"],
    sample_rate: float,
) -> Float[Tensor, "batch ifos time"]:
    """Project polarizations onto detectors and whiten them, in one pass through the frequency domain.

    Args:
        polarizations: Plus and cross polarizations, dimensionless.
        f_plus: Antenna patterns of the plus polarization, dimensionless.
        f_cross: Antenna patterns of the cross polarization, dimensionless.
        delays: Arrival times relative to the geocentre, s.
        responses: Frequency responses of the whitening filters; real for zero phase.
        sample_rate: Sample rate, Hz.

    Returns:
        Whitened responses of the detectors. They wrap around at the edges by the filter's length.
    """
    size = polarizations.shape[-1]
    spectra = torch.fft.rfft(polarizations)
    strain = f_plus[..., None] * spectra[:, :1] + f_cross[..., None] * spectra[:, 1:]
    frequencies = torch.arange(spectra.shape[-1], device=spectra.device) * (sample_rate / size)
    phase = (-2.0 * math.pi) * delays[..., None] * frequencies
    return torch.fft.irfft(strain * responses * torch.polar(torch.ones_like(phase), phase), n=size)
