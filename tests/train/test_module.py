from types import SimpleNamespace

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from aframe.preprocessing import ZERO_PHASE
from aframe.train.architectures import FactorisedNetwork, MatchedFilterNetwork
from aframe.train.architectures.coherence import FEATURES
from aframe.train.data import Batch
from aframe.train.examples import MeasuredBatch
from aframe.train.module import AframeModule


def tiny(num_ifos, kernel_size):
    sizes = {"widths": (4, 6), "blocks": (1, 1), "kernels": (3, 3), "embedding_size": 4, "head_size": 4}
    return FactorisedNetwork(num_ifos, kernel_size, **sizes)


def test_repaired_negatives_are_other_windows_noise(monkeypatch):
    torch.manual_seed(0)
    module = AframeModule(tiny, repairings=2)
    module.network = tiny(2, 512).eval()  # batch statistics would depend on the pairing
    monkeypatch.setattr(module, "log", lambda *values, **options: None)
    windows = torch.randn(5, 2, 512)
    is_noise = torch.tensor([True, False, True, True, False])
    labels = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0])
    pairs = [(row, row) for row in range(5)]
    noise = [0, 2, 3]
    pairs += [(noise[k], noise[(k - number) % 3]) for number in (1, 2) for k in range(3)]
    scores = torch.cat([module.network(torch.stack([windows[a, 0], windows[b, 1]])[None]) for a, b in pairs])
    expected = binary_cross_entropy_with_logits(scores, torch.cat([labels, torch.zeros(6)]))
    torch.testing.assert_close(module.training_step(Batch(windows, labels, is_noise), 0), expected)


def test_measured_examples_train_the_head_alone(monkeypatch):
    network = MatchedFilterNetwork(2, 256, groups=2)
    network.set_bank(torch.randn(4, 64, dtype=torch.complex64), torch.arange(4) + 5.0)
    module = AframeModule(lambda *_: network)
    module.network = network.train()
    monkeypatch.setattr(module, "log", lambda *values, **options: None)
    measured, coherence = 20 * torch.rand(6, 2, 4), torch.rand(6, 1, FEATURES)
    with torch.no_grad():
        network.coherence.weigh[-1].bias.fill_(2.0)
    labels = torch.tensor([0.0, 1, 0, 0, 1, 0])
    loss = module.training_step(MeasuredBatch(measured, coherence, labels), 0)
    windows = measured[..., None].expand(-1, -1, -1, network.window_steps)
    scores = network.fuse(network.weigh(windows).unbind(1), 1)[:, 0]  # a window of equal steps
    followed = scores + 2.0 * ((scores + 27.0 - 25.0) / 2).clamp(0, 1)
    losses = [binary_cross_entropy_with_logits(each, labels) for each in (scores, followed)]
    assert losses[0] != losses[1]
    torch.testing.assert_close(loss, sum(losses) / 2)
    loss.backward()
    assert network.scale.grad != 0
    assert network.head[-1].weight.grad.abs().sum() > 0


def test_a_network_gets_its_bank_and_its_counted_bias_is_not_trained(monkeypatch):
    bank = SimpleNamespace(
        templates=torch.randn(4, 64, dtype=torch.complex64), chirp_mass=np.arange(4) + 5.0, psds=np.ones((2, 9)),
        pulses=torch.randn(3, 16, dtype=torch.complex64), octaves=torch.randn(2, 16, dtype=torch.complex64),
    )  # fmt: skip
    inputs = SimpleNamespace(
        ifos=("H1", "L1"), kernel_size=256, seed=1, stride_size=32, bank=lambda: bank,
        whitening=SimpleNamespace(phase=ZERO_PHASE),
    )  # fmt: skip
    monkeypatch.setattr(AframeModule, "data", SimpleNamespace(inputs=inputs))
    module = AframeModule(lambda ifos, size: MatchedFilterNetwork(ifos, size, groups=2))
    module.configure_model()
    assert module.network.templates == 4
    assert len(module.network.known_glitches.match) == 2
    assert not module.network.bias.requires_grad
    assert {name for name, each in module.network.named_parameters() if not each.requires_grad} == {"bias"}
