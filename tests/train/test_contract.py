"""Users' networks: checks before training, and import when a model is read."""

import re
import textwrap
from pathlib import Path

import pytest
import torch
from small_networks import small_networks
from torch import nn

import aframe
from aframe.errors import ConfigurationError, StorageError
from aframe.preprocessing import Preprocessing, Whitening
from aframe.settings.read import load_config
from aframe.steps.training_yaml import yaml_conflicts, yaml_mistakes
from aframe.train import model
from aframe.train.architectures import Network
from aframe.train.architectures.contract import check_network
from aframe.train.architectures.network import pool
from aframe.train.model import Model

SHIPPED = Path(aframe.__file__).parent / "pipelines" / "sandbox"

PREPROCESSING = Preprocessing(("H1", "L1"), 1.0, 4.0, (0.5, 0.9), Whitening(256.0, 4.0, 1.0, 1.0, 4.0, 20.0, None))


class Bank(Network):
    """As small as a network can be that keeps its promises."""

    step_size, receptive_field = 4, 12

    def __init__(self, num_ifos, kernel_size, filters=3, padding=0):
        super().__init__(num_ifos, kernel_size)
        self.filters, self.padding = filters, padding
        self.encoder = nn.Conv1d(1, filters, 12, 4, padding)
        self.classifier = nn.Linear(2 * filters * num_ifos, 1)

    def steps(self, size):
        return (size + 2 * self.padding - 12) // 4 + 1

    def encode(self, streams):
        return self.encoder(streams.flatten(0, 1).unsqueeze(1)).unflatten(0, streams.shape[:2])

    def fuse(self, embeddings, hop):
        return self.classifier(pool(torch.cat(list(embeddings), dim=1), self.window_steps, hop)).squeeze(-1)


class Padding(Bank):
    """Sees zeros at the edges of a window that are no zeros in a stream."""

    receptive_field = 8

    def __init__(self, num_ifos, kernel_size):
        super().__init__(num_ifos, kernel_size, padding=4)
        del self.padding

    def steps(self, size):
        return (size - 4) // 4 + 1


class Forgetful(Bank):
    def __init__(self, num_ifos, kernel_size, depth=2):
        super().__init__(num_ifos, kernel_size)


class Miscounting(Bank):
    def steps(self, size):
        return (size - 12) // 4


class Shortsighted(Bank):
    receptive_field = 8


class Wide(Bank):
    def fuse(self, embeddings, hop):
        return super().fuse(embeddings, hop).unsqueeze(-1)


class Failing(Bank):
    def encode(self, streams):
        return self.encoder(streams)


class Normalising(Bank):
    def encode(self, streams):
        embedding = super().encode(streams)
        return embedding / embedding.abs().mean(-1, keepdim=True)


@pytest.mark.parametrize("kind", ["factorised", "per_detector", "matched_filter", "joint"])
def test_the_networks_of_this_package_keep_all_rules(kind):
    check_network(small_networks(2, 256)[kind](), stride_size=64)
    check_network(small_networks(3, 256)[kind](), stride_size=32)


def test_a_network_of_ones_own_is_taken_and_left_as_it_was():
    network = Bank(2, 256)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    check_network(network, stride_size=64)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Forgetful, "Forgetful keeps no attribute depth: each argument of __init__ must be one"),
        (Failing, "Failing cannot score a stream of 512 samples in windows of 256 .RuntimeError"),
        (Miscounting, "Miscounting encodes 512 samples to shape .1, 2, 3, 126.*with 125 steps by its own count"),
        (Shortsighted, "Shortsighted cannot score a stream"),
        (Wide, "Wide gives scores of shape .1, 5, 1. for a stream of 5 windows"),
        (Padding, "Padding: the first step|Padding encodes|Padding scores the windows of a stream otherwise"),
        (Normalising, "Normalising.*(no layer may pad, or normalise along time|receptive_field)"),
    ],
)
def test_a_broken_rule_is_refused_before_training(kind, message):
    torch.manual_seed(3)
    with pytest.raises(ConfigurationError, match=message) as refused:
        check_network(kind(2, 256), stride_size=64)
    assert "\n" not in str(refused.value)


