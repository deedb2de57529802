"""Peak memory of an inference worker on a 20 000 s segment of two detectors at 2048 Hz, for few and for many slides.

The table has 500 000 injections in these slides and in others, and the worker generates their waveforms. The joint
network scores only the first windows of its slides, since its memory does not depend on the number of windows.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from _clocks import alone, peak_gigabytes
from _rows import at_most, sized, tell

from aframe.events.cluster import Clustering
from aframe.inference.run import InjectionIndex, Searcher, Unit, score_unit
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.strain.files import background_path, write_background
from aframe.tables import InjectionTable
from aframe.train.architectures import FactorisedNetwork, JointResNet
from aframe.train.model import Model
from aframe.waveforms.priors import demo_bbh, draw

RATE, START, SPACING = 2048.0, 1_262_304_000.0, 16.0
DURATION, INJECTIONS, JOINT_WINDOWS = sized((20_000.0, 500_000, 256), (1000.0, 10_000, 32))
FEW, MANY = 1, 3
TARGET, FLAT = at_most(4.0, of_full_amount=True), at_most(1.05, of_full_amount=True)
IFOS, SHIFTS = ("H1", "L1"), (0.0, 1.0)


def write_injections(path: str) -> None:
    """Write parameters of injections in order of slide and time, as the pipeline does."""
    rng = np.random.default_rng(0)
    columns = draw(demo_bbh(), INJECTIONS, rng)
    per_slide = int((DURATION - 200) / SPACING)
    number = 1 + np.arange(INJECTIONS) // per_slide
    columns["injection_time"] = START + 100 + SPACING * (np.arange(INJECTIONS) % per_slide)
    columns["shift"] = number[:, None] * np.array(SHIFTS)
    columns |= {"snr": np.full(INJECTIONS, 10.0), "ifo_snrs": np.full((INJECTIONS, 2), 7.0)}
    attributes = {"approximant": "IMRPhenomPv2", "sample_rate": RATE, "duration": 8.0, "right_pad": 1.0}
    attributes |= {
        "minimum_frequency": 20.0,
        "reference_frequency": 50.0,
        "num_injections": INJECTIONS,
        "ifos": list(IFOS),
    }
    InjectionTable(columns, attributes=attributes).write(path)


def work(kind: str, slides: int, folder: str) -> float:
    """Score a unit of work.

    Args:
        kind: Kind of network, ``factorised`` or ``joint``.
        slides: Number of slides.
        folder: Directory of strain and injections.

    Returns:
        Peak memory of this process, GB.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)
    whitening = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, 32.0, None)
    preprocessing = Preprocessing(IFOS, 1.5, 4.0, (0.5, 1.4), whitening)
    size = preprocessing.kernel_size
    network = FactorisedNetwork(2, size) if kind == "factorised" else JointResNet(2, size, batch_size=32)
    model = Model(network.eval().requires_grad_(False), preprocessing)
    searcher = Searcher(TorchScorer(model), Grid(preprocessing, SHIFTS), Clustering(4.0, 1.0, 8.0, 0.95), 1.0)
    todo = [searcher.grid.slide(0, DURATION, number) for number in range(slides + 1)]
    if kind == "joint":
        todo = [replace(slide, windows=JOINT_WINDOWS) for slide in todo]
    injections = InjectionIndex(f"{folder}/injections.hdf5")
    score_unit(searcher, Unit(background_path(folder, START, DURATION), todo, injections))
    return peak_gigabytes()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        random = np.random.default_rng(0)
        strain = {ifo: 1e-21 * random.standard_normal(round(DURATION * RATE)) for ifo in IFOS}
        write_background(background_path(folder, START, DURATION), strain, START, RATE)
        write_injections(str(Path(folder) / "injections.hdf5"))
        for kind in ("joint", "factorised"):
            peaks = []
            for slides in (FEW, MANY):
                peaks.append(alone(work, kind, slides, folder))
                print(f"{kind} network, {slides} slides and zero lag: {peaks[-1]:.2f} GB", flush=True)
            tell(f"worker_memory_{kind}", peaks[1], "GB", TARGET)
            tell(f"worker_memory_{kind}_of_{MANY}_slides_over_{FEW}", peaks[1] / peaks[0], "ratio", FLAT)


if __name__ == "__main__":
    main()
