"""The Triton model repository: versions of a model, each complete before it can be seen."""

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from aframe import storage
from aframe.errors import StorageError
from aframe.export.onnx import INPUT_NAME, OUTPUT_NAME, export_onnx
from aframe.train.model import Model


def model_configuration(name: str, model: Model, max_batch_size: int) -> model_config_pb2.ModelConfig:
    """What Triton must know of a model that scores whitened windows.

    Args:
        name: Name under which it is served.
        model: Network and preprocessing.
        max_batch_size: Largest batch the server takes.
    """
    shape = [len(model.preprocessing.ifos), model.preprocessing.kernel_size]
    configuration = model_config_pb2.ModelConfig(
        name=name, platform="onnxruntime_onnx", max_batch_size=max_batch_size, default_model_filename="model.onnx"
    )
    configuration.input.add(name=INPUT_NAME, data_type=model_config_pb2.TYPE_FP32, dims=shape)
    configuration.output.add(name=OUTPUT_NAME, data_type=model_config_pb2.TYPE_FP32, dims=[1])
    configuration.dynamic_batching.SetInParent()
    return configuration


def read_configuration(path: str) -> model_config_pb2.ModelConfig:
    """Parse a ``config.pbtxt``.

    Raises:
        StorageError: If it is no model configuration.
    """
    try:
        return text_format.Parse(storage.read_text(path), model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise StorageError(f"{path} is no Triton model configuration ({error}): export the model again") from None


def publish(model: Model, repository: str, name: str, max_batch_size: int, made_with: Mapping[str, Any]) -> str:
    """Export a model as the next version in a repository.

    The version's directory appears under its number only when its ONNX file has been checked against torch.

    Args:
        model: What to export.
        repository: Local directory of the repository.
        name: Name under which it is served.
        max_batch_size: Largest batch the server takes.
        made_with: Parameters of the model.

    Returns:
        Path of the new version's directory.
    """
    directory = storage.join(repository, name)
    configuration = model_configuration(name, model, max_batch_size)
    text = text_format.MessageToString(configuration)
    if text_format.Parse(text, model_config_pb2.ModelConfig()) != configuration:
        raise StorageError(f"the configuration of {name} does not survive being written as text: report this")
    versions = [int(path.rsplit("/", 1)[1]) for path in storage.glob(storage.join(directory, "[0-9]*"))]
    version = storage.join(directory, str(max(versions, default=0) + 1))
    with storage.atomic(version) as temporary:
        temporary.mkdir()
        export_onnx(model, str(temporary / "model.onnx"))
        (temporary / "made_with.json").write_text(json.dumps(made_with, sort_keys=True, indent=1), encoding="utf-8")
    storage.sign(storage.join(directory, "config.pbtxt"), made_with)
    storage.write_text(storage.join(directory, "config.pbtxt"), text)
    return version
