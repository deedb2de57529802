from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from small_networks import matched_filter

from aframe.inference.engine import Engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid, Slide
from aframe.online.live_search import ScoredPiece
from aframe.preprocessing import Preprocessing, Whitening
from aframe.train.model import Model

RATE, SAMPLING_RATE = 256.0, 4.0


@pytest.fixture(scope="session")
def small_model() -> Callable[..., Model]:
    """Makes a model of matched filters, with which noise is followed up or never."""

    def make(ifos: tuple[str, ...] = ("H1", "L1"), is_followed: bool = False) -> Model:
        whitening = Whitening(RATE, 4.0, 1.0, 1.0, 4.0, 20.0, None)
        preprocessing = Preprocessing(ifos, 1.0, SAMPLING_RATE, (0.25, 0.75), whitening)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = matched_filter(len(ifos), preprocessing.kernel_size)
        if not is_followed:
            network.quiet = network.followed = 1e6
        return Model(network.eval().requires_grad_(False), preprocessing)

    return make


@pytest.fixture(scope="session")
def scored() -> Callable[..., tuple[Engine, list[ScoredPiece]]]:
    """Scores white noise from a time on, as the offline search does, and cuts what it has into pieces of a second."""

    def make(model: Model, start: float, duration: float, seed: int = 0) -> tuple[Engine, list[ScoredPiece]]:
        random = np.random.default_rng(seed)
        ifos, whitening = model.preprocessing.ifos, model.preprocessing.whitening
        strain = {ifo: 1e-21 * random.standard_normal(round(duration * RATE)) for ifo in ifos}
        grid = Grid(model.preprocessing, tuple(map(float, range(len(ifos)))))
        engine = Engine.from_strain(TorchScorer(model), strain, grid)
        return engine, list(cut(engine, start + whitening.psd_length))

    return make


def cut(engine: Engine, start: float) -> Iterator[ScoredPiece]:
    """Pieces of a second of a search whose first window starts at a time, GPS s."""
    model, windows = engine.scorer.model, engine.grid.windows(engine.streams[0].data.shape[-1])
    scores = engine.scores(Slide(0, 0, (0.0,) * len(model.preprocessing.ifos), windows))
    hop, stride, each = engine.scorer.hop, model.preprocessing.stride_size, round(SAMPLING_RATE)
    for first in range(0, windows, each):
        stop = min(first + each, windows)
        steps = slice(first * hop, (stop - 1) * hop + model.network.window_steps)
        samples = slice(first * stride, (stop - 1) * stride + model.preprocessing.kernel_size)
        yield ScoredPiece(
            start + first / SAMPLING_RATE,
            scores[first:stop],
            [embedding[:, steps] for embedding in engine.embeddings],
            [stream.data[samples] for stream in engine.streams],
            first > 0,
        )
