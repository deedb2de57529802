"""Scores by a Triton server."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from aframe.export.graphs import BLOCKS, WINDOWS
from aframe.inference.scorers.in_process import TorchScorer
from aframe.inference.scorers.served import Part, Request, ServedScorer
from aframe.serving.client import TritonClient
from aframe.train.model import Model
from aframe.types import Array


class TritonScorer(ServedScorer):
    """Scorer that sends requests to a server. For a factorised network the server encodes and this process fuses.

    Args:
        model: Network and preprocessing.
        client: Connection to the server.
        name: Name of the model on the server.
        precision: Type in which this process computes the head of a factorised network.

    Raises:
        ParameterMismatchError: If the server has another model.
        ServerError: If the server does not answer, or lacks the model.
    """

    engine = "triton"

    def __init__(self, model: Model, client: TritonClient, name: str, precision: torch.dtype = torch.float32) -> None:
        block, single = (client.configuration(name + ending) for ending in (BLOCKS, WINDOWS))
        super().__init__(model, block.output[0].dims[0], single.max_batch_size)
        self.client, self.name = client, name
        self.head = TorchScorer(model, precision) if model.network.is_factorised else None

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Array, Part]]:
        """Send requests: see ``ServedScorer.ask``."""
        return self.client.infer_each((self.name + ending, inputs, part) for ending, inputs, part in requests)

    def encode_each(self, streams: Iterable[Tensor]) -> Iterator[Tensor]:
        """Embed streams: see ``Scorer.encode_each``."""
        embedded = super().encode_each(streams)
        return embedded if self.head is None else (e.to(self.head.precision) for e in embedded)

    def fuse_each(self, views: Iterable[Sequence[Tensor]]) -> Iterator[Array]:
        """Score all windows: see ``Scorer.fuse_each``."""
        return super().fuse_each(views) if self.head is None else self.head.fuse_each(views)

    def close(self) -> None:
        """Close the connection."""
        self.client.close()
