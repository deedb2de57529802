import shutil
import time

import numpy as np
import pytest
import served
import torch

from aframe.errors import ConfigurationError, ParameterMismatchError, StorageError
from aframe.inference.engine import Engine, Injection
from aframe.inference.scorers import Scorer, TorchScorer, choice, in_process
from aframe.inference.scorers.onnx_runtime import OnnxScorer
from aframe.inference.scorers.triton_server import TritonScorer
from aframe.inference.slides import Grid
from aframe.serving.client import Delivery, TritonClient

DURATION = 60.0


def scorer_of(engine, kind, repository, request) -> Scorer:
    model, identity = served.small_model(kind), served.small_identity(kind)
    if engine == "onnx":
        return OnnxScorer(model, identity, str(repository), kind)
    running = request.getfixturevalue("small_server")
    return TritonScorer(model, TritonClient(running.endpoint.address, identity, Delivery()), kind)


ENGINES = ["onnx", pytest.param("triton", marks=pytest.mark.triton)]


@pytest.mark.parametrize("kind", ["factorised", "joint"])
@pytest.mark.parametrize("engine", ENGINES)
def test_all_engines_score_alike(engine, kind, small_repository, make_strain, request):
    model = served.small_model(kind)
    grid = Grid(model.preprocessing, (0.0, 1.0))
    strain = make_strain(("H1", "L1"), DURATION, 4)
    reference = Engine.from_strain(TorchScorer(model), strain, grid)
    scorer = scorer_of(engine, kind, small_repository, request)
    tested = Engine.from_strain(scorer, strain, grid)
    random = torch.Generator().manual_seed(5)
    for number in (0, 1, 3):
        slide = grid.slide(0, DURATION, number)
        expected = reference.scores(slide)
        assert slide.windows % served.BLOCK  # the last block is not full
        scores = tested.scores(slide)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected, atol=1e-3)
        # stretches shorter and longer than a block, some that overlap
        signals = [
            Injection(2e-20 * torch.randn(2, size, generator=random), start)
            for start, size in ((300, 40), (3000, 1500), (4100, 800), (9000, 5), (12_000, 900))
        ]
        with_signals = tested.scores_with(slide, scores, signals)
        np.testing.assert_allclose(with_signals, reference.scores_with(slide, expected, signals), atol=1e-3)
        assert (with_signals != scores).sum() > 20
    scorer.close()


@pytest.mark.parametrize("kind", ["factorised", "joint"])
def test_a_repository_of_another_model_is_refused(kind, small_repository):
    model = served.small_model(kind)
    with pytest.raises(
        ParameterMismatchError, match=rf"{small_repository} serves {kind} with highpass = 20\.0.* 30\.0"
    ):
        OnnxScorer(model, served.small_identity(kind, highpass=30.0), str(small_repository), kind)
    with pytest.raises(ParameterMismatchError, match=f"model_sha256 = hash of {kind} 2"):
        OnnxScorer(model, served.small_identity(kind, seed=1), str(small_repository), kind)
    with pytest.raises(StorageError, match=r"other/config\.pbtxt does not exist"):
        OnnxScorer(model, served.small_identity(kind), str(small_repository), "other")


def test_a_damaged_graph_is_not_scored(small_repository, tmp_path):
    shutil.copytree(small_repository, tmp_path / "copy")
    path = next((tmp_path / "copy" / "joint").glob("*/model.onnx"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"joint/\d+/model\.onnx is damaged"):
        OnnxScorer(served.small_model("joint"), served.small_identity("joint"), str(tmp_path / "copy"), "joint")


def test_a_repository_of_another_platform_is_refused(tmp_path):
    served.publish_small("joint", tmp_path, platform="torch")
    with pytest.raises(ConfigurationError, match="platform pytorch_libtorch: engine = onnx needs"):
        OnnxScorer(served.small_model("joint"), served.small_identity("joint"), str(tmp_path), "joint")


def test_a_precision_that_onnx_runtime_has_not_is_refused_where_it_is_needed(tmp_path):
    served.publish_small("joint", tmp_path, precision="bfloat16", block_windows=2)
    with pytest.raises(ConfigurationError, match="ONNX Runtime cannot compute it here"):
        OnnxScorer(served.small_model("joint"), served.small_identity("joint"), str(tmp_path), "joint")


class Tired(TorchScorer):
    """Scores like torch, but more slowly."""

    def fuse_each(self, views):
        for each in super().fuse_each(views):
            time.sleep(0.05)
            yield each


def test_the_fastest_scorer_is_chosen(monkeypatch):
    monkeypatch.setattr(choice, "MEASUREMENT_TIME", 0.2)
    model = served.small_model("factorised")
    for scorers in ({"tired": Tired(model), "torch": TorchScorer(model)}, {"torch": TorchScorer(model)}):
        name, rates = choice.fastest(scorers)
        assert name == "torch"
        assert set(rates) == set(scorers)
        assert rates.get("tired", 0) < rates["torch"]


def test_the_smallest_batch_that_is_about_the_fastest_is_chosen(monkeypatch):
    model = served.small_model("joint")
    measured = {16: 50.0, 32: 100.0, 64: 198.0, 128: 200.0, 256: 199.0, 512: 201.0, 1024: 120.0}

    def rate(network, preprocessing, size, precision, device):
        if size not in measured:
            raise torch.OutOfMemoryError
        return measured[size]

    monkeypatch.setattr(choice, "_batch_rate", rate)
    monkeypatch.setattr(choice, "MEASUREMENT_TIME", 1e3)
    best, rates = choice.best_batch_size(model.network, model.preprocessing, torch.float32, "cpu")
    assert (best, rates) == (64, measured)  # it gets slower: no larger one is tried
    del measured[256], measured[512], measured[1024]
    assert choice.best_batch_size(model.network, model.preprocessing, torch.float32, "cpu") == (64, measured)
    measured.clear()
    with pytest.raises(torch.OutOfMemoryError):
        choice.best_batch_size(model.network, model.preprocessing, torch.float32, "cpu")


@pytest.mark.parametrize("kind", ["factorised", "joint"])
@pytest.mark.parametrize("windows", [3, 7, 20])
def test_the_compiled_fusion_gets_tiles_of_one_size_and_layout(kind, windows, monkeypatch):
    """Torch compiles again for each size and layout. Here a stand-in for torch.compile records them."""
    seen = []

    def watched(fuse, dynamic):
        def compiled(pieces, hop):
            seen.append((pieces[0].shape, pieces[0].stride()))
            return fuse(pieces, hop)

        return compiled

    model = served.small_model(kind)
    monkeypatch.setattr(in_process, "FUSED_WINDOWS", 7)
    expected = TorchScorer(model)
    monkeypatch.setattr(torch, "compile", watched)
    compiled = TorchScorer(model, compiled=True)
    compiled.network.batch_size = 7
    network, steps = compiled.network, (windows - 1) * compiled.hop + compiled.network.window_steps
    for longer in (0, 5, 11):  # streams of segments of several lengths
        size = (steps + longer - 1) * network.step_size + network.receptive_field
        encoded = next(compiled.encode_each(iter([torch.randn(1, 2, size)])))[0]
        embeddings = [e[:, :steps] for e in encoded]
        scores = next(compiled.fuse_each([embeddings]))
        np.testing.assert_allclose(scores, next(expected.fuse_each([embeddings])), atol=1e-5, rtol=1e-5)
    assert len(set(seen)) == (1 if windows >= 7 else 0)
    assert all(torch.empty(shape).stride() == stride for shape, stride in seen)
