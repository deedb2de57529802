"""What is served: stateless graphs, each of a fixed shape but for the batch."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aframe.errors import ConfigurationError
from aframe.preprocessing import Preprocessing
from aframe.train.architectures import Network
from aframe.train.architectures.folding import fold_norms
from aframe.train.model import Model

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

BLOCKS, WINDOWS, ENCODER, FUSION = "", "-windows", "-encoder", "-fusion"
"""Endings of the served models' names: blocks of windows have the plain name."""


@dataclass(frozen=True)
class Block:
    """A stretch of whitened strain that is sent at once, and the windows in it.

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
        """Steps of an embedding from one window to the next."""
        return self.network.hop(self.preprocessing.stride_size)

    @property
    def size(self) -> int:
        """Whitened samples of each detector."""
        return (self.windows - 1) * self.preprocessing.stride_size + self.preprocessing.kernel_size

    @property
    def encoded_steps(self) -> int:
        """Steps of its embedding that depend on nothing beyond its end."""
        return (self.size - self.network.receptive_field) // self.network.step_size + 1

    @property
    def fused_steps(self) -> int:
        """Steps of the embeddings that its windows need."""
        return (self.windows - 1) * self.hop + self.network.window_steps


@dataclass(frozen=True)
class Graph:
    """One model of a repository.

    Attributes:
        module: A ``ScoreBlocks`` or the like: one tensor in, one out, with a batch in front, in single precision.
        input: Name of what goes in, and the module's argument.
        input_shape: Its shape without the batch.
        output: Name of what comes out.
        output_shape: Its shape without the batch.
        max_batch_size: Largest batch that a server takes.
    """

    module: "_Served"
    input: str
    input_shape: tuple[int, ...]
    output: str
    output_shape: tuple[int, ...]
    max_batch_size: int

    def sample(self, batch_size: int) -> Tensor:
        """Inputs such as a server sees, the same every time: whitened noise, the first ten times as loud."""
        network, random = self.module.network, torch.Generator().manual_seed(0)
        shape = self.input_shape
        if isinstance(self.module, FuseEmbeddings):
            ifos, _, steps = shape
            shape = (ifos, (steps - 1) * network.step_size + network.receptive_field)
        noise = torch.randn((batch_size, *shape), generator=random)
        noise[0] *= 10
        if not isinstance(self.module, FuseEmbeddings):
            return noise
        kind = self.module.precision
        with torch.inference_mode():
            return network.encode(noise.to(kind)).float()[..., :steps]


class _Served(nn.Module):
    """A network in evaluation mode that computes in some precision, between single precision in and out."""

    def __init__(self, network: Network, precision: torch.dtype) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).to(precision).eval().requires_grad_(False)
        if precision is torch.float32:  # folded weights lose digits in half precision
            fold_norms(self.network)
        self.precision = precision


class ScoreWindows(_Served):
    """Windows (batch, ifos, kernel_size) to scores (batch, 1)."""

    def forward(self, whitened: Tensor) -> Tensor:
        """Score."""
        return self.network(whitened.to(self.precision)).unsqueeze(-1).float()


class ScoreBlocks(_Served):
    """Blocks (batch, ifos, block_size) to scores of their windows (batch, windows), which are cut here."""

    def __init__(self, block: Block, precision: torch.dtype) -> None:
        super().__init__(block.network, precision)
        self.windows, self.hop = block.windows, block.hop
        self.kernel_size, self.stride_size = block.preprocessing.kernel_size, block.preprocessing.stride_size

    def forward(self, whitened: Tensor) -> Tensor:
        """Score: each stream is encoded once where the network is factorised."""
        blocks = whitened.to(self.precision)
        if self.network.is_factorised:
            return self.network.fuse(self.network.encode(blocks).unbind(1), self.hop).float()
        windows = self.cut(blocks).flatten(0, 1)
        return self.network(windows).unflatten(0, (-1, self.windows)).float()

    def cut(self, blocks: Tensor) -> Tensor:
        """Windows of blocks: (batch, windows, ifos, kernel_size).

        Made of slices and one concatenation, which any runtime has and computes fast.
        """
        grain = math.gcd(self.kernel_size, self.stride_size)
        hop, size = self.stride_size // grain, self.kernel_size // grain
        grains = blocks.unflatten(-1, (-1, grain))
        last = (self.windows - 1) * hop + 1
        pieces = [grains[:, :, first : first + last : hop] for first in range(size)]
        return torch.cat(pieces, dim=-1).transpose(1, 2)


class EncodeStreams(_Served):
    """Streams of all detectors (batch, ifos, block_size) to embeddings (batch, ifos, channels, steps)."""

    def forward(self, streams: Tensor) -> Tensor:
        """Encode."""
        return self.network.encode(streams.to(self.precision)).float()


class FuseEmbeddings(_Served):
    """Embeddings of all detectors (batch, ifos, channels, steps) to scores of their windows (batch, windows)."""

    def __init__(self, block: Block, precision: torch.dtype) -> None:
        super().__init__(block.network, precision)
        self.hop = block.hop

    def forward(self, embeddings: Tensor) -> Tensor:
        """Fuse."""
        typed = embeddings.to(self.precision)
        return self.network.fuse([typed[:, ifo] for ifo in range(typed.shape[1])], self.hop).float()


def served_graphs(model: Model, block_windows: int, max_batch_size: int, precision: str) -> Mapping[str, Graph]:
    """The graphs of a model, by the ending of their names: blocks, windows, and of a factorised network its two parts.

    Args:
        model: Network and preprocessing.
        block_windows: Windows in a block.
        max_batch_size: Windows that a server takes at once.
        precision: float32, float16 or bfloat16.

    Raises:
        ConfigurationError: If the precision is none of these, or windows fall between steps of the embeddings.
    """
    if precision not in PRECISIONS:
        raise ConfigurationError(f"precision = {precision!r} is none of {', '.join(PRECISIONS)}")
    made, kind = model.preprocessing, PRECISIONS[precision]
    block, ifos = Block(model.network, made, block_windows), len(made.ifos)
    blocks = max(1, max_batch_size // block_windows)
    graphs = {
        BLOCKS: Graph(ScoreBlocks(block, kind), "whitened", (ifos, block.size), "score", (block_windows,), blocks),
        WINDOWS: Graph(
            ScoreWindows(model.network, kind), "whitened", (ifos, made.kernel_size), "score", (1,), max_batch_size
        ),
    }
    if model.network.is_factorised:
        with torch.inference_mode():
            _, _, channels, steps = model.network.encode(torch.zeros(1, ifos, block.size)).shape
        embeddings, embedded = (ifos, channels, block.fused_steps), (ifos, channels, steps)
        graphs[ENCODER] = Graph(
            EncodeStreams(model.network, kind), "streams", (ifos, block.size), "embeddings", embedded, blocks
        )
        graphs[FUSION] = Graph(
            FuseEmbeddings(block, kind), "embeddings", embeddings, "score", (block_windows,), blocks
        )  # fmt: skip
    return graphs
