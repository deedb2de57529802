"""Scores by the graphs of a model repository, whoever runs them: strain is cut into their fixed shapes."""

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
"""Of an answer: how much of it is wanted, and whether it is the last of what belongs together."""

Request = tuple[str, Array, Part]
"""Ending of a graph's name, inputs with a batch in front, and what to make of the answer."""

SHORT = 0.5
"""Share of a block up to which its windows are sent one by one to a joint network, which costs bytes and saves work."""


class ServedScorer(Scorer):
    """A network whose graphs are run elsewhere.

    Args:
        model: Network and preprocessing.
        block_windows: Windows in a block.
        batch_size: Largest batch of single windows.
    """

    def __init__(self, model: Model, block_windows: int, batch_size: int) -> None:
        super().__init__(model)
        self.most_single = min(batch_size, int(SHORT * block_windows))
        self.block = Block(model.network, model.preprocessing, block_windows)

    @abstractmethod
    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Array, Part]]:
        """Answers to requests, in order, each with its request's last item."""

    def encode_each(self, streams: Iterable[Tensor]) -> Iterator[Tensor]:
        """Embed streams: see ``Scorer.encode_each``. The network's own ``encode`` where that is the identity."""
        if not self.network.is_factorised:
            return map(self.network.encode, streams)
        return (torch.from_numpy(embedded) for embedded in self._together(self._streams(streams), axis=-1))

    def fuse_each(self, views: Iterable[Sequence[Tensor]]) -> Iterator[Array]:
        """Score all windows: see ``Scorer.fuse_each``."""
        requests = self._embeddings(views) if self.network.is_factorised else self._blocks(views)
        return self._together(requests, axis=0)

    def _together(self, requests: Iterable[Request], axis: int) -> Iterator[Array]:
        """Join the wanted parts of answers that belong together."""
        parts: list[Array] = []
        for answer, (wanted, is_last) in self.ask(requests):
            joined = answer.reshape(-1) if axis == 0 else answer
            parts.append(joined[..., :wanted])
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
        made = self.preprocessing
        for embeddings in views:
            streams = torch.cat(list(embeddings))
            for first, count, is_last in self._tiles(streams.shape[-1]):
                piece = streams[:, first * made.stride_size :][:, : self.block.size]
                if count <= self.most_single:
                    windows = piece.unfold(-1, made.kernel_size, made.stride_size)[:, :count].transpose(0, 1)
                    yield WINDOWS, windows.contiguous().numpy(), (count, is_last)
                else:
                    yield BLOCKS, _padded(piece, self.block.size)[None].numpy(), (count, is_last)

    def _tiles(self, steps: int) -> Iterator[tuple[int, int, bool]]:
        """First window, number of windows, and whether they are the last, of each block."""
        windows, size = self.windows_in(steps), self.block.windows
        for first in range(0, windows, size):
            yield first, min(size, windows - first), first + size >= windows


def _padded(piece: Tensor, size: int) -> Tensor:
    """A piece with zeros after it; in memory on its own."""
    return torch.nn.functional.pad(piece, (0, size - piece.shape[-1])).contiguous()
