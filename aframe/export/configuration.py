"""``config.pbtxt``: Triton's configuration of a model, with the identity of the model and its preprocessing."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc.model_config_pb2 import ModelConfig

from aframe import storage
from aframe.errors import ConfigurationError, ParameterMismatchError, StorageError
from aframe.export.graphs import Graph
from aframe.preprocessing import ZERO_PHASE, Preprocessing

FILE_HASH = "file_sha256"
"""Parameter of a configuration: SHA-256 of the model's file."""

INTERFACE = "2"
"""Version of the inputs and outputs of served models. Clients refuse models of other versions."""

PLATFORMS = {
    "onnxruntime": ("onnxruntime_onnx", "model.onnx"),
    "tensorrt": ("tensorrt_plan", "model.plan"),
    "torch": ("pytorch_libtorch", "model.pt"),
}
"""Triton's name of each platform, and the name of its file."""

ACCELERATORS = ("tensorrt", "cuda", "none")
"""Accelerators of ONNX Runtime on a GPU."""

MODEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""Names that are valid for directories and processes of a server."""

WARMUP_BATCH = 32
"""Largest batch that a server computes before it reports that it is ready."""

PRECISION_MODES = {"float32": "FP32", "float16": "FP16"}
"""Triton's names of the precisions that TensorRT supports within ONNX Runtime."""

CONFIGURATION_KEYS = {"name": "model_name", "precision": "export_precision"}
"""Keys of a run's configuration, by the name of the option, where the two differ."""


