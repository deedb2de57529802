"""Data of the mock data challenge in one process, over real time; with a model, its sensitive distance.

    python benchmarks/challenge.py [--model runs/challenge/train_run/model.pt] [--hours 12]

Both detectors' noise, the same noise with signals, and all files count. Data sets 2 and 3 have curves like those of O3.
The distance is that of data set 1 in noise without and with signals, at the rates that so many hours measure.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from _clocks import middle, wall_seconds
from _rows import at_least, sized, tell

from aframe import cli
from aframe.challenge.data_sets import IFOS, MINIMUM_FREQUENCY, SAMPLE_RATE, data_set
from aframe.challenge.events import read_events
from aframe.challenge.generate import FILES, Recipe, generate, noise_curves, plan_segments
from aframe.challenge.injections import read_injections
from aframe.challenge.score import PROBABILITY, rates, score, try_search
from aframe.challenge.strain_files import read_segments
from aframe.strain.curve_pool import read_pools

START = 1238166018.0
DURATION, REPEATS = sized((7200.0, 5), (1024.0, 3))
TARGET = at_least(1000.0)

SEED = 11
"""Seed of the data and of the intervals."""


def recipe(number: int, duration: float) -> Recipe:
    """Recipe of a data set."""
    chosen = data_set(number)
    pools = (
        read_pools(["o3"], IFOS, (MINIMUM_FREQUENCY, SAMPLE_RATE / 2))
        if chosen.is_measured
        else noise_curves(chosen, None)
    )
    return Recipe(chosen, plan_segments(START, duration, None), pools, SEED)


def seconds(made: Recipe) -> float:
    """Elapsed time of a generation, s."""
    with tempfile.TemporaryDirectory() as directory:
        return wall_seconds(lambda: generate(made, directory, lambda done, total: None))


def measure_distance(model: str, hours: float) -> None:
    """Tell the sensitive distances of a model."""
    with tempfile.TemporaryDirectory() as directory:
        paths = {key: str(Path(directory) / name) for key, name in FILES.items()}
        generate(recipe(1, hours * 3600), directory, lambda done, total: None)
        events = {key: str(Path(directory) / f"{key}-events.hdf") for key in ("foreground", "background")}
        for key, output in events.items():
            cli.main(["challenge", "search", paths[key], output, "--model", model])
        trial = try_search(
            *(read_events([events[key]]) for key in ("foreground", "background")),
            read_injections(paths["injections"]),
            read_segments([paths["foreground"]]),
        )
    result = score(trial, rates(trial), np.random.default_rng(SEED))
    name = f"{os.path.relpath(model)}, {hours:g} hours"
    for rate, distance, low, high in zip(
        result.far_per_month, result.distance_mpc, result.low_mpc, result.high_mpc, strict=True
    ):
        if np.isfinite(distance):
            note = f"{name}; {PROBABILITY:.0%} interval {low:.0f} to {high:.0f}"
            tell(f"challenge: distance at {rate:g} a month", distance, "Mpc", error=(high - low) / 2, note=note)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="model.pt whose distance is measured (default: none)")
    parser.add_argument("--hours", type=float, default=12.0, help="length of its data (default: 12)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for number in (1, 2, 3):
        made = recipe(number, DURATION)
        seconds(recipe(number, 128.0))  # what is imported first
        ratio, error = middle([DURATION / seconds(made) for _ in range(REPEATS)])
        target = TARGET if number == 1 else None
        tell(f"challenge: data set {number}, one process, over real time", ratio, "ratio", target, error)
    if options.model:
        measure_distance(options.model, options.hours)


if __name__ == "__main__":
    main()
