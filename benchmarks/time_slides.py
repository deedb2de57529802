"""Time slides of a 2000 s segment on one core: engine against bare network, and the whitening's share."""

import json
import time
from collections.abc import Callable

import numpy as np
import torch

from aframe.inference.engine import Engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.scorers.in_process import FUSED_WINDOWS
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.spectral import whiten_stream
from aframe.train.architectures import FactorisedNetwork, JointResNet, Network
from aframe.train.model import Model

RATE, DURATION, SLIDES = 1024.0, 2000.0, 20
RATIO, SHARE, WINDOWS_PER_SECOND = 0.9, 0.05, 40_000.0


def prepared(network: Network) -> Engine:
    """An engine on white noise, in bfloat16."""
    whitening = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, 32.0, None)
    preprocessing = Preprocessing(("H1", "L1"), 1.5, 4.0, (0.5, 1.4), whitening)
    model = Model(network.eval().requires_grad_(False), preprocessing)
    random = np.random.default_rng(0)
    strain = {ifo: random.standard_normal(round(DURATION * RATE)) for ifo in ("H1", "L1")}
    return Engine.from_strain(TorchScorer(model, torch.bfloat16), strain, Grid(preprocessing, (0.0, 1.0)))


@torch.inference_mode()
def bare(engine: Engine, windows: int) -> None:
    """The network alone, on the tiles that a slide of so many windows is cut into."""
    network, hop = engine.network, engine.scorer.hop
    per_tile = FUSED_WINDOWS
    for first in range(0, windows, per_tile):
        size = (min(per_tile, windows - first) - 1) * hop + network.window_steps
        network.fuse([e[None, :, first * hop : first * hop + size] for e in engine.embeddings], hop)


def seconds(call: Callable[[], object]) -> float:
    """Processor time, on one thread: what others do on the machine does not count."""
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(name: str, network: Network, slides: int, windows: int | None) -> float:
    """Print the engine's share of the bare network's speed; seconds that a slide takes."""
    engine = prepared(network)
    todo = [engine.grid.slide(0, DURATION, number) for number in range(1, slides + 1)]
    todo = [slide if windows is None else type(slide)(0, slide.number, slide.shifts, windows) for slide in todo]
    engine.scores(todo[0])
    ours, theirs = [], []
    for slide in todo:  # taking turns, so that both see the same machine
        theirs.append(seconds(lambda slide=slide: bare(engine, slide.windows)))
        ours.append(seconds(lambda slide=slide: engine.scores(slide)))
    total = sum(slide.windows for slide in todo)
    ratio = float(np.median(np.array(theirs) / np.array(ours)))
    print(f"{name}: engine {total / sum(ours):.0f} windows/s, bare network {total / sum(theirs):.0f} windows/s")
    report(f"time_slides_{name}_of_bare", round(ratio, 3), "ratio", RATIO, ratio >= RATIO)
    if isinstance(network, FactorisedNetwork):
        speed = total / sum(ours)
        report("fused_windows_per_core", round(speed), "1/s", WINDOWS_PER_SECOND, speed >= WINDOWS_PER_SECOND)
    return sum(ours) / len(todo)


def report(name: str, value: float, unit: str, target: float, ok: bool) -> None:
    print(json.dumps({"benchmark": name, "value": value, "unit": unit, "target": target, "ok": bool(ok)}), flush=True)


def whitening_share(name: str, slide_seconds: float) -> None:
    """Print the share that whitening takes of a run of 100 slides."""
    whitening = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, 32.0, None)
    strain = torch.randn(2, round(DURATION * RATE), generator=torch.Generator().manual_seed(0))
    spent = seconds(lambda: [whiten_stream(channel, whitening) for channel in strain])
    share = spent / (spent + 100 * slide_seconds)
    report(f"whitening_share_{name}", round(share, 4), "of 100 slides", SHARE, share <= SHARE)


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    size = round(1.5 * RATE)
    whitening_share("factorised", compare("factorised", FactorisedNetwork(2, size), SLIDES, None))
    full = round((DURATION - 67) * 4)
    per_slide = compare("joint", JointResNet(2, size, batch_size=32), 3, 128)
    whitening_share("joint", per_slide * full / 128)


if __name__ == "__main__":
    main()
