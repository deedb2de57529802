"""Checks of a network before a training: its arguments, its shapes, and equal scores of streams and windows."""

import copy
import inspect

import torch
from torch import Tensor

from aframe.errors import ConfigurationError
from aframe.train.architectures.network import Network

WINDOWS = 5
"""Windows of the stream that the check scores."""

TOLERANCE = 1e-3
"""Largest difference of scores by rounding, relative to the largest score or to 1."""


@torch.inference_mode()
def check_network(network: Network, stride_size: int) -> None:
    """Refuse a network that can be trained, but would give wrong scores in a search.

    Args:
        network: New network. It is copied and not changed.
        stride_size: Samples from one window to the next.

    Raises:
        ConfigurationError: If the network breaks a rule of ``Network``. The message names the rule.
    """
    title = type(network).__name__
    missing = [name for name in inspect.signature(type(network)).parameters if not hasattr(network, name)]
    if missing:
        raise ConfigurationError(
            f"{title} keeps no attribute {', '.join(missing)}: each argument of __init__ must be one, so that model.pt "
            "can build the network again"
        )
    hop = network.hop(stride_size)
    tried = copy.deepcopy(network).cpu().float().eval()
    size = network.kernel_size + (WINDOWS - 1) * stride_size
    random = torch.Generator("cpu").manual_seed(0)
    stream = torch.randn((1, network.num_ifos, size), generator=random, device="cpu", dtype=torch.float32)
    try:
        embedding, alone = tried.encode(stream), tried.encode(stream[..., : network.receptive_field])
        _check_embedding(network, stream, embedding, alone)
        scores = tried.fuse(embedding.unbind(1), hop)
        if scores.shape != (1, WINDOWS):
            raise ConfigurationError(
                f"{title} gives scores of shape {tuple(scores.shape)} for a stream of {WINDOWS} windows: fuse must "
                "give (batch, windows)"
            )
        expected = tried(stream[0].unfold(-1, network.kernel_size, stride_size).transpose(0, 1))
    except ConfigurationError:
        raise
    except Exception as error:
        message = " ".join(str(error).split())
        raise ConfigurationError(
            f"{title} cannot score a stream of {size} samples in windows of {network.kernel_size} "
            f"({type(error).__name__}: {message}): see aframe.train.architectures.Network for the shapes"
        ) from error
    difference = float((scores[0] - expected).abs().max() / expected.abs().max().clamp(min=1))
    if not difference <= TOLERANCE:
        raise ConfigurationError(
            f"{title} scores the windows of a stream otherwise than each by itself (relative difference "
            f"{difference:.2g}): no layer may pad, or normalise along time as group and instance norms do"
        )


def _check_embedding(network: Network, stream: Tensor, embedding: Tensor, alone: Tensor) -> None:
    """Refuse an embedding whose steps or receptive field differ from the network's attributes."""
    title = type(network).__name__
    size, steps = stream.shape[-1], network.steps(stream.shape[-1])
    if embedding.dim() != 4 or embedding.shape[:2] != stream.shape[:2] or embedding.shape[-1] != steps:
        raise ConfigurationError(
            f"{title} encodes {size} samples to shape {tuple(embedding.shape)}: it must be (batch, ifos, channels, "
            f"steps), with {steps} steps by its own count"
        )
    first, scale = embedding[..., :1], float(embedding.abs().max().clamp(min=1))
    if alone.shape[-1] < 1 or not float((alone[..., :1] - first).abs().max()) <= TOLERANCE * scale:
        raise ConfigurationError(
            f"{title}: the first step of an embedding depends on more than the {network.receptive_field} samples of "
            "its receptive_field: mend that attribute"
        )
