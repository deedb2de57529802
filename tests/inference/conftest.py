from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from small_networks import small_networks
from torch import Tensor

from aframe.preprocessing import ZERO_PHASE, Preprocessing, Whitening
from aframe.train.architectures import Network
from aframe.train.model import Model

RATE = 256.0


class Coincidence(Network):
    """Scores a window by the product of all detectors' amplitudes, averaged over the middle half of the window.

    Its response to a pulse that all detectors see at one time is a boxcar, half a window long, centred on the pulse.
    """

    step_size, receptive_field = 1, 1

    def __init__(self, num_ifos: int, kernel_size: int, smoothing: int = 1) -> None:
        super().__init__(num_ifos, kernel_size)
        self.smoothing = smoothing

    def steps(self, size: int) -> int:
        return size

    def encode(self, streams: Tensor) -> Tensor:
        return streams.unsqueeze(2)

    def fuse(self, embeddings: Sequence[Tensor], hop: int) -> Tensor:
        pool, half = torch.nn.functional.avg_pool1d, self.smoothing // 2
        product = torch.stack([pool(e.square(), self.smoothing, 1, half).sqrt() for e in embeddings]).prod(0)
        quarter = self.kernel_size // 4
        return pool(product[..., quarter : product.shape[-1] - quarter], self.kernel_size - 2 * quarter, hop)[:, 0]


def settled(network: Network, seed: int = 0) -> Network:
    """The network with parameters and running statistics that are not those of a fresh one."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(0.1 + 0.02 * noise.abs() if "running_var" in name else tensor + 0.1 * noise)
    return network.eval().requires_grad_(False)


def build_model(  # noqa: PLR0917 - what differs between the tests
    kind: str,
    ifos: tuple[str, ...] = ("H1", "L1"),
    sampling_rate: float = 4.0,
    block_length: float = 4.0,
    rate: float = RATE,
    phase: str = ZERO_PHASE,
) -> Model:
    whitening = Whitening(rate, 4.0, 1.0, 1.0, block_length, 20.0, None, phase)
    preprocessing = Preprocessing(ifos, 1.0, sampling_rate, (0.25, 0.75), whitening)
    size = preprocessing.kernel_size
    networks = {
        **small_networks(len(ifos), size),
        "coincidence": lambda: Coincidence(len(ifos), size),
        "energy": lambda: Coincidence(len(ifos), size, smoothing=round(0.05 * rate) | 1),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Model(settled(networks[kind]()), preprocessing)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Model]:
    return build_model


@pytest.fixture(scope="session")
def make_strain() -> Callable[..., dict[str, np.ndarray]]:
    """White noise whose level drifts, so that the PSDs of blocks differ."""

    def make(ifos: Sequence[str], duration: float, seed: int, rate: float = RATE) -> dict[str, np.ndarray]:
        size = round(duration * rate)
        drift = 1 + 0.5 * np.sin(2 * np.pi * np.arange(size) / rate / 7)
        random = np.random.default_rng(seed)
        return {ifo: 1e-21 * drift * random.standard_normal(size) for ifo in ifos}

    return make
