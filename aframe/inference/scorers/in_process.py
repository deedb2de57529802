"""Scores by torch in this process."""

import copy
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from aframe.inference.scorers.interface import Scorer
from aframe.train.model import Model
from aframe.types import Array

FUSED_WINDOWS = 512
"""Windows of a slide fused at once: their embeddings fit a processor's cache, which measured fastest."""

ENCODED_WINDOWS = 128
"""Windows' worth of a stream encoded at once, for the same reason."""


class TorchScorer(Scorer):
    """A network of one's own.

    Args:
        model: Network and preprocessing; the caller's stays as it is.
        precision: Type in which it computes.
        device: Where it computes.
    """

    def __init__(self, model: Model, precision: torch.dtype = torch.float32, device: str = "cpu") -> None:
        network = copy.deepcopy(model.network).to(device=device, dtype=precision)
        super().__init__(Model(network, model.preprocessing))
        self.precision, self.device = precision, device

    @torch.inference_mode()
    def _encode(self, stream: Tensor) -> Tensor:
        """Embed a stream piece by piece: equal to embedding it at once, in bounded memory."""
        network = self.network
        steps, pieces, first = network.steps(stream.shape[-1]), [], 0
        tile = ENCODED_WINDOWS * self.hop
        while first < steps:
            last = first + tile if first + tile + network.window_steps < steps else steps
            end = (last - 1) * network.step_size + network.receptive_field
            piece = stream[:, first * network.step_size : end].to(self.device, self.precision)
            pieces.append(network.encode(piece)[..., : last - first])
            first = last
        return torch.cat(pieces, dim=-1)

    def encode_each(self, streams: Iterable[Tensor]) -> Iterator[Tensor]:
        """Embed streams: see ``Scorer.encode_each``."""
        return map(self._encode, streams)

    @torch.inference_mode()
    def _fuse(self, views: Sequence[Tensor]) -> Array:
        windows, steps = self.windows_in(views[0].shape[-1]), self.network.window_steps
        result = []
        for first in range(0, windows, FUSED_WINDOWS):
            size = (min(FUSED_WINDOWS, windows - first) - 1) * self.hop + steps
            pieces = [view[None, :, first * self.hop : first * self.hop + size] for view in views]
            result.append(self.network.fuse(pieces, self.hop)[0].float().cpu().numpy())
        return np.concatenate(result)

    def fuse_each(self, views: Iterable[Sequence[Tensor]]) -> Iterator[Array]:
        """Score all windows: see ``Scorer.fuse_each``."""
        return map(self._fuse, views)
