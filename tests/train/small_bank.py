"""A small network on matched filters, for tests of its training."""

import torch

from aframe.train.architectures import MatchedFilterNetwork

SIZE, KERNEL = 64, 256


def chirps(ifos: int = 2, coherent: bool = True, trainable: bool = False) -> MatchedFilterNetwork:
    """Eight chirps in four groups, the higher the later."""
    time = torch.arange(SIZE) / SIZE
    phases = [2 * torch.pi * (4 + k) * time * (1 + 0.2 * time) for k in range(8)]
    templates = torch.stack([torch.polar(torch.hann_window(SIZE), phase) for phase in phases])
    network = MatchedFilterNetwork(ifos, KERNEL, groups=4, coherent=coherent, trainable=trainable)
    network.set_bank(templates / (templates.abs().square().sum(1, keepdim=True) / 2).sqrt(), torch.arange(8) + 5.0)
    return network.eval()
