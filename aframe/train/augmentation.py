"""What turns background windows and polarizations into labelled training examples, on whatever device they lie."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from aframe.errors import ConfigurationError


@dataclass(frozen=True)
class SnrDistribution:
    """Power law of network SNRs.

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

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Draw SNRs by inversion of the cumulative distribution, shape (size,)."""
        u = torch.rand(size, generator=generator, device=generator.device)
        power = self.index + 1.0
        if power == 0.0:
            return self.minimum * (self.maximum / self.minimum) ** u
        low, high = self.minimum**power, self.maximum**power
        return (low + u * (high - low)) ** (1.0 / power)


@dataclass(frozen=True)
class SnrSchedule:
    """Loud signals first: the smallest SNR falls linearly with the steps of a training.

    Attributes:
        final: Distribution that training comes to.
        initial_minimum: Smallest SNR in the first step.
        steps: Steps in which it falls to that of ``final``; 0 for no schedule.
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
        """Distribution in a step, which depends on nothing else: a training that is resumed goes on with it."""
        share = max(0.0, 1.0 - step / self.steps) if self.steps else 0.0
        minimum = self.final.minimum + share * (self.initial_minimum - self.final.minimum)
        return replace(self.final, minimum=minimum)


@dataclass(frozen=True)
class Mixture:
    """Fractions of a batch; what is none of them is noise.

    Attributes:
        waveform_prob: Signals seen by all detectors: the positives.
        swap_prob: Negatives in which each detector sees another signal.
        mute_prob: Negatives in which one detector sees no signal.
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

    def draw(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """What each window is: 0 a signal, 1 swapped, 2 muted, 3 noise; shape (batch,)."""
        fractions = (self.waveform_prob, self.swap_prob, self.mute_prob)
        edges = torch.tensor(fractions, device=generator.device).cumsum(0)
        return torch.bucketize(torch.rand(batch_size, generator=generator, device=generator.device), edges, right=True)


SIGNAL, SWAPPED, MUTED, NOISE = range(4)
"""What a window can be."""


def invert_and_reverse(windows: Tensor, generator: torch.Generator) -> Tensor:
    """Flip the sign, and the direction of time, of each detector's noise with probability 1/2 each."""
    shape, device = windows.shape[:2], windows.device
    sign = torch.randint(0, 2, shape, generator=generator, device=device) * 2 - 1
    reverse = torch.randint(0, 2, shape, generator=generator, device=device).bool()
    windows = torch.where(reverse[..., None], windows.flip(-1), windows)
    return windows * sign[..., None]


def make_incoherent(responses: Tensor, swapped: Tensor, muted: Tensor, generator: torch.Generator) -> Tensor:
    """Turn some signals into what no astrophysical source gives.

    Args:
        responses: Detectors' responses, shape (batch, ifos, time).
        swapped: Rows, shape (batch,), in which the detectors are to see different signals; nothing where too few
            signals are at hand. Best on the processor, as it must know how many they are.
        muted: Rows, shape (batch,), in which one detector, drawn at random, is to see nothing. Likewise.
        generator: Randomness, where the responses are.
    """
    result = responses.clone()
    rows = swapped.nonzero()[:, 0].to(responses.device)
    if len(rows) > 0:
        ifos = responses.shape[1]
        for ifo in range(1, ifos):
            partner = (rows + ifo) % len(responses)
            result[rows, ifo] = responses[partner, ifo] * (partner != rows)[:, None]
    rows = muted.nonzero()[:, 0].to(responses.device)
    silent = torch.randint(0, responses.shape[1], rows.shape, generator=generator, device=responses.device)
    result[rows, silent] = 0.0
    return result


def crop_at(waveforms: Tensor, starts: Tensor, size: int) -> Tensor:
    """Cut a piece from each waveform, zero where it reaches beyond the waveform.

    Args:
        waveforms: Shape (batch, channels, time).
        starts: First sample of each piece, shape (batch,); may be negative.
        size: Samples of a piece.
    """
    index = starts[:, None] + torch.arange(size, device=waveforms.device)
    inside = (index >= 0) & (index < waveforms.shape[-1])
    index = index.clamp(0, waveforms.shape[-1] - 1)[:, None].expand(-1, waveforms.shape[1], -1)
    return waveforms.gather(-1, index) * inside[:, None]


def network_snr(whitened: Tensor) -> Tensor:
    """Optimal SNR of whitened signals in their windows: shape (batch, ifos, time) to (batch,)."""
    return whitened.square().sum((-2, -1)).sqrt()


def whiten_responses(  # noqa: PLR0917 - two quantities per row of the equation
    polarizations: Tensor, f_plus: Tensor, f_cross: Tensor, delays: Tensor, responses: Tensor, sample_rate: float
) -> Tensor:
    """Project polarizations onto detectors and whiten them, in one pass through the frequency domain.

    Args:
        polarizations: Plus and cross, shape (batch, 2, fft_size).
        f_plus: Antenna pattern, shape (batch, ifos).
        f_cross: Antenna pattern, shape (batch, ifos).
        delays: Arrival time relative to the geocentre, s, shape (batch, ifos).
        responses: Zero-phase whitening responses, shape (batch, ifos, frequency).
        sample_rate: Hz.

    Returns:
        Whitened responses, shape (batch, ifos, fft_size); they wrap around at the edges by the filter's length.
    """
    size = polarizations.shape[-1]
    spectra = torch.fft.rfft(polarizations)
    strain = f_plus[..., None] * spectra[:, :1] + f_cross[..., None] * spectra[:, 1:]
    frequencies = torch.arange(spectra.shape[-1], device=spectra.device) * (sample_rate / size)
    phase = (-2.0 * math.pi) * delays[..., None] * frequencies
    return torch.fft.irfft(strain * responses * torch.polar(torch.ones_like(phase), phase), n=size)
