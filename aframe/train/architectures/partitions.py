"""Correlation with long filters where few outputs are needed: filters are cut into parts."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Complex, Num
from torch import Tensor

from aframe.train.architectures.overlap_save import smooth_size

TRANSFORM, PRODUCT = 1.0, 1.5
"""Time of one sample of a Fourier transform for each binary digit of its size, and of a product of two spectra."""


class Partitions:
    """Filters of one length, cut into parts of a length that suits the number of outputs.

    The transform of a whole filter gives more outputs than are needed. Those of parts are little longer than the
    outputs. Products with the stream are summed over the parts before the inverse transform, so that there is one for
    each filter (partitioned convolution; see Gardner, J. Audio Eng. Soc. 43, 127, 1995).

    Args:
        filters: The filters.
        outputs: Number of outputs.
        every: Samples from one output to the next.
    """

    def __init__(self, filters: Complex[Tensor, "filters time"], outputs: int, every: int) -> None:
        size, span = filters.shape[1], (outputs - 1) * every + 1
        self.outputs, self.every = outputs, every
        self.grid = min(_grids(size, span, every), key=lambda grid: _work(grid, size, span))
        self.part = self.grid - span + 1
        self.parts = -(-size // self.part)
        padded = torch.nn.functional.pad(filters, (0, self.parts * self.part - size))
        spectra = torch.fft.fft(padded.unflatten(1, (self.parts, self.part)), n=self.grid)
        self.spectra = spectra.conj().permute(2, 1, 0).resolve_conj().contiguous() / every

    def correlate(self, samples: Num[Tensor, "batch time"]) -> Complex[Tensor, "batch filters outputs"]:
        """Correlate streams with all filters.

        Args:
            samples: The streams, real or complex. What is missing at the end counts as zero.
        """
        needed = (self.parts - 1) * self.part + self.grid
        padded = torch.nn.functional.pad(samples[:, :needed], (0, max(0, needed - samples.shape[1])))
        spectra = torch.fft.fft(padded.unfold(1, self.grid, self.part))
        sums = spectra.permute(2, 0, 1).contiguous() @ self.spectra  # a product of strided ones is far slower
        # the spectrum of every second output is the sum of the halves
        folded = sums.unflatten(0, (self.every, -1)).sum(0) if self.every > 1 else sums
        return torch.fft.ifft(folded.permute(1, 2, 0))[..., : self.outputs]


def _grids(size: int, span: int, every: int) -> Iterator[int]:
    """Sizes of transforms that hold the outputs of a part of at least one sample, up to the whole filter."""
    grid = smooth_size(span)
    while grid < 2 * (size + span):
        if grid % every == 0:
            yield grid
        grid = smooth_size(grid + 1)


def _work(grid: int, size: int, span: int) -> float:
    return grid * (TRANSFORM * math.log2(grid) + PRODUCT * math.ceil(size / (grid - span + 1)))
