"""What glitches explain of a stream. A detector with a glitch is no witness of a binary."""

from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from aframe.tensors import Windows
from aframe.train.architectures.filter_bank import FilterBank, is_exported

RARE = 19.0
"""Logarithm of a likelihood ratio up to which noise is likelier than a glitch."""

UNLIKELY = 4.0
"""Distance below it from which on a glitch changes nothing."""

WINDOW = 4
"""Time over which power is averaged, in lengths of a pulse."""

STRIDE = 4
"""Samples from one value of the power to the next."""

POWER_BEFORE, POWER_AFTER = 0.05, 0.001
"""Shares of a template's power before and after the time in which excess power counts."""

EXPLAINED = 2.0
"""Ratio of a surplus of power and a binary's, up to which the binary may have caused it."""

STEPS_AT_ONCE = 512
"""Steps with a glitch that are looked at at once."""


class Glitches(nn.Module):
    """Pulses and excess power, next to the matched filters for binaries.

    A detector sees noise, a pulse or excess power, and perhaps a binary with it. Let each kind of glitch have the
    probability e^-R. The logarithms of the likelihood ratios, and noise alone, are

    - P = |z|²/2 for a template, and G = |z|²/2 for the best pulse within its time;
    - X = h(n (e - 1)) for excess power, where e > 1 is the mean power of a band in a window, of n independent numbers,
      and h(q) = [q - n ln(1 + q / n)] / 2, which compares Gaussian noise of any larger variance;
    - r for what is left of a template beside the pulse. It is at least √r = √P - m √G, where the match m of templates
      and pulses depends on the time between them;
    - P + Y for a binary beside excess power, Y = h(n (e - 1) - 2 P), if that is most of the power.

    The logarithm of the likelihood ratio of a binary, and none, is then

        ln(e^P + e^(G - R + r) + e^(P + Y - R)) - ln(1 + e^(G - R) + e^(X - R)).

    The detectors' sum compares a binary in all of them with independent glitches, as in Isi et al. (arXiv:1803.09783).

    Args:
        bank: Templates for binaries.
        groups: Number of groups of templates, neighbours in the bank's order.
        size: Samples of a pulse, and of the filter of a band.
        decimations: Number of pulses at 1/2, 1/4 and 1/8 of the sample rate.
        bands: Number of bands.

    Attributes:
        rare: R, with the number of pulses, bands and times that are tried.
        match: m for each group and number of steps from a template's beginning to that of a pulse.
        bands: Real and imaginary part of each band's filter, of unit norm.
        numbers: n of each band.
        counts: 1 where a window counts for a group, by the number of steps from a template's beginning, else 0.
    """

    pulses: FilterBank
    match: Tensor
    bands: Tensor
    numbers: Tensor
    counts: Tensor

    def __init__(self, bank: FilterBank, groups: int, size: int, decimations: Sequence[int], bands: int) -> None:
        super().__init__()
        number, step = sum(decimations), bank.step_size
        self.pulses = FilterBank(bank.num_ifos, number, size, decimations, step, bank.coincidence)
        self.rare, self.groups, self.size, self.step_size = RARE, groups, size, step
        lags = (bank.receptive_field - self.pulses.receptive_field) // step + 1
        windows = (bank.receptive_field - (WINDOW + 1) * size) // step + 1
        self.lags, self.windows = lags, windows
        self.register_buffer("match", torch.zeros(groups, lags))
        self.register_buffer("bands", torch.zeros(2, bands, size))
        self.register_buffer("numbers", torch.ones(bands))
        self.register_buffer("counts", torch.zeros(groups, windows))

    @staticmethod
    def fit(bank: FilterBank, size: int) -> bool:
        """Whether a bank's templates are long enough, for pulses of ``size`` samples: five of them."""
        return (WINDOW + 1) * size <= bank.receptive_field

    @classmethod
    def of(
        cls,
        pulses: Complex[Tensor, "pulses pulse_time"],
        bands: Complex[Tensor, "bands pulse_time"],
        bank: FilterBank,
        groups: int,
    ) -> "Glitches":
        """Glitches for a bank of templates.

        Args:
            pulses: Whitened pulses p + iq, both quadratures of unit norm.
            bands: Filters of bands without negative frequencies.
            bank: Templates for binaries.
            groups: Number of groups of templates.
        """
        filters = FilterBank.of(pulses, bank.num_ifos, bank.step_size, bank.coincidence)
        result = cls(bank, groups, filters.template_size, filters.decimations, len(bands))
        result.pulses = filters
        result.match = _matches(pulses, bank, groups, result.lags)
        unit = bands / bands.abs().square().sum(1, keepdim=True).sqrt()
        result.bands = torch.stack([unit.real, unit.imag]).float()
        correlation = torch.fft.ifft(torch.fft.fft(unit, n=2 * result.size).abs().square()).abs()
        others = correlation[:, STRIDE : result.size : STRIDE].square().sum(1)
        result.numbers = (2 * WINDOW * result.size / STRIDE / (1 + 2 * others)).float()
        result.counts = _counts(bank, groups, (WINDOW + 1) * result.size // 2, result.windows)
        return result

    def forward(
        self, measured: Float[Tensor, "batch ifos templates steps"], streams: Windows
    ) -> Float[Tensor, "batch ifos templates steps"]:
        """What the templates say of a binary, beside noise and glitches.

        Args:
            measured: |z|²/2 of each template in each step. It may be changed.
            streams: Whitened strain that it was measured in, shape (batch, ifos, time).

        Returns:
            The logarithm of the likelihood ratio, but at least 0. Where no glitch is likely, it is |z|²/2.
        """
        steps = int(measured.shape[-1])
        pulses, surplus = self.pulses(streams).amax(2), self.surplus(streams)
        excess = _excess(surplus, self.numbers.to(surplus)[:, None]).amax(2)
        loudest = [
            nn.functional.max_pool1d(series[..., : steps + lags - 1], lags, 1)
            for series, lags in ((pulses, self.lags), (excess, self.windows))
        ]
        is_likely = torch.maximum(*loudest) > self.rare - UNLIKELY
        pulse, power = _within(pulses, steps, self.lags), _within(surplus, steps, self.windows).movedim(2, -1)
        if is_exported():
            left = self._left(measured.movedim(2, 3), pulse, power).movedim(3, 2)
            return torch.where(is_likely.unsqueeze(2), left, measured)
        for row, ifo, step in zip(
            *(each.split(STEPS_AT_ONCE) for each in is_likely.nonzero(as_tuple=True)), strict=True
        ):
            here = measured[row, ifo, :, step]
            measured[row, ifo, :, step] = self._left(here, pulse[row, ifo, step], power[row, ifo, step])
        return measured

    def surplus(self, streams: Windows) -> Float[Tensor, "batch ifos bands windows"]:
        """N (e - 1) of each band, at least 0, in windows that begin a step apart.

        Args:
            streams: Whitened strain, shape (batch, ifos, time).
        """
        filters = self.bands.float().flatten(0, 1).unsqueeze(1)
        outputs = nn.functional.conv1d(streams.float().flatten(0, 1).unsqueeze(1), filters, stride=STRIDE)
        power = outputs.square().unflatten(1, (2, -1)).sum(1)
        mean = nn.functional.avg_pool1d(power, WINDOW * self.size // STRIDE, self.step_size // STRIDE)
        return ((mean - 1) * self.numbers.float()[:, None]).clamp_min(0).unflatten(0, streams.shape[:2])

    def _left(
        self,
        measured: Float[Tensor, "*steps templates"],
        pulse: Float[Tensor, "*steps lags"],
        surplus: Float[Tensor, "*steps windows bands"],
    ) -> Float[Tensor, "*steps templates"]:
        """Logarithm of the likelihood ratio, from G at each lag and the surplus of power in each window."""
        power = measured.unflatten(-1, (self.groups, -1))
        over = (pulse.amax(-1) - self.rare)[..., None, None]
        roots = torch.where(pulse > self.rare - UNLIKELY, pulse, 0.0).sqrt()
        rest = (power.sqrt() - (roots.unsqueeze(-2) * self.match).amax(-1, keepdim=True)).clamp_min(0).square()
        numbers = self.numbers.to(surplus)
        excess = (_excess(surplus, numbers).unsqueeze(-3) * self.counts.unsqueeze(-1)).flatten(-2)
        most, where = excess.max(-1, keepdim=True)
        which = where.squeeze(-1)
        amount = surplus.flatten(-2).gather(-1, which).unsqueeze(-1)
        number = numbers.repeat(surplus.shape[-2])[which].unsqueeze(-1)
        share = (EXPLAINED * 2 * power / amount.clamp_min(1) - 1).clamp(0, 1)
        beside = share * (power + _excess((amount - 2 * power).clamp_min(0), number))
        glitch = _log_sum(over, most - self.rare)
        binary = _log_sum(_log_sum(power, over + rest), beside - self.rare)
        return (binary - nn.functional.softplus(glitch)).clamp_min(0).flatten(-2)


def _within(series: Float[Tensor, "*batch time"], steps: int, lags: int) -> Float[Tensor, "*batch steps lags"]:
    """Values from each step on."""
    if is_exported():  # one operation, which every server has
        places = torch.arange(steps)[:, None] + torch.arange(lags)
        return series.index_select(-1, places.flatten().to(series.device)).unflatten(-1, (steps, lags))
    return series.unfold(-1, lags, 1)[..., :steps, :]


def _log_sum(one: Tensor, other: Tensor) -> Tensor:
    """ln(e^one + e^other). The exporter to ONNX writes torch.logaddexp so that it overflows."""
    return torch.maximum(one, other) + nn.functional.softplus(-(one - other).abs())


def _excess(surplus: Tensor, numbers: Tensor) -> Tensor:
    """X of a surplus n (e - 1) of the power of n numbers."""
    return (surplus - numbers * (surplus / numbers).log1p()) / 2


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


def _counts(bank: FilterBank, groups: int, middle: int, windows: int) -> Float[Tensor, "groups windows"]:
    """Whether a window counts for a group: its middle is where the templates have power, or as near as can be."""
    power = bank.bank[:, bank.rows].float().square().sum(0).unflatten(0, (groups, -1)).mean(1)
    share = power.cumsum(1) / power.sum(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    ends = [(share < limit).sum(1) - middle for limit in (POWER_BEFORE, 1 - POWER_AFTER)]
    first, last = (end.div(bank.step_size, rounding_mode="floor").clamp(0, windows - 1) for end in ends)
    lags = torch.arange(windows, device=power.device)
    return ((lags >= first[:, None]) & (lags <= last[:, None])).float()
