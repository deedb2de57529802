"""Cost of a network: parameters and floating-point operations of its encoder and of its head."""

import copy
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from aframe.train.architectures.network import Network


@dataclass(frozen=True)
class Cost:
    """Cost of one window of all detectors. A multiplication and an addition count as two operations.

    Attributes:
        encoder_parameters: Number of parameters of the encoder.
        head_parameters: Number of all other parameters.
        encoder_flops: Operations that encode one window of each detector.
        head_flops: Operations that fuse the embeddings of a single window.
        slide_flops: Operations that fuse a window of a long stream. Neighbouring windows share the head's convolutions.
    """

    encoder_parameters: int
    head_parameters: int
    encoder_flops: int
    head_flops: int
    slide_flops: int


def cost(network: Network, stride_size: int, windows: int = 256) -> Cost:
    """Count the parameters and operations of a network. The whole joint network counts as head.

    Args:
        network: The network. It is copied and not changed.
        stride_size: Samples from one window of the stream to the next.
        windows: Number of windows in the stream.
    """
    network = copy.deepcopy(network).eval().requires_grad_(True)
    inputs = torch.zeros(1, network.num_ifos, network.kernel_size)
    with FlopCounterMode(display=False) as encoding:
        embeddings = network.encode_windows(inputs)
    hop = network.hop(stride_size)
    stream = torch.zeros(*embeddings.shape[:-1], (windows - 1) * hop + network.window_steps)
    with torch.no_grad():
        with FlopCounterMode(display=False) as fusing:
            network.fuse_windows(embeddings)
        with FlopCounterMode(display=False) as sliding:
            network.fuse(list(stream), hop)
    trainable = list(network.parameters())
    used: set[int] = set()
    if embeddings.requires_grad:
        gradients = torch.autograd.grad(embeddings.sum(), trainable, allow_unused=True)
        used = {id(p) for p, gradient in zip(trainable, gradients, strict=True) if gradient is not None}
    sizes = [(p.numel(), id(p) in used) for p in trainable]
    return Cost(
        sum(size for size, is_encoder in sizes if is_encoder),
        sum(size for size, is_encoder in sizes if not is_encoder),
        encoding.get_total_flops(),
        fusing.get_total_flops(),
        sliding.get_total_flops() // windows,
    )
