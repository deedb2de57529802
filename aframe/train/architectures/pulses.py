"""What short pulses explain of a stream. Where a pulse fits, a detector is no witness of a binary."""

from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from aframe.tensors import Windows
from aframe.train.architectures.filter_bank import FilterBank

RARE = 14.0
"""|z|²/2 of the best pulse up to which noise is the likelier cause."""

POWER_BEFORE, POWER_AFTER = 0.05, 0.001
"""Shares of a template's power before and after the time in which pulses are looked for."""

Span = Sequence[int]
"""First and last step of the pulses that a group of templates answers to, from the step of the templates."""


class Pulses(nn.Module):
    """Matched filters for pulses, next to those for binaries.

    A detector sees noise, a glitch, or a binary. Let e^-R be the probability of a glitch in a step, and G the best
    pulse's |z|²/2. The logarithm of the likelihood ratio of a binary and anything else is then the template's |z|²/2
    less ln(1 + e^(G - R)). The detectors' sum compares a binary in all of them with independent glitches, as in Isi et
    al. (arXiv:1803.09783). It takes nothing from a template beyond its own |z|²/2.

    Args:
        num_ifos: Number of detectors.
        size: Samples of a pulse.
        decimations: Number of pulses at 1/2, 1/4 and 1/8 of the sample rate.
        spans: Span of each group of templates.
        step_size: Samples in a step.
        coincidence: Samples by which a step is longer than the distance of steps.

    Attributes:
        rare: R, minus the logarithm of the probability of a glitch in a step, with the number of pulses and times that
            are tried.
    """

    filters: FilterBank

    def __init__(  # noqa: PLR0917 - six numbers, as the bank's
        self, num_ifos: int, size: int, decimations: Sequence[int], spans: Sequence[Span], step_size: int,
        coincidence: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.filters = FilterBank(num_ifos, sum(decimations), size, decimations, step_size, coincidence)
        self.spans = [list(span) for span in spans]
        self.rare = RARE

    @classmethod
    def of(cls, pulses: Complex[Tensor, "pulses pulse_time"], bank: FilterBank, groups: int) -> "Pulses":
        """Pulses for a bank of templates.

        Args:
            pulses: Whitened pulses p + iq, both quadratures of unit norm, each in the middle of its series.
            bank: Templates for binaries.
            groups: Number of groups of templates, neighbours in the bank's order.
        """
        filters = FilterBank.of(pulses, bank.num_ifos, bank.step_size, bank.coincidence)
        result = cls(bank.num_ifos, filters.template_size, filters.decimations, (), bank.step_size, bank.coincidence)
        result.filters, result.spans = filters, _spans(bank, filters, groups)
        return result

    def forward(self, streams: Windows, steps: int) -> Float[Tensor, "batch ifos groups steps"]:
        """What glitches take from |z|²/2 of each group's templates.

        Args:
            streams: Whitened strain, shape (batch, ifos, time).
            steps: Number of steps of the bank.
        """
        best = self.filters(streams).amax(2)
        each = []
        for first, last in self.spans:
            within = best[..., first : last + steps]
            each.append(nn.functional.max_pool1d(within, last - first + 1, 1))
        return nn.functional.softplus(torch.stack(each, dim=2) - self.rare)


def _spans(bank: FilterBank, pulses: FilterBank, groups: int) -> list[Span]:
    """For each group the steps of pulses whose middle lies where its templates have power."""
    power = bank.bank[:, bank.rows].float().square().sum(0).unflatten(0, (groups, -1)).mean(1)
    share = power.cumsum(1) / power.sum(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    middle, step = pulses.template_size // 2, bank.step_size
    latest = (bank.receptive_field - pulses.receptive_field) // step
    spans: list[Span] = []
    for first, last in zip(
        (share < POWER_BEFORE).sum(1).tolist(), (share < 1 - POWER_AFTER).sum(1).tolist(), strict=True
    ):
        stop = min(-(-(last - middle) // step), latest)
        spans.append([min(max((first - middle) // step, 0), max(stop, 0)), max(stop, 0)])
    return spans
