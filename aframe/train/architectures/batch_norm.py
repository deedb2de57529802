"""Batch norm over the batches of all processes, on any device: torch's own knows GPUs alone."""

from typing import Any

import torch
from torch import Tensor, nn


class SynchronisedBatchNorm(nn.BatchNorm1d):
    """Batch norm whose statistics in training are those of all processes' batches together.

    Outside of training, or in one process, it is what it inherits, and its state has the same names.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise: shape (batch, channels, time)."""
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
    """Make all batch norms of a network synchronised ones, with the parameters that they have."""
    for module in network.modules():
        if type(module) is nn.BatchNorm1d:
            module.__class__ = SynchronisedBatchNorm


class _Total(torch.autograd.Function):
    """Sum over processes; so is its gradient."""

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
    """Mean of each channel over all processes' batches, which may differ in size."""
    sums = torch.cat([values.sum((0, 2)), values.new_tensor([values.shape[0] * values.shape[2]])])
    total = _total(sums)
    return total[:-1] / total[-1]
