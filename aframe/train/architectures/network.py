"""The one interface that training, export and inference know of a network."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aframe.errors import ConfigurationError
from aframe.tensors import Embeddings, Scores, Windows


class Network(nn.Module, ABC):
    """A network that encodes each detector on its own and then fuses the detectors.

    Encoding a continuous stream and cutting the result gives exactly what encoding each window would,
    so a stream is encoded once for all windows and all time slides.

    Args:
        num_ifos: Number of detectors.
        kernel_size: Samples in a window.

    Attributes:
        step_size: Samples from one step of an embedding to the next; window starts must be multiples of it.
        receptive_field: Samples, from its own first one on, that a step of an embedding depends on.
        is_factorised: Whether encoding does the most of the work; where not, it is the identity.
    """

    step_size: int
    receptive_field: int
    is_factorised: bool = True

    def __init__(self, num_ifos: int, kernel_size: int) -> None:
        super().__init__()
        self.num_ifos = num_ifos
        self.kernel_size = kernel_size

    @abstractmethod
    def steps(self, size: int) -> int:
        """Steps of the embedding of a stream of ``size`` samples."""

    @property
    def window_steps(self) -> int:
        """Steps of an embedding that belong to one window."""
        return self.steps(self.kernel_size)

    @abstractmethod
    def encode(self, streams: Windows) -> Embeddings:
        """Embed each detector's stream.

        Args:
            streams: Whitened strain, shape (batch, ifos, time), time >= kernel_size.

        Returns:
            Shape (batch, ifos, channels, steps): step k depends on the samples that follow ``k * step_size``.
        """

    @abstractmethod
    def fuse(self, embeddings: Sequence[Tensor], hop: int) -> Tensor:
        """Score all windows of embedded streams.

        Args:
            embeddings: One per detector, each of shape (batch, channels, steps), already shifted against each other.
            hop: Steps from one window to the next.

        Returns:
            Logits, shape (batch, windows), windows = (steps - window_steps) // hop + 1.
        """

    @property
    def specification(self) -> dict[str, Any]:
        """Name and constructor arguments, which every network keeps as attributes: what it takes to build it again.

        The name is a python path where the class is not of this package.
        """
        kind = type(self)
        name = kind.__name__ if kind.__module__.startswith("aframe.") else f"{kind.__module__}.{kind.__name__}"
        arguments = inspect.signature(kind).parameters
        return {"name": name, "arguments": {name: _plain(getattr(self, name)) for name in arguments}}

    def hop(self, stride_size: int) -> int:
        """Steps in a stride between windows.

        Raises:
            ConfigurationError: If the stride, or a shift, is no whole number of steps.
        """
        if stride_size % self.step_size:
            raise ConfigurationError(
                f"windows or shifts {stride_size} samples apart do not fit this network, whose embeddings have one "
                f"step every {self.step_size} samples: choose a multiple of it"
            )
        return stride_size // self.step_size

    def forward(self, windows: Windows) -> Scores:
        """Score single windows: shape (batch, ifos, kernel_size) to (batch,)."""
        return self.fuse_windows(self.encode_windows(windows))

    def encode_windows(self, windows: Windows) -> Tensor:
        """Embed single windows: shape (batch, ifos, kernel_size) to (ifos, batch, channels, steps)."""
        return self.encode(windows).transpose(0, 1)[..., : self.window_steps]

    def fuse_windows(self, embeddings: Tensor) -> Scores:
        """Score embedded windows: shape (ifos, batch, channels, steps) to (batch,)."""
        return self.fuse(list(embeddings), hop=self.window_steps).squeeze(-1)


def norm_layer(name: str, channels: int) -> nn.Module:
    """A normalisation by name: batch, group (16 channels a group, at most) or instance.

    Raises:
        ConfigurationError: If there is none of that name.
    """
    if name == "batch":
        return nn.BatchNorm1d(channels)
    if name == "group":
        groups = max(g for g in range(1, max(2, channels // 16 + 1)) if channels % g == 0)
        return nn.GroupNorm(groups, channels)
    if name == "instance":
        return nn.InstanceNorm1d(channels, affine=True)
    raise ConfigurationError(f"norm = {name!r} is none of batch, group, instance")


def count_parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def pool(features: Tensor, size: int, hop: int) -> Tensor:
    """Mean and maximum over windows of ``size`` steps: (batch, channels, steps) to (batch, windows, 2 * channels)."""
    mean = torch.nn.functional.avg_pool1d(features, size, hop)
    peak = torch.nn.functional.max_pool1d(features, size, hop)
    return torch.cat([mean, peak], dim=1).transpose(1, 2)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list)) else value
