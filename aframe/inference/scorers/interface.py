"""The one interface that the engine knows of whatever computes its scores."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor

from aframe.train.architectures import Network
from aframe.train.model import Model, Preprocessing
from aframe.types import Array


class Scorer(ABC):
    """Encodes streams and fuses embeddings, many after another, so that one may be on its way while the next is made.

    Args:
        model: Network and preprocessing.

    Raises:
        ConfigurationError: If windows fall between the steps of the network's embeddings.
    """

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
    def encode_each(self, streams: Iterable[Sequence[Tensor]]) -> Iterator[Sequence[Tensor]]:
        """Embed streams of all detectors.

        Args:
            streams: Of each, one whitened stream per detector, shape (time,), with at least one window in it.

        Yields:
            Of each, in order: one embedding per detector, shape (channels, steps), all steps that the network's
            ``steps`` counts.
        """

    @abstractmethod
    def fuse_each(self, views: Iterable[Sequence[Tensor]]) -> Iterator[Array]:
        """Score all windows of embedded streams.

        Args:
            views: Of each, one embedding per detector, shape (channels, steps), already shifted against each other.

        Yields:
            Of each, in order: float32, shape (windows,).
        """

    def windows_in(self, steps: int) -> int:
        """Windows in so many steps of embeddings."""
        return (steps - self.network.window_steps) // self.hop + 1

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of what is held outside this process."""
