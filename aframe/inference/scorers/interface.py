"""Interface between the engine and the scorers."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from aframe.preprocessing import Preprocessing
from aframe.train.architectures import Network
from aframe.train.model import Model
from aframe.types import Array


class Scorer(ABC):
    """Encodes streams and fuses embeddings.

    It takes iterables, so it can compute one result while the caller prepares the next input.

    Args:
        model: Network and preprocessing.

    Attributes:
        device: Device of strain and embeddings: cpu, or a GPU of this process.
        engine: Name of the engine, as in ``engine`` in ``[luigi_inference]``.
        stretches_at_once: Number of stretches with signals that are encoded and fused together.

    Raises:
        ConfigurationError: If windows fall between the steps of the network's embeddings.
    """

    device: str = "cpu"
    engine: str = "torch"
    stretches_at_once: int = 1

    def __init__(self, model: Model) -> None:
        self.model = model
        self.hop = model.network.hop(model.preprocessing.stride_size)

    @property
    def network(self) -> Network:
        """The network, for the shapes of its inputs and outputs."""
        return self.model.network

    @property
    def preprocessing(self) -> Preprocessing:
        """Window, stride and whitening."""
        return self.model.preprocessing

    @abstractmethod
    def encode_each(self, streams: Iterable[Tensor]) -> Iterator[Tensor]:
        """Embed streams of all detectors.

        Args:
            streams: Whitened strain, each of shape (stretches, ifos, time), with at least one window in it.

        Yields:
            Embeddings of each, in order: shape (stretches, ifos, channels, steps), where steps is the network's
            ``steps``.
        """

    @abstractmethod
    def fuse_each(self, views: Iterable[Sequence[Tensor]]) -> Iterator[Array]:
        """Score all windows of embedded streams.

        Args:
            views: Embeddings, one per detector, already shifted against each other, shape (channels, steps). If
                ``stretches_at_once`` is more than one, they may also have shape (stretches, channels, steps).

        Yields:
            Logits of each, in order: float32, shape (windows,) or (stretches, windows).
        """

    def to_device(self, strain: Array | Tensor, precision: torch.dtype | None = None) -> Tensor:
        """Move strain to the device that whitens and scores it.

        Args:
            strain: Strain, dimensionless, any shape.
            precision: Type of the result; None keeps that of the strain.
        """
        return torch.as_tensor(strain).to(self.device, precision, non_blocking=True)

    def windows_in(self, steps: int) -> int:
        """Number of windows in embeddings of ``steps`` steps."""
        return (steps - self.network.window_steps) // self.hop + 1

    def close(self) -> None:  # noqa: B027 - most scorers have nothing to close
        """Close connections to other processes."""
