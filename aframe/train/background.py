"""Whitened background, and random windows of it."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aframe.errors import DataError
from aframe.spectral import WhitenedStream


@dataclass(frozen=True)
class WhitenedBackground:
    """Streams of all detectors, whitened once exactly as in inference, stretch after stretch.

    Attributes:
        streams: Whitened strain, float32, shape (ifos, time): the stretches one after the other. It may lie elsewhere
            than all else: in host memory or on disk while the network trains on a GPU.
        stretches: First sample and length of each stretch, shape (stretches, 2), where the streams are.
        responses: Zero-phase frequency responses of the whitening filters, float32, shape (ifos, blocks, frequency).
        blocks: First block of each stretch, shape (stretches,), where the streams are.
        block_size: Samples that share one filter.
        longest: Samples of the longest stretch.
    """

    streams: Tensor
    stretches: Tensor
    responses: Tensor
    blocks: Tensor
    block_size: int
    longest: int

    @classmethod
    def from_streams(
        cls, stretches: Iterable[Sequence[WhitenedStream]], streams: Tensor, fft_size: int
    ) -> "WhitenedBackground":
        """Join whitened streams, of which only one stretch need be at hand at a time.

        Args:
            stretches: For each stretch of coincident time, one stream per detector.
            streams: What they are copied into, shape (ifos, time), as long as all of them together.
            fft_size: Samples of the transforms in which signals are whitened; at least the filters' length.
        """
        sizes, counts, responses, place, block_size = [], [], [], 0, 0
        for stretch in stretches:
            size, block_size = stretch[0].data.shape[-1], stretch[0].block_size
            for channel, stream in zip(streams, stretch, strict=True):
                channel[place : place + size] = stream.data
            responses.append(torch.stack([_zero_phase(stream.taps, fft_size) for stream in stretch]))
            sizes.append(size)
            counts.append(stretch[0].taps.shape[0])
            place += size
        lengths, blocks = torch.tensor(sizes), torch.tensor(counts)
        starts, first = torch.stack([lengths.cumsum(0) - lengths, lengths], dim=1), blocks.cumsum(0) - blocks
        where = streams.device
        return cls(streams, starts.to(where), torch.cat(responses, dim=1), first.to(where), block_size, max(sizes))

    def sample(
        self, batch_size: int, kernel_size: int, generator: torch.Generator, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Windows that begin at independent times in each detector, so that their noise is never coincident.

        Args:
            batch_size: Number of windows.
            kernel_size: Samples in a window.
            generator: Randomness, where the streams are.
            device: Where the windows are wanted.

        Returns:
            Windows, shape (batch, ifos, kernel_size), and the frequency responses that whiten a signal
            as each window was whitened, shape (batch, ifos, frequency).

        Raises:
            DataError: If no stretch is as long as a window.
        """
        if kernel_size > self.longest:
            raise DataError(f"no stretch of whitened background is as long as a window of {kernel_size} samples")
        where, ifos = self.streams.device, self.streams.shape[0]
        room = (self.stretches[:, 1] - kernel_size + 1).clamp_min(0)
        last = room.cumsum(0)
        draws = torch.rand((batch_size, ifos), generator=generator, device=where, dtype=torch.float64)
        position = (draws * last[-1]).long()
        stretch = torch.searchsorted(last, position, right=True)
        local = position - (last - room)[stretch]
        starts = self.stretches[stretch, 0] + local
        block = self.blocks[stretch] + (local + kernel_size // 2) // self.block_size
        views = self.streams.unfold(-1, kernel_size, 1)
        windows = views[torch.arange(ifos, device=where), starts]
        return to_device(windows, device), self.responses[torch.arange(ifos, device=device), to_device(block, device)]

    def on(self, device: torch.device) -> "WhitenedBackground":
        """The same, its filters on a device; the streams stay where they are."""
        return dataclasses.replace(self, responses=self.responses.to(device))


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy to a device; from host memory to a GPU without waiting for it."""
    if values.device == device or device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def _zero_phase(taps: Tensor, fft_size: int) -> Tensor:
    """Real frequency response of symmetric taps, shape (…, taps) to (…, fft_size // 2 + 1)."""
    half = taps.shape[-1] // 2
    padded = torch.nn.functional.pad(taps, (0, fft_size - taps.shape[-1]))
    return torch.fft.rfft(padded.roll(-half, dims=-1)).real.float()
