"""Cost of encoding, and time that embeddings on disk save, on one core at 1024 and 2048 Hz.

A unit of work reads the embeddings of its segment if they are cached. Otherwise it reads strain, whitens and encodes.
"""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import torch
from _clocks import core_seconds, middle
from _precision import fastest, name_of
from _rows import at_most, sized, tell

from aframe.events.cluster import Clustering
from aframe.inference.embeddings import EmbeddingCache
from aframe.inference.run import Searcher, segment_engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.strain.files import background_path, open_background, write_background
from aframe.train.architectures import FactorisedNetwork
from aframe.train.model import Model
from aframe.whitening import whiten_stream

START, RATES = 1_262_304_000.0, (1024.0, 2048.0)
DURATION, SLIDES, ROUNDS = sized((2000.0, 5, 5), (500.0, 2, 2))
TARGET = at_most(0.2)
IFOS = ("H1", "L1")


def whiten(background: str, whitening: Whitening) -> None:
    """Read and whiten the strain of a segment."""
    with open_background(background) as file:
        for ifo in IFOS:
            whiten_stream(torch.from_numpy(file.read(ifo)), whitening)


def measure(rate: float, precision: torch.dtype, folder: str) -> None:
    """Print the cost of a segment with and without cached embeddings.

    Args:
        rate: Sample rate, Hz.
        precision: Precision of the network.
        folder: Directory of strain and embeddings.
    """
    whitening = Whitening(rate, 64.0, 1.0, 1.0, 64.0, 32.0, None)
    preprocessing = Preprocessing(IFOS, 1.5, 4.0, (0.5, 1.4), whitening)
    model = Model(FactorisedNetwork(2, preprocessing.kernel_size).eval().requires_grad_(False), preprocessing)
    grid, cache = Grid(preprocessing, (0.0, 1.0)), EmbeddingCache(folder, 1e12, {"model": "untrained"})
    searcher = Searcher(TorchScorer(model, precision), grid, Clustering(4.0, 1.0, 8.0, 0.95), 1.0, cache)
    without_cache = dataclasses.replace(searcher, cache=None)
    background, random = background_path(folder, START, DURATION), np.random.default_rng(0)
    write_background(background, {o: random.standard_normal(round(DURATION * rate)) for o in IFOS}, START, rate)
    engine = segment_engine(searcher, background)  # writes the embeddings to the cache
    write = core_seconds(lambda: cache.write(background, dict(zip(IFOS, engine.embeddings, strict=True))))
    times = np.array(
        [
            (
                core_seconds(lambda: whiten(background, whitening)),
                core_seconds(lambda: segment_engine(without_cache, background)),
                core_seconds(lambda: segment_engine(searcher, background)),
            )
            for _ in range(ROUNDS)
        ]
    )
    whitened, encoded, read = np.median(times, axis=0)
    slides = [grid.slide(0, DURATION, number) for number in range(SLIDES + 1)]
    slide = float(np.median([core_seconds(lambda each=each: engine.scores(each)) for each in slides]))
    size = Path(cache.path(background)).stat().st_size
    print(
        f"{rate:.0f} Hz, {DURATION:.0f} s: whiten {whitened:.2f} s, whiten and encode {encoded:.2f} s, "
        f"a slide {slide:.3f} s; encoding: {encoded / slide:.0f} slides' time, reading: {read / slide:.1f}; "
        f"cache: {size / DURATION / 1e3:.1f} kB per second of strain, written in {write:.2f} s, read in {read:.2f} s",
        flush=True,
    )
    share, error = middle(times[:, 2] / times[:, 1])
    name = f"segment_from_embeddings_{rate:.0f}_hz_{name_of(precision)}"
    tell(name, share, "of encoding", TARGET, error)


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for rate in RATES:
        with tempfile.TemporaryDirectory() as folder:
            measure(rate, fastest(), folder)


if __name__ == "__main__":
    main()