def test_a_stride_between_steps_is_refused():
    with pytest.raises(ConfigurationError, match="choose a multiple of it"):
        check_network(Bank(2, 256), stride_size=6)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Path of a module with a network in it, on the python path under a name that no other test has."""
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / f"networks_{tmp_path.name}.py".replace("-", "_")
    path.write_text(
        textwrap.dedent(
            """
            from torch import nn

            from aframe.train.architectures import Network


            class Mine(Network):
                step_size, receptive_field = 1, 1

                def __init__(self, num_ifos, kernel_size, gain=1.0):
                    super().__init__(num_ifos, kernel_size)
                    self.gain = gain
                    self.classifier = nn.Linear(num_ifos, 1)

                def steps(self, size):
                    return size

                def encode(self, streams):
                    return streams.unsqueeze(2) * self.gain

                def fuse(self, embeddings, hop):
                    means = [each.mean(1).unfold(-1, self.kernel_size, hop).mean(-1) for each in embeddings]
                    return self.classifier(torch.stack(means, dim=-1)).squeeze(-1)


            class NoNetwork(nn.Linear):
                pass
            """
        ).replace("from torch import nn\n", "import torch\nfrom torch import nn\n", 1)
    )
    return path


def built(module):
    """Its network, as a training builds it."""
    from importlib import import_module

    return import_module(module.stem).Mine(2, 256, gain=2.0)


def test_a_model_of_ones_own_network_comes_back(module, tmp_path):
    network, path = built(module), str(tmp_path / "model.pt")
    check_network(network, stride_size=64)
    model.save(Model(network, PREPROCESSING), path, {})
    again = model.load(path).network
    assert type(again) is type(network)
    assert again.gain == 2.0
    windows = torch.randn(4, 2, 256, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(again(windows), network.eval()(windows).detach(), atol=0, rtol=0)


def test_a_model_whose_class_is_gone_changed_or_none_is_refused_with_what_to_do(module, tmp_path, monkeypatch):
    network, path = built(module), tmp_path / "model.pt"
    model.save(Model(network, PREPROCESSING), str(path), {})
    content = torch.load(path, weights_only=True)

    def refusal(name, **changes):
        torch.save(content | {"architecture": content["architecture"] | {"name": name}} | changes, path)
        with pytest.raises((ConfigurationError, StorageError)) as refused:
            model.load(str(path))
        return str(refused.value)

    assert "no_such_module.Mine, which cannot be imported" in refusal("no_such_module.Mine")
    assert "put the directory of no_such_module.py on PYTHONPATH" in refusal("no_such_module.Mine")
    assert "cannot be imported" in refusal(f"{module.stem}.Other")
    assert "which is no subclass of Network" in refusal(f"{module.stem}.NoNetwork")
    message = refusal(f"{module.stem}.Mine", weights={"classifier.weight": torch.zeros(1, 3)})
    assert "does not fit the class" in message
    assert "\n" not in message


def test_the_training_yaml_names_a_class_of_ones_own(module, tmp_path):
    run, text = load_config(str(SHIPPED / "factorised.cfg")), (SHIPPED / "factorised.yaml").read_text()
    head, _, rest = text.partition("    class_path: FactorisedNetwork\n")
    _, _, tail = rest.partition("  learning_rate:")
    yaml_path = tmp_path / "own.yaml"

    def write(name, arguments):
        yaml_path.write_text(f"{head}    class_path: {name}\n    init_args:\n{arguments}  learning_rate:{tail}")
        return str(yaml_path)

    path = write(f"{module.stem}.Mine", "      gain: 2.0\n")
    assert (yaml_mistakes(path), yaml_conflicts(path, run)) == ([], [])
    for name, arguments, message in (
        (f"{module.stem}.Mine", "gian: 2.0", r"unknown key 'gian' in .*\(did you mean 'gain'\?\)"),
        (f"{module.stem}.Other", "gain: 2.0", "no attribute 'Other'"),
        ("no_such_module.Mine", "gain: 2.0", "No module named 'no_such_module'"),
        (f"{module.stem}.NoNetwork", "in_features: 2", "subclass of .*Network"),
    ):
        (line,) = yaml_mistakes(write(name, f"      {arguments}\n"))
        assert re.search(rf"own\.yaml:\d+: .*{message}", line)