@dataclass(frozen=True)
class ServingOptions:
    """Options of export and serving.

    Attributes:
        name: Name of the model of blocks. Names of the other models start with it.
        platform: onnxruntime, tensorrt or torch.
        precision: Precision of the networks: float32, float16 or bfloat16.
        max_batch_size: Largest number of windows in a request.
        block_windows: Number of windows in a block.
        instances: Number of copies of a model on each GPU, or on the CPU.
        threads: Threads of each copy on the CPU; 0 for all cores.
        queue_delay: Longest time that a server waits for a batch to fill, s.
        accelerator: Accelerator of onnxruntime on a GPU: tensorrt, cuda or none.
        engine_cache: Directory on the server for engines that TensorRT builds.
    """

    name: str = "aframe"
    platform: str = "onnxruntime"
    precision: str = "float32"
    max_batch_size: int = 1024
    block_windows: int = 256
    instances: int = 1
    threads: int = 1
    queue_delay: float = 0.0005
    accelerator: str = "tensorrt"
    engine_cache: str = "/tmp/tensorrt_engines"

    def __post_init__(self) -> None:
        if not MODEL_NAME.fullmatch(self.name):
            raise ConfigurationError(f"name = {self.name!r}: take letters, digits, dots, dashes and underscores for it")
        for name, choices in (("platform", tuple(PLATFORMS)), ("accelerator", ACCELERATORS)):
            if getattr(self, name) not in choices:
                raise ConfigurationError(f"{name} = {getattr(self, name)!r} is none of {', '.join(choices)}")
        for name in ("max_batch_size", "block_windows", "instances"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.queue_delay < 0 or self.threads < 0:
            raise ConfigurationError(f"queue_delay = {self.queue_delay}, threads = {self.threads}: not negative")

    @property
    def file(self) -> str:
        """Name of the file of a model."""
        return PLATFORMS[self.platform][1]


def identity(preprocessing: Preprocessing, sha256: str) -> dict[str, str]:
    """Identity of a model: hash, version of the interface, and parameters of the preprocessing, as texts.

    Args:
        preprocessing: Preprocessing of the model.
        sha256: SHA-256 of ``model.pt``.
    """
    fields = dataclasses.asdict(preprocessing)
    fields |= fields.pop("whitening")
    phase = fields.pop("phase")
    if phase != ZERO_PHASE:  # repositories that do not say have zero phase
        fields["whitening_phase"] = phase
    texts = {name: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for name, v in fields.items()}
    return {"model_sha256": sha256, "interface": INTERFACE} | texts


def model_configuration(
    name: str, graph: Graph, options: ServingOptions, parameters: Mapping[str, str], version: int
) -> ModelConfig:
    """Build Triton's configuration of a model.

    Args:
        name: Name of the model on the server.
        graph: Inputs and outputs of the model.
        options: Options of serving.
        parameters: Identity of the model.
        version: Version that the server serves.
    """
    platform, file = PLATFORMS[options.platform]
    config = ModelConfig(name=name, platform=platform, max_batch_size=graph.max_batch_size, default_model_filename=file)
    is_torch = options.platform == "torch"
    input_name, output_name = ("INPUT__0", "OUTPUT__0") if is_torch else (graph.input, graph.output)
    config.input.add(name=input_name, data_type=model_config_pb2.TYPE_FP32, dims=graph.input_shape)
    config.output.add(name=output_name, data_type=model_config_pb2.TYPE_FP32, dims=graph.output_shape)
    config.version_policy.specific.versions.append(version)
    on_gpu = options.platform == "tensorrt"
    kind = model_config_pb2.ModelInstanceGroup.KIND_GPU if on_gpu else model_config_pb2.ModelInstanceGroup.KIND_AUTO
    config.instance_group.add(kind=kind, count=options.instances)
    config.dynamic_batching.max_queue_delay_microseconds = round(1e6 * options.queue_delay)
    for batch_size in sorted({1, min(graph.max_batch_size, WARMUP_BATCH)}):
        config.model_warmup.add(name=f"batch of {batch_size}", batch_size=batch_size)
        warmup = config.model_warmup[-1].inputs[input_name]
        warmup.data_type, warmup.random_data = model_config_pb2.TYPE_FP32, True
        warmup.dims.extend(graph.input_shape)
    if options.platform == "onnxruntime":
        config.parameters["intra_op_thread_count"].string_value = str(options.threads)
        _accelerate(config, graph, options)
    for key, value in parameters.items():
        config.parameters[key].string_value = value
    config.parameters["precision"].string_value = options.precision
    return config


def _accelerate(config: ModelConfig, graph: Graph, options: ServingOptions) -> None:
    """Configure TensorRT, or CUDA alone, for ONNX Runtime on a GPU. On a CPU this has no effect.

    One engine serves all batches. Without the profile of shapes, TensorRT would build another engine for each batch
    that is larger than all before it.
    """
    if options.accelerator == "none":
        return
    accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add()
    # Triton has no name for bfloat16 in TensorRT, so CUDA computes such a graph
    mode = PRECISION_MODES.get(options.precision)
    accelerator.name = options.accelerator if mode else "cuda"
    if accelerator.name == "tensorrt" and mode:
        accelerator.parameters["precision_mode"] = mode
        accelerator.parameters["max_workspace_size_bytes"] = str(4 * 1024**3)
        accelerator.parameters["trt_engine_cache_enable"] = "true"
        accelerator.parameters["trt_engine_cache_path"] = options.engine_cache
        for bound, batch_size in (("min", 1), ("opt", graph.max_batch_size), ("max", graph.max_batch_size)):
            shape = "x".join(map(str, (batch_size, *graph.input_shape)))
            accelerator.parameters[f"trt_profile_{bound}_shapes"] = f"{graph.input}:{shape}"


def as_text(configuration: ModelConfig) -> str:
    """Content of ``config.pbtxt``."""
    return text_format.MessageToString(configuration)


def read_configuration(path: str) -> ModelConfig:
    """Read a ``config.pbtxt``.

    Raises:
        StorageError: If the file is no model configuration.
    """
    try:
        return text_format.Parse(storage.read_text(path), ModelConfig())
    except text_format.ParseError as error:
        raise StorageError(f"{path} is no Triton model configuration ({error}): export the model again") from None


def served_version(configuration: ModelConfig) -> str:
    """Version of the model that a server with this configuration serves."""
    return str(configuration.version_policy.specific.versions[0])


def check_identity(configuration: ModelConfig, expected: Mapping[str, str], source: str) -> None:
    """Refuse another model than the expected one, or a model with another preprocessing.

    Args:
        configuration: Configuration of the model in a repository or on a server.
        expected: ``identity`` of the expected model.
        source: Repository or server, for the error.

    Raises:
        ParameterMismatchError: If a parameter differs. The message has both values and the remedy.
    """
    served: dict[str, Any] = {name: value.string_value for name, value in configuration.parameters.items()}
    for name in sorted(expected, key=lambda name: name == "model_sha256"):  # other parameters are more informative
        if served.get(name) != expected[name]:
            raise ParameterMismatchError(
                f"{source} serves {configuration.name} with {name} = {served.get(name, 'not set')}, but this search "
                f"has {name} = {expected[name]}: export this search's model there (`aframe export`), or give the "
                "address of its own server"
            )
