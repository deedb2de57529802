"""Scores by torch in this process."""

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from aframe.inference.scorers.interface import Scorer
from aframe.train.architectures import JointResNet
from aframe.train.architectures.folding import fold_norms
from aframe.train.model import Model
from aframe.types import Array

FUSED_WINDOWS = 512
"""Windows of a slide fused at once. Their embeddings fit a processor's cache; this size was the fastest measured."""

ENCODED_WINDOWS = 128
"""Length of stream encoded at once, in strides. Its embeddings fit a processor's cache too."""

GPU_TILES = 32
"""Factor by which more is computed at once on a GPU. A GPU computes a smaller tile faster than it is launched."""

GPU_STRETCHES = 32
"""Stretches with signals scored together on a GPU, for the same reason."""

Answer = Callable[[], Array]
"""Waits for scores that are being computed, and returns them."""


class TorchScorer(Scorer):
    """Scorer that computes with torch in this process.

    Args:
        model: Network and preprocessing. The scorer copies the network.
        precision: Type of the computation.
        device: Device of the computation. Strain, embeddings and windows stay on it; only scores are copied back.
        compiled: Whether to compile fusion first. Compiling takes minutes.
    """

    def __init__(
        self, model: Model, precision: torch.dtype = torch.float32, device: str = "cpu", compiled: bool = False
    ) -> None:
        network = copy.deepcopy(model.network)
        fold_norms(network)
        super().__init__(Model(network.to(device=device, dtype=precision), model.preprocessing))
        self.precision, self.device = precision, device
        self.on_gpu = device.startswith("cuda")
        self.tiles = GPU_TILES if self.on_gpu else 1
        self.ahead = 1 if self.on_gpu else 0
        self.stretches_at_once = GPU_STRETCHES if self.on_gpu else 1
        self.engine = "compiled" if compiled else "torch"
        self.compiled = self._compile() if compiled else None

    def _compile(self) -> Callable[[list[Tensor], int], Tensor]:
        """Compile fusion. On a GPU it becomes a CUDA graph: one call launches it, and it reuses its output memory."""
        if not self.on_gpu:
            return torch.compile(self.network.fuse, dynamic=False)
        graph = torch.compile(self.network.fuse, dynamic=False, mode="reduce-overhead")

        def fuse(pieces: list[Tensor], hop: int) -> Tensor:
            torch.compiler.cudagraph_mark_step_begin()
            return graph(pieces, hop).clone()

        return fuse

    @property
    def tile(self) -> int:
        """Windows fused at once. For a joint network this is its batch size, as it computes each window separately."""
        network = self.network
        if isinstance(network, JointResNet):
            return network.batch_size
        return self.tiles * network.fused_tiles * FUSED_WINDOWS

    @torch.inference_mode()
    def _encode(self, streams: Tensor) -> Tensor:
        """Embed streams piece by piece, in bounded memory. The result equals that of embedding them at once."""
        network = self.network
        steps, first = network.steps(streams.shape[-1]), 0
        tile = self.tiles * self.network.encoded_tiles * ENCODED_WINDOWS * self.hop
        embedded: Tensor | None = None
        while first < steps:
            last = first + tile if first + tile + network.window_steps < steps else steps
            end = (last - 1) * network.step_size + network.receptive_field
            piece = streams[..., first * network.step_size : end].to(self.device, self.precision)
            encoded = network.encode(piece)[..., : last - first]
            if embedded is None:
                embedded = encoded.new_empty((*encoded.shape[:-1], steps))
            embedded[..., first:last] = encoded
            first = last
        assert embedded is not None
        return embedded

    def encode_each(self, streams: Iterable[Tensor]) -> Iterator[Tensor]:
        """Embed streams: see ``Scorer.encode_each``."""
        return map(self._encode, streams)

    @torch.inference_mode()
    def _fuse(self, views: Sequence[Tensor]) -> Tensor:
        """Score all windows, on the device. The scores have shape (windows,) or (stretches, windows)."""
        windows, steps, tile = self.windows_in(views[0].shape[-1]), self.network.window_steps, self.tile
        batches, result = [view if view.dim() > 2 else view[None] for view in views], []
        compiled = self.compiled if windows >= tile and views[0].dim() == 2 else None
        for first in range(0, windows, tile):
            # the compiled fusion gets inputs of one shape and layout, as torch compiles again for each other one
            begin = first if compiled is None else min(first, windows - tile)
            size = (min(tile, windows - begin) - 1) * self.hop + steps
            pieces = [batch[..., begin * self.hop : begin * self.hop + size] for batch in batches]
            if compiled is None:
                scores = self.network.fuse(pieces, self.hop)
            else:
                scores = compiled([piece.clone(memory_format=torch.contiguous_format) for piece in pieces], self.hop)
            result.append(scores[:, first - begin :])
        scores = torch.cat(result, dim=-1).float()
        return scores if views[0].dim() > 2 else scores[0]

    def fuse_each(self, views: Iterable[Sequence[Tensor]]) -> Iterator[Array]:
        """Score all windows: see ``Scorer.fuse_each``. A GPU computes the next scores while the caller uses some."""
        answers: deque[Answer] = deque()
        for each in views:
            answers.append(self._send_back(self._fuse(each)))
            if len(answers) > self.ahead:
                yield answers.popleft()()
        while answers:
            yield answers.popleft()()

    def _send_back(self, scores: Tensor) -> Answer:
        """Copy scores to the processor's memory. On a GPU this only starts the copy."""
        if not self.on_gpu:
            return scores.cpu().numpy
        host = torch.empty(scores.shape, pin_memory=True)
        host.copy_(scores, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()

        def wait() -> Array:
            copied.synchronize()
            return host.numpy().copy()  # pinned memory is scarce, scores may be kept

        return wait
