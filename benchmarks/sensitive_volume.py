"""Sensitive volumes of 500 000 injections for four populations at 36 500 thresholds, and 25 million rejected draws."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _clocks import peak_gigabytes
from _rows import at_most, sized, tell

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.sensitivity.volume import efficiencies, volume_against_far, write_volumes
from aframe.sensitivity.weighing import Draws, read_rejected, weigh
from aframe.sensitivity.weights import LogNormalTarget, mass_targets
from aframe.tables import RecoveredTable, RejectedTable
from aframe.waveforms.priors import Population, draw, rates_and_populations_bbh

TARGET, TARGET_STREAMED, TARGET_GIGABYTES = (at_most(value, of_full_amount=True) for value in (5.0, 60.0, 4.0))
DRAWS, BACKGROUND, PIECE, PIECES = sized((1_000_000, 5_000_000, 1_000_000, 25), (100_000, 500_000, 200_000, 5))


def tables(population: Population, rejected_count: int) -> tuple[RecoveredTable, RejectedTable]:
    """Make tables of draws. Half of the draws are recovered.

    Args:
        population: Population of the draws.
        rejected_count: Number of rejected draws.
    """
    rng = np.random.default_rng(0)
    columns = draw(population, DRAWS, rng)
    near = np.arange(DRAWS) % 2 == 0
    recovered = {name: column[near] for name, column in columns.items()}
    unused = np.zeros(near.sum())
    recovered |= dict.fromkeys(("detection_time", "injection_time", "snr"), unused) | {
        "shift": np.zeros((near.sum(), 2))
    }
    recovered["detection_statistic"] = rng.normal(size=near.sum()) + 1 / columns["redshift"][near]
    attributes = {"num_injections": int(near.sum()) + rejected_count, "ifos": ["H1", "L1"]}
    return RecoveredTable(recovered, attributes=attributes), RejectedTable({k: v[~near] for k, v in columns.items()})


def streamed(path: str, targets: list[LogNormalTarget]) -> Iterator[RejectedTable]:
    """Yield the rejected draws of one file repeatedly. The work is the same as for different draws.

    Args:
        path: Path of the file.
        targets: Populations that need the columns.
    """
    for _ in range(PIECES):
        yield from read_rejected(path, targets)


def main() -> None:
    population = rates_and_populations_bbh()
    background = Background(np.random.default_rng(1).normal(size=BACKGROUND), 100 * SECONDS_PER_YEAR)
    targets = mass_targets([(35.0, 35.0), (35.0, 20.0), (20.0, 20.0), (20.0, 10.0)], 0.1, population.redshift_range)
    rates, few = np.geomspace(background.lowest_far_per_year, 365.0, 36_500), np.array([1.0, 12.0, 365.25])
    recovered, rejected = tables(population, DRAWS // 2)
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        weighed = weigh(Draws(recovered, [rejected], population), targets)
        curves = volume_against_far(weighed, background, rates, SECONDS_PER_YEAR)
        write_volumes(str(Path(directory) / "volumes.h5"), curves, efficiencies(weighed, background, few))
        tell("sensitive_volume", time.perf_counter() - start, "s", TARGET)

        path = str(Path(directory) / "rejected.hdf5")
        RejectedTable(draw(population, PIECE, np.random.default_rng(2))).write(path)
        recovered.attributes["num_injections"] = len(recovered) + PIECE * PIECES
        start = time.perf_counter()
        weigh(Draws(recovered, streamed(path, targets), population), targets)
        tell("rejected_draws", time.perf_counter() - start, "s", TARGET_STREAMED)
    tell("sensitive_volume_peak_memory", peak_gigabytes(), "GB", TARGET_GIGABYTES)


if __name__ == "__main__":
    main()
