"""Scores by the graphs of a model repository. The scorer cuts strain into the fixed shapes of the graphs."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from aframe.export.graphs import BLOCKS, ENCODER, FUSION, WINDOWS, Block
from aframe.inference.scorers.interface import Scorer
from aframe.train.model import Model
from aframe.types import Array

Part = tuple[int, bool]
"""Number of leading items of an answer that are used, and whether the answer is the last of a stream or slide."""

Request = tuple[str, Array, Part]
"""Ending of a graph's name, inputs with a batch axis in front, and the part of the answer that is used."""

SHORT_BLOCK = 0.5
"""Fraction of a block up to which its windows go to a joint network one by one. This sends more bytes but computes
fewer windows."""


class ServedScorer(Scorer):
    """Scorer that sends requests to the graphs of a model repository.

    Args:
        model: Network and preprocessing.
        block_windows: Number of windows in a block.
        batch_size: Largest batch of single windows.
    """

    def __init__(self, model: Model, block_windows: int, batch_size: int) -> None:
        super().__init__(model)
        self.most_single = min(batch_size, int(SHORT_BLOCK * block_windows))
        self.block = Block(model.network, model.preprocessing, block_windows)

    @abstractmethod
    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Array, Part]]:
        """Answer requests in order. Each answer comes with the last item of its request."""

    def encode_each(self, streams: Iterable[Tensor]) -> Iterator[Tensor]:
        """Embed streams: see ``Scorer.encode_each``. A joint network's ``encode`` is the identity and runs here."""
        if not self.network.is_factorised:
            return map(self.network.encode, streams)
        return (torch.from_numpy(embedded) for embedded in self._together(self._streams(streams), axis=-1))

    def fuse_each(self, views: Iterable[Sequence[Tensor]]) -> Iterator[Array]:
        """Score all windows: see ``Scorer.fuse_each``."""
        requests = self._embeddings(views) if self.network.is_factorised else self._blocks(views)
        return self._together(requests, axis=0)

    def _together(self, requests: Iterable[Request], axis: int) -> Iterator[Array]:
        """Join the used parts of the answers of each stream or slide."""
        parts: list[Array] = []
        for answer, (used, is_last) in self.ask(requests):
            joined = answer.reshape(-1) if axis == 0 else answer
            parts.append(joined[..., :used])
            if is_last:
                yield np.concatenate(parts, axis=axis)
                parts = []

    def _streams(self, streams: Iterable[Tensor]) -> Iterator[Request]:
        network, tile = self.network, self.block.encoded_steps
        for stretches in streams:
            steps = network.steps(stretches.shape[-1])
            for first in range(0, steps, tile):
                begin = first * network.step_size
                piece = _padded(stretches[..., begin : begin + self.block.size], self.block.size)
                yield ENCODER, piece.numpy(), (min(tile, steps - first), first + tile >= steps)

    def _embeddings(self, views: Iterable[Sequence[Tensor]]) -> Iterator[Request]:
        for embeddings in views:
            for first, count, is_last in self._tiles(embeddings[0].shape[-1]):
                size, begin = self.block.fused_steps, first * self.hop
                pieces = [_padded(e[:, begin : begin + size], size) for e in embeddings]
                yield FUSION, torch.stack(pieces)[None].numpy(), (count, is_last)

    def _blocks(self, views: Iterable[Sequence[Tensor]]) -> Iterator[Request]:
        size, stride = self.preprocessing.kernel_size, self.preprocessing.stride_size
        for embeddings in views:
            streams = torch.cat(list(embeddings))
            for first, count, is_last in self._tiles(streams.shape[-1]):
                piece = streams[:, first * stride :][:, : self.block.size]
                if count <= self.most_single:
                    windows = piece.unfold(-1, size, stride)[:, :count].transpose(0, 1)
                    yield WINDOWS, windows.contiguous().numpy(), (count, is_last)
                else:
                    yield BLOCKS, _padded(piece, self.block.size)[None].numpy(), (count, is_last)

    def _tiles(self, steps: int) -> Iterator[tuple[int, int, bool]]:
        """First window and number of windows of each block, and whether it is the last block."""
        windows, size = self.windows_in(steps), self.block.windows
        for first in range(0, windows, size):
            yield first, min(size, windows - first), first + size >= windows


def _padded(piece: Tensor, size: int) -> Tensor:
    """Pad a piece with zeros at its end. The result is contiguous in memory."""
    return torch.nn.functional.pad(piece, (0, size - piece.shape[-1])).contiguous()
