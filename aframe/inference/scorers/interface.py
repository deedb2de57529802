"""The one interface that the engine knows of whatever computes its scores."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from aframe.preprocessing import Preprocessing
from aframe.train.architectures import Network
from aframe.train.model import Model
from aframe.types import Array


class Scorer(ABC):
    """Encodes streams and fuses embeddings, many after another, so that one may be on its way while the next is made.

    Args:
        model: Network and preprocessing.

    Attributes:
        device: Where strain and embeddings lie: cpu, or a GPU that computes in this process.
        stretches_at_once: Stretches with signals that are encoded and fused together.

    Raises:
        ConfigurationError: If windows fall between the steps of the network's embeddings.
    """

    device: str = "cpu"
    stretches_at_once: int = 1

    def __init__(self, model: Model) -> None:
        self.model = model
        self.hop = model.network.hop(model.preprocessing.stride_size)

    @property
    def network(self) -> Network:
        """The network, for the shapes of what it takes and gives."""
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
            Of each, in order: shape (stretches, ifos, channels, steps), all steps that the network's ``steps`` counts.
        """

    @abstractmethod
    def fuse_each(self, views: Iterable[Sequence[Tensor]]) -> Iterator[Array]:
        """Score all windows of embedded streams.

        Args:
            views: Of each, one embedding per detector, shape (channels, steps), already shifted against each other;
                where ``stretches_at_once`` is more than one, also (stretches, channels, steps).

        Yields:
            Of each, in order: float32, shape (windows,) or (stretches, windows).
        """

    def to_device(self, strain: Array | Tensor, precision: torch.dtype | None = None) -> Tensor:
        """Strain where it is whitened and scored, in its own precision or another."""
        return torch.as_tensor(strain).to(self.device, precision, non_blocking=True)

    def windows_in(self, steps: int) -> int:
        """Windows in so many steps of embeddings."""
        return (steps - self.network.window_steps) // self.hop + 1

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of what is held outside this process."""
