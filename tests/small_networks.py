"""Networks small enough for tests, of every kind that an engine or a server must know how to handle."""

from collections.abc import Callable

import torch

from aframe.train.architectures import FactorisedNetwork, JointResNet, MatchedFilterNetwork, Network


def small_networks(ifos: int, kernel_size: int) -> dict[str, Callable[[], Network]]:
    """What makes each of them, by its kind."""
    sizes = {"widths": (4, 6), "blocks": (1, 1), "kernels": (3, 3), "embedding_size": 4, "head_size": 4}
    others = {"context": (1,), "inspiral": (1, 2), "shared_encoder": False}
    return {
        "factorised": lambda: FactorisedNetwork(ifos, kernel_size, **sizes),
        "per_detector": lambda: FactorisedNetwork(ifos, kernel_size, **sizes, **others),
        "matched_filter": lambda: matched_filter(ifos, kernel_size),
        "joint": lambda: JointResNet(ifos, kernel_size, layers=(1,), batch_size=7),
    }


def matched_filter(ifos: int, kernel_size: int) -> MatchedFilterNetwork:
    """One whose templates, sines of half a window, are at all three rates, with two pulses.

    The detectors have different PSDs.
    """
    network, size = MatchedFilterNetwork(ifos, kernel_size, groups=3, step_size=16, hidden=4), kernel_size // 2
    frequencies = torch.tensor([0.3, 0.25, 0.15, 0.14, 0.06, 0.05], dtype=torch.float64)
    phases = 2 * torch.pi * frequencies[:, None] * torch.arange(size, dtype=torch.float64)
    waves = torch.polar(torch.hann_window(size, dtype=torch.float64).expand(6, -1), phases)
    psds = torch.linspace(1, 3, 9, dtype=torch.float64) ** torch.arange(ifos, dtype=torch.float64)[:, None]
    waves, pulses = (each / each.abs().square().sum(1, keepdim=True).div(2).sqrt() for each in (waves, waves[::4, :24]))
    network.set_bank(waves, 1 / frequencies, psds, pulses, pulses)
    assert network.known_glitches is not None
    network.known_glitches.rare = 7.0  # noise looks like a glitch now and then
    network.quiet, network.followed = 7.0, 6.0  # noise is loud, and followed up
    for parameter in (network.bias, network.head[-1].weight, network.coherence.weigh[-1].weight):
        torch.nn.init.normal_(parameter, std=0.5)
    return network
