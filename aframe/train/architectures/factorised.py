"""The factorised network: an encoder per detector, and a small head on the time series of embeddings."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from aframe.errors import ConfigurationError
from aframe.train.architectures.network import Network, norm_layer, pool


class ValidBlock(nn.Module):
    """Residual block of two convolutions without padding. The shortcut is cropped to their output.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Odd kernel size of both convolutions.
        stride: Stride of the first convolution.
        norm: Name of the normalisation.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, norm: str) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(inputs, outputs, kernel, stride, bias=False),
            norm_layer(norm, outputs),
            nn.ReLU(inplace=True),
            nn.Conv1d(outputs, outputs, kernel, bias=False),
            norm_layer(norm, outputs),
        )
        self.stride = stride
        self.first = (kernel - 1) // 2 + stride * ((kernel - 1) // 2)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride > 1:
            self.shortcut = nn.Sequential(nn.Conv1d(inputs, outputs, 1, bias=False), norm_layer(norm, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, steps) to (batch, outputs, fewer steps)."""
        y = self.convolutions(x)
        last = self.first + self.stride * (y.shape[-1] - 1) + 1
        # cropping before the convolution of one tap: a convolution with a stride takes three times as long to train
        return torch.relu_(y + self.shortcut(x[..., self.first : last : self.stride]))


class ContextBlock(nn.Module):
    """Residual dilated convolution of three taps without padding. Each step gets input from two earlier steps.

    The inspiral precedes the merger, so the shortcut keeps the last of the three steps.

    Args:
        channels: Input and output channels.
        dilation: Steps between taps.
        norm: Name of the normalisation.
    """

    def __init__(self, channels: int, dilation: int, norm: str) -> None:
        super().__init__()
        self.convolution = nn.Sequential(
            norm_layer(norm, channels), nn.ReLU(inplace=True), nn.Conv1d(channels, channels, 3, dilation=dilation)
        )
        self.past = 2 * dilation

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, steps) to (batch, channels, steps - 2 * dilation)."""
        return x[..., self.past :] + self.convolution(x)


STEM_KERNEL = 16
"""Length of the encoder's first convolution, samples."""

STEM_STRIDE = 4
"""Stride of the encoder's first convolution, samples."""

BANK_KERNEL = 128
"""Length of the inspiral branch's filters, samples."""

FUSIONS = {"conv": 3, "additive": 1}
"""Kernel size of the convolution in the middle of a head, by the head's name."""


class FactorisedNetwork(Network):
    """An encoder for each detector's stream, and a head of convolutions, pooling and a classifier on the embeddings.

    No layer pads, and no normalisation depends on other times (batch norm). The encoder and the head's convolutions
    therefore run once over a continuous stream. A head starts with the sum of the detectors' responses. Each response
    is linear in the detector's embedding, and is computed once for all slides. The head ``conv`` adds a response to the
    pairwise products of embeddings, and a second convolution along time. The head ``additive`` has neither, and costs a
    fraction.

    Args:
        num_ifos: Number of detectors.
        kernel_size: Samples in a window.
        widths: Channels of the encoder's stages. Each stage after the first halves the rate.
        blocks: Residual blocks in each stage.
        kernels: Kernel sizes in each stage.
        embedding_size: Channels of an embedding.
        head_size: Channels of the head.
        norm: batch. Group and instance norm depend on other times, so scores of streams and windows would differ.
        context: Dilations of additional convolutions at the rate of the embedding. They give a step input from earlier
            ones. Each takes two dilations' steps from the window, so the window must be longer by these.
        fusion: Name of the head: conv or additive.
        inspiral: Dilations of a branch of such convolutions on a learned filter bank. The embedding is the sum of
            encoder and branch. The branch covers a long past at a small part of the encoder's cost. In training, the
            encoder then processes only the end of the window.
        shared_encoder: Whether all detectors share the weights up to the head's sum.

    Raises:
        ConfigurationError: If there is no such norm or head, stages differ in number, or the window is too short.
    """

    def __init__(  # noqa: PLR0917 - each is a key of the training YAML
        self,
        num_ifos: int,
        kernel_size: int,
        widths: Sequence[int] = (24, 32, 48, 64),
        blocks: Sequence[int] = (1, 2, 2, 2),
        kernels: Sequence[int] = (7, 7, 5, 3),
        embedding_size: int = 48,
        head_size: int = 64,
        norm: str = "batch",
        context: Sequence[int] = (),
        fusion: str = "conv",
        inspiral: Sequence[int] = (),
        shared_encoder: bool = True,
    ) -> None:
        super().__init__(num_ifos, kernel_size)
        self.widths, self.blocks, self.kernels, self.context = widths, blocks, kernels, context
        self.embedding_size, self.head_size, self.norm, self.fusion = embedding_size, head_size, norm, fusion
        self.inspiral, self.shared_encoder = inspiral, shared_encoder
        self._check()
        stages_field, self.step_size = self._geometry()
        past_field = BANK_KERNEL + 2 * sum(inspiral) * self.step_size if inspiral else 0
        self.encoder_field = max(stages_field, past_field)
        # the fields of encoder and inspiral branch end at the same sample
        self.stages_start, self.past_start = self.encoder_field - stages_field, self.encoder_field - past_field
        self.receptive_field = self.encoder_field + 2 * self.step_size  # the linear response spans two more steps
        self.encoder = self._shared_or_each(self._encoder)
        if inspiral:
            self.past = self._shared_or_each(self._past)
        self.pairs = list(itertools.combinations(range(num_ifos), 2)) if fusion != "additive" else []
        self.single = self._shared_or_each(lambda: nn.Conv1d(embedding_size, head_size, 3))
        if self.pairs:
            self.product = nn.Conv1d(embedding_size * len(self.pairs), head_size, 3, bias=False)
        kernel = FUSIONS[fusion]
        self.head = nn.Sequential(
            norm_layer(norm, head_size),
            nn.ReLU(inplace=True),
            nn.Conv1d(head_size, head_size, kernel, bias=False),
            norm_layer(norm, head_size),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Sequential(
            nn.Linear(2 * head_size, head_size), nn.ReLU(inplace=True), nn.Linear(head_size, 1)
        )
        self.head_loss = 2 + kernel - 1  # steps that the head's convolutions take from a window
        if self.window_steps <= self.head_loss:
            raise ConfigurationError(
                f"a window of {kernel_size} samples is too short for this network: it needs "
                f"{self.encoder_field + self.head_loss * self.step_size} at least; lengthen kernel_length, narrow the "
                "kernels or shorten the context"
            )

    def _check(self) -> None:
        if self.norm != "batch":
            raise ConfigurationError(f"norm = {self.norm!r}: the factorised network needs batch, to run over a stream")
        if not len(self.widths) == len(self.blocks) == len(self.kernels):
            raise ConfigurationError("widths, blocks and kernels of the factorised network must be equally long")
        if self.fusion not in FUSIONS:
            raise ConfigurationError(f"fusion = {self.fusion!r} is none of {', '.join(FUSIONS)}")
        for name, dilations in (("context", self.context), ("inspiral", self.inspiral)):
            if any(dilation < 1 for dilation in dilations):
                raise ConfigurationError(f"{name} = {list(dilations)}: dilations must be 1 or more")

    def _shared_or_each(self, make: Callable[[], nn.Module]) -> nn.Module:
        return make() if self.shared_encoder else nn.ModuleList(make() for _ in range(self.num_ifos))

    def _encoder(self) -> nn.Sequential:
        widths, kind = self.widths, self.norm
        layers: list[nn.Module] = [
            nn.Conv1d(1, widths[0], STEM_KERNEL, STEM_STRIDE, bias=False),
            norm_layer(kind, widths[0]),
            nn.ReLU(inplace=True),
        ]
        channels = widths[0]
        for width, kernel, stride in self._stages():
            layers.append(ValidBlock(channels, width, kernel, stride, kind))
            channels = width
        layers.append(nn.Conv1d(channels, self.embedding_size, 1))
        layers.extend(ContextBlock(self.embedding_size, dilation, kind) for dilation in self.context)
        return nn.Sequential(*layers)

    def _past(self) -> nn.Sequential:
        bank = nn.Conv1d(1, self.embedding_size, BANK_KERNEL, self.step_size)
        return nn.Sequential(
            bank, *(ContextBlock(self.embedding_size, dilation, self.norm) for dilation in self.inspiral)
        )

    def _stages(self) -> Iterator[tuple[int, int, int]]:
        """Width, kernel size and stride of each residual block."""
        for stage, (width, number, kernel) in enumerate(zip(self.widths, self.blocks, self.kernels, strict=True)):
            for block in range(number):
                yield width, kernel, 2 if stage > 0 and block == 0 else 1

    def _geometry(self) -> tuple[int, int]:
        """Receptive field of a step of the encoder, and distance of steps, both in samples."""
        field, jump = STEM_KERNEL, STEM_STRIDE
        for _, kernel, stride in self._stages():
            field += (kernel - 1) * jump * (1 + stride)
            jump *= stride
        return field + 2 * sum(self.context) * jump, jump

    def steps(self, size: int) -> int:
        """Number of steps of the embedding of a stream of ``size`` samples."""
        return (size - self.encoder_field) // self.step_size + 1

    def encode(self, streams: Tensor) -> Tensor:
        """Embed streams: see ``Network.encode``.

        The last channels are the linear response of the head. It is two steps shorter and padded with zeros. The first
        channels are factors of the head's products, if the head has products.
        """
        parts = [self.encoder, self.single, *([self.past] if self.inspiral else [])]
        if self.shared_encoder:
            return self._embed(streams.flatten(0, 1), *parts).unflatten(0, (-1, streams.shape[1]))
        detectors = zip(streams.unbind(1), *(cast("nn.ModuleList", part) for part in parts), strict=True)
        return torch.stack([self._embed(*detector) for detector in detectors], dim=1)

    def _embed(self, stream: Tensor, encoder: nn.Module, single: nn.Module, past: nn.Module | None = None) -> Tensor:
        """Embed streams, shape (batch, time), of one detector or of several with the same weights."""
        samples = stream.unsqueeze(1)
        embedding = encoder(samples[..., self.stages_start :])
        if past is not None:
            embedding = embedding + past(samples[..., self.past_start :])
        response = nn.functional.pad(single(embedding), (0, 2))
        return torch.cat([embedding, response], dim=1) if self.pairs else response

    def fuse(self, embeddings: Sequence[Tensor], hop: int) -> Tensor:
        """Score all windows: see ``Network.fuse``."""
        steps = embeddings[0].shape[-1]
        responses = [embedding[:, -self.head_size :, : steps - 2] for embedding in embeddings]
        if self.pairs:
            streams = [embedding[:, : self.embedding_size] for embedding in embeddings]
            responses.insert(0, self.product(torch.cat([streams[i] * streams[j] for i, j in self.pairs], dim=1)))
        x = functools.reduce(torch.add, responses)
        pooled = pool(self.head(x), self.window_steps - self.head_loss, hop)
        return self.classifier(pooled).squeeze(-1)
