"""TensorRT plans from ONNX files. This needs the ``tensorrt`` package.

The protocols below describe the used parts of the package, as documented in
https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/python-api-docs.html (version 10 and later). They
allow type checks without the package. This module has never been run, as its authors had no TensorRT.
"""

import importlib
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from aframe.errors import AframeError, ConfigurationError
from aframe.export.graphs import Graph

WORKSPACE_BYTES = 4 * 1024**3
"""Memory that TensorRT may use while it tries kernels."""


@runtime_checkable
class OptimizationProfile(Protocol):
    """``tensorrt.IOptimizationProfile``."""

    def set_shape(self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]) -> None:
        """Set the smallest, most likely and largest shape of an input."""


@runtime_checkable
class BuilderConfig(Protocol):
    """``tensorrt.IBuilderConfig``."""

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        """Limit a ``tensorrt.MemoryPoolType`` to a number of bytes."""

    def add_optimization_profile(self, profile: OptimizationProfile) -> int:
        """Add a profile, and return its index. A negative index means that it is refused."""


@runtime_checkable
class Parser(Protocol):
    """``tensorrt.OnnxParser``."""

    num_errors: int

    def parse(self, model: bytes) -> bool:
        """Parse the content of an ONNX file into the network, and return whether this succeeded."""

    def get_error(self, index: int) -> object:
        """Return an error of the parser."""


@runtime_checkable
class Builder(Protocol):
    """``tensorrt.Builder``."""

    def create_network(self, flags: int = 0) -> object:
        """Create an empty ``tensorrt.INetworkDefinition``."""

    def create_builder_config(self) -> BuilderConfig:
        """Create default options."""

    def create_optimization_profile(self) -> OptimizationProfile:
        """Create an empty profile."""

    def build_serialized_network(self, network: object, config: BuilderConfig) -> Any:
        """Build a ``tensorrt.IHostMemory``, or return None after an error. The logger prints the error."""


@runtime_checkable
class TensorRT(Protocol):
    """The package ``tensorrt``."""

    __version__: str
    Logger: Any
    MemoryPoolType: Any
    NetworkDefinitionCreationFlag: Any

    def Builder(self, logger: object) -> Builder:
        """Create a builder."""

    def OnnxParser(self, network: object, logger: object) -> Parser:
        """Create a parser that fills a network."""


def load_tensorrt() -> TensorRT:
    """Import the package ``tensorrt``.

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
    """Build a plan for this machine's GPU, for all batch sizes of the graph.

    The plan has the types of the ONNX file (a strongly typed network), and thus its precision.

    Args:
        onnx_path: Local path of the ONNX file.
        path: Local path of the plan to write.
        graph: Graph of the ONNX file.
        precision: Precision of the ONNX file, for errors.

    Raises:
        ConfigurationError: If TensorRT is not installed.
        AframeError: If TensorRT cannot read or build the network.
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
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
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
