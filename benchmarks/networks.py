"""Networks against each other: equal training time, then efficiency on noise and signals that none of them has seen.

Both are simulated as the demo's are. All networks see the same noise and the same injections, of which a longer window
shows more before coalescence; an injection's SNR is that in the four seconds that the longest window shows.

    python benchmarks/networks.py --store docs/networks.json --directory /tmp/networks

trains what the file lacks, one network after the other, keeps each as it comes, and writes the tables of
docs/networks.md and its figure anew. Without options it is a short trial of one network.
"""

import argparse
import itertools
import json
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from _precision import TRAINED_IN, fastest, name_of
from _rows import at_least, sized, tell
from torch import Tensor

from aframe import cli, storage
from aframe.steps.training_data import RunDataModule
from aframe.tables import PolarizationTable
from aframe.train.architectures import FactorisedNetwork, JointResNet, Network
from aframe.train.architectures.cost import cost
from aframe.train.augmentation import make_incoherent, network_snr
from aframe.train.metrics import partial_auroc
from aframe.train.model import Model, load, save
from aframe.train.module import AframeModule
from aframe.train.signals import StoredSignals

SEED, TEST_SEED, LONGEST = 1122, 3344, 4.0
EARLIEST, LATEST = 1.1, 0.1
"""Coalescence, s before a window's end."""

NOISE_WINDOWS, INJECTIONS, INCOHERENT = sized((200_704, 24_576, 8_192), (20_480, 2_048, 512))
STRAIN_SECONDS, TRAINING_WAVEFORMS, TEST_WAVEFORMS = sized((8192, 12_000, 10_000), (2048, 1000, 1000))
ROUNDS, STEPS = sized((3, 8), (1, 4))
"""Turns of each network, and steps in a turn, in which a step is timed."""

GRAIN, BATCH = 32, 512
"""Samples of which noise windows' starts are multiples, so that streams can be encoded once; windows scored at once."""

SNR_BANDS = ((5.0, 7.0), (7.0, 9.0), (9.0, 12.0), (12.0, 16.0))
CHIRP_MASSES = ((0.0, 10.0), (10.0, 20.0), (20.0, 40.0), (40.0, 1e3))
MASS_BAND, MASSES = (9.0, 12.0), ("Mc < 10", "Mc 10–20", "Mc 20–40", "Mc > 40")
RATES = (1e-3, 1e-4)
TRIAL, TRIAL_SECONDS, SECONDS = "factorised, conv head", sized(60.0, 5.0), 500.0
TRIAL_TARGET = at_least(0.6, of_full_amount=True)
"""Efficiency in the loudest band at the higher rate."""

TABLES = re.compile("(?<=<!-- tables -->\n).*(?=<!-- end of tables -->)", re.DOTALL)


@dataclass(frozen=True)
class Candidate:
    """A network to train.

    Attributes:
        build: Makes it of the number of detectors and the samples of a window.
        kernel_length: Window, s.
        seed: Of weights and batches.
        repairings: Further negatives per window of noise; only a factorised network has them for little.
    """

    build: Callable[[int, int], Network]
    kernel_length: float = 1.5
    seed: int = SEED
    repairings: int = 3


JOINT = {"layers": (1, 2, 2, 2), "kernel": 5, "width": 16, "batch_size": 64}
CANDIDATES = {
    "factorised, conv head": Candidate(FactorisedNetwork),
    "joint, batch norm": Candidate(partial(JointResNet, norm="batch", **JOINT), repairings=0),
    "factorised, context": Candidate(partial(FactorisedNetwork, context=(1, 2, 4, 8)), 3.0),
    "factorised, inspiral": Candidate(partial(FactorisedNetwork, inspiral=(1, 2, 4, 8, 16)), 3.0),
    "factorised, additive head": Candidate(partial(FactorisedNetwork, fusion="additive")),
    "factorised, conv head, other seed": Candidate(FactorisedNetwork, seed=SEED + 1),
    "joint, group norm": Candidate(partial(JointResNet, norm="group", **JOINT), repairings=0),
}


@dataclass
class Catalogue:
    """Signals that remember which of them were drawn."""

    stored: StoredSignals
    chirp_mass: Tensor
    rows: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))

    @property
    def coalescence_sample(self) -> int:
        """See ``Signals``."""
        return self.stored.coalescence_sample

    def sample(self, number: int, generator: torch.Generator, device: torch.device) -> Tensor:
        """See ``Signals``."""
        self.rows = torch.randint(0, len(self.chirp_mass), (number,), generator=generator)
        return (self.stored.polarizations[self.rows] * self.stored.scales[self.rows, None, None]).to(device)


class Clock(lightning.Callback):
    """Processor time at the end of each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Note it."""
        self.times.append(time.process_time())


