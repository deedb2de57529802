"""How well the outputs of a template in two or more detectors fit one source: their times, phases and amplitudes."""

import itertools

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor, nn

TYPICAL_LEVEL = 3.5
"""Root of |z|²/2 of the best template in noise, about. Networks see the difference."""

UNSEEN, SEEN = 2.0, 6.0
"""|z|²/2 of the weaker detector up to which noise explains its best moment, and that from which on it does not."""

FINER = 2
"""Outputs of a template for each sample of the strain, where steps are followed up."""

FEATURES = 8
"""Numbers that describe the coherence of two detectors."""

WEAKER = 3
"""Which of them is the level of the weaker detector."""


class Coherence(nn.Module):
    """What the coherence of the detectors adds to the statistic of a step. A new one adds nothing.

    Two detectors see a signal within the light travel time, with phases and amplitudes that their antenna patterns
    bind. Noise does not (Nitz et al., doi:10.3847/1538-4357/aa8f50). Where the weaker detector sees nothing, nothing
    can agree, and coherence can only lower the statistic. Else a glitch in one detector would gain by it.

    Args:
        num_ifos: Number of detectors, at least 2.
        reach: Samples by which the times of a signal in two detectors differ at most.
        hidden: Width of the perceptron.
    """

    def __init__(self, num_ifos: int, reach: int, hidden: int) -> None:
        super().__init__()
        self.pairs, self.reach = list(itertools.combinations(range(num_ifos), 2)), reach
        self.weigh = perceptron(FEATURES, hidden, len(self.pairs), 0.0)

    def forward(self, features: Float[Tensor, "steps pairs features"]) -> Float[Tensor, " steps"]:
        """What the coherence adds to the statistic of each step.

        Args:
            features: Result of ``features``.
        """
        each = self.weigh(features.to(next(self.weigh.parameters()).dtype)).diagonal(dim1=1, dim2=2)
        weaker = (features[..., WEAKER].to(each.dtype) + TYPICAL_LEVEL).square()
        share = ((weaker - UNSEEN) / (SEEN - UNSEEN)).clamp(0, 1)
        return torch.where(each > 0, share * each, each).sum(1)

    def features(
        self,
        outputs: Complex[Tensor, "steps ifos time"],
        missed: Float[Tensor, "steps ifos"],
        mass: Float[Tensor, " steps"],
    ) -> Float[Tensor, "steps pairs features"]:
        """Describe how a template's outputs z in each two detectors fit together.

        The times are the two, at most ``reach`` apart, at which the sum of |z|²/2 is largest. The features are the
        delay, cosine and sine of the phase difference, the levels of the weaker and the stronger detector, how much
        larger the sum of both detectors' maxima at any times is, what the encoder missed of it, and the mass.

        Args:
            outputs: Outputs of one template for each step, ``FINER`` for each sample.
            missed: Part of a detector's |z|²/2 that the encoder's outputs miss between their samples. See ``missed``.
            mass: A number for each step that tells the template's chirp mass.
        """
        power, pairs = (outputs.real.square() + outputs.imag.square()) / 2, []
        place = torch.arange(power.shape[-1], device=power.device)
        is_near = (place[:, None] - place).abs() <= FINER * self.reach
        for one, other in self.pairs:
            both = power[:, one, :, None] + power[:, other, None, :]
            joint, at = both.masked_fill(~is_near, -torch.inf).flatten(1).max(1)
            times = at // len(place), at % len(place)
            first, second = (
                outputs[:, ifo].gather(1, time[:, None])[:, 0] for ifo, time in zip((one, other), times, strict=True)
            )
            phase = torch.sgn(first * second.conj())
            levels = torch.stack([first.abs(), second.abs()]) / 2**0.5 - TYPICAL_LEVEL
            apart = power[:, one].amax(1) + power[:, other].amax(1) - joint
            delay = (times[0] - times[1]) * (1.5 / (FINER * self.reach))
            more = missed[:, one] + missed[:, other]
            numbers = [delay, phase.real, phase.imag, levels.amin(0), levels.amax(0), apart / 3, more / 3, mass]
            pairs.append(torch.stack(numbers, dim=1))
        return torch.stack(pairs, dim=1)


def steps_of(
    windows: Bool[Tensor, "batch windows"], hop: int, window_steps: int
) -> tuple[Int[Tensor, " steps"], Int[Tensor, " steps"], Int[Tensor, "some window_steps"]]:
    """Steps of some windows, each step once.

    Args:
        windows: Whether a window is one of them.
        hop: Steps from one window to the next.
        window_steps: Steps of a window.

    Returns:
        Row and number of each step, and the places in these of the steps of each window.
    """
    row, window = windows.nonzero(as_tuple=True)
    steps = window[:, None] * hop + torch.arange(window_steps, device=window.device)
    both = torch.stack([row[:, None].expand_as(steps), steps]).flatten(1)
    (rows, numbers), places = both.unique(dim=1, return_inverse=True)
    return rows, numbers, places.unflatten(0, steps.shape)


def filtered(
    strain: Float[Tensor, "steps ifos time"], templates: Complex[Tensor, "steps ifos template_time"], number: int
) -> Complex[Tensor, "steps ifos outputs"]:
    """Correlate each detector's piece of strain with a template of its own, ``FINER`` times in each sample.

    Values between samples are interpolated: the spectrum is extended by zeros.

    Args:
        strain: Whitened strain. It is at least ``number`` - 1 samples longer than the templates.
        templates: Whitened templates p + iq.
        number: Number of samples, from the first to the last output.
    """
    size = 1 << (strain.shape[-1] - 1).bit_length()
    spectra = torch.fft.fft(strain.float(), n=size) * torch.fft.fft(templates, n=size).conj()
    between = spectra.new_zeros((*spectra.shape[:-1], (FINER - 1) * size))
    half = size // 2
    finer = torch.cat([spectra[..., :half], between, spectra[..., half:]], dim=-1)
    return torch.fft.ifft(finer)[..., : FINER * (number - 1) + 1] * FINER


def missed(
    outputs: Complex[Tensor, "steps ifos time"], measured: Float[Tensor, "steps ifos"], rates: Int[Tensor, " steps"]
) -> Float[Tensor, "steps ifos"]:
    """What the encoder misses of |z|²/2, since it has one output in some samples and the maximum lies between two.

    Args:
        outputs: Outputs of one template for each step, ``FINER`` for each sample.
        measured: What the encoder has for them, with what glitches take.
        rates: Samples from one output of the encoder to the next.
    """
    power = outputs.real.square() + outputs.imag.square()
    is_seen = torch.arange(power.shape[-1], device=power.device) % (FINER * rates[:, None]) == 0
    seen = (power * is_seen[:, None]).amax(2).clamp_min(torch.finfo(power.dtype).tiny)
    return (power.amax(2) / seen - 1) * measured.clamp_min(0)


def perceptron(inputs: int, hidden: int, outputs: int, value: float) -> nn.Sequential:
    """Function of some numbers, whose value is a constant at first.

    Args:
        inputs: Number of inputs.
        hidden: Width of both hidden layers.
        outputs: Number of outputs.
        value: The constant.
    """
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, value)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), last)
