"""How time and memory of scoring grow with the number of slides and with the segment's length.

Two detectors at 2048 Hz, the factorised network in bfloat16, each point in a process of its own. Draws the figure of
docs/performance.md where its path is given: ``python benchmarks/scaling.py docs/inference_cost.svg``.
"""

import json
import multiprocessing
import resource
import sys
import tempfile
import time

import numpy as np
import torch

from aframe.events.cluster import Clustering
from aframe.inference.run import Searcher, Unit, score_unit
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.strain.files import background_path, write_background
from aframe.train.architectures import FactorisedNetwork
from aframe.train.model import Model

RATE, START, IFOS = 2048.0, 1_262_304_000.0, ("H1", "L1")
SLIDES, DURATION = (4, 8, 16, 32), 2500.0
DURATIONS, NUMBER = (2500.0, 5000.0, 10_000.0, 20_000.0), 4
LINEAR, FLAT, LARGEST = 0.1, 1.05, 4.0

Point = tuple[float, float, float]
"""Seconds of background, processor time (s), and peak memory (GB)."""


def work(folder: str, duration: float, number: int, results: "multiprocessing.Queue[Point]") -> None:
    torch.set_num_threads(1)
    whitening = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, 32.0, None)
    preprocessing = Preprocessing(IFOS, 1.5, 4.0, (0.5, 1.4), whitening)
    network = FactorisedNetwork(2, preprocessing.kernel_size).eval().requires_grad_(False)
    grid, clustering = Grid(preprocessing, (0.0, 1.0)), Clustering(4.0, 1.0, 8.0, 0.95)
    searcher = Searcher(TorchScorer(Model(network, preprocessing), torch.bfloat16), grid, clustering, 1.0)
    slides = [grid.slide(0, duration, k) for k in range(1, number + 1)]
    shortest = background_path(folder, START, min(DURATIONS))  # libraries load, caches warm
    score_unit(searcher, Unit(shortest, [grid.slide(0, min(DURATIONS), 1)], None))
    path = background_path(folder, START, duration)
    start = time.process_time()
    score_unit(searcher, Unit(path, slides, None))
    spent = time.process_time() - start
    unit = 1 if sys.platform == "darwin" else 1024
    results.put((grid.livetime(slides), spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9))


def measure(folder: str, duration: float, number: int) -> Point:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=work, args=(folder, duration, number, results))
    process.start()
    point: Point = results.get()
    process.join()
    print(
        f"{duration:.0f} s, {number} slides: {point[0]:.0f} s of background in {point[1]:.1f} s, {point[2]:.2f} GB",
        flush=True,
    )
    return point


def deviation(x: np.ndarray, y: np.ndarray) -> float:
    """Largest relative distance from the straight line that fits best."""
    line = np.polynomial.Polynomial.fit(x, y, 1, w=1 / y)
    return float(np.abs(line(x) / y - 1).max())


def report(name: str, value: float, unit: str, target: float, ok: bool) -> None:
    result = {"benchmark": name, "value": round(value, 3), "unit": unit, "target": target, "ok": bool(ok)}
    print(json.dumps(result), flush=True)


def draw(path: str, by_slides: np.ndarray, by_length: np.ndarray) -> None:
    """The figure: time and memory against background, and against the segment's length."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "aframe"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    panels = (
        (axes[0], by_slides[:, 0], by_slides, f"Background (s), segment of {DURATION:.0f} s"),
        (axes[1], np.array(DURATIONS), by_length, f"Length of the segment (s), {NUMBER} slides"),
    )
    for axis, x, points, label in panels:
        axis.plot(x, points[:, 1], "o-", color="#0072B2", label="processor time")
        axis.set(xlabel=label, ylabel="Processor time (s)", xlim=(0, None), ylim=(0, 1.1 * points[:, 1].max()))
        memory = axis.twinx()
        memory.plot(x, points[:, 2], "s--", color="#D55E00", label="peak memory")
        memory.set(ylabel="Peak memory (GB)", ylim=(0, LARGEST))
        axis.legend(handles=[*axis.lines, *memory.lines], loc="upper left", frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        random = np.random.default_rng(0)
        for duration in DURATIONS:
            strain = {ifo: 1e-21 * random.standard_normal(round(duration * RATE)) for ifo in IFOS}
            write_background(background_path(folder, START, duration), strain, START, RATE)
        by_slides = np.array([measure(folder, DURATION, number) for number in SLIDES])
        by_length = np.array([measure(folder, duration, NUMBER) for duration in DURATIONS])
    for name, x, points in (
        ("background", by_slides[:, 0], by_slides),
        ("segment_length", np.array(DURATIONS), by_length),
    ):
        off = deviation(x, points[:, 1])
        report(f"time_is_linear_in_{name}", off, "relative deviation", LINEAR, off <= LINEAR)
    growth = by_slides[-1, 2] / by_slides[0, 2]
    report("memory_of_eight_times_the_background", growth, "ratio", FLAT, growth <= FLAT)
    report("memory_of_20000_s", by_length[-1, 2], "GB", LARGEST, by_length[-1, 2] <= LARGEST)
    if sys.argv[1:]:
        draw(sys.argv[1], by_slides, by_length)


if __name__ == "__main__":
    main()
