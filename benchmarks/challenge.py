"""Data of the mock data challenge in one process, over real time; with a model, its sensitive distance.

    python benchmarks/challenge.py [--model runs/challenge/train_run/model.pt] [--data-set 3 --psds DIR] [--hours 12]

Both detectors' noise, the same noise with signals, and all files count. Data sets 2 and 3 have curves like those of O3.
The distance is that in noise without and with signals, at the rates that so many hours measure. A network of matched
filters has two banks beside it, of the same templates: one with its weights and no head, and a plain one.
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
from torch import Tensor

from aframe.challenge.data_sets import IFOS, MINIMUM_FREQUENCY, SAMPLE_RATE, data_set
from aframe.challenge.events import Events
from aframe.challenge.generate import FILES, Recipe, generate, noise_curves, plan_segments
from aframe.challenge.injections import read_injections
from aframe.challenge.score import PROBABILITY, rates, score, try_search
from aframe.challenge.search import search_segments
from aframe.challenge.strain_files import read_segments
from aframe.commands.challenge import CLUSTER_WINDOW_LENGTH, VAR
from aframe.events.cluster import Clustering
from aframe.inference.adaptation import adapted
from aframe.inference.recorded import recordings_of
from aframe.inference.scorers import TorchScorer
from aframe.strain.curve_pool import read_pools
from aframe.tables import EventTable
from aframe.train.architectures import MatchedFilterNetwork, PlainBank
from aframe.train.architectures.filter_bank import FilterBank
from aframe.train.model import Model, load

START = 1238166018.0
DURATION, REPEATS = sized((7200.0, 5), (1024.0, 3))
TARGET, RATIO = at_least(1000.0), at_least(1.03)

SEED = 11
"""Seed of the data and of the intervals."""


def recipe(number: int, duration: float, psds: str | None = None, seed: int = SEED) -> Recipe:
    """Recipe of a data set, with the measured curves of a directory or with those like O3's."""
    chosen = data_set(number)
    pools = (
        read_pools(["o3"], IFOS, (MINIMUM_FREQUENCY, SAMPLE_RATE / 2))
        if chosen.is_measured and psds is None
        else noise_curves(chosen, psds)
    )
    return Recipe(chosen, plan_segments(START, duration, None), pools, seed)


def seconds(made: Recipe) -> float:
    """Elapsed time of a generation, s."""
    with tempfile.TemporaryDirectory() as directory:
        return wall_seconds(lambda: generate(made, directory, lambda done, total: None))


class Remembered(FilterBank):
    """Filters that several networks share. What one of them has measured, the others need not measure."""

    memory: dict[tuple[int, ...], Tensor]

    def forward(self, streams: Tensor) -> Tensor:
        """|z|²/2 of each template in each step: see ``FilterBank.forward``."""
        key = (self.templates, *streams.shape, hash(streams.numpy().tobytes()))
        if key not in self.memory:
            self.memory[key] = super().forward(streams)
        return self.memory[key].clone()


def searches(model: Model) -> dict[str, Model]:
    """The network, and banks of its templates with its weights and without any."""
    network = model.network
    if not isinstance(network, MatchedFilterNetwork):
        return {"network": model}
    found = {"network": model}
    for name in ("weighted bank", "plain bank"):
        bank = PlainBank(
            network.num_ifos, network.kernel_size, network.templates, network.template_size, network.decimations,
            network.groups, network.step_size, network.coincidence, coherent=False, glitches=False,
        )  # fmt: skip
        bank.load_state_dict(network.state_dict(), strict=False)
        if name == "plain bank":
            torch.nn.init.zeros_(bank.bias)
        found[name] = Model(bank.eval().requires_grad_(False), model.preprocessing)
    return found


def find_events(path: str, model: Model) -> dict[str, Events]:
    """Events of each search in a file of strain."""
    recordings, segments = recordings_of([path], model.preprocessing.ifos), read_segments([path])
    rate, memory = model.preprocessing.inference_sampling_rate, dict[tuple[int, ...], Tensor]()
    clustering = Clustering(rate, 1 / rate, CLUSTER_WINDOW_LENGTH, model.preprocessing.coalescence_offset)
    scorers = {name: TorchScorer(each) for name, each in searches(adapted(model, recordings)).items()}
    for scorer in scorers.values():
        if isinstance(scorer.network, MatchedFilterNetwork):
            scorer.network.filters.__class__, scorer.network.filters.memory = Remembered, memory
    tables: dict[str, list[EventTable]] = {name: [] for name in scorers}
    for segment in segments:
        for name, scorer in scorers.items():
            tables[name].append(search_segments(scorer, recordings, [segment], clustering))
        memory.clear()
    duration, found = sum(segment.duration for segment in segments), {}
    for name, parts in tables.items():
        table = EventTable.concatenate(parts)
        time, stat = table["detection_time"], table["detection_statistic"]
        found[name] = Events(time, stat, 0 * time + VAR, duration)
    return found


def measure_distance(path: str, made: Recipe, label: str) -> None:
    """Tell the sensitive distances of a model, and of banks of its templates."""
    model = load(path)
    with tempfile.TemporaryDirectory() as directory:
        paths = {key: str(Path(directory) / name) for key, name in FILES.items()}
        generate(made, directory, lambda done, total: None)
        events = [find_events(paths[key], model) for key in ("foreground", "background")]
        others = read_injections(paths["injections"]), read_segments([paths["foreground"]])
    distances: dict[str, dict[float, float]] = {}
    for name in events[0]:
        trial = try_search(*(each[name] for each in events), *others)
        result = score(trial, rates(trial), np.random.default_rng(SEED))
        rows = zip(result.far_per_month, result.distance_mpc, result.low_mpc, result.high_mpc, strict=True)
        measured = [row for row in rows if np.isfinite(row[1])]
        distances[name] = {float(row[0]): float(row[1]) for row in measured}
        for rate, distance, low, high in measured:
            note = f"{label}; {PROBABILITY:.0%} interval {low:.0f} to {high:.0f}"
            tell(f"challenge: {name}, distance at {rate:g} a month", distance, "Mpc", error=(high - low) / 2, note=note)
    for rate, distance in distances.get("weighted bank", {}).items():
        ratio = distances["network"][rate] / distance
        tell(f"challenge: network over weighted bank at {rate:g} a month", ratio, "ratio", RATIO, note=label)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="model.pt whose distance is measured (default: none)")
    parser.add_argument("--hours", type=float, default=12.0, help="length of its data (default: 12)")
    parser.add_argument("--data-set", type=int, default=1, choices=(1, 2, 3), help="its data set (default: 1)")
    parser.add_argument(
        "--psds", help="directory of the challenge's measured curves (default: curves like those of O3)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help=f"seed of its data (default: {SEED})")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.model:
        made = recipe(options.data_set, options.hours * 3600, options.psds, options.seed)
        label = f"data set {options.data_set}, {os.path.relpath(options.model)}, {options.hours:g} hours"
        measure_distance(options.model, made, label)
        return
    for number in (1, 2, 3):
        made = recipe(number, DURATION)
        seconds(recipe(number, 128.0))  # what is imported first
        ratio, error = middle([DURATION / seconds(made) for _ in range(REPEATS)])
        target = TARGET if number == 1 else None
        tell(f"challenge: data set {number}, one process, over real time", ratio, "ratio", target, error)


if __name__ == "__main__":
    main()
