from collections.abc import Callable

import pytest
import torch

from aframe.spectral import Whitening
from aframe.train.architectures import FactorisedNetwork, JointResNet
from aframe.train.model import Model, Preprocessing


@pytest.fixture
def make_model() -> Callable[..., Model]:
    """A small network of a kind, its weights and statistics scattered."""

    def make(kind: str, ifos: tuple[str, ...] = ("H1", "L1")) -> Model:
        preprocessing = Preprocessing(ifos, 1.0, 4.0, (0.25, 0.75), Whitening(256.0, 4.0, 1.0, 1.0, 4.0, 20.0, None))
        generator = torch.Generator().manual_seed(2)
        network = (
            FactorisedNetwork(len(ifos), 256, (4, 6), (1, 1), (3, 3), embedding_size=4, head_size=4)
            if kind == "factorised"
            else JointResNet(len(ifos), 256, layers=(1,))
        )
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(0.1 + 0.02 * noise.abs() if "running_var" in name else 0.2 * noise)
        return Model(network.eval().requires_grad_(False), preprocessing)

    return make