def prepare(directory: Path, seed: int, stop: int, waveforms: int) -> None:
    """Simulate strain and make waveforms, unless they are there."""
    changes = {"search.seed": seed, "data.train_stop": 1262304000 + stop, "data.test_stop": 1262304000 + 2 * stop,
               "waveforms.num_training_waveforms": waveforms, "waveforms.num_validation_waveforms": 10}  # fmt: skip
    use(directory)
    if not (directory / "sandbox.cfg").exists():
        cli.main(["init", str(directory), *(f"--set={name}={value}" for name, value in changes.items())])
    os.environ["LAW_CONFIG_FILE"] = str(directory / "sandbox.cfg")
    cli.main(["data", "--stage", "train"])
    cli.main(["waveforms", "--stage", "train", "--stage", "validation"])


def use(directory: Path) -> None:
    for name in ("train_data", "test_data", "train_run", "condor", "results"):
        os.environ[f"AFRAME_{name.upper()}_DIR"] = str(directory / name)


def data_module(directory: Path, kernel_length: float, seed: int, **arguments: Any) -> RunDataModule:
    """The demo's data module, of another window, with coalescences as far from its end as ever."""
    use(directory)
    text = (directory / "sandbox.cfg").read_text(encoding="utf-8")
    for name, value in (("kernel_length", kernel_length), ("seed", seed)):
        line = next(line for line in text.splitlines() if line.startswith(f"{name} ="))
        text = text.replace(line, f"{name} = {value}")
    path = directory / f"{kernel_length}-{seed}.cfg"
    path.write_text(text, encoding="utf-8")
    data = RunDataModule(
        str(path), batch_size=128, batches_per_epoch=10**9, waveform_prob=0.5, swap_prob=0.0625, mute_prob=0.0625,
        first_coalescence=kernel_length - EARLIEST, last_coalescence=kernel_length - LATEST, **arguments,
    )  # fmt: skip
    data.setup("fit")
    return data


def fit(candidate: Candidate, data: RunDataModule, steps: int) -> tuple[Network, list[float]]:
    """Train for so many steps; the network, and the processor time at the end of each."""
    clock = Clock()
    module = AframeModule(candidate.build, learning_rate=2e-3, repairings=candidate.repairings)
    trainer = lightning.Trainer(
        accelerator="cpu", precision=TRAINED_IN[fastest()], max_steps=steps, gradient_clip_val=1.0, limit_val_batches=0,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[clock],
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    return module.model().network.eval().requires_grad_(False), clock.times


def step_times(names: Sequence[str], directory: Path) -> dict[str, float]:
    """Processor time of a training step of each network, s: the least of some, as others may be at work here.

    The networks take turns, so that all of them see a quiet moment, and are kept in a file of the directory.
    """
    path = directory / "steps.json"
    found: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in names if name not in found]
    for _ in range(ROUNDS if missing else 0):
        for name in missing:
            candidate = CANDIDATES[name]
            data = data_module(directory / "train", candidate.kernel_length, candidate.seed)
            _, times = fit(candidate, data, STEPS)
            step = min(after - before for before, after in itertools.pairwise(times))
            found[name] = min(found.get(name, step), step)
    equal = [name for name in found if name.startswith(TRIAL)]  # one network, of two seeds
    found |= dict.fromkeys(equal, min((found[name] for name in equal), default=0.0))
    write(path, found)
    return found


