"""One year of background at 4 Hz from one day of strain of two detectors, with the demo's network on two cores.

The benchmark does all units of work of a year, as the workers of the pipeline do: read strain, whiten, encode, fuse,
cluster, and merge the events into one table. It scores no injections. ``--part`` does a tenth of the units, and scales
the result.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from _precision import fastest, name_of
from _rows import QUICK, at_most, sized, tell

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.cluster import Clustering
from aframe.inference.run import Searcher, Unit, score_unit
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.steps.planning import WorkUnit, pack
from aframe.strain.files import background_path, write_background
from aframe.tables import EventTable, merge_tables
from aframe.train.architectures import FactorisedNetwork
from aframe.train.model import Model

RATE, START, SEGMENTS = 1024.0, 1_262_304_000.0, 12
DURATION, PER_JOB, PART = sized((7200.0, 1e6, 10), (3600.0, 5e4, 400))
WORKERS = 2
TARGET = at_most(60.0, of_full_amount=True)
IFOS = ("H1", "L1")
WHITENING = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, 32.0, None)
PREPROCESSING = Preprocessing(IFOS, 1.5, 4.0, (0.5, 1.4), WHITENING)
GRID = Grid(PREPROCESSING, (0.0, 1.0))


def strain_path(folder: str, segment: int) -> str:
    """Path of the strain of a segment."""
    return background_path(folder, START + segment * DURATION, DURATION)


def score(unit: WorkUnit, precision: torch.dtype, folder: str, path: str) -> tuple[float, float]:
    """Score a unit of work and write its events.

    Args:
        unit: The unit.
        precision: Precision of the network.
        folder: Directory of the strain.
        path: Path of the table of events.

    Returns:
        Processor time (s) and background (s) of the unit.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    start = time.process_time()
    network = FactorisedNetwork(2, PREPROCESSING.kernel_size).eval().requires_grad_(False)
    searcher = Searcher(
        TorchScorer(Model(network, PREPROCESSING), precision), GRID, Clustering(4.0, 1.0, 8.0, 0.95), 1.0
    )
    tables = [score_unit(searcher, Unit(strain_path(folder, s), slides, None))[0] for s, slides in unit.by_segment()]
    EventTable.concatenate(tables).write(path)
    return time.process_time() - start, GRID.livetime(unit.of_kind(zero_lag=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="store_true", help="a tenth of the units, from which the year is scaled")
    is_part, precision = parser.parse_args().part or QUICK, fastest()
    slides = GRID.background([DURATION] * SEGMENTS, SECONDS_PER_YEAR)
    ordered = [
        [GRID.slide(k, DURATION, 0), *(slide for slide in slides if slide.segment == k)] for k in range(SEGMENTS)
    ]
    units = pack(ordered, GRID, PER_JOB)
    chosen = units[::PART] if is_part else units
    with tempfile.TemporaryDirectory() as folder:
        random = np.random.default_rng(0)
        for segment in {slide.segment for unit in chosen for slide in unit.slides}:
            strain = {ifo: 1e-21 * random.standard_normal(round(DURATION * RATE)) for ifo in IFOS}
            write_background(strain_path(folder, segment), strain, START + segment * DURATION, RATE)
        paths = [str(Path(folder) / f"{k}.hdf5") for k in range(len(chosen))]
        start = time.perf_counter()
        with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
            done = pool.starmap(
                score, [(u, precision, folder, p) for u, p in zip(chosen, paths, strict=True)], chunksize=1
            )
        whole = str(Path(folder) / "all.hdf5")
        merge_tables(EventTable, paths, whole, {}, ["Tb"])
        wall = time.perf_counter() - start
        events = EventTable.read(whole)
    spent, background = (sum(pair[k] for pair in done) for k in (0, 1))
    minutes = wall * SECONDS_PER_YEAR / background / 60
    print(
        f"{len(chosen)} of {len(units)} units, {background:.0f} s of background, {len(events)} events: {wall:.0f} s by "
        f"{WORKERS} workers, {spent:.0f} s of processor time, load of the machine {os.getloadavg()[1]:.1f}"
    )
    tell(f"year_of_background_{name_of(precision)}_{WORKERS}_cores", minutes, "min", TARGET)


if __name__ == "__main__":
    main()
