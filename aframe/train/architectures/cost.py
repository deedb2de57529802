"""What a network costs: parameters and floating-point operations, encoder and head apart."""

import copy
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from aframe.train.architectures.network import Network


@dataclass(frozen=True)
class Cost:
    """Of one window of all detectors; a multiplication and an addition are two operations.

    Attributes:
        encoder_parameters: Parameters that encoding uses.
        head_parameters: All others.
        encoder_flops: To encode one window of each detector.
        head_flops: To fuse a single window's embeddings.
        slide_flops: To fuse a window of a long stream, where neighbours share the head's convolutions.
    """

    encoder_parameters: int
    head_parameters: int
    encoder_flops: int
    head_flops: int
    slide_flops: int


def cost(network: Network, stride_size: int, windows: int = 256) -> Cost:
    """Count; a joint network's encoder is the identity, and its head is all of it.

    Args:
        network: Left as it is.
        stride_size: Samples from one window of the stream to the next.
        windows: In the stream.
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
