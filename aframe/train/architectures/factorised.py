"""The factorised network: an encoder per detector, and a small head on the embeddings' time series."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aframe.errors import ConfigurationError
from aframe.train.architectures.network import Network, norm_layer, pool


class ValidBlock(nn.Module):
    """Residual block of two convolutions without padding; the shortcut is cropped to what they leave.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Odd kernel size of both convolutions.
        stride: Stride of the first.
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
            self.shortcut = nn.Sequential(nn.Conv1d(inputs, outputs, 1, stride, bias=False), norm_layer(norm, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, steps) to (batch, outputs, fewer steps)."""
        y = self.convolutions(x)
        last = self.first + self.stride * (y.shape[-1] - 1) + 1
        return torch.relu_(y + self.shortcut(x[..., self.first : last]))


class FactorisedNetwork(Network):
    """One encoder for every detector's stream; a convolutional head on the embeddings and their products.

    No layer pads and no normalisation looks along time (batch norm), so the encoder and the head's convolutions run
    once over a continuous stream. The head's first layer is linear in each embedding and in the embeddings' pairwise
    products; its share of each single detector is computed with the embedding, before any slide.

    Args:
        num_ifos: Number of detectors.
        kernel_size: Samples in a window.
        widths: Channels of the encoder's stages; each stage after the first halves the rate.
        blocks: Residual blocks in each stage.
        kernels: Kernel sizes in each stage.
        embedding_size: Channels of an embedding.
        head_size: Channels of the head.
        norm: batch (group and instance norm look along time, and would break the stream's equality with windows).
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
    ) -> None:
        super().__init__(num_ifos, kernel_size)
        self.widths, self.blocks, self.kernels = widths, blocks, kernels
        self.embedding_size, self.head_size, self.norm = embedding_size, head_size, norm
        if norm != "batch":
            raise ConfigurationError(f"norm = {norm!r}: the factorised network needs batch, to run over a stream")
        if not len(widths) == len(blocks) == len(kernels):
            raise ConfigurationError("widths, blocks and kernels of the factorised network must be equally long")
        stem_kernel, stem_stride = 16, 4
        layers: list[nn.Module] = [
            nn.Conv1d(1, widths[0], stem_kernel, stem_stride, bias=False),
            norm_layer(norm, widths[0]),
            nn.ReLU(inplace=True),
        ]
        field, jump, channels = stem_kernel, stem_stride, widths[0]
        for stage, (width, number, kernel) in enumerate(zip(widths, blocks, kernels, strict=True)):
            for block in range(number):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(ValidBlock(channels, width, kernel, stride, norm))
                field += (kernel - 1) * jump * (1 + stride)
                jump *= stride
                channels = width
        layers.append(nn.Conv1d(channels, embedding_size, 1))
        self.encoder = nn.Sequential(*layers)
        self.encoder_field, self.step_size = field, jump
        self.receptive_field = field + 2 * jump  # the head's linear share looks two steps ahead
        self.pairs = list(itertools.combinations(range(num_ifos), 2))
        self.single = nn.Conv1d(embedding_size, head_size, 3)
        self.product = nn.Conv1d(embedding_size * len(self.pairs), head_size, 3, bias=False)
        self.head = nn.Sequential(
            norm_layer(norm, head_size),
            nn.ReLU(inplace=True),
            nn.Conv1d(head_size, head_size, 3, bias=False),
            norm_layer(norm, head_size),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Sequential(
            nn.Linear(2 * head_size, head_size), nn.ReLU(inplace=True), nn.Linear(head_size, 1)
        )
        self.head_loss = 4  # steps that the head's two convolutions take from a window
        if self.window_steps <= self.head_loss:
            raise ConfigurationError(
                f"a window of {kernel_size} samples is too short for this network: it needs more than "
                f"{self.encoder_field + self.head_loss * self.step_size}; lengthen kernel_length or narrow the kernels"
            )

    def steps(self, size: int) -> int:
        """Steps of the embedding of a stream of ``size`` samples."""
        return (size - self.encoder_field) // self.step_size + 1

    def encode(self, stream: Tensor) -> Tensor:
        """Embedding, and below it the head's linear response to it (two steps shorter, padded at the end)."""
        embedding = self.encoder(stream.unsqueeze(1))
        single = self.single(embedding)
        return torch.cat([embedding, nn.functional.pad(single, (0, 2))], dim=1)

    def fuse(self, embeddings: Sequence[Tensor], hop: int) -> Tensor:
        """Score all windows: see ``Network.fuse``."""
        steps = embeddings[0].shape[-1]
        streams = [e[:, : self.embedding_size] for e in embeddings]
        products = torch.cat([streams[i] * streams[j] for i, j in self.pairs], dim=1)
        x = self.product(products)
        for embedding in embeddings:
            x = x + embedding[:, self.embedding_size :, : steps - 2]
        pooled = pool(self.head(x), self.window_steps - self.head_loss, hop)
        return self.classifier(pooled).squeeze(-1)
