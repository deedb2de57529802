"""Windows a second of the default network, in the engine and bare, at the best of some batch sizes.

Processor time of one thread, as a worker computes, times the number of cores.
Bare, the network has its windows assembled in memory.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from aframe.inference.engine import Engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.train.architectures import JointResNet
from aframe.train.model import Model

RATE, DURATION, WINDOWS, ROUNDS = 2048.0, 200.0, 128, 3
BATCH_SIZES = (32, 64)
TARGETS = {"float32": 120.0, "bfloat16": 250.0}
SHARE = 0.9


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


@torch.inference_mode()
def bare(network: JointResNet, windows: torch.Tensor, size: int) -> None:
    for start in range(0, len(windows), size):
        network.score(windows[start : start + size])


def compare(precision: str) -> None:
    """Print the engine's windows a second; right where they reach the target, or 0.9 of the bare network's."""
    dtype: torch.dtype = getattr(torch, precision)
    whitening = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, 32.0, None)
    preprocessing = Preprocessing(("H1", "L1"), 1.5, 4.0, (0.5, 1.4), whitening)
    network = JointResNet(2, preprocessing.kernel_size).eval().requires_grad_(False)
    random = np.random.default_rng(0)
    strain = {ifo: random.standard_normal(round(DURATION * RATE)) for ifo in preprocessing.ifos}
    grid = Grid(preprocessing, (0.0, 1.0))
    slide = replace(grid.slide(0, DURATION, 1), windows=WINDOWS)
    windows = torch.randn(WINDOWS, 2, preprocessing.kernel_size).to(dtype)
    alone = network.to(dtype)
    best, cores = (0.0, 0.0, 0), len(os.sched_getaffinity(0))
    for size in BATCH_SIZES:
        network.batch_size = size
        engine = Engine.from_strain(TorchScorer(Model(network, preprocessing), dtype), strain, grid)
        rounds = []
        for _ in range(ROUNDS):
            theirs = cores * WINDOWS / seconds(lambda size=size: bare(alone, windows, size))
            rounds.append((cores * WINDOWS / seconds(lambda engine=engine: engine.scores(slide)), theirs, size))
        best = max(best, *rounds)
    ours, theirs, size = best
    print(f"{precision}, {cores} cores, batches of {size}: engine {ours:.0f}, bare network {theirs:.0f} windows/s")
    ok = ours >= min(TARGETS[precision], SHARE * theirs)
    result = {"benchmark": f"default_network_{precision}", "value": round(ours), "unit": "1/s"}
    print(json.dumps(result | {"target": TARGETS[precision], "ok": bool(ok)}), flush=True)


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for precision in TARGETS:
        compare(precision)


if __name__ == "__main__":
    main()
