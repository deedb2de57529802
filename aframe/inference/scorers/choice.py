"""Choose the fastest scorer and the fastest batch size on this computer. Short measurements decide."""

import copy
import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from aframe.inference.scorers.interface import Scorer
from aframe.preprocessing import Preprocessing
from aframe.train.architectures import JointResNet

MEASUREMENT_TIME = 1.0
"""Seconds of all measurements together. The first use of each scorer may take longer and does not count."""

MEASURED_WINDOWS = 2048
"""Windows of the stretch that is scored repeatedly. A slow scorer gets a shorter one."""

BATCH_SIZES = tuple(2**power for power in range(4, 13))
"""Batch sizes to measure, smallest first. Measuring stops when a batch takes too long or too much memory, or is slower.
"""

SUFFICIENT_RATE = 0.97
"""Fraction of the fastest rate that suffices. Smaller batches waste less at the end of a slide."""


def fastest(scorers: Mapping[str, Scorer]) -> tuple[str, dict[str, float]]:
    """Measure scorers and choose the fastest.

    It measures fusion, as only the cost of fusion grows with the number of time slides. The scorers take turns, so
    other processes slow all of them. The fastest turn of each scorer counts.

    Args:
        scorers: Scorers of one network, by name.

    Returns:
        Name of the fastest scorer, and windows per second of each.
    """
    embeddings = {name: _embedded(scorer) for name, scorer in scorers.items()}
    best = {name: _rate(scorer, embeddings[name]) for name, scorer in scorers.items()}  # the first use
    end = time.perf_counter() + MEASUREMENT_TIME
    while time.perf_counter() < end:
        for name, scorer in scorers.items():
            best[name] = max(best[name], _rate(scorer, embeddings[name]))
    return max(best, key=lambda name: best[name]), best


def _embedded(scorer: Scorer) -> Sequence[Tensor]:
    """Embeddings of white noise, as of a slide. A slow scorer gets fewer windows."""
    for windows in (32, MEASURED_WINDOWS):
        preprocessing = scorer.preprocessing
        size = (windows - 1) * preprocessing.stride_size + preprocessing.kernel_size
        noise = torch.randn(len(preprocessing.ifos), size, generator=torch.Generator().manual_seed(0))
        embeddings = next(scorer.encode_each(iter([noise[None]])))[0].unbind(0)
        _rate(scorer, embeddings)
        if windows / _rate(scorer, embeddings) * MEASURED_WINDOWS / 32 > MEASUREMENT_TIME / 4:
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
    """Measure batch sizes and choose the smallest that is about as fast as the fastest.

    Args:
        network: The network. It is copied and not changed.
        preprocessing: Window and stride.
        precision: Type of the computation.
        device: Device of the computation.

    Returns:
        The batch size, and windows per second of each measured batch size.

    Raises:
        torch.OutOfMemoryError: If the smallest batch does not fit the device.
    """
    measured = copy.deepcopy(network).to(device, precision)
    rates: dict[int, float] = {}
    for size in BATCH_SIZES:
        try:
            rates[size] = _batch_rate(measured, preprocessing, size, precision, device)
        except torch.OutOfMemoryError:
            if not rates:
                raise
            break
        if size / rates[size] > MEASUREMENT_TIME or rates[size] < 0.8 * max(rates.values()):
            break
    highest = max(rates.values())
    return next(size for size, rate in rates.items() if rate >= SUFFICIENT_RATE * highest), rates


@torch.inference_mode()
def _batch_rate(
    network: JointResNet, preprocessing: Preprocessing, size: int, precision: torch.dtype, device: str
) -> float:
    """Windows per second of the fastest of several batches. The first batch does not count."""
    network.batch_size, fastest_batch = size, float("inf")
    stream_size = (size - 1) * preprocessing.stride_size + preprocessing.kernel_size
    noise = torch.randn(len(preprocessing.ifos), 1, 1, stream_size)
    streams = list(noise.to(device, precision))
    network.fuse(streams, preprocessing.stride_size).cpu()
    end = time.perf_counter() + MEASUREMENT_TIME / len(BATCH_SIZES)
    while (start := time.perf_counter()) < end or fastest_batch == float("inf"):
        network.fuse(streams, preprocessing.stride_size).cpu()  # copying the scores waits for a GPU
        fastest_batch = min(fastest_batch, time.perf_counter() - start)
    return size / fastest_batch
