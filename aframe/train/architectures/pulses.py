"""What short pulses explain of a stream. A detector with a glitch is no witness of a binary."""

from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from aframe.tensors import Windows
from aframe.train.architectures.filter_bank import FilterBank, is_exported

RARE = 17.0
"""|z|²/2 of the best pulse up to which noise is the likelier cause."""

UNLIKELY = 4.0
"""Distance below it from which on a pulse changes nothing."""

STEPS_AT_ONCE = 512
"""Steps with a glitch that are looked at at once."""


class Pulses(nn.Module):
    """Matched filters for pulses, next to those for binaries.

    A detector sees noise, a glitch, a binary, or a glitch and a binary. Let e^-R be the probability of a glitch, G the
    best pulse's |z|²/2 within the time of a template, and P the template's |z|²/2. Without the glitch, a part r of P
    remains. The logarithm of the likelihood ratio of a binary, and none, is then

        ln[(e^P + e^(G - R + r)) / (1 + e^(G - R))].

    The detectors' sum compares a binary in all of them with independent glitches, as in Isi et al. (arXiv:1803.09783).
    For the part that remains, the largest amplitude that the glitch can give the template is taken from the template's:
    √r = √P - m √G. The match m of pulses and templates depends on the time between them.

    Args:
        bank: Templates for binaries.
        groups: Number of groups of templates, neighbours in the bank's order.
        size: Samples of a pulse.
        decimations: Number of pulses at 1/2, 1/4 and 1/8 of the sample rate.

    Attributes:
        rare: R, with the number of pulses and times that are tried.
        match: m for each group and number of steps from a template's beginning to that of a pulse.
    """

    filters: FilterBank
    match: Tensor

    def __init__(self, bank: FilterBank, groups: int, size: int, decimations: Sequence[int]) -> None:
        super().__init__()
        number = sum(decimations)
        self.filters = FilterBank(bank.num_ifos, number, size, decimations, bank.step_size, bank.coincidence)
        self.rare, self.groups = RARE, groups
        lags = (bank.receptive_field - self.filters.receptive_field) // bank.step_size + 1
        self.register_buffer("match", torch.zeros(groups, max(lags, 1)))

    @classmethod
    def of(cls, pulses: Complex[Tensor, "pulses pulse_time"], bank: FilterBank, groups: int) -> "Pulses":
        """Pulses for a bank of templates.

        Args:
            pulses: Whitened pulses p + iq, both quadratures of unit norm.
            bank: Templates for binaries.
            groups: Number of groups of templates.
        """
        filters = FilterBank.of(pulses, bank.num_ifos, bank.step_size, bank.coincidence)
        result = cls(bank, groups, filters.template_size, filters.decimations)
        result.filters = filters
        result.match = _matches(pulses, bank, groups, result.match.shape[1])
        return result

    def forward(
        self, measured: Float[Tensor, "batch ifos templates steps"], streams: Windows
    ) -> Float[Tensor, "batch ifos templates steps"]:
        """What the templates say of a binary, beside noise and glitches.

        Args:
            measured: |z|²/2 of each template in each step. It may be changed.
            streams: Whitened strain that it was measured in, shape (batch, ifos, time).

        Returns:
            The logarithm of the likelihood ratio, but at least 0. Where no pulse is loud, it is |z|²/2.
        """
        steps, lags = int(measured.shape[-1]), self.match.shape[1]
        best = self.filters(streams).amax(2)[..., : steps + lags - 1]
        excess = nn.functional.max_pool1d(best, lags, 1) - self.rare
        roots = torch.where(best > self.rare - UNLIKELY, best, 0.0).sqrt()
        if is_exported():
            each = torch.stack([roots[..., lag : lag + steps] for lag in range(lags)], dim=-1)
            left = self._left(measured.movedim(2, 3), excess, each).movedim(3, 2)
            return torch.where((excess > -UNLIKELY).unsqueeze(2), left, measured)
        within = roots.unfold(-1, lags, 1)
        for row, ifo, step in zip(*(each.split(STEPS_AT_ONCE) for each in (excess > -UNLIKELY).nonzero(as_tuple=True)),
                                  strict=True):  # fmt: skip
            here = measured[row, ifo, :, step]
            measured[row, ifo, :, step] = self._left(here, excess[row, ifo, step], within[row, ifo, step])
        return measured

    def _left(
        self, measured: Float[Tensor, "*steps templates"], excess: Float[Tensor, "*steps"],
        roots: Float[Tensor, "*steps lags"],
    ) -> Float[Tensor, "*steps templates"]:  # fmt: skip
        """Logarithm of the likelihood ratio, from G - R and √G of the pulses at each lag."""
        power, over = measured.unflatten(-1, (self.groups, -1)), excess[..., None, None]
        taken = (roots.unsqueeze(-2) * self.match).amax(-1, keepdim=True)
        rest = (power.sqrt() - taken).clamp_min(0).square()
        ratio = power - nn.functional.softplus(over) + nn.functional.softplus(over + rest - power)
        return ratio.clamp_min(0).flatten(-2)


def _matches(
    pulses: Complex[Tensor, "pulses pulse_time"], bank: FilterBank, groups: int, lags: int
) -> Float[Tensor, "groups lags"]:
    """Largest match of any template of a group with any pulse that begins about a number of steps later."""
    width = bank.step_size + bank.coincidence
    size = 1 << (bank.template_size + pulses.shape[1] + 2 * width).bit_length()
    conjugates = torch.fft.fft(pulses, n=size).conj()
    templates = torch.complex(*bank.bank[:, bank.rows].float()).unflatten(0, (groups, -1))
    result = []
    for some in templates:
        spectra = torch.fft.fft(some, n=size)
        match = torch.stack([torch.fft.ifft(spectra * each).abs().amax(0) for each in conjugates]).amax(0) / 2
        about = match.roll(width)[: (lags - 1) * bank.step_size + 2 * width]
        result.append(nn.functional.max_pool1d(about[None], 2 * width, bank.step_size)[0])
    return torch.stack(result).clamp_max(1.0)