@torch.inference_mode()
def noise_scores(network: Network, data: RunDataModule) -> Tensor:
    """Scores of windows that begin at independent times in each detector: the same times for each network."""
    assert data.background is not None
    streams, generator = data.background.streams, torch.Generator().manual_seed(TEST_SEED)
    room = (streams.shape[-1] - data.inputs.kernel_size) // GRAIN
    starts = torch.randint(0, room, (NOISE_WINDOWS, len(streams)), generator=generator) * GRAIN
    starts += data.inputs.kernel_size - network.kernel_size  # all windows of a draw end together
    size, step = network.window_steps, network.step_size
    views = [embedded.unfold(-1, size, 1) for embedded in encoded(network, streams)]
    scores = []
    for rows in starts.split(BATCH):
        windows = torch.stack([view[:, rows[:, k] // step].transpose(0, 1) for k, view in enumerate(views)])
        scores.append(network.fuse_windows(windows))
    return torch.cat(scores)


def encoded(network: Network, streams: Tensor) -> Tensor:
    """Streams' embeddings, made piece by piece: shape (ifos, channels, steps)."""
    steps, tile = network.steps(streams.shape[-1]), 2**17 // network.step_size
    pieces = []
    for first in range(0, steps, tile):
        last = min(steps, first + tile)
        piece = streams[:, first * network.step_size : (last - 1) * network.step_size + network.receptive_field]
        pieces.append(network.encode(piece[None])[0, ..., : last - first])
    return torch.cat(pieces, dim=-1)


@torch.inference_mode()
def signal_scores(network: Network, data: RunDataModule) -> dict[str, Tensor]:
    """Scores of injections and of incoherent signals in noise, and the injections' SNRs and chirp masses."""
    assert data.background is not None
    assert isinstance(data.signals, Catalogue)
    result: dict[str, list[Tensor]] = {name: [] for name in ("score", "snr", "chirp_mass", "one_detector", "swapped")}
    generator = torch.Generator().manual_seed(TEST_SEED)
    nobody, everybody = torch.zeros(BATCH, dtype=torch.bool), torch.ones(BATCH, dtype=torch.bool)

    def score(windows: Tensor) -> Tensor:
        return network(windows[..., -network.kernel_size :].contiguous())

    for number in range(INJECTIONS // BATCH):
        noise, responses = data.background.sample(BATCH, data.inputs.kernel_size, generator, data.device)
        signals = data.make_signals(responses, generator, generator, data.snr)
        result["score"].append(score(noise + signals))
        result["snr"].append(network_snr(signals))
        result["chirp_mass"].append(data.signals.chirp_mass[data.signals.rows])
        muted = make_incoherent(signals, nobody, everybody, generator)
        swapped = make_incoherent(signals, everybody, nobody, generator)
        if number < INCOHERENT // BATCH:
            result["one_detector"].append(score(noise + muted))
            result["swapped"].append(score(noise + swapped))
    return {name: torch.cat(parts) for name, parts in result.items()}


def fraction(scores: Tensor, thresholds: tuple[float, float, float]) -> list[float]:
    """Fraction above the threshold, its binomial error, and half its change over the threshold's own error."""
    found, strict, loose = (float((scores > threshold).float().mean()) for threshold in thresholds)
    binomial = (max(found * (1 - found), 1 / len(scores)) / len(scores)) ** 0.5
    return [round(found, 4), round(binomial, 4), round((loose - strict) / 2, 4)]


def thresholds(noise: Tensor, rate: float) -> tuple[float, float, float]:
    """Score that this fraction of noise exceeds, and those a standard deviation of that number above and below."""
    ordered, number = noise.sort(descending=True).values, rate * len(noise)
    ranks = (number, number - number**0.5, number + number**0.5)
    return tuple(float(ordered[max(0, round(rank))]) for rank in ranks)  # type: ignore[return-value]


def evaluate(network: Network, data: RunDataModule) -> dict[str, Any]:
    """Everything that is said of a network; each fraction with its binomial and its threshold error."""
    noise, signals = noise_scores(network, data), signal_scores(network, data)
    score, snr, mass = signals["score"], signals["snr"], signals["chirp_mass"]
    in_band = (snr >= MASS_BAND[0]) & (snr < MASS_BAND[1])
    result: dict[str, Any] = {"auroc": round(float(partial_auroc(noise, score, 1.0)), 4)}
    for rate in RATES:
        cuts = thresholds(noise, rate)
        result[f"{rate:g}"] = {
            "snr": [fraction(score[(snr >= low) & (snr < high)], cuts) for low, high in SNR_BANDS],
            "chirp_mass": [
                fraction(score[in_band & (mass >= low) & (mass < high)], cuts) for low, high in CHIRP_MASSES
            ],
            "one_detector": fraction(signals["one_detector"], cuts),
            "swapped": fraction(signals["swapped"], cuts),
        }
    return result


def catalogue(data: RunDataModule) -> Catalogue:
    """The test signals, with the chirp masses that detectors see."""
    path = storage.join(data.inputs.directory, "training_waveforms.hdf5")
    table = PolarizationTable.read(path, ["mass_1", "mass_2"])
    assert isinstance(data.signals, StoredSignals)
    product, total = table["mass_1"] * table["mass_2"], table["mass_1"] + table["mass_2"]
    mass = torch.from_numpy(product**0.6 / total**0.2).float()
    return Catalogue(data.signals, mass)


def measure(name: str, directory: Path, steps: int, seconds: float) -> dict[str, Any]:
    """Train one network for so many steps, which take so many seconds here, and evaluate it."""
    candidate = CANDIDATES[name]
    data = data_module(directory / "train", candidate.kernel_length, candidate.seed)
    path = str(directory / f"{name} {seconds:g} s.pt")
    if not storage.exists(path):
        save(Model(fit(candidate, data, steps)[0], data.preprocessing), path, {"seconds": seconds})
    network = load(path).network
    test = data_module(directory / "test", LONGEST, TEST_SEED)
    test.signals = catalogue(test)
    start = time.process_time()
    found = evaluate(network, test)
    print(f"    evaluated in {time.process_time() - start:.0f} s", flush=True)
    training = {"seconds": seconds, "samples": steps * data.batch_size}
    return {"training": training, "cost": asdict(cost(network, data.inputs.stride_size)), **found}


def write(path: Path, content: dict[str, Any]) -> None:
    with storage.atomic(str(path)) as temporary:
        Path(temporary).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def shown(parts: Sequence[float]) -> str:
    """A fraction, and in parentheses the error of its last digits, binomial and of the threshold together."""
    return f"{parts[0]:.3f}({1000 * (parts[1] ** 2 + parts[2] ** 2) ** 0.5:.0f})"


def tables(results: dict[str, Any]) -> str:
    """Markdown of what networks cost and of what they find."""
    columns = ["network", "window", "parameters", "FLOP of a window", "of it in a slide", "samples", "AUROC"]
    text = f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    for name, result in results.items():
        c = result["cost"]
        cells = (
            name, f"{CANDIDATES[name].kernel_length:g} s",
            f"{c['encoder_parameters'] / 1000:.0f} k + {c['head_parameters'] / 1000:.0f} k",
            f"{c['encoder_flops'] / 1e6:.1f} M + {c['head_flops'] / 1e6:.2f} M", f"{c['slide_flops'] / 1e6:.2f} M",
            f"{result['training']['samples'] / 1000:.0f} 000", f"{result['auroc']:.3f}",
        )  # fmt: skip
        text += f"| {' | '.join(cells)} |\n"
    bands = [f"SNR {low:g}–{high:g}" for low, high in SNR_BANDS]
    columns = ["network", *bands, *MASSES, "one detector", "swapped"]
    for rate in RATES:
        text += f"\nFalse positive rate {rate:g}:\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
        for name, result in results.items():
            at = result[f"{rate:g}"]
            parts = (*at["snr"], *at["chirp_mass"], at["one_detector"], at["swapped"])
            text += f"| {name} | {' | '.join(map(shown, parts))} |\n"
    return text + "\n"


def draw(path: Path, results: dict[str, Any]) -> None:
    """Efficiency at the lowest rate by SNR and by chirp mass."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "aframe"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
    snr = [f"{low:g}–{high:g}" for low, high in SNR_BANDS]
    for axis, kind, ticks, label in (
        (axes[0], "snr", snr, "Network SNR"),
        (axes[1], "chirp_mass", MASSES, "Chirp mass (M☉), SNR 9–12"),
    ):
        for number, (name, result) in enumerate(results.items()):
            values = result[f"{min(RATES):g}"][kind]
            error = [(binomial**2 + threshold**2) ** 0.5 for _, binomial, threshold in values]
            place = [k + 0.1 * (number - (len(results) - 1) / 2) for k in range(len(values))]
            axis.errorbar(place, [found for found, _, _ in values], error, fmt="o", ms=4, label=name)
        axis.set(xlabel=label, xticks=range(len(ticks)), xticklabels=ticks, ylim=(0, 1))
    axes[0].set_ylabel(f"Efficiency at a false positive rate of {min(RATES):g}")
    axes[0].legend(frameon=False, fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def report(results: dict[str, Any], seconds: float) -> None:
    """Print the line of the benchmarks' table."""
    ours, theirs = results.get(TRIAL), results.get("joint, batch norm")
    if ours and theirs:
        (value, *errors), (other, *others) = (each["0.0001"]["snr"][2] for each in (ours, theirs))
        error, unit = math.hypot(*errors, *others), "SNR 9-12, FPR 1e-4"
        tell("factorised_less_joint_efficiency", value - other, unit, at_least(0.0), error)
        return
    name = f"efficiency_after_{seconds:g}_s_of_training_{name_of(fastest())}"
    value, *errors = results[TRIAL]["0.001"]["snr"][3]
    tell(name, value, "SNR 12-16, FPR 1e-3", TRIAL_TARGET, math.hypot(*errors))


def compare(names: Sequence[str], directory: Path, store: Path, seconds: float) -> dict[str, Any]:
    """Train and measure the networks that the store lacks; all that it then has, in the candidates' order."""
    results: dict[str, Any] = json.loads(store.read_text()) if store.exists() else {}
    missing = [name for name in names if name not in results]
    if missing:
        prepare(directory / "train", SEED, STRAIN_SECONDS, TRAINING_WAVEFORMS)
        prepare(directory / "test", TEST_SEED, STRAIN_SECONDS, TEST_WAVEFORMS)
    times = step_times(missing, directory) if missing else {}
    for name in missing:
        print(name, flush=True)
        measured = measure(name, directory, max(20, round(seconds / times[name])), seconds)
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
        document = store.with_suffix(".md")
        if document.exists():
            draw(store.with_suffix(".svg"), results)
            document.write_text(TABLES.sub(lambda _: tables(results), document.read_text("utf-8")), "utf-8")
    report(results, seconds)


if __name__ == "__main__":
    main()
