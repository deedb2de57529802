"""Interface of networks for training, export and inference."""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aframe.errors import ConfigurationError
from aframe.tensors import Embeddings, Psd, Scores, Windows


class Network(nn.Module, ABC):
    """A network that encodes each detector separately and then fuses the detectors.

    Encoding a continuous stream and cutting the result equals encoding each window. A stream is therefore encoded once
    for all windows and all time slides.

    Args:
        num_ifos: Number of detectors.
        kernel_size: Samples in a window.

    Attributes:
        step_size: Samples from one step of an embedding to the next. Window starts must be multiples of it.
        receptive_field: Number of samples that a step of an embedding depends on. Step k depends on samples from
            ``k * step_size`` on.
        is_factorised: Whether encoding does most of the work. If not, it is the identity.
        encoded_tiles: Factor on the length of stream that is best encoded at once.
        fused_tiles: Factor on the number of windows that are best fused at once.
        is_brief: Whether a signal raises the scores for less than a window's stride. An average over more windows would
            lose it.
        needs_bank: Whether a new network waits for a bank of templates, by ``set_bank``.
    """

    step_size: int
    receptive_field: int
    is_factorised: bool = True
    encoded_tiles: int = 1
    fused_tiles: int = 1
    is_brief: bool = False
    needs_bank: bool = False

    def __init__(self, num_ifos: int, kernel_size: int) -> None:
        super().__init__()
        self.num_ifos = num_ifos
        self.kernel_size = kernel_size

    @abstractmethod
    def steps(self, size: int) -> int:
        """Number of steps of the embedding of a stream of ``size`` samples."""

    @property
    def window_steps(self) -> int:
        """Number of steps of the embedding of one window."""
        return self.steps(self.kernel_size)

    @abstractmethod
    def encode(self, streams: Windows) -> Embeddings:
        """Embed each detector's stream.

        Args:
            streams: Whitened strain, shape (batch, ifos, time), time >= kernel_size.

        Returns:
            Embeddings, shape (batch, ifos, channels, steps). Step k depends on samples from ``k * step_size`` on.
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
    def followed_from(self) -> float:
        """Score from which on ``follow_up`` changes a window's score."""
        return math.inf

    def follow_up(self, scores: Tensor, embeddings: Sequence[Tensor], strain: Sequence[Tensor], hop: int) -> Tensor:
        """Look at loud windows again, with the strain of all detectors together. By default nothing changes.

        Args:
            scores: Result of ``fuse``, shape (batch, windows).
            embeddings: What it came from: one per detector, each of shape (batch, channels, steps).
            strain: Whitened strain of which they are the embeddings: one per detector, each of shape (batch, time).
            hop: Steps from one window to the next.

        Returns:
            Scores of all windows. They depend on each window's own strain alone.
        """
        return scores

    def adapt(self, psds: Psd) -> None:
        """Adapt what the network knows of the noise to another one. By default nothing changes.

        Args:
            psds: Smooth PSD of each detector, 1/Hz, shape (ifos, frequency), evenly from 0 Hz to the Nyquist frequency.
        """

    @torch.no_grad()
    def score(self, windows: Windows) -> Scores:
        """Score single windows as a search does, with ``follow_up``: (batch, ifos, kernel_size) to (batch,)."""
        embeddings = self.encode_windows(windows).unbind(0)
        scores = self.fuse(embeddings, hop=self.window_steps)
        return self.follow_up(scores, embeddings, windows.unbind(1), self.window_steps).squeeze(-1)

    @property
    def specification(self) -> dict[str, Any]:
        """Name of the class and constructor arguments, to build the network again. Arguments are read from attributes.

        The name of a class outside this package is its python path.
        """
        kind = type(self)
        name = kind.__name__ if kind.__module__.startswith("aframe.") else f"{kind.__module__}.{kind.__name__}"
        arguments = inspect.signature(kind).parameters
        return {"name": name, "arguments": {name: _plain(getattr(self, name)) for name in arguments}}

    def hop(self, stride_size: int) -> int:
        """Number of steps in a stride between windows, or in a shift, of ``stride_size`` samples.

        Raises:
            ConfigurationError: If the stride or shift is not a whole number of steps.
        """
        if stride_size % self.step_size:
            raise ConfigurationError(
                f"windows or shifts {stride_size} samples apart do not fit this network, whose embeddings have one "
                f"step every {self.step_size} samples: choose a multiple of it"
            )
        return stride_size // self.step_size

    def forward(self, windows: Windows) -> Scores:
        """Score single windows, without ``follow_up``: shape (batch, ifos, kernel_size) to (batch,)."""
        return self.fuse_windows(self.encode_windows(windows))

    def encode_windows(self, windows: Windows) -> Tensor:
        """Embed single windows: shape (batch, ifos, kernel_size) to (ifos, batch, channels, steps)."""
        return self.encode(windows).transpose(0, 1)[..., : self.window_steps]

    def fuse_windows(self, embeddings: Tensor) -> Scores:
        """Score embedded windows: shape (ifos, batch, channels, steps) to (batch,)."""
        return self.fuse(list(embeddings), hop=self.window_steps).squeeze(-1)


def norm_layer(name: str, channels: int) -> nn.Module:
    """Create a normalisation layer.

    Args:
        name: batch, group or instance. A group has 16 channels if the number of channels allows.
        channels: Number of channels.

    Raises:
        ConfigurationError: If there is no normalisation of that name.
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


def pool(
    features: Float[Tensor, "batch channels steps"], size: int, hop: int
) -> Float[Tensor, "batch windows features"]:
    """Mean and maximum of each channel over windows. The result has two features per channel.

    Args:
        features: Time series of features.
        size: Steps in a window.
        hop: Steps from one window to the next.
    """
    mean = torch.nn.functional.avg_pool1d(features, size, hop)
    peak = torch.nn.functional.max_pool1d(features, size, hop)
    return torch.cat([mean, peak], dim=1).transpose(1, 2)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list)) else value
