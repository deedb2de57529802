import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from aframe.train.architectures import FactorisedNetwork
from aframe.train.data import Batch
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
