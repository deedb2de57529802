"""A TensorRT plan from an ONNX file, where the ``tensorrt`` package is installed.

The classes below list all that is used of it, as documented in
https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/python-api-docs.html (version 10 and later), so
that the builder is type-checked without the package. It has never been run: its authors had no TensorRT.
"""

import importlib
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from aframe.errors import AframeError, ConfigurationError
from aframe.export.graphs import Graph

WORKSPACE = 4 * 1024**3
"""Bytes that TensorRT may use while it tries kernels."""


@runtime_checkable
class OptimizationProfile(Protocol):
    """``tensorrt.IOptimizationProfile``."""

    def set_shape(self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]) -> None:
        """Smallest, likeliest and largest shape of an input."""


@runtime_checkable
class BuilderConfig(Protocol):
    """``tensorrt.IBuilderConfig``."""

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        """Limit a ``tensorrt.MemoryPoolType`` to some bytes."""

    def add_optimization_profile(self, profile: OptimizationProfile) -> int:
        """Add a profile; its index, negative where it is refused."""


@runtime_checkable
class Parser(Protocol):
    """``tensorrt.OnnxParser``."""

    num_errors: int

    def parse(self, model: bytes) -> bool:
        """Read an ONNX file's content into the network; whether it could."""

    def get_error(self, index: int) -> object:
        """What it could not read."""


@runtime_checkable
class Builder(Protocol):
    """``tensorrt.Builder``."""

    def create_network(self, flags: int = 0) -> object:
        """An empty ``tensorrt.INetworkDefinition``."""

    def create_builder_config(self) -> BuilderConfig:
        """Default options."""

    def create_optimization_profile(self) -> OptimizationProfile:
        """An empty profile."""

    def build_serialized_network(self, network: object, config: BuilderConfig) -> Any:
        """A ``tensorrt.IHostMemory``, or None after an error that the logger has told."""


@runtime_checkable
class TensorRT(Protocol):
    """The package."""

    __version__: str
    Logger: Any
    MemoryPoolType: Any
    NetworkDefinitionCreationFlag: Any

    def Builder(self, logger: object) -> Builder:
        """A builder."""

    def OnnxParser(self, network: object, logger: object) -> Parser:
        """A parser that fills a network."""


def load_tensorrt() -> TensorRT:
    """The package.

    Raises:
        ConfigurationError: If it is not installed, or has no builder.
    """
    try:
        package = importlib.import_module("tensorrt")
    except ImportError:
        package = None
    if package is None or not hasattr(package, "Builder"):
        raise ConfigurationError(
            "platform = tensorrt needs the package tensorrt, at the server's own version: install it, or take "
            "platform = onnxruntime, with which the server builds its engine itself"
        )
    return cast(TensorRT, package)


def build_plan(onnx_path: str, path: str, graph: Graph, precision: str) -> None:
    """Build a plan for this machine's GPU, for batches from one to the graph's largest.

    The types are the ONNX file's own (a strongly typed network), so its precision is that of the plan.

    Args:
        onnx_path: The ONNX file.
        path: The plan to write.
        graph: Its input.
        precision: Said in errors.

    Raises:
        ConfigurationError: If TensorRT is not installed.
        AframeError: If it cannot read or build the network.
    """
    trt = load_tensorrt()
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(Path(onnx_path).read_bytes()):
        errors = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise AframeError(f"TensorRT {trt.__version__} cannot read {onnx_path}: {errors}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    profile = builder.create_optimization_profile()
    shape, largest = graph.input_shape, graph.max_batch_size
    profile.set_shape(graph.input, (1, *shape), (largest, *shape), (largest, *shape))
    if config.add_optimization_profile(profile) < 0:
        raise AframeError(f"TensorRT {trt.__version__} refuses batches of 1 to {largest} of {shape}: report this")
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise AframeError(
            f"TensorRT {trt.__version__} cannot build {onnx_path} in {precision}: its own messages say why"
        )
    Path(path).write_bytes(bytes(plan))
