"""Whitened background in memory, and random windows of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aframe.errors import DataError
from aframe.spectral import WhitenedStream


@dataclass(frozen=True)
class WhitenedBackground:
    """Streams of all detectors, whitened once exactly as in inference, stretch after stretch.

    Attributes:
        streams: Whitened strain, float32, shape (ifos, time): the stretches one after the other.
        stretches: First sample and length of each stretch, shape (stretches, 2).
        responses: Zero-phase frequency responses of the whitening filters, float32, shape (ifos, blocks, frequency).
        blocks: First block of each stretch, shape (stretches,).
        block_size: Samples that share one filter.
    """

    streams: Tensor
    stretches: Tensor
    responses: Tensor
    blocks: Tensor
    block_size: int

    @classmethod
    def from_streams(cls, stretches: Sequence[Sequence[WhitenedStream]], fft_size: int) -> "WhitenedBackground":
        """Join whitened streams, given per stretch and detector.

        Args:
            stretches: For each stretch of coincident time, one stream per detector.
            fft_size: Samples of the transforms in which signals are whitened; at least the filters' length.
        """
        sizes = torch.tensor([stretch[0].data.shape[-1] for stretch in stretches])
        counts = torch.tensor([stretch[0].taps.shape[0] for stretch in stretches])
        streams = torch.cat([torch.stack([s.data for s in stretch]) for stretch in stretches], dim=-1)
        responses = torch.cat(
            [torch.stack([_zero_phase(s.taps, fft_size) for s in stretch]) for stretch in stretches], dim=1
        )
        starts = torch.stack([sizes.cumsum(0) - sizes, sizes], dim=1)
        return cls(streams, starts, responses, counts.cumsum(0) - counts, stretches[0][0].block_size)

    def to(self, device: torch.device) -> "WhitenedBackground":
        """The same on another device."""
        return WhitenedBackground(
            self.streams.to(device),
            self.stretches.to(device),
            self.responses.to(device),
            self.blocks.to(device),
            self.block_size,
        )

    def sample(self, batch_size: int, kernel_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Windows that begin at independent times in each detector, so that their noise is never coincident.

        Returns:
            Windows, shape (batch, ifos, kernel_size), and the frequency responses that whiten a signal
            as each window was whitened, shape (batch, ifos, frequency).

        Raises:
            DataError: If no stretch is as long as a window.
        """
        device, ifos = self.streams.device, self.streams.shape[0]
        room = (self.stretches[:, 1] - kernel_size + 1).clamp_min(0)
        last = room.cumsum(0)
        if int(last[-1]) == 0:
            raise DataError(f"no stretch of whitened background is as long as a window of {kernel_size} samples")
        draws = torch.rand((batch_size, ifos), generator=generator, device=device, dtype=torch.float64)
        position = (draws * last[-1]).long()
        stretch = torch.searchsorted(last, position, right=True)
        local = position - (last - room)[stretch]
        starts = self.stretches[stretch, 0] + local
        block = self.blocks[stretch] + (local + kernel_size // 2) // self.block_size
        views = self.streams.unfold(-1, kernel_size, 1)
        detector = torch.arange(ifos, device=device)
        return views[detector, starts], self.responses[detector, block]


def _zero_phase(taps: Tensor, fft_size: int) -> Tensor:
    """Real frequency response of symmetric taps, shape (…, taps) to (…, fft_size // 2 + 1)."""
    half = taps.shape[-1] // 2
    padded = torch.nn.functional.pad(taps, (0, fft_size - taps.shape[-1]))
    return torch.fft.rfft(padded.roll(-half, dims=-1)).real.float()
