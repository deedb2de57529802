"""Batch norm over the batches of all processes, on any device. Torch's own runs only on GPUs."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class SynchronisedBatchNorm(nn.BatchNorm1d):
    """Batch norm with the statistics of all processes' batches.

    In evaluation mode, or in one process, it acts like ``BatchNorm1d``. Its state has the same names.
    """

    def forward(self, x: Float[Tensor, "batch channels time"]) -> Float[Tensor, "batch channels time"]:
        """Normalise each channel."""
        if not (self.training and torch.distributed.is_initialized()):
            return super().forward(x)
        values = x.float()
        mean = _mean(values)
        centred = values - mean[:, None]
        variance = _mean(centred.square())
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            number = _total(torch.tensor(float(x.numel() // x.shape[1]), device=x.device))
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum or 0.0)
            self.running_var.lerp_(variance * number / (number - 1), self.momentum or 0.0)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None] + self.bias[:, None]).to(x.dtype)


def synchronise(network: nn.Module) -> None:
    """Replace all batch norms of a network by synchronised ones with the same parameters."""
    for module in network.modules():
        if type(module) is nn.BatchNorm1d:
            module.__class__ = SynchronisedBatchNorm


class _Total(torch.autograd.Function):
    """Sum over processes. The gradient is summed over processes too."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        total = value.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _Total.forward(None, gradient)


def _total(value: Tensor) -> Tensor:
    total: Tensor = _Total.apply(value)
    return total


def _mean(values: Tensor) -> Tensor:
    """Mean of each channel over the batches of all processes. The batches may differ in size."""
    sums = torch.cat([values.sum((0, 2)), values.new_tensor([values.shape[0] * values.shape[2]])])
    total = _total(sums)
    return total[:-1] / total[-1]
