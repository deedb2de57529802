"""``config.pbtxt``: how a server runs a model, and which model and preprocessing it is."""

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
from aframe.preprocessing import Preprocessing

INTERFACE = "2"
"""Changes with what served models take and give, so that clients refuse those that were exported for others."""

PLATFORMS = {
    "onnxruntime": ("onnxruntime_onnx", "model.onnx"),
    "tensorrt": ("tensorrt_plan", "model.plan"),
    "torch": ("pytorch_libtorch", "model.pt"),
}
"""Of each platform, Triton's name and the name of its file."""

ACCELERATORS = ("tensorrt", "cuda", "none")

MODEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""What a server can make a directory and a process of."""

WARM_BATCH = 32
"""Largest batch that a server tries before it says that it is ready."""

PRECISION_MODES = {"float32": "FP32", "float16": "FP16"}
"""What Triton calls the precisions in which ONNX Runtime can have TensorRT compute."""


CONFIGURATION_KEYS = {"name": "model_name", "precision": "export_precision"}
"""Keys of a run's configuration where they are not called as the options are."""


@dataclass(frozen=True)
class ServingOptions:
    """How models are exported and served.

    Attributes:
        name: Name of the model of blocks; those of the others begin with it.
        platform: onnxruntime, tensorrt or torch.
        precision: In which networks compute: float32, float16 or bfloat16.
        max_batch_size: Windows that the server takes at once.
        block_windows: Windows in a block.
        instances: Copies of a model that run side by side, on each GPU or on the CPU.
        threads: Of each copy, where it runs on the CPU; 0 for all cores.
        queue_delay: Time that a server may wait for a batch to fill, s.
        accelerator: Of onnxruntime on a GPU: tensorrt, cuda or none.
        engine_cache: Directory, on the server, of the engines that TensorRT builds.
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
        """Name of a model's file."""
        return PLATFORMS[self.platform][1]


def identity(preprocessing: Preprocessing, sha256: str) -> dict[str, str]:
    """What a server is asked for: parameters of the model and of what it must be sent, as texts.

    Args:
        preprocessing: Of the model.
        sha256: Of ``model.pt``.
    """
    fields = dataclasses.asdict(preprocessing)
    fields |= fields.pop("whitening")
    texts = {name: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for name, v in fields.items()}
    return {"model_sha256": sha256, "interface": INTERFACE} | texts


def model_configuration(
    name: str, graph: Graph, options: ServingOptions, parameters: Mapping[str, str], version: int
) -> ModelConfig:
    """What Triton must know of a model.

    Args:
        name: Name under which it is served.
        graph: What goes in and comes out.
        options: How it is served.
        parameters: Its identity.
        version: The one to serve.
    """
    platform, file = PLATFORMS[options.platform]
    made = ModelConfig(name=name, platform=platform, max_batch_size=graph.max_batch_size, default_model_filename=file)
    is_torch = options.platform == "torch"
    into, out = ("INPUT__0", "OUTPUT__0") if is_torch else (graph.input, graph.output)
    made.input.add(name=into, data_type=model_config_pb2.TYPE_FP32, dims=graph.input_shape)
    made.output.add(name=out, data_type=model_config_pb2.TYPE_FP32, dims=graph.output_shape)
    made.version_policy.specific.versions.append(version)
    on_gpu = options.platform == "tensorrt"
    kind = model_config_pb2.ModelInstanceGroup.KIND_GPU if on_gpu else model_config_pb2.ModelInstanceGroup.KIND_AUTO
    made.instance_group.add(kind=kind, count=options.instances)
    made.dynamic_batching.max_queue_delay_microseconds = round(1e6 * options.queue_delay)
    for batch_size in sorted({1, min(graph.max_batch_size, WARM_BATCH)}):
        made.model_warmup.add(name=f"batch of {batch_size}", batch_size=batch_size)
        warm = made.model_warmup[-1].inputs[into]
        warm.data_type, warm.random_data = model_config_pb2.TYPE_FP32, True
        warm.dims.extend(graph.input_shape)
    if options.platform == "onnxruntime":
        made.parameters["intra_op_thread_count"].string_value = str(options.threads)
        _accelerate(made, graph, options)
    for key, value in parameters.items():
        made.parameters[key].string_value = value
    made.parameters["precision"].string_value = options.precision
    return made


def _accelerate(made: ModelConfig, graph: Graph, options: ServingOptions) -> None:
    """Have ONNX Runtime use TensorRT, or CUDA alone, where the model runs on a GPU; a CPU passes this by.

    One engine serves all batches: without the profile of shapes TensorRT would build another whenever a batch is larger
    than all before it.
    """
    if options.accelerator == "none":
        return
    accelerator = made.optimization.execution_accelerators.gpu_execution_accelerator.add()
    # Triton has no word for bfloat16 to TensorRT: such a graph is left to CUDA's own kernels
    mode = PRECISION_MODES.get(options.precision)
    accelerator.name = options.accelerator if mode else "cuda"
    if accelerator.name == "tensorrt" and mode:
        accelerator.parameters["precision_mode"] = mode
        accelerator.parameters["max_workspace_size_bytes"] = str(4 * 1024**3)
        accelerator.parameters["trt_engine_cache_enable"] = "true"
        accelerator.parameters["trt_engine_cache_path"] = options.engine_cache
        for which, batch_size in (("min", 1), ("opt", graph.max_batch_size), ("max", graph.max_batch_size)):
            shape = "x".join(map(str, (batch_size, *graph.input_shape)))
            accelerator.parameters[f"trt_profile_{which}_shapes"] = f"{graph.input}:{shape}"


def as_text(configuration: ModelConfig) -> str:
    """Content of ``config.pbtxt``."""
    return text_format.MessageToString(configuration)


def read_configuration(path: str) -> ModelConfig:
    """Parse a ``config.pbtxt``.

    Raises:
        StorageError: If it is no model configuration.
    """
    try:
        return text_format.Parse(storage.read_text(path), ModelConfig())
    except text_format.ParseError as error:
        raise StorageError(f"{path} is no Triton model configuration ({error}): export the model again") from None


def served_version(configuration: ModelConfig) -> str:
    """The version that a configuration has a server serve."""
    return str(configuration.version_policy.specific.versions[0])


def check_identity(configuration: ModelConfig, wanted: Mapping[str, str], where: str) -> None:
    """Refuse a model that is not the wanted one, or that takes windows which were prepared in another way.

    Args:
        configuration: As a repository or a server has it.
        wanted: ``identity`` of the model that should answer.
        where: What has it, for the error.

    Raises:
        ParameterMismatchError: Naming the first parameter that differs, both values, and the mend.
    """
    found: dict[str, Any] = {name: value.string_value for name, value in configuration.parameters.items()}
    for name in sorted(wanted, key=lambda name: name == "model_sha256"):  # a parameter tells more than a hash
        if found.get(name) != wanted[name]:
            raise ParameterMismatchError(
                f"{where} serves {configuration.name} with {name} = {found.get(name, 'not said')}, but this search has "
                f"{name} = {wanted[name]}: export this search's model there (`aframe export`), or name its own server"
            )
