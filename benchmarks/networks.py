"""Comparison of networks: equal training time, then efficiency on noise and signals that no network has seen.

Noise and signals are simulated as in the demo. All networks see the same noise and the same injections. A longer window
contains more of a signal before coalescence. The SNR of an injection is that in four seconds, the longest window.

    python benchmarks/networks.py --store docs/networks.json --directory /tmp/networks

trains the networks that the file lacks, one after the other, and stores each result at once. Then it updates the tables
of docs/networks.md and its figure. Without options, it is a short trial of one network.
"""

import argparse
import itertools
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from _network_scores import TEST_SEED, Catalogue, evaluate
from _network_tables import draw, write_tables
from _precision import TRAINED_IN, fastest, name_of
from _rows import at_least, sized, tell

from aframe import cli, storage
from aframe.steps.training_data import RunDataModule
from aframe.tables import PolarizationTable
from aframe.train.architectures import FactorisedNetwork, JointResNet, MatchedFilterNetwork, Network, PlainBank
from aframe.train.architectures.cost import cost
from aframe.train.model import Model, load, save
from aframe.train.module import AframeModule
from aframe.train.signals import StoredSignals

SEED = 1122
"""Seed of the training data."""

LONGEST_WINDOW = 4.0
"""Length of the longest window, s."""

EARLIEST, LATEST = 1.0, 0.25
"""Range of the coalescence, s before the end of a window. A template ends a quarter of a second after coalescence."""

STRAIN_SECONDS, TRAINING_WAVEFORMS, TEST_WAVEFORMS = sized((8192, 12_000, 10_000), (2048, 1000, 1000))
ROUNDS, STEPS = sized((3, 8), (1, 4))
"""Numbers of rounds and of steps per round in which the training step of each network is timed."""

TRIAL, TRIAL_SECONDS, SECONDS = "factorised", sized(60.0, 5.0), 240.0
TRIAL_TARGET = at_least(0.6, of_full_amount=True)
"""Target of the efficiency in the loudest band at the higher false positive rate."""


@dataclass(frozen=True)
class Candidate:
    """A network to train.

    Attributes:
        build: Builds the network from the number of detectors and the samples of a window.
        kernel_length: Length of the window, s.
        seed: Seed of weights and batches.
        model: Arguments of the module that trains it.
        data: Arguments of the data module.
        steps: Number of training steps; None for as many as the time allows.
    """

    build: Callable[[int, int], Network]
    kernel_length: float = 1.5
    seed: int = SEED
    model: Mapping[str, Any] = field(default_factory=lambda: {"learning_rate": 2e-3, "repairings": 3})
    data: Mapping[str, Any] = field(default_factory=lambda: WINDOWS)
    steps: int | None = None


WINDOWS = {"batch_size": 128, "waveform_prob": 0.5, "swap_prob": 0.0625, "mute_prob": 0.0625}
"""Batches of windows."""

EXAMPLES = {"batch_size": 768, "waveform_prob": 0.333, "swap_prob": 0.0, "mute_prob": 0.001,
            "mined_slides": sized(800, 20), "mined_noise": 20_000, "mined_signals": sized(4096, 512)}  # fmt: skip
"""Batches of measured examples, as in the demo."""

joint = partial(JointResNet, norm="batch", layers=(1, 2, 2, 2), kernel=5, width=16, batch_size=64)
KINDS = {
    "matched filters": Candidate(
        MatchedFilterNetwork,
        LONGEST_WINDOW,
        model={"learning_rate": 3e-3, "weight_decay": 1e-3},
        data=EXAMPLES,
        steps=sized(600, 20),
    ),
    "plain bank, nothing trained": Candidate(
        partial(PlainBank, coherent=False, glitches=False), LONGEST_WINDOW, steps=0
    ),
    "factorised": Candidate(FactorisedNetwork),
    "joint": Candidate(joint, model={"learning_rate": 2e-3}),
    "factorised, inspiral": Candidate(partial(FactorisedNetwork, inspiral=(1, 2, 4, 8, 16)), 3.0),
    "factorised, additive head": Candidate(partial(FactorisedNetwork, fusion="additive")),
    "joint, group norm": Candidate(partial(joint, norm="group"), model={"learning_rate": 2e-3}),
}
"""Each network with its first seed."""

CANDIDATES = {
    name if number == 0 else f"{name}, seed {number + 1}": replace(kind, seed=SEED + number)
    for name, kind in KINDS.items()
    for number in range(3 if name in ("matched filters", "factorised", "joint") else 1)
}
"""Networks by name. Three trainings of some show their scatter."""


class Clock(lightning.Callback):
    """Records the processor time at the end of each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Record the time."""
        self.times.append(time.process_time())


