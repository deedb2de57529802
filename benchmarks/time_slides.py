"""Time slides of a 2000 s segment on one core: engine relative to the network alone, and share of whitening."""

import numpy as np
import torch
from _clocks import core_seconds, middle
from _precision import fastest, name_of
from _rows import at_least, at_most, sized, tell

from aframe.inference.engine import Engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.scorers.in_process import FUSED_WINDOWS
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.train.architectures import FactorisedNetwork, JointResNet, Network
from aframe.train.model import Model
from aframe.whitening import whiten_stream

RATE, JOINT_SLIDES = 1024.0, 3
DURATION, SLIDES, JOINT_WINDOWS = sized((2000.0, 20, 128), (1000.0, 10, 32))
RATIO, SHARE, WINDOWS_PER_SECOND = at_least(0.9), at_most(0.05), at_least(40_000.0)


def prepared(network: Network, precision: torch.dtype) -> Engine:
    """An engine with white noise as strain."""
    whitening = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, 32.0, None)
    preprocessing = Preprocessing(("H1", "L1"), 1.5, 4.0, (0.5, 1.4), whitening)
    model = Model(network.eval().requires_grad_(False), preprocessing)
    random = np.random.default_rng(0)
    strain = {ifo: random.standard_normal(round(DURATION * RATE)) for ifo in ("H1", "L1")}
    return Engine.from_strain(TorchScorer(model, precision), strain, Grid(preprocessing, (0.0, 1.0)))


@torch.inference_mode()
def bare(engine: Engine, windows: int) -> None:
    """Compute the scores of a slide with the network alone, in the tiles of the engine.

    Args:
        engine: The engine.
        windows: Number of windows of the slide.
    """
    network, hop = engine.network, engine.scorer.hop
    per_tile = FUSED_WINDOWS
    for first in range(0, windows, per_tile):
        size = (min(per_tile, windows - first) - 1) * hop + network.window_steps
        network.fuse([e[None, :, first * hop : first * hop + size] for e in engine.embeddings], hop)


def compare(name: str, network: Network, slides: int, windows: int | None) -> float:
    """Print the ratio of the speed of the engine to the speed of the network alone.

    Args:
        name: Name of the network.
        network: The network.
        slides: Number of slides.
        windows: Number of windows of a slide; None for all.

    Returns:
        Time of a slide, s.
    """
    precision = fastest()
    engine = prepared(network, precision)
    todo = [engine.grid.slide(0, DURATION, number) for number in range(1, slides + 1)]
    todo = [slide if windows is None else type(slide)(0, slide.number, slide.shifts, windows) for slide in todo]
    engine.scores(todo[0])
    ours, theirs = [], []
    for slide in todo:  # alternating, so that the load of the machine affects both equally
        theirs.append(core_seconds(lambda slide=slide: bare(engine, slide.windows)))
        ours.append(core_seconds(lambda slide=slide: engine.scores(slide)))
    count = np.array([slide.windows for slide in todo])
    speed, error = middle(count / ours)
    print(f"{name}: engine {speed:.0f} windows/s, bare network {np.median(count / theirs):.0f} windows/s")
    if isinstance(network, FactorisedNetwork):
        tell(f"fused_windows_per_core_{name_of(precision)}", speed, "1/s", WINDOWS_PER_SECOND, error)
    ratio, error = middle(np.array(theirs) / np.array(ours))
    tell(f"time_slides_{name}_{name_of(precision)}_of_bare", ratio, "ratio", RATIO, error)
    return float(np.median(ours))


def whitening_share(name: str, slide_seconds: float) -> None:
    """Print the share of whitening in the time of a run of 100 slides.

    Args:
        name: Name of the network.
        slide_seconds: Time of a slide, s.
    """
    whitening = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, 32.0, None)
    strain = torch.randn(2, round(DURATION * RATE), generator=torch.Generator().manual_seed(0))
    rounds = [core_seconds(lambda: [whiten_stream(channel, whitening) for channel in strain]) for _ in range(3)]
    share, error = middle([spent / (spent + 100 * slide_seconds) for spent in rounds])
    tell(f"whitening_share_{name}_{name_of(fastest())}", share, "of 100 slides", SHARE, error)


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    size = round(1.5 * RATE)
    whitening_share("factorised", compare("factorised", FactorisedNetwork(2, size), SLIDES, None))
    full = round((DURATION - 67) * 4)
    per_slide = compare("joint", JointResNet(2, size, batch_size=32), JOINT_SLIDES, JOINT_WINDOWS)
    whitening_share("joint", per_slide * full / JOINT_WINDOWS)


if __name__ == "__main__":
    main()
