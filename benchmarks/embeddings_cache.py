"""What encoding costs in slides, and what keeping embeddings on disk saves: one core, bfloat16, at 1024 and 2048 Hz.

A unit of work on a segment that is kept reads its embeddings; on any other it reads strain, whitens and encodes.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from aframe.events.cluster import Clustering
from aframe.inference.embeddings import EmbeddingCache
from aframe.inference.run import Searcher, segment_engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.spectral import whiten_stream
from aframe.strain.files import background_path, open_background, write_background
from aframe.train.architectures import FactorisedNetwork
from aframe.train.model import Model

START, DURATION, SLIDES = 1_262_304_000.0, 2000.0, 5
RATES = (1024.0, 2048.0)
TARGET = 0.2
IFOS = ("H1", "L1")


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def whiten(background: str, whitening: Whitening) -> None:
    with open_background(background) as file:
        for ifo in IFOS:
            whiten_stream(torch.from_numpy(file.read(ifo)), whitening)


def measure(rate: float, folder: str) -> None:
    """Print what a segment costs with and without its embeddings at hand."""
    whitening = Whitening(rate, 64.0, 1.0, 1.0, 64.0, 32.0, None)
    made = Preprocessing(IFOS, 1.5, 4.0, (0.5, 1.4), whitening)
    model = Model(FactorisedNetwork(2, made.kernel_size).eval().requires_grad_(False), made)
    grid, cache = Grid(made, (0.0, 1.0)), EmbeddingCache(folder, 1e12, {"model": "untrained"})
    searcher = Searcher(TorchScorer(model, torch.bfloat16), grid, Clustering(4.0, 1.0, 8.0, 0.95), 1.0, cache)
    background, random = background_path(folder, START, DURATION), np.random.default_rng(0)
    write_background(background, {o: random.standard_normal(round(DURATION * rate)) for o in IFOS}, START, rate)
    whitened = min(seconds(lambda: whiten(background, whitening)) for _ in range(2))
    first = seconds(lambda: segment_engine(searcher, background))  # whitens, encodes, writes
    read = min(seconds(lambda: segment_engine(searcher, background)) for _ in range(3))
    engine = segment_engine(searcher, background)
    write = seconds(lambda: cache.write(background, dict(zip(IFOS, engine.embeddings, strict=True))))
    slides = [grid.slide(0, DURATION, number) for number in range(SLIDES + 1)]
    slide = min(seconds(lambda each=each: engine.scores(each)) for each in slides)
    size = Path(cache.path(background)).stat().st_size
    anew = first - write
    print(
        f"{rate:.0f} Hz, {DURATION:.0f} s: whiten {whitened:.2f} s, whiten and encode {anew:.2f} s, "
        f"a slide {slide:.3f} s; anew: {anew / slide:.0f} slides' time, from disk: {read / slide:.1f}; "
        f"kept: {size / DURATION / 1e3:.1f} kB a second of strain, written in {write:.2f} s, read in {read:.2f} s",
        flush=True,
    )
    result = {"benchmark": f"segment_from_embeddings_{rate:.0f}_hz", "value": round(read / anew, 3)}
    print(json.dumps(result | {"unit": "of encoding", "target": TARGET, "ok": read <= TARGET * anew}), flush=True)


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for rate in RATES:
        with tempfile.TemporaryDirectory() as folder:
            measure(rate, folder)


if __name__ == "__main__":
    main()
