import copy

import pytest
import torch
from torch import nn

from aframe.train.architectures import FactorisedNetwork, JointResNet
from aframe.train.architectures.folding import fold_norms


def settled(network):
    """With running statistics and weights of its norms that are not those of a fresh one."""
    generator = torch.Generator().manual_seed(0)
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm1d)):
        for tensor in (norm.running_mean, norm.weight.data, norm.bias.data):
            tensor.add_(0.3 * torch.randn(tensor.shape, generator=generator))
        norm.running_var.mul_(1.7)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("network", "left"),
    [
        (FactorisedNetwork(2, 1536, (8, 12), (1, 1), (3, 3)), 1),  # before the head's first ReLU: it adds convolutions
        (  # and before the first ReLU of each of four dilated convolutions of two detectors
            FactorisedNetwork(2, 1536, (8,), (1,), (3,), context=(1, 2), inspiral=(1, 2), shared_encoder=False),
            9,
        ),
        (JointResNet(2, 256, (1, 1), norm="batch"), 0),
        (JointResNet(2, 256, (1, 1)), 0),
    ],
)
def test_folded_norms_change_no_score(network, left):
    plain = settled(network)
    folded = copy.deepcopy(plain)
    fold_norms(folded)
    windows = torch.randn(5, 2, plain.kernel_size, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(folded(windows), plain(windows), rtol=1e-5, atol=1e-5)
    assert sum(isinstance(module, nn.BatchNorm1d) for module in folded.modules()) == left
