"""Which of several scorers, and which size of batches, is the fastest here, by measuring each for a moment."""

import copy
import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from aframe.inference.scorers.interface import Scorer
from aframe.preprocessing import Preprocessing
from aframe.train.architectures import JointResNet

SECONDS = 1.0
"""For all of them together, but for the first use of each, which may take longer and is not counted."""

WINDOWS = 2048
"""Of the stretch that is scored again and again, unless that takes too long."""

BATCH_SIZES = tuple(2**power for power in range(4, 13))
"""Batches that are tried, from the smallest on, until they take too long, too much memory, or get slower."""

ENOUGH = 0.97
"""Share of the fastest rate that is as good: the smaller the batch, the less is left over at a slide's end."""


def fastest(scorers: Mapping[str, Scorer]) -> tuple[str, dict[str, float]]:
    """Name of the fastest scorer, and windows per second of each.

    What is measured is fusion, which is all that grows with the number of time slides. The scorers take turns, so that
    what else the machine does slows all of them, and of each the fastest turn counts.

    Args:
        scorers: By name, all of one network.
    """
    embeddings = {name: _embedded(scorer) for name, scorer in scorers.items()}
    best = {name: _rate(scorer, embeddings[name]) for name, scorer in scorers.items()}  # the first use
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for name, scorer in scorers.items():
            best[name] = max(best[name], _rate(scorer, embeddings[name]))
    return max(best, key=lambda name: best[name]), best


def _embedded(scorer: Scorer) -> Sequence[Tensor]:
    """White noise, embedded as a slide's streams are; less where a window takes so long that few can be measured."""
    for windows in (32, WINDOWS):
        made = scorer.preprocessing
        size = (windows - 1) * made.stride_size + made.kernel_size
        noise = torch.randn(len(made.ifos), size, generator=torch.Generator().manual_seed(0))
        embeddings = next(scorer.encode_each(iter([noise[None]])))[0].unbind(0)
        _rate(scorer, embeddings)
        if windows / _rate(scorer, embeddings) * WINDOWS / 32 > SECONDS / 4:
            break
    return embeddings


def _rate(scorer: Scorer, embeddings: Sequence[Tensor]) -> float:
    start = time.perf_counter()
    windows = sum(len(scores) for scores in scorer.fuse_each(_once(embeddings)))
    return windows / (time.perf_counter() - start)


def _once(embeddings: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
    yield embeddings


def best_batch_size(
    network: JointResNet, preprocessing: Preprocessing, precision: torch.dtype, device: str
) -> tuple[int, dict[int, float]]:
    """Smallest batch with which a joint network is about as fast as with any, and windows per second of each tried.

    Args:
        network: The network, which stays as it is.
        preprocessing: How its windows lie.
        precision: Type in which it computes.
        device: Where it computes.
    """
    own = copy.deepcopy(network).to(device, precision)
    rates: dict[int, float] = {}
    for size in BATCH_SIZES:
        try:
            rates[size] = _batch_rate(own, preprocessing, size, precision, device)
        except torch.OutOfMemoryError:
            if not rates:
                raise
            break
        if size / rates[size] > SECONDS or rates[size] < 0.8 * max(rates.values()):
            break
    most = max(rates.values())
    return next(size for size, rate in rates.items() if rate >= ENOUGH * most), rates


@torch.inference_mode()
def _batch_rate(network: JointResNet, made: Preprocessing, size: int, precision: torch.dtype, device: str) -> float:
    """Windows per second of the fastest of some batches; the first one is not counted."""
    network.batch_size, fastest_batch = size, float("inf")
    noise = torch.randn(len(made.ifos), 1, 1, (size - 1) * made.stride_size + made.kernel_size)
    streams = list(noise.to(device, precision))
    network.fuse(streams, made.stride_size).cpu()
    end = time.perf_counter() + SECONDS / len(BATCH_SIZES)
    while (start := time.perf_counter()) < end or fastest_batch == float("inf"):
        network.fuse(streams, made.stride_size).cpu()  # which waits for a GPU
        fastest_batch = min(fastest_batch, time.perf_counter() - start)
    return size / fastest_batch