def prepare(directory: Path, seed: int, stop: int, waveforms: int) -> None:
    """Simulate strain and generate waveforms, unless they exist.

    Args:
        directory: Directory of the run.
        seed: Seed of the run.
        stop: Duration of training and of testing strain, s.
        waveforms: Number of training waveforms.
    """
    changes = {"search.seed": seed, "data.train_stop": 1262304000 + stop, "data.test_stop": 1262304000 + 2 * stop,
               "waveforms.num_training_waveforms": waveforms, "waveforms.num_validation_waveforms": 10}  # fmt: skip
    use(directory)
    if not (directory / "sandbox.cfg").exists():
        settings = [f"--set={name}={value}" for name, value in changes.items()]
        cli.main(["init", str(directory), "--config", "demo", *settings])
    os.environ["LAW_CONFIG_FILE"] = str(directory / "sandbox.cfg")
    cli.main(["data", "--stage", "train"])
    cli.main(["waveforms", "--stage", "train", "--stage", "validation", "--stage", "bank"])


def use(directory: Path) -> None:
    """Set the directories of a run in the environment."""
    for name in ("train_data", "test_data", "train_run", "condor", "results"):
        os.environ[f"AFRAME_{name.upper()}_DIR"] = str(directory / name)


def data_module(directory: Path, kernel_length: float, seed: int, **arguments: Any) -> RunDataModule:
    """Data module of the demo with another window. Coalescences keep their distance from the end of the window.

    Args:
        directory: Directory of the run.
        kernel_length: Length of the window, s.
        seed: Seed of the batches.
        **arguments: Further arguments of the data module.
    """
    use(directory)
    text = (directory / "sandbox.cfg").read_text(encoding="utf-8")
    for name, value in (("kernel_length", kernel_length), ("seed", seed)):
        line = next(line for line in text.splitlines() if line.startswith(f"{name} ="))
        text = text.replace(line, f"{name} = {value}")
    path = directory / f"{kernel_length}-{seed}.cfg"
    path.write_text(text, encoding="utf-8")
    data = RunDataModule(
        str(path), batches_per_epoch=10**9, first_coalescence=kernel_length - EARLIEST,
        last_coalescence=kernel_length - LATEST, **arguments,
    )  # fmt: skip
    data.setup("fit")
    return data


def fit(candidate: Candidate, data: RunDataModule, steps: int) -> tuple[Network, list[float]]:
    """Train a network.

    Args:
        candidate: The network to train.
        data: Its data.
        steps: Number of steps.

    Returns:
        The network, and the processor time at the end of each step, s.
    """
    clock = Clock()
    if steps == 0:
        return untrained(candidate, data), []
    module = AframeModule(candidate.build, **candidate.model)
    trainer = lightning.Trainer(
        accelerator="cpu", precision=TRAINED_IN[fastest()], max_steps=steps, gradient_clip_val=1.0, limit_val_batches=0,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[clock],
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    return module.model().network.eval().requires_grad_(False), clock.times


def untrained(candidate: Candidate, data: RunDataModule) -> Network:
    """A network that has its bank and nothing else.

    Args:
        candidate: The network.
        data: Data of the run that has the bank.
    """
    network, bank = candidate.build(len(data.inputs.ifos), data.inputs.kernel_size), data.inputs.bank()
    assert isinstance(network, MatchedFilterNetwork)
    network.set_bank(bank.templates, torch.from_numpy(bank.chirp_mass), torch.from_numpy(bank.psds))
    return network.eval().requires_grad_(False)


def step_times(names: Sequence[str], directory: Path) -> dict[str, float]:
    """Measure the processor time of a training step of each network.

    The minimum over several rounds counts, since other processes may use the machine. The networks alternate. A file in
    the directory stores the times.

    Args:
        names: Names of the networks.
        directory: Directory of the runs.

    Returns:
        Time by network, s.
    """
    path = directory / "steps.json"
    times_by_name: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in names if name not in times_by_name and CANDIDATES[name].steps is None]
    for _ in range(ROUNDS if missing else 0):
        for name in missing:
            candidate = CANDIDATES[name]
            data = data_module(directory / "train", candidate.kernel_length, candidate.seed, **candidate.data)
            _, times = fit(candidate, data, STEPS)
            step = min(after - before for before, after in itertools.pairwise(times))
            times_by_name[name] = min(times_by_name.get(name, step), step)
    for kind in KINDS:  # one network with several seeds
        equal = [name for name in times_by_name if name == kind or name.startswith(f"{kind}, seed")]
        times_by_name |= dict.fromkeys(equal, min((times_by_name[name] for name in equal), default=0.0))
    write(path, times_by_name)
    return times_by_name


def catalogue(data: RunDataModule) -> Catalogue:
    """Signals of the testing data, with chirp masses in the detector frame."""
    path = storage.join(data.inputs.directory, "training_waveforms.hdf5")
    table = PolarizationTable.read(path, ["mass_1", "mass_2"])
    assert isinstance(data.signals, StoredSignals)
    product, total = table["mass_1"] * table["mass_2"], table["mass_1"] + table["mass_2"]
    mass = torch.from_numpy(product**0.6 / total**0.2).float()
    return Catalogue(data.signals, mass)


