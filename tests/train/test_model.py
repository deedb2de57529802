import pickle
from pathlib import Path

import onnx
import pytest
import torch

from aframe import storage
from aframe.errors import ConfigurationError, StorageError
from aframe.inference.scorers import TorchScorer
from aframe.preprocessing import Preprocessing, Whitening
from aframe.train import model
from aframe.train.architectures import FactorisedNetwork, JointResNet
from aframe.train.model import Model

PREPROCESSING = Preprocessing(("H1", "L1"), 1.0, 4.0, (0.5, 0.9), Whitening(256.0, 4.0, 1.0, 1.0, 4.0, 20.0, None))


def trained(kind):
    if kind == "joint":
        network = JointResNet(2, 256, layers=(1,))
    else:
        network = FactorisedNetwork(2, 256, (4, 6), (1, 1), (3, 3), embedding_size=4, head_size=4)
    with torch.no_grad():
        network.train()(torch.randn(8, 2, 256, generator=torch.Generator().manual_seed(0)))  # moves running statistics
    return Model(network, PREPROCESSING, "bf16-mixed")


@pytest.mark.parametrize("kind", ["factorised", "joint"])
def test_a_model_comes_back_as_it_was_saved(tmp_path, kind):
    original, path = trained(kind), str(tmp_path / "model.pt")
    model.save(original, path, {"search.seed": 3})
    again = model.load(path)
    assert (again.preprocessing, again.trained_in) == (PREPROCESSING, "bf16-mixed")
    assert not again.network.training
    windows = torch.randn(4, 2, 256, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(again.network(windows), original.network.eval()(windows).detach(), atol=0, rtol=0)
    assert not any(p.requires_grad for p in again.network.parameters())
    assert storage.made_with(path) == {"search.seed": 3}


@pytest.mark.parametrize("kind", ["factorised", "joint"])
def test_half_precision_halves_the_file_and_little_else(tmp_path, kind):
    original = trained(kind)
    for name, half in (("whole", False), ("half", True)):
        model.save(original, str(tmp_path / name), {}, half)
    again = model.load(str(tmp_path / "half")).network
    assert {tensor.dtype for tensor in again.state_dict().values()} == {torch.float32, torch.int64} or kind == "joint"
    assert all(p.dtype == torch.float32 for p in again.parameters())
    windows = torch.randn(4, 2, 256, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(again(windows), original.network.eval()(windows).detach(), atol=5e-3, rtol=5e-3)
    weights = 4 * sum(p.numel() for p in again.parameters())
    saved = (tmp_path / "whole").stat().st_size - (tmp_path / "half").stat().st_size
    assert saved == pytest.approx(weights / 2, rel=0.35)


def chirps(number, size):
    """Windows of white noise. The first two thirds have a chirp in both detectors, with growing SNR."""
    windows = torch.randn(number + number // 2, 2, size, generator=torch.Generator().manual_seed(0))
    time = torch.arange(size) / 1024
    left = (1.2 - time).clamp_min(3e-3)
    frequency = 60 * (left / 0.3) ** (-3 / 8)
    signal = torch.cos(2 * torch.pi * torch.cumsum(frequency / 1024, 0)) * frequency ** (2 / 3) * (time < 1.2)
    windows[:number] += (3 + torch.arange(number))[:, None, None] * signal / signal.norm()
    return windows


def test_a_model_trained_in_one_precision_scores_the_same_in_another():
    """The shipped model was trained in bfloat16."""
    shipped = model.load(str(Path(__file__).parents[2] / "models" / "demo-factorised" / "model.pt"))
    windows = chirps(12, shipped.network.kernel_size)
    scores = {
        kind: TorchScorer(shipped, kind).network(windows.to(kind)).float() for kind in (torch.float32, torch.bfloat16)
    }
    largest = scores[torch.float32].abs().max()
    assert largest > 3
    assert (scores[torch.bfloat16] - scores[torch.float32]).abs().max() < 1e-2 * largest


def test_derived_quantities():
    assert PREPROCESSING.kernel_size == 256
    assert PREPROCESSING.stride_size == 64
    assert PREPROCESSING.coalescence_offset == pytest.approx(0.7)


class Harmful:
    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_in_a_model_file_is_executed(tmp_path, capsys):
    torch.save({"format": 1, "architecture": Harmful()}, tmp_path / "model.pt")
    with pytest.raises(StorageError, match="no model file"):
        model.load(str(tmp_path / "model.pt"))
    assert "executed" not in capsys.readouterr().out


def test_damaged_missing_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "model.pt"
    with pytest.raises(StorageError, match="does not exist: train a model first"):
        model.load(str(path))
    model.save(trained("factorised"), str(path), {})
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a model", pickle.dumps({"weights": 1})):
        path.write_bytes(content)
        with pytest.raises(StorageError, match="damaged"):
            model.load(str(path))
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
    with pytest.raises(StorageError, match=r"damaged one \(BadZipFile\)"):
        model.load(str(path))
    torch.save(torch.zeros(2), path)
    with pytest.raises(StorageError, match="is no model file"):
        model.load(str(path))


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        *((key, None, f"lacks {key}: give the model.pt as") for key in model.REQUIRED),
        ("architecture", {"name": "FactorisedNetwork"}, "is no whole model file .KeyError: 'arguments'"),
        ("preprocessing", {"ifos": ["H1"]}, "is no whole model file .KeyError: 'whitening'"),
        (
            "weights",
            {"bias": torch.tensor([1.0, float("nan")])},
            "has weights that are not numbers, in bias: ",
        ),
        ("weights", [1], "is no whole model file"),
    ],
)
def test_a_model_file_without_a_part_is_refused(tmp_path, key, value, problem):
    path = tmp_path / "model.pt"
    model.save(trained("factorised"), str(path), {})
    content = torch.load(path, weights_only=True)
    del content[key]
    torch.save(content if value is None else content | {key: value}, path)
    with pytest.raises(StorageError, match=problem):
        model.load(str(path))


class Wrapped(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def as_onnx(path):
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Neg", ["x"], ["x2"])
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [value], [])), path)


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (lambda path: torch.save(torch.nn.Linear(2, 2).state_dict(), path), "a state_dict, weights without their"),
        (lambda path: torch.save({"state_dict": {}, "global_step": 3}, path), "a checkpoint of Lightning"),
        (lambda path: torch.save(torch.nn.Linear(2, 2), path), "a pickled object, whose code would be executed"),
        (lambda path: torch.jit.save(torch.jit.trace(Wrapped(), torch.ones(2)), path), "a TorchScript archive"),
        (as_onnx, "an ONNX file"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_networks_in_other_forms_are_named(tmp_path, write, kind):
    path = str(tmp_path / "model.pt")
    write(path)
    with pytest.raises(StorageError, match=rf"is {kind}.*, no model file: give the model\.pt that the training wrote"):
        model.load(path)


def test_a_directory_and_an_unknown_network_are_refused(tmp_path):
    with pytest.raises(StorageError, match=r"is a directory without model\.pt: give the model\.pt that a training"):
        model.load(str(tmp_path))
    path = tmp_path / "model.pt"
    model.save(trained("joint"), str(path), {})
    content = torch.load(path, weights_only=True)
    for architecture, error in (
        ({"name": "NextNetwork"}, "has the network NextNetwork, which this version of aframe lacks: use"),
        ({"arguments": {"depth": 3}}, "does not fit the class JointResNet as it is now"),
    ):
        torch.save(content | {"architecture": content["architecture"] | architecture}, path)
        with pytest.raises((ConfigurationError, StorageError), match=error):
            model.load(str(path))


def test_a_model_that_was_put_in_the_place_of_another_is_refused(tmp_path):
    replaced, other = tmp_path / "here" / "model.pt", tmp_path / "there" / "model.pt"
    for path, epochs in ((replaced, 3), (other, 40)):
        path.parent.mkdir()
        model.save(trained("factorised"), str(path), {"train.trainer.max_epochs": epochs})
    replaced.write_bytes(other.read_bytes())
    message = r"trained with train\.trainer\.max_epochs = 40, the record beside it has 3: restore that model"
    with pytest.raises(StorageError, match=message):
        model.load(str(replaced))
    alone = tmp_path / "alone.pt"  # a model that was sent without the record
    alone.write_bytes(other.read_bytes())
    assert model.load(str(alone)).preprocessing == model.load(str(other)).preprocessing


def test_another_format_version_is_refused_with_the_version_that_reads_it(tmp_path):
    path = str(tmp_path / "model.pt")
    torch.save({"format": 99, "versions": {"aframe": "7.0"}}, path)
    with pytest.raises(StorageError, match=r"format 99, this version of aframe reads format 1: use aframe 7\.0"):
        model.load(path)
