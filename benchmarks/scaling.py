"""Time and memory of scoring as functions of the number of slides and of the length of the segment.

The benchmark uses two detectors at 2048 Hz and the factorised network, and measures each point in a new process. With a
path, it draws the figure of docs/performance.md: ``python benchmarks/scaling.py docs/inference_cost.svg``.
"""

import argparse
import tempfile

import numpy as np
import torch
from _clocks import alone, core_seconds, peak_gigabytes
from _precision import fastest, name_of
from _rows import at_most, sized, tell

from aframe.events.cluster import Clustering
from aframe.inference.run import Searcher, Unit, score_unit
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.strain.files import background_path, write_background
from aframe.train.architectures import FactorisedNetwork
from aframe.train.model import Model

RATE, START, IFOS = 2048.0, 1_262_304_000.0, ("H1", "L1")
SLIDES, DURATION = sized(((4, 8, 16, 32), 2500.0), ((2, 8, 16), 500.0))
DURATIONS, NUMBER = sized(((2500.0, 5000.0, 10_000.0, 20_000.0), 4), ((500.0, 1000.0, 2000.0), 2))
LINEAR, FLAT = at_most(0.1, of_full_amount=True), at_most(1.05, of_full_amount=True)
LARGEST = at_most(4.0, of_full_amount=True)

Point = tuple[float, float, float]
"""Seconds of background, processor time (s), and peak memory (GB)."""


def work(folder: str, duration: float, number: int, precision: torch.dtype) -> Point:
    """Score slides of one segment.

    Args:
        folder: Directory of the strain.
        duration: Length of the segment, s.
        number: Number of slides.
        precision: Precision of the network.
    """
    torch.set_num_threads(1)
    whitening = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, 32.0, None)
    preprocessing = Preprocessing(IFOS, 1.5, 4.0, (0.5, 1.4), whitening)
    network = FactorisedNetwork(2, preprocessing.kernel_size).eval().requires_grad_(False)
    grid, clustering = Grid(preprocessing, (0.0, 1.0)), Clustering(4.0, 1.0, 8.0, 0.95)
    searcher = Searcher(TorchScorer(Model(network, preprocessing), precision), grid, clustering, 1.0)
    slides = [grid.slide(0, duration, k) for k in range(1, number + 1)]
    shortest = background_path(folder, START, min(DURATIONS))  # loads libraries and fills caches
    score_unit(searcher, Unit(shortest, [grid.slide(0, min(DURATIONS), 1)], None))
    path = background_path(folder, START, duration)
    spent = core_seconds(lambda: score_unit(searcher, Unit(path, slides, None)))
    return grid.livetime(slides), spent, peak_gigabytes()


def measure(folder: str, duration: float, number: int) -> Point:
    """Score slides of one segment in a new process.

    Args:
        folder: Directory of the strain.
        duration: Length of the segment, s.
        number: Number of slides.
    """
    point = alone(work, folder, duration, number, fastest())
    print(
        f"{duration:.0f} s, {number} slides: {point[0]:.0f} s of background in {point[1]:.1f} s, {point[2]:.2f} GB",
        flush=True,
    )
    return point


def deviation(x: np.ndarray, y: np.ndarray) -> float:
    """Largest relative deviation from the best straight line.

    Args:
        x: Abscissae.
        y: Positive ordinates.
    """
    line = np.polynomial.Polynomial.fit(x, y, 1, w=1 / y)
    return float(np.abs(line(x) / y - 1).max())


def draw(path: str, by_slides: np.ndarray, by_length: np.ndarray) -> None:
    """Draw time and memory as functions of background and of the length of the segment.

    Args:
        path: Path of the SVG.
        by_slides: Points for different numbers of slides.
        by_length: Points for different lengths.
    """
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
        memory.set(ylabel="Peak memory (GB)", ylim=(0, LARGEST.value))
        axis.legend(handles=[*axis.lines, *memory.lines], loc="upper left", frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="?", help="SVG to draw")
    figure = parser.parse_args().figure
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
        tell(f"time_is_linear_in_{name}_{name_of(fastest())}", deviation(x, points[:, 1]), "relative deviation", LINEAR)
    growth = float(by_slides[-1, 2] / by_slides[0, 2])
    tell(f"memory_of_{SLIDES[-1] // SLIDES[0]}_times_the_background", growth, "ratio", FLAT)
    tell(f"memory_of_{DURATIONS[-1]:.0f}_s_{name_of(fastest())}", float(by_length[-1, 2]), "GB", LARGEST)
    if figure:
        draw(figure, by_slides, by_length)


if __name__ == "__main__":
    main()
