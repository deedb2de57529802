import json
from pathlib import Path

import pytest
from tritonclient.grpc import model_config_pb2

from aframe import storage
from aframe.errors import AframeError, StorageError
from aframe.export.onnx import check_onnx
from aframe.export.repository import publish, read_configuration


def test_a_second_version_leaves_the_first(make_model, tmp_path):
    model, repository = make_model("factorised"), str(tmp_path / "repository")
    first = Path(publish(model, repository, "bbh", 64, {"search.seed": 1}))
    content = {path.name: path.read_bytes() for path in first.iterdir()}
    second = Path(publish(model, repository, "bbh", 64, {"search.seed": 2}))
    assert (first.name, second.name) == ("1", "2")
    assert {path.name: path.read_bytes() for path in first.iterdir()} == content
    assert json.loads((second / "made_with.json").read_text()) == {"search.seed": 2}
    assert check_onnx(model, str(second / "model.onnx")) < 1e-4
    assert sorted(path.name for path in first.parent.glob("[!.]*")) == ["1", "2", "config.pbtxt"]
    assert storage.made_with(str(first.parent / "config.pbtxt")) == {"search.seed": 2}


def test_the_configuration_says_what_the_model_takes(make_model, tmp_path):
    model = make_model("factorised", ("H1", "L1", "V1"))
    publish(model, str(tmp_path), "bbh", 64, {})
    configuration = read_configuration(str(tmp_path / "bbh" / "config.pbtxt"))
    assert (configuration.name, configuration.max_batch_size) == ("bbh", 64)
    assert [(i.name, list(i.dims), i.data_type) for i in configuration.input] == [
        ("whitened", [3, 256], model_config_pb2.TYPE_FP32)
    ]
    assert [(o.name, list(o.dims)) for o in configuration.output] == [("score", [1])]
    assert configuration.default_model_filename == "model.onnx"
    assert configuration.HasField("dynamic_batching")


def test_a_failed_export_leaves_no_version(make_model, tmp_path):
    model = make_model("factorised")
    next(p for p in model.network.parameters() if p.ndim == 1).fill_(float("nan"))
    with pytest.raises(AframeError):
        publish(model, str(tmp_path), "bbh", 64, {})
    assert not list((tmp_path / "bbh").iterdir())


def test_another_text_is_no_configuration(tmp_path):
    (tmp_path / "config.pbtxt").write_text("name: bbh\nbackend { nonsense }")
    with pytest.raises(StorageError, match="no Triton model configuration"):
        read_configuration(str(tmp_path / "config.pbtxt"))
