"""Time slides of a search that runs, of two detectors with matched filters: live time per core, and share of one."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from _clocks import core_seconds, middle
from _rows import at_least, at_most, sized, tell

from aframe import storage
from aframe.constants import SECONDS_PER_YEAR
from aframe.events.cluster import Clustering, cluster_slides
from aframe.inference.engine import Engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid, Slide
from aframe.online.live_search import ScoredPiece
from aframe.online.rolling_background import BLOCK_LENGTH, SHARE, RollingBackground
from aframe.online.slide_history import bytes_per_second
from aframe.online.slide_process import SlidePlan, SlideWork
from aframe.strain.noise_curves import load_asd
from aframe.strain.simulate import simulate
from aframe.tables import EventTable
from aframe.train.model import Model, load

MODEL = Path(__file__).parents[1] / "models" / "demo" / "model.pt"
START, HOURS, FAR_PER_YEAR = 1_420_000_000.0, 24.0, 12.0
DURATION, SLIDES = sized((700.0, 200), (400.0, 100))
"""Length of strain, s, and slides of a block. A search has more slides of more strain, at the same cost each."""


def scored(model: Model) -> tuple[Engine, list[ScoredPiece]]:
    """A search of simulated noise, and pieces of a second of what it has."""
    curve, ifos = load_asd("aLIGO_O4_high_asd.txt"), model.preprocessing.ifos
    rate = model.preprocessing.whitening.sample_rate
    strain = {ifo: simulate(curve, ifo, START, START + DURATION, rate, seed=1) for ifo in ifos}
    engine = Engine.from_strain(TorchScorer(model), strain, Grid(model.preprocessing, (0.0, 1.0)))
    windows = engine.grid.windows(engine.streams[0].data.shape[-1])
    scores = engine.scores(Slide(0, 0, (0.0, 0.0), windows))
    each, hop, stride = round(model.preprocessing.inference_sampling_rate), engine.scorer.hop, engine.stride_size
    pieces = []
    for first in range(0, windows - each + 1, each):
        steps = slice(first * hop, (first + each - 1) * hop + model.network.window_steps)
        samples = slice(first * stride, (first + each - 1) * stride + engine.kernel_size)
        embeddings = [embedding[:, steps] for embedding in engine.embeddings]
        strains = [stream.data[samples] for stream in engine.streams]
        start = START + model.preprocessing.whitening.psd_length + first / each
        pieces.append(ScoredPiece(start, scores[first : first + each], embeddings, strains, first > 0))
    return engine, pieces


def rounding(engine: Engine, clustering: Clustering) -> float:
    """Largest change of the statistic of a loud event by embeddings in half precision."""
    streams = engine.streams
    rounded = Engine(engine.scorer, lambda: streams, engine.grid, [e.half().float() for e in engine.embeddings])
    moved, size = [0.0], streams[0].data.shape[-1]
    for number in range(1, SLIDES + 1):
        windows = engine.grid.windows(size - max(engine.grid.offsets(number)))
        slide = Slide(0, number, (0.0, float(number)), windows)
        both = np.stack([each.scores(slide) for each in (engine, rounded)])
        statistic, time, row = cluster_slides(both, START, clustering)
        loud = np.flatnonzero((row == 0) & (statistic > np.quantile(statistic, 0.9)))
        for k in loud:
            other = np.flatnonzero((row == 1) & (np.abs(time - time[k]) < 0.05))
            moved += [abs(float(statistic[k] - statistic[j])) for j in other]
    return max(moved)


def main() -> None:
    torch.set_num_threads(1)
    model = load(str(MODEL))
    rate, offset = model.preprocessing.inference_sampling_rate, model.preprocessing.coalescence_offset
    clustering = Clustering(rate, 1 / rate, 8.0, offset)
    engine, pieces = scored(model)
    tell("online_background_half_precision", rounding(engine, clustering), "statistic", at_most(0.05))
    with tempfile.TemporaryDirectory() as folder:
        far = 100.0 * SECONDS_PER_YEAR / (HOURS * 3600 * SLIDES)
        plan = SlidePlan(folder, (0.0, 1.0), HOURS, far, 1.0, BLOCK_LENGTH)
        background = RollingBackground(model, torch.float32, clustering, plan, {})
        added = [core_seconds(lambda piece=piece: background.add(piece)) for piece in pieces]
        tell("online_background_written", float(np.mean(added)) * 1e3, "ms per s", at_most(5.0))
        size = bytes_per_second(pieces[0], background.geometry)
        tell("online_background_size", size / 1e3, "kB per s")
        work, speeds, before = SlideWork(background.job, model), [], 0.0
        work.history.update()  # a search that runs reads 8 files for a block of thousands of slides
        for _ in range(int(DURATION // BLOCK_LENGTH)):
            spent = core_seconds(work.step)
            livetime = sum(EventTable.read(path).livetime for path in storage.glob(plan.events, "*.hdf5"))
            if livetime > before:
                speeds.append((livetime - before) / spent)
            before = livetime
    speed, error = middle(speeds)
    tell("online_background_livetime_per_core", speed, "s per s", at_least(10_000.0), error)
    slides = SlidePlan("", (0.0, 1.0), HOURS, FAR_PER_YEAR, SHARE, BLOCK_LENGTH).slides(size)
    tell("online_background_share_of_core", slides / speed, "of a core", at_most(SHARE), note=f"{slides} slides")


if __name__ == "__main__":
    main()
