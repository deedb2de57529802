"""Scores by torch in this process."""

import copy
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from aframe.inference.scorers.interface import Scorer
from aframe.train.model import Model
from aframe.types import Array

FUSED_WINDOWS = 512
"""Windows of a slide fused at once: their embeddings fit a processor's cache, which measured fastest."""

ENCODED_WINDOWS = 128
"""Windows' worth of a stream encoded at once, for the same reason."""

GPU_TILES = 32
"""So many times as much at once on a GPU, which computes such a tile in less time than it takes to ask for it."""


class TorchScorer(Scorer):
    """A network of one's own.

    Args:
        model: Network and preprocessing; the caller's stays as it is.
        precision: Type in which it computes.
        device: Where it computes.
        compiled: Whether fusion is compiled first, which takes minutes.
    """

    def __init__(
        self, model: Model, precision: torch.dtype = torch.float32, device: str = "cpu", compiled: bool = False
    ) -> None:
        network = copy.deepcopy(model.network).to(device=device, dtype=precision)
        super().__init__(Model(network, model.preprocessing))
        self.precision, self.device = precision, device
        self.tiles = GPU_TILES if device.startswith("cuda") else 1
        self.compiled = torch.compile(network.fuse, dynamic=False) if compiled else None

    @torch.inference_mode()
    def _encode(self, streams: Sequence[Tensor]) -> Sequence[Tensor]:
        """Embed streams piece by piece: equal to embedding them at once, in bounded memory."""
        network = self.network
        steps, pieces, first = network.steps(streams[0].shape[-1]), [], 0
        tile = self.tiles * ENCODED_WINDOWS * self.hop
        while first < steps:
            last = first + tile if first + tile + network.window_steps < steps else steps
            end = (last - 1) * network.step_size + network.receptive_field
            piece = torch.stack([stream[first * network.step_size : end] for stream in streams])[None]
            pieces.append(network.encode(piece.to(self.device, self.precision))[0, ..., : last - first])
            first = last
        return torch.cat(pieces, dim=-1).unbind(0)

    def encode_each(self, streams: Iterable[Sequence[Tensor]]) -> Iterator[Sequence[Tensor]]:
        """Embed streams: see ``Scorer.encode_each``."""
        return map(self._encode, streams)

    @torch.inference_mode()
    def _fuse(self, views: Sequence[Tensor]) -> Array:
        windows, steps = self.windows_in(views[0].shape[-1]), self.network.window_steps
        tile, result = self.tiles * FUSED_WINDOWS, []
        fuse = self.network.fuse if self.compiled is None or windows < tile else self.compiled
        for first in range(0, windows, tile):
            begin = first
            if self.compiled is not None and windows >= tile:
                begin = min(first, windows - tile)  # of one shape all, or each other one would be compiled anew
            size = (min(tile, windows - begin) - 1) * self.hop + steps
            pieces = [view[None, :, begin * self.hop : begin * self.hop + size] for view in views]
            result.append(fuse(pieces, self.hop)[0, first - begin :])
        return torch.cat(result).float().cpu().numpy()

    def fuse_each(self, views: Iterable[Sequence[Tensor]]) -> Iterator[Array]:
        """Score all windows: see ``Scorer.fuse_each``."""
        return map(self._fuse, views)
