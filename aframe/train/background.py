"""Whitened background, and random windows from it."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float, Inexact, Int
from torch import Tensor

from aframe.errors import DataError
from aframe.whitening import WhitenedStream

Responses: TypeAlias = Inexact[Tensor, "*leading frequency"]
"""Frequency responses of whitening filters, real or complex."""


@dataclass(frozen=True)
class WhitenedBackground:
    """Streams of all detectors, whitened once in the same way as in inference.

    Attributes:
        streams: Whitened strain, float32: all stretches, one after the other. While the network trains on a GPU, it may
            be in host memory or on disk.
        stretches: First sample and length of each stretch, on the device of the streams.
        responses: Frequency responses of the whitening filters, in single precision. Those of zero phase are real.
        blocks: Number of the first block of each stretch, on the device of the streams.
        block_size: Number of samples that share one filter.
        longest: Number of samples of the longest stretch.
    """

    streams: Float[Tensor, "ifos time"]
    stretches: Int[Tensor, "stretches 2"]
    responses: Responses
    blocks: Int[Tensor, " stretches"]
    block_size: int
    longest: int

    @classmethod
    def from_streams(
        cls, stretches: Iterable[Sequence[WhitenedStream]], streams: Float[Tensor, "ifos time"], fft_size: int
    ) -> "WhitenedBackground":
        """Join whitened streams. Only one stretch needs to be in memory at a time.

        Args:
            stretches: Stretches of coincident time, each with one stream per detector.
            streams: Tensor that the streams are copied into, as long as all stretches together.
            fft_size: Number of samples of the transforms that whiten signals; at least the length of the filters.
        """
        sizes, counts, responses, begin, block_size = [], [], [], 0, 0
        for stretch in stretches:
            size, block_size = stretch[0].data.shape[-1], stretch[0].block_size
            for channel, stream in zip(streams, stretch, strict=True):
                channel[begin : begin + size] = stream.data
            responses.append(torch.stack([_response(stream, fft_size) for stream in stretch]))
            sizes.append(size)
            counts.append(stretch[0].taps.shape[0])
            begin += size
        lengths, blocks = torch.tensor(sizes), torch.tensor(counts)
        starts, first = torch.stack([lengths.cumsum(0) - lengths, lengths], dim=1), blocks.cumsum(0) - blocks
        device = streams.device
        return cls(streams, starts.to(device), torch.cat(responses, dim=1), first.to(device), block_size, max(sizes))

    def sample(
        self, batch_size: int, kernel_size: int, generator: torch.Generator, device: torch.device
    ) -> tuple[Float[Tensor, "batch ifos time"], Responses]:
        """Draw windows that start at independent times in each detector. Their noise is never coincident.

        Args:
            batch_size: Number of windows.
            kernel_size: Number of samples of a window.
            generator: Random generator on the device of the streams.
            device: Device of the result.

        Returns:
            Windows, and the frequency responses of the filters that whitened them.

        Raises:
            DataError: If no stretch is as long as a window.
        """
        if kernel_size > self.longest:
            raise DataError(f"no stretch of whitened background is as long as a window of {kernel_size} samples")
        source, ifos = self.streams.device, self.streams.shape[0]
        room = (self.stretches[:, 1] - kernel_size + 1).clamp_min(0)
        last = room.cumsum(0)
        draws = torch.rand((batch_size, ifos), generator=generator, device=source, dtype=torch.float64)
        position = (draws * last[-1]).long()
        stretch = torch.searchsorted(last, position, right=True)
        local = position - (last - room)[stretch]
        starts = self.stretches[stretch, 0] + local
        block = self.blocks[stretch] + (local + kernel_size // 2) // self.block_size
        views = self.streams.unfold(-1, kernel_size, 1)
        windows = views[torch.arange(ifos, device=source), starts]
        return to_device(windows, device), self.responses[torch.arange(ifos, device=device), to_device(block, device)]

    def on(self, device: torch.device) -> "WhitenedBackground":
        """Copy the filters to a device. The streams stay on theirs."""
        return dataclasses.replace(self, responses=self.responses.to(device))


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device. A copy from host memory to a GPU runs in the background.

    Args:
        values: Tensor of any shape.
        device: Device of the result.
    """
    if values.device == device or device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def _response(stream: WhitenedStream, fft_size: int) -> Tensor:
    """Frequency response of each block's filter, shape (blocks, fft_size // 2 + 1). That of symmetric taps is real."""
    size = stream.taps.shape[-1]
    padded = torch.nn.functional.pad(stream.taps, (0, fft_size - size))
    response = torch.fft.rfft(padded.roll(-stream.after, dims=-1))
    return response.real.float() if 2 * stream.after == size else response.to(torch.complex64)
