"""The joint network: a one-dimensional ResNet with the detectors as input channels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aframe.errors import ConfigurationError
from aframe.train.architectures.network import Network, norm_layer


class BasicBlock(nn.Module):
    """Residual block of two convolutions (He et al., arXiv:1512.03385).

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Odd kernel size.
        stride: Stride of the first convolution.
        norm: Name of the normalisation.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, norm: str) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            norm_layer(norm, outputs),
            nn.ReLU(inplace=True),
            nn.Conv1d(outputs, outputs, kernel, 1, kernel // 2, bias=False),
            norm_layer(norm, outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride > 1:
            self.shortcut = nn.Sequential(nn.Conv1d(inputs, outputs, 1, stride, bias=False), norm_layer(norm, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, time) to (batch, outputs, time / stride)."""
        return torch.relu_(self.convolutions(x) + self.shortcut(x))


class JointResNet(Network):
    """One-dimensional ResNet on the windows of all detectors. Each window of each slide costs a whole evaluation.

    Encoding is the identity.

    Args:
        num_ifos: Number of detectors.
        kernel_size: Samples in a window.
        layers: Residual blocks in each stage.
        kernel: Odd kernel size of the residual blocks.
        norm: batch, group or instance.
        batch_size: Windows scored at once by ``fuse``.
        width: Channels of the first stage. Each later stage doubles them.

    Raises:
        ConfigurationError: If there is no such norm, or the kernel is even.
    """

    step_size = 1
    receptive_field = 1
    is_factorised = False

    def __init__(  # noqa: PLR0917 - each is a key of the training YAML
        self,
        num_ifos: int,
        kernel_size: int,
        layers: Sequence[int] = (3, 4, 6, 3),
        kernel: int = 3,
        norm: str = "group",
        batch_size: int = 32,
        width: int = 64,
    ) -> None:
        super().__init__(num_ifos, kernel_size)
        self.layers, self.kernel, self.norm, self.batch_size, self.width = layers, kernel, norm, batch_size, width
        if kernel % 2 == 0:
            raise ConfigurationError(f"kernel = {kernel} of the joint network must be odd")
        modules: list[nn.Module] = [
            nn.Conv1d(num_ifos, width, 7, 2, 3, bias=False),
            norm_layer(norm, width),
            nn.ReLU(inplace=True),
            nn.MaxPool1d(3, 2, 1),
        ]
        channels = width
        for stage, number in enumerate(layers):
            for block in range(number):
                stride = 2 if stage > 0 and block == 0 else 1
                modules.append(BasicBlock(channels, width * 2**stage, kernel, stride, norm))
                channels = width * 2**stage
        self.trunk = nn.Sequential(*modules)
        self.classifier = nn.Linear(channels, 1)

    def steps(self, size: int) -> int:
        """Number of steps of the embedding of a stream of ``size`` samples: each sample is a step."""
        return size

    def encode(self, streams: Tensor) -> Tensor:
        """Return the streams with a channel axis."""
        return streams.unsqueeze(2)

    def fuse(self, embeddings: Sequence[Tensor], hop: int) -> Tensor:
        """Score all windows: see ``Network.fuse``. Only one batch of windows is copied at a time."""
        streams = torch.cat(list(embeddings), dim=1)
        windows = streams.unfold(-1, self.kernel_size, hop).transpose(1, 2)
        batch, count = windows.shape[:2]
        if count == 1:
            return self.score(windows[:, 0]).unsqueeze(-1)
        rows = max(1, self.batch_size // count)
        scores = [
            self.score(part)
            for row in range(0, batch, rows)
            for part in windows[row : row + rows].flatten(0, 1).split(self.batch_size)
        ]
        return torch.cat(scores).unflatten(0, (batch, count))

    def score(self, windows: Tensor) -> Tensor:
        """Score a batch of windows: (batch, ifos, time) to (batch,)."""
        return self.classifier(self.trunk(windows).mean(-1)).squeeze(-1)
