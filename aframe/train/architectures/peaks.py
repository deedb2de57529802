"""Peaks of templates' outputs in the steps of an embedding: how loud, and when."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

MOST_BINS = 16
"""Largest number of bins in a step. Two places are one whole number below 256, up to which bfloat16 is exact."""


class Peaks(NamedTuple):
    """The loudest moment of each template in each step.

    Attributes:
        power: |z|²/2, shape (..., templates, steps) or, of single steps, (..., templates).
        place: When it is, in bins since the step begins. Of the same shape, whole numbers.
    """

    power: Tensor
    place: Tensor

    def each(self, function: Callable[[Tensor], Tensor]) -> "Peaks":
        """Apply a function to both tensors."""
        return Peaks(function(self.power), function(self.place))

    def small(self) -> "Peaks":
        """The same in little memory: power in half precision, places as bytes."""
        return Peaks(self.power.half(), self.place.byte())


def joined(parts: Sequence[Peaks], join: Callable[[list[Tensor]], Tensor]) -> Peaks:
    """Join peaks by torch.cat or torch.stack."""
    powers, places = zip(*parts, strict=True)
    return Peaks(join(list(powers)), join(list(places)))


def peaks_of_steps(
    power: Float[Tensor, "rows templates time"], size: int, stride: int, bin_size: int, is_exported: bool
) -> Peaks:
    """Largest value in each step, and the bin in which it is.

    Args:
        power: |z|²/2 of each template, at least 0. Its steps fill it: time = (steps - 1) stride + size.
        size: Values in a step.
        stride: Values from one step to the next.
        bin_size: Values in a bin. Size and stride are multiples of it.
        is_exported: Whether to compute with operators that servers have. These are slower.
    """
    if bin_size > 1:
        power = nn.functional.max_pool1d(power, bin_size, bin_size)
    bins, hop = size // bin_size, stride // bin_size
    steps = (int(power.shape[-1]) - bins) // hop + 1
    if is_exported:
        shifted = [power[..., k : k + (steps - 1) * hop + 1 : hop] for k in range(bins)]
        largest, place = torch.stack(shifted, dim=-1).max(-1)
        return Peaks(largest, place.to(power.dtype))
    # The place rides in the lowest bits of the value: with torch's own indices, the maximum takes three times as long.
    mask = (1 << (bins - 1).bit_length()) - 1
    numbers = torch.arange(power.shape[-1], dtype=torch.int32, device=power.device) & mask
    marked = ((power.view(torch.int32) & ~mask) | numbers).view(torch.float32)
    largest = nn.functional.max_pool1d(marked, bins, hop)
    first = torch.arange(steps, dtype=torch.int32, device=power.device) * hop
    return Peaks(largest, (((largest.view(torch.int32) & mask) - first) & mask).float())


def pack(
    places: Float[Tensor, "batch ifos templates steps"], bins: int
) -> Float[Tensor, "batch ifos pairs_of_templates steps"]:
    """Pack the places of two templates into one channel, which all precisions hold exactly.

    Args:
        places: Whole numbers from 0 to bins - 1.
        bins: Number of bins in a step, at most ``MOST_BINS``.
    """
    pairs = nn.functional.pad(places, (0, 0, 0, places.shape[2] % 2)).unflatten(2, (-1, 2))
    return pairs[:, :, :, 0] + bins * pairs[:, :, :, 1]


def unpack(
    packed: Float[Tensor, "*steps pairs_of_templates"], templates: Int[Tensor, "*steps some"], bins: int
) -> Float[Tensor, "*steps some"]:
    """Places of some templates in each step, in single precision: the inverse of ``pack``, with channels last.

    Args:
        packed: Packed places.
        templates: Numbers of the templates.
        bins: Number of bins in a step.
    """
    both = packed.gather(packed.dim() - 1, templates // 2).float()
    second = torch.floor((both + 0.5) / bins)
    return torch.where(templates % 2 == 1, second, both - bins * second)
