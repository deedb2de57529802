"""Which of several scorers is the fastest here, by measuring each for a moment."""

import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from aframe.inference.scorers.interface import Scorer

SECONDS = 1.0
"""For all of them together, but for the first use of each, which may take longer and is not counted."""

WINDOWS = 2048
"""Of the stretch that is scored again and again, unless that takes too long."""


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
        embeddings = next(scorer.encode_each(_once(noise.unbind(0))))
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