def measure(name: str, directory: Path, steps: int, seconds: float) -> dict[str, Any]:
    """Train and evaluate a network.

    Args:
        name: Name of the network.
        directory: Directory of the runs.
        steps: Number of steps.
        seconds: Time of the training, s.

    Returns:
        Training, cost and efficiencies.
    """
    candidate = CANDIDATES[name]
    data = data_module(directory / "train", candidate.kernel_length, candidate.seed, **candidate.data)
    path = str(directory / f"{name} {seconds:g} s.pt")
    if not storage.exists(path):
        start = time.process_time()
        network = fit(candidate, data, steps)[0]
        save(Model(network, data.preprocessing), path, {"seconds": time.process_time() - start})
    network, spent = load(path).network, float((storage.made_with(path) or {})["seconds"])
    test = data_module(directory / "test", LONGEST_WINDOW, TEST_SEED, **WINDOWS)
    test.signals = catalogue(test)
    start = time.process_time()
    evaluation = evaluate(network, test)
    print(f"    evaluated in {time.process_time() - start:.0f} s", flush=True)
    training = {"seconds": round(spent), "samples": steps * data.batch_size}
    return {"training": training, "cost": asdict(cost(network, data.inputs.stride_size)), **evaluation}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file."""
    with storage.atomic(str(path)) as temporary:
        Path(temporary).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def report(results: dict[str, Any], seconds: float) -> None:
    """Print the row of this benchmark.

    Args:
        results: Result of each network.
        seconds: Time of the training, s.
    """
    ours = results.get(TRIAL)
    for name, theirs in (("joint", results.get("joint")), ("matched_filters", results.get("matched filters"))):
        if ours and theirs:
            (value, *errors), (other, *others) = (each["0.0001"]["snr"][2] for each in (ours, theirs))
            error, unit = math.hypot(*errors, *others), "SNR 9-12, FPR 1e-4"
            names = ("factorised", name) if name == "joint" else (name, "factorised")
            better = value - other if name == "joint" else other - value
            tell(f"{names[0]}_less_{names[1]}_efficiency", better, unit, at_least(0.0), error)
    if len(results) > 1:
        return
    name = f"efficiency_after_{seconds:g}_s_of_training_{name_of(fastest())}"
    value, *errors = results[TRIAL]["0.001"]["snr"][3]
    tell(name, value, "SNR 12-16, FPR 1e-3", TRIAL_TARGET, math.hypot(*errors))


def compare(names: Sequence[str], directory: Path, store: Path, seconds: float) -> dict[str, Any]:
    """Train and evaluate the networks that the store lacks.

    Args:
        names: Names of the networks.
        directory: Directory of the runs.
        store: JSON file with the results.
        seconds: Time of each training, s.

    Returns:
        All results in the store, in the order of the candidates.
    """
    results: dict[str, Any] = json.loads(store.read_text()) if store.exists() else {}
    missing = [name for name in names if name not in results]
    if missing:
        prepare(directory / "train", SEED, STRAIN_SECONDS, TRAINING_WAVEFORMS)
        prepare(directory / "test", TEST_SEED, STRAIN_SECONDS, TEST_WAVEFORMS)
    times = step_times(missing, directory) if missing else {}
    for name in missing:
        print(name, flush=True)
        steps = CANDIDATES[name].steps
        steps = max(20, round(seconds / times[name])) if steps is None else steps
        measured = measure(name, directory, steps, seconds)
        results = (json.loads(store.read_text()) if store.exists() else {}) | {name: measured}
        write(store, results)
        print("   ", json.dumps(measured), flush=True)
    return {name: results[name] for name in CANDIDATES if name in results}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="training of each network, one thread's time")
    parser.add_argument("--store", type=Path, help="JSON of results; networks that it has are not trained again")
    parser.add_argument("--directory", type=Path, help="of strain and waveforms; those it has are not made again")
    parser.add_argument("--only", nargs="*", help="names of networks")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        store, directory = chosen.store or Path(scratch) / "networks.json", chosen.directory or Path(scratch)
        names = (list(CANDIDATES) if chosen.store else [TRIAL]) if chosen.only is None else chosen.only
        seconds = chosen.seconds or (SECONDS if chosen.store else TRIAL_SECONDS)
        results = compare(names, directory, store, seconds)
        if not results:
            parser.error(f"{store} has no results of these networks: name those to train with --only")
        document = store.with_suffix(".md")
        if document.exists():
            draw(store.with_suffix(".svg"), results)
            kernel_lengths = {name: CANDIDATES[name].kernel_length for name in results}
            write_tables(document, results, kernel_lengths)
    report(results, seconds)


if __name__ == "__main__":
    main()
