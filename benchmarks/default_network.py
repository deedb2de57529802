"""Windows per second of the default network, in the engine and alone, with the fastest batch size.

The benchmark measures processor time of one thread, as in a worker, and multiplies the speed by the number of cores.
The network alone is that of the engine. Its windows are already assembled in memory.
"""

import os
from dataclasses import replace

import numpy as np
import torch
from _clocks import core_seconds, middle
from _precision import EMULATION_NOTE
from _rows import at_least, sized, tell

from aframe.inference.engine import Engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.machine.precision import is_emulated
from aframe.preprocessing import Preprocessing, Whitening
from aframe.train.architectures import JointResNet, Network
from aframe.train.model import Model

RATE, DURATION = 2048.0, 200.0
WINDOWS, ROUNDS, BATCH_SIZES = sized((128, 5, (32, 64)), (32, 3, (32,)))
TARGETS = {"float32": at_least(120.0), "bfloat16": at_least(250.0)}
SHARE = at_least(0.9)


@torch.inference_mode()
def bare(network: Network, windows: torch.Tensor, size: int) -> None:
    for start in range(0, len(windows), size):
        network.score(windows[start : start + size])


def compare(precision: str) -> None:
    """Print the speed of the engine in windows per second, and its ratio to the speed of the network alone."""
    dtype: torch.dtype = getattr(torch, precision)
    whitening = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, 32.0, None)
    preprocessing = Preprocessing(("H1", "L1"), 1.5, 4.0, (0.5, 1.4), whitening)
    network = JointResNet(2, preprocessing.kernel_size).eval().requires_grad_(False)
    random = np.random.default_rng(0)
    strain = {ifo: random.standard_normal(round(DURATION * RATE)) for ifo in preprocessing.ifos}
    grid = Grid(preprocessing, (0.0, 1.0))
    slide = replace(grid.slide(0, DURATION, 1), windows=WINDOWS)
    windows = torch.randn(WINDOWS, 2, preprocessing.kernel_size).to(dtype)
    cores, measured = len(os.sched_getaffinity(0)), {}
    for size in BATCH_SIZES:
        network.batch_size = size
        engine = Engine.from_strain(TorchScorer(Model(network, preprocessing), dtype), strain, grid)
        rounds = []
        for _ in range(ROUNDS):  # alternating, so that the load of the machine affects both equally
            theirs = core_seconds(lambda size=size, engine=engine: bare(engine.network, windows, size))
            rounds.append((core_seconds(lambda engine=engine: engine.scores(slide)), theirs))
        measured[size] = cores * WINDOWS / np.array(rounds)
    size = max(measured, key=lambda size: np.median(measured[size][:, 0]))
    ours, theirs = measured[size].T
    print(f"{precision}, batches of {size}: engine {np.median(ours):.0f}, bare {np.median(theirs):.0f} windows/s")
    speed, error = middle(ours)
    tell(f"default_network_{precision}_{cores}_cores", speed, "1/s", TARGETS[precision], error)
    ratio, error = middle(ours / theirs)
    tell(f"default_network_{precision}_of_bare", ratio, "ratio", SHARE, error)


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for precision, target in TARGETS.items():
        if is_emulated(getattr(torch, precision), "cpu"):
            tell(f"default_network_{precision}", None, "1/s", target, note=EMULATION_NOTE)
            tell(f"default_network_{precision}_of_bare", None, "ratio", SHARE, note=EMULATION_NOTE)
        else:
            compare(precision)


if __name__ == "__main__":
    main()
