"""What glitches cost: the same noise and injections with and without those of O3, and three searches in both.

    python benchmarks/glitches.py --directory /tmp/glitches

The searches are the demo's network, trained in noise without and with glitches, and the plain bank of its templates.
The directory keeps what is done, so that an interrupted comparison goes on. The rows are the ratios of volumes with and
without glitches, of the network that is trained in the demo's noise.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from _rows import QUICK, Target, at_least, tell

from aframe import cli, storage
from aframe.commands.runs import load_environment, run_of
from aframe.runs.artifacts import Artifacts
from aframe.runs.plain_bank import PlainBankSearch
from aframe.sensitivity.limit import MONTHLY_RATES, Searched, ratio
from aframe.steps.engines import settle_precisions
from aframe.steps.limit import measure_limit, searched
from aframe.steps.planning import ledger, plan_units
from aframe.steps.scoring import merge_events, score_unit
from aframe.train import model

KEPT = at_least(0.9)
"""Share of the volume that a search should keep."""

SNR_EDGES = (6.0, 7.0, 8.0, 9.0, 10.0, 12.0, 16.0)
"""Edges of the bands of network SNR."""

NOISES = {"without": "none", "with": "o3"}
"""Values of ``glitches``."""

SMALL = ("data.train_stop=1262308288", "data.test_stop=1262312384", "waveforms.num_training_waveforms=600",
         "waveforms.num_validation_waveforms=60", "injections.num_injections=100", "inference.Tb=100000",
         "bank.size=64", "train.data.mined_signals=256", "train.data.mined_slides=100",
         "train.data.validation_background=3000")  # fmt: skip
"""Settings of small runs, which try the script and measure nothing."""


def prepare(directory: Path, noise: str, amounts: Sequence[str]) -> None:
    """Configure a run, unless it is.

    Args:
        directory: Directory of the run.
        noise: Name of its noise.
        amounts: Settings that differ from the demo's.
    """
    if not (directory / "sandbox.cfg").exists():
        settings = [f"--set={each}" for each in (*amounts, f"data.glitches={NOISES[noise]}")]
        cli.main(["init", str(directory), "--config", "demo", *settings])


def load(directory: Path) -> Artifacts:
    """Load a run, whatever the environment says.

    Args:
        directory: Directory of the run.
    """
    for name in [name for name in os.environ if name.startswith("AFRAME_") and name.endswith("_DIR")]:
        del os.environ[name]
    return run_of(load_environment(str(directory)))


def with_other(
    directory: Path, noise: str, runs: Mapping[str, Path], training: str, amounts: Sequence[str]
) -> Artifacts:
    """Search the noise of a run with the network of another one.

    Args:
        directory: Directory of the results.
        noise: Name of the run whose strain and injections are searched.
        runs: Directory of each run.
        training: Name of the run that trained the network.
        amounts: Settings that differ from the demo's.
    """
    if not directory.exists():
        prepare(directory, noise, amounts)
        for name in ("train_data", "test_data"):
            (directory / name).symlink_to(runs[noise] / name)
    trained, run = load(runs[training]).model, load(directory)
    if not storage.exists(run.clean("background")):
        settle_precisions(run, gpus="")
        model.save(model.load(trained), run.model, run.model_parameters)
        units, accounts = plan_units(run), ledger(run)
        for number, unit in enumerate(units):
            score_unit(run, unit, "cpu", progress=accounts.job(number, f"{directory.name}, unit {number + 1}"))
        merge_events(run)
    return run


def described(name: str, search: Searched) -> str:
    """Line of a table: threshold, found injections, efficiencies and volumes at one false alarm a month."""
    far = np.array(MONTHLY_RATES[:1])
    threshold, found = search.background.threshold_at_far(far)[0], search.found(far)[0]
    band = np.digitize(search.injections["snr"], SNR_EDGES)
    shares = " ".join(f"{found[band == number].mean():.2f}" for number in range(1, len(SNR_EDGES) + 1))
    volumes, errors = (each[0] for each in search.volumes(far))
    text = " ".join(f"{volume:.3f} ± {error:.3f}" for volume, error in zip(volumes, errors, strict=True))
    return f"{name:44} {threshold:8.2f} {found.mean():.3f}   {shares}   {text}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, help="directory of the runs (default: a temporary one)")
    parser.add_argument("--small", action="store_true", help="small runs, to try the script")
    options = parser.parse_args()
    if QUICK and not options.small:
        tell("glitches", None, "volume with glitches / without", note="quick: not measured, it takes two whole runs")
        return
    directory, amounts = options.directory or Path(tempfile.mkdtemp()), SMALL if options.small else ()
    runs = {noise: directory.absolute() / noise for noise in NOISES}
    for noise, place in runs.items():
        prepare(place, noise, amounts)
        subprocess.run([sys.executable, "-P", "-m", "aframe.cli", "run", str(place)], check=True)
    searches: dict[tuple[str, str], Searched] = {}
    for noise, place in runs.items():
        measure_limit(load(place), "cpu")
        searches["plain bank", noise] = searched(PlainBankSearch.of(load(place)))
        for training in runs:
            other = directory.absolute() / f"{noise}-by-{training}"
            run = load(place) if training == noise else with_other(other, noise, runs, training, amounts)
            searches[f"trained {training} glitches", noise] = searched(run)
    print(f"{'search, noise':44} threshold found   by SNR from {SNR_EDGES}   volumes, Gpc³")
    for (name, noise), search in sorted(searches.items()):
        print(described(f"{name}, {noise} glitches", search))
    far = np.array(MONTHLY_RATES[:1])
    for name in ("trained without glitches", "trained with glitches", "plain bank"):
        with_glitches, without = searches[name, "with"], searches[name, "without"]
        target: Target | None = None if name == "plain bank" or options.small else KEPT
        for population, weighed in without.draws.targets.items():
            value, error = ratio(weighed.weight, with_glitches.found(far), without.found(far))
            unit = "volume with glitches / without"
            tell(f"{name}, {population}".replace(" ", "_"), float(value[0]), unit, target, float(error[0]))


if __name__ == "__main__":
    main()
