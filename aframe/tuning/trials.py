"""Directory of a trial, and the training in it."""

import hashlib
import json
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from configupdater import ConfigUpdater

from aframe import storage
from aframe.errors import AframeError
from aframe.machine.locks import held
from aframe.machine.processes import die_with
from aframe.progress import activity
from aframe.report.gather import read_metrics
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.keys import shown
from aframe.settings.read import load_config
from aframe.steps.bank import make_bank
from aframe.tuning.plan import BANK, EPOCHS, Plan, with_values

METRICS = "metrics.csv"
"""File with a row for each epoch of a training."""


@dataclass(frozen=True)
class TrialFiles:
    """Files of a trial.

    Attributes:
        directory: Directory of the training.
        train: Its YAML.
        configuration: Its ``.cfg``: the run's, or one with another bank.
        directories: Its run's directories.
    """

    directory: str
    train: str
    configuration: str
    directories: Directories

    @property
    def log(self) -> str:
        """Output of the training."""
        return storage.join(self.directory, "train.log")

    @property
    def metrics(self) -> str:
        """Metrics of each epoch."""
        return storage.join(self.directory, METRICS)

    @property
    def epochs(self) -> int:
        """Number of epochs of the whole training."""
        group, key = EPOCHS
        return int(yaml.safe_load(storage.read_text(self.train))[group][key])

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of the training."""
        names = [f"AFRAME_{each.name.upper()}_DIR" for each in fields(self.directories)]
        return dict(zip(names, astuple(self.directories), strict=True)) | {"LAW_CONFIG_FILE": self.configuration}


def write_trial(plan: Plan, run: Artifacts, directory: str, values: Mapping[str, Any]) -> TrialFiles:
    """Write the files with which a trial trains.

    Args:
        plan: The study.
        run: The run whose data train.
        directory: Directory of the trial.
        values: The trial's values, as Optuna knows them.
    """
    chosen = {each.key: each.decoded(values[each.key]) for each in plan.parameters}
    bank = {key.removeprefix(BANK): value for key, value in chosen.items() if key.startswith(BANK)}
    others = {key: value for key, value in chosen.items() if not key.startswith(BANK)}
    train = storage.join(directory, "train.yaml")
    storage.write_text(train, with_values(plan.train, others))
    directories = Directories(**_texts(run.directories) | {"train_run": directory})
    settled, of_trial = run.precision_record("training"), storage.join(directory, "precision.json")
    if storage.exists(settled) and not storage.exists(of_trial):  # all trainings of a run have one precision
        storage.write_text(of_trial, storage.read_text(settled))
    configuration = _with_bank(run, bank) if bank else str(run.config.path)
    return TrialFiles(directory, train, configuration, directories)


def _texts(directories: Directories) -> dict[str, str]:
    return {each.name: getattr(directories, each.name) for each in fields(directories)}


def _with_bank(run: Artifacts, values: Mapping[str, Any]) -> str:
    """Write a ``.cfg`` with other keys of the bank beside the run's, as its relative paths start there."""
    text = json.dumps(dict(values), sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
    file = ConfigUpdater(inline_comment_prefixes=("#", ";"))
    file.read_string(storage.read_text(str(run.config.path)))
    if "luigi_bank" not in file:
        file[file.sections()[-1]].add_after.space().section("luigi_bank")
    for key, value in (values | {"bank_file": f"bank-{name}.hdf5"}).items():
        file["luigi_bank"][key] = shown(value).strip("'")
    path = str(run.config.path.with_name(f".tune-{name}.cfg"))
    storage.write_text(path, str(file))
    return path


def start_training(
    files: TrialFiles, gpus: str | None, threads: int | None, method: str = "fork"
) -> multiprocessing.process.BaseProcess:
    """Begin or continue the training of a trial in a process that gets SIGTERM when this thread ends.

    Args:
        files: Files of the trial.
        gpus: GPUs, as in CUDA_VISIBLE_DEVICES; None for those of this process.
        threads: Number of threads; None for torch's choice.
        method: How the process begins: ``fork`` from this process, which has imported all, or ``spawn``.
    """
    environment = files.environment | ({} if gpus is None else {"CUDA_VISIBLE_DEVICES": gpus})
    context = multiprocessing.get_context(method)
    process = context.Process(  # type: ignore[attr-defined]
        target=_train, args=(files, environment, threads, os.getpid()), daemon=False
    )
    process.start()
    started: multiprocessing.process.BaseProcess = process
    return started


def _train(files: TrialFiles, environment: Mapping[str, str], threads: int | None, parent: int) -> None:
    """Train in this process, and write what it prints to the trial's log."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the study's first process ends its workers, and they their trainings
    die_with(parent, signal.SIGTERM)
    os.environ.update(environment)
    os.environ.pop(activity.FILE, None)
    log = os.open(files.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    words = ["train", "fit", "--config", files.train]
    sys.argv = ["aframe", *words]  # with what Lightning starts further processes, if several GPUs train
    sys.modules["__main__"].__spec__ = find_spec("aframe.cli")
    try:
        with held(storage.join(files.directory, ".training")):
            _fit(files, words[1:], threads)
    except AframeError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        sys.exit(1)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _fit(files: TrialFiles, words: list[str], threads: int | None) -> None:
    import torch

    from aframe.steps import training_cli

    if threads is not None:
        torch.set_num_threads(threads)
    run = Artifacts(load_config(files.configuration), files.directories)
    if Path(files.configuration).name.startswith(".tune-"):
        with held(storage.join(files.directory, "..", f".{run.config.bank.bank_file}.lock")):
            if not storage.exists(run.bank):
                make_bank(run)
    training_cli.main(words)


def last_line(path: str) -> str:
    """Last line of a log, which of a failed training is its error. Empty if there is none."""
    lines = storage.read_text(path).split("\n") if storage.exists(path) else []
    return next((line.strip().removeprefix("error: ") for line in reversed(lines) if line.strip()), "")


def read_metric(path: str, metric: str) -> dict[int, float]:
    """Values of a metric by the number of finished epochs. Empty before the first.

    Args:
        path: The training's ``metrics.csv``.
        metric: Name of the metric.
    """
    if not storage.exists(path):
        return {}
    epochs, values = read_metrics(path).get(metric, ([], []))
    return {int(epoch) + 1: float(value) for epoch, value in zip(epochs, values, strict=True)}
