"""Streams at the rate of a slice of templates, and back to the rate of the outputs."""

import torch
from jaxtyping import Complex, Float, Num
from torch import Tensor

from aframe.bank.slices import MARGIN, TAIL, USED, Shape, interpolation
from aframe.train.architectures.overlap_save import smooth_size

TOGETHER = 8
"""Samples of a slice between which outputs are interpolated together."""


class SliceRate:
    """Rate of a slice beside that of the outputs, for some number of these.

    Args:
        shape: The slice.
        output: Samples of the stream from one output to the next.
        number: Number of outputs.
        device: Where streams are.

    Attributes:
        every: Samples of the slowed stream from one output of the slice's filters to the next.
        outputs: Number of outputs of the slice's filters.
    """

    def __init__(self, shape: Shape, output: int, number: int, device: torch.device) -> None:
        self.shape, self.number = shape, number
        self.every, self.outputs = max(1, output // shape.decimation), number
        self.tail, margin = TAIL if shape.decimation > 1 else 0, 0
        self.weights: Tensor | None = None
        if shape.decimation > output:
            margin, between = MARGIN, shape.decimation // output
            self.outputs = -(-number // (TOGETHER * between)) * TOGETHER + 2 * margin
            weights = interpolation(shape, margin * shape.decimation, TOGETHER * between, output)
            self.weights = weights.to(device)
        self.begin = shape.first - (margin + self.tail) * shape.decimation
        self.size = shape.size + (self.outputs - 1) * self.every + 2 * self.tail
        self.grid = smooth_size(self.size)
        band = torch.arange(self.grid, device=device) / self.grid
        self.roll_off = (((band - USED) / (1 - USED)).clamp(0, 1) * torch.pi / 2).cos().square()

    def slowed(self, streams: Float[Tensor, "batch time"]) -> Num[Tensor, "batch slow_time"]:
        """Part of streams that the slice's filters need, at its rate, times its decimation.

        The low-pass filter falls above the used part of the slice's band, so that it is short.

        Args:
            streams: Streams, of which the first output's template begins at the first sample.
        """
        decimation = self.shape.decimation
        piece = streams[:, self.begin : self.begin + self.size * decimation]
        if decimation == 1:
            return piece
        spectra = torch.fft.rfft(piece, n=self.grid * decimation)[:, : self.grid] * self.roll_off
        return torch.fft.ifft(spectra)[:, self.tail : self.size - self.tail]

    def interpolated(
        self, outputs: Complex[Tensor, "batch filters slow_outputs"]
    ) -> Complex[Tensor, "batch filters outputs"]:
        """Outputs of the slice's filters at the rate of all outputs."""
        if self.weights is None:
            return outputs
        pieces = outputs.unfold(2, TOGETHER + 2 * MARGIN, TOGETHER) @ self.weights
        return pieces.flatten(2)[..., : self.number]
