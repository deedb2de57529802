"""Scoring of injections in a slide on one core: time of the engine relative to the network alone on affected windows.

The factorised network alone encodes and fuses the strain of these windows. The waveforms are already computed. Both use
the same network, with folded batch normalisation.
"""

import numpy as np
import torch
from _clocks import core_seconds, middle
from _precision import fastest, name_of
from _rows import at_most, sized, tell

from aframe.inference.engine import Engine, Injection
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.train.architectures import FactorisedNetwork, JointResNet, Network
from aframe.train.model import Model

RATE, SIGNAL, SPACING = 2048.0, 8.0, 16.0
FACTORISED, JOINT, ROUNDS = sized((40, 6, 7), (10, 2, 3))
"""Numbers of injections for each network, and number of repetitions."""

TARGET = at_most(1.1)


def compare(name: str, network: Network, precision: torch.dtype, number: int) -> None:
    """Print the ratio of the time of the engine to the time of the network alone on as many windows.

    Args:
        name: Name of the network.
        network: The network.
        precision: Its precision.
        number: Number of injections.
    """
    whitening = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, 32.0, None)
    preprocessing = Preprocessing(("H1", "L1"), 1.5, 4.0, (0.5, 1.4), whitening)
    model = Model(network.eval().requires_grad_(False), preprocessing)
    random = np.random.default_rng(0)
    duration = 80.0 + SPACING * number
    strain = {ifo: random.standard_normal(round(duration * RATE)) for ifo in ("H1", "L1")}
    engine = Engine.from_strain(TorchScorer(model, precision), strain, Grid(preprocessing, (0.0, 1.0)))
    slide = engine.grid.slide(0, duration, 1)
    size = round(SIGNAL * RATE)
    signals = [
        Injection(torch.from_numpy(random.standard_normal((2, size))), round((1.0 + SPACING * k) * RATE))
        for k in range(number)
    ]
    background = np.zeros(slide.windows, np.float32)
    touched = int(np.count_nonzero(engine.scores_with(slide, background, signals)))
    ours, theirs = [], []
    for _ in range(ROUNDS):  # alternating, so that the load of the machine affects both equally
        theirs.append(core_seconds(lambda: bare(engine, touched)))
        ours.append(core_seconds(lambda: engine.scores_with(slide, background, signals)))
    print(
        f"{name}: {1000 * np.median(ours) / number:.1f} ms an injection of {touched / number:.1f} windows, "
        f"bare network {1000 * np.median(theirs) / number:.1f} ms"
    )
    ratio, error = middle(np.array(ours) / np.array(theirs))
    tell(f"injection_{name}_{name_of(precision)}_of_bare", ratio, "ratio", TARGET, error)


@torch.inference_mode()
def bare(engine: Engine, windows: int) -> None:
    """Compute scores with the network of an engine, in stretches as long as those of one injection.

    Args:
        engine: The engine.
        windows: Number of windows.
    """
    per_stretch = round((SIGNAL + 1.0 + 1.5) * 4)
    for _ in range(0, windows, per_stretch):
        size = (per_stretch - 1) * engine.stride_size + engine.kernel_size
        streams = torch.stack([stream.data[:size] for stream in engine.streams]).to(engine.scorer.precision)
        engine.network.fuse(engine.network.encode(streams[None]).unbind(1), engine.scorer.hop)


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    size = round(1.5 * RATE)
    compare("factorised", FactorisedNetwork(2, size), fastest(), FACTORISED)
    compare("joint", JointResNet(2, size, batch_size=32), fastest(), JOINT)


if __name__ == "__main__":
    main()
