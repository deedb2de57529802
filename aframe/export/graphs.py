"""Graphs of served models. They are stateless and have fixed shapes, except for the batch size."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aframe.errors import ConfigurationError
from aframe.preprocessing import Preprocessing
from aframe.train.architectures import Network
from aframe.train.architectures.folding import fold_filters, fold_norms
from aframe.train.model import Model

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
"""Torch's types, by the name of the precision."""

BLOCKS, WINDOWS, ENCODER, FUSION = "", "-windows", "-encoder", "-fusion"
"""Endings of the served models' names. The model of blocks of windows has the name without ending."""


@dataclass(frozen=True)
class Block:
    """A stretch of whitened strain in one request, with its windows.

    Attributes:
        network: The network.
        preprocessing: Window and stride.
        windows: Number of windows.
    """

    network: Network
    preprocessing: Preprocessing
    windows: int

    def __post_init__(self) -> None:
        if self.windows < 1:
            raise ConfigurationError(f"block_windows = {self.windows} must be at least 1")

    @property
    def hop(self) -> int:
        """Number of steps of an embedding from one window to the next."""
        return self.network.hop(self.preprocessing.stride_size)

    @property
    def size(self) -> int:
        """Number of whitened samples of each detector."""
        return (self.windows - 1) * self.preprocessing.stride_size + self.preprocessing.kernel_size

    @property
    def encoded_steps(self) -> int:
        """Number of steps of the embedding that depend on samples of the block alone."""
        return (self.size - self.network.receptive_field) // self.network.step_size + 1

    @property
    def fused_steps(self) -> int:
        """Number of steps of the embeddings that the windows need."""
        return (self.windows - 1) * self.hop + self.network.window_steps


@dataclass(frozen=True)
class Graph:
    """One model of a repository.

    Attributes:
        module: Module with one input and one output tensor, both with a batch axis in front and in single precision.
        input: Name of the input, and of the module's argument.
        input_shape: Shape of the input without the batch axis.
        output: Name of the output.
        output_shape: Shape of the output without the batch axis.
        max_batch_size: Largest batch of a request.
    """

    module: "_ServedModule"
    input: str
    input_shape: tuple[int, ...]
    output: str
    output_shape: tuple[int, ...]
    max_batch_size: int

    def sample(self, batch_size: int) -> Tensor:
        """Example inputs, always the same: whitened noise, and the first input of the batch is ten times as loud."""
        network, random = self.module.network, torch.Generator().manual_seed(0)
        shape = self.input_shape
        if isinstance(self.module, FuseEmbeddings):
            ifos, _, steps = shape
            shape = (ifos, (steps - 1) * network.step_size + network.receptive_field)
        noise = torch.randn((batch_size, *shape), generator=random)
        noise[0] *= 10
        if not isinstance(self.module, FuseEmbeddings):
            return noise
        precision = self.module.precision
        with torch.inference_mode():
            return network.encode(noise.to(precision)).float()[..., :steps]


class _ServedModule(nn.Module):
    """Network in evaluation mode. It computes in any precision; inputs and outputs are in single precision."""

    def __init__(self, network: Network, precision: torch.dtype) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        fold_filters(self.network)
        self.network.to(precision)
        if precision is torch.float32:  # folded weights lose digits in half precision
            fold_norms(self.network)
        self.precision = precision


class ScoreWindows(_ServedModule):
    """Scores windows: shape (batch, ifos, kernel_size) to (batch, 1)."""

    def forward(self, whitened: Tensor) -> Tensor:
        """Score windows."""
        return self.network(whitened.to(self.precision)).unsqueeze(-1).float()


class ScoreBlocks(_ServedModule):
    """Scores the windows of blocks: shape (batch, ifos, block_size) to (batch, windows)."""

    def __init__(self, block: Block, precision: torch.dtype) -> None:
        super().__init__(block.network, precision)
        self.windows, self.hop = block.windows, block.hop
        self.kernel_size, self.stride_size = block.preprocessing.kernel_size, block.preprocessing.stride_size

    def forward(self, whitened: Tensor) -> Tensor:
        """Score blocks. A factorised network encodes each stream once."""
        blocks = whitened.to(self.precision)
        if self.network.is_factorised:
            return self.network.fuse(self.network.encode(blocks).unbind(1), self.hop).float()
        windows = self.cut(blocks).flatten(0, 1)
        return self.network(windows).unflatten(0, (-1, self.windows)).float()

    def cut(self, blocks: Tensor) -> Tensor:
        """Cut blocks into windows: shape (batch, ifos, block_size) to (batch, windows, ifos, kernel_size).

        It uses slices and one concatenation, as every runtime has these operations and computes them fast.
        """
        grain = math.gcd(self.kernel_size, self.stride_size)
        hop, size = self.stride_size // grain, self.kernel_size // grain
        grains = blocks.unflatten(-1, (-1, grain))
        last = (self.windows - 1) * hop + 1
        pieces = [grains[:, :, first : first + last : hop] for first in range(size)]
        return torch.cat(pieces, dim=-1).transpose(1, 2)


class EncodeStreams(_ServedModule):
    """Encodes streams of all detectors: shape (batch, ifos, block_size) to (batch, ifos, channels, steps)."""

    def forward(self, streams: Tensor) -> Tensor:
        """Encode streams."""
        return self.network.encode(streams.to(self.precision)).float()


class FuseEmbeddings(_ServedModule):
    """Scores the windows of embeddings: shape (batch, ifos, channels, steps) to (batch, windows)."""

    def __init__(self, block: Block, precision: torch.dtype) -> None:
        super().__init__(block.network, precision)
        self.hop = block.hop

    def forward(self, embeddings: Tensor) -> Tensor:
        """Fuse embeddings."""
        converted = embeddings.to(self.precision)
        return self.network.fuse([converted[:, ifo] for ifo in range(converted.shape[1])], self.hop).float()


def served_graphs(model: Model, block_windows: int, max_batch_size: int, precision: str) -> Mapping[str, Graph]:
    """Graphs of a model, by the ending of their names: blocks, windows, and the parts of a factorised network.

    Args:
        model: Network and preprocessing.
        block_windows: Number of windows in a block.
        max_batch_size: Largest number of windows in a request.
        precision: float32, float16 or bfloat16.

    Raises:
        ConfigurationError: If the precision is another one, or windows start between steps of the embeddings.
    """
    if precision not in PRECISIONS:
        raise ConfigurationError(f"precision = {precision!r} is none of {', '.join(PRECISIONS)}")
    preprocessing, kind = model.preprocessing, PRECISIONS[precision]
    block, ifos = Block(model.network, preprocessing, block_windows), len(preprocessing.ifos)
    window = (ifos, preprocessing.kernel_size)
    blocks = max(1, max_batch_size // block_windows)
    graphs = {
        BLOCKS: Graph(ScoreBlocks(block, kind), "whitened", (ifos, block.size), "score", (block_windows,), blocks),
        WINDOWS: Graph(ScoreWindows(model.network, kind), "whitened", window, "score", (1,), max_batch_size),
    }
    if model.network.is_factorised:
        encoder = EncodeStreams(model.network, kind)
        with torch.inference_mode():
            _, _, channels, steps = encoder(torch.zeros(1, ifos, block.size)).shape
        embeddings, embedded = (ifos, channels, block.fused_steps), (ifos, channels, steps)
        graphs[ENCODER] = Graph(encoder, "streams", (ifos, block.size), "embeddings", embedded, blocks)
        graphs[FUSION] = Graph(
            FuseEmbeddings(block, kind), "embeddings", embeddings, "score", (block_windows,), blocks
        )  # fmt: skip
    return graphs
