"""The training of a trial, in a process of its own. This module imports nothing slow, for the workers of clusters."""

import csv
import io
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from importlib.util import find_spec
from multiprocessing.process import BaseProcess
from typing import Any

import yaml

from aframe import storage
from aframe.errors import AframeError
from aframe.machine.locks import held
from aframe.machine.processes import die_with
from aframe.progress import activity
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config

EPOCHS = ("trainer", "max_epochs")
"""Key with the number of a training's epochs."""

POLL_INTERVAL = 0.2
"""Time between two looks at a training's metrics, s."""

ENDING_TIME = 120.0
"""Time in which a training writes its checkpoint after SIGTERM, s. Afterwards it is killed."""


@dataclass(frozen=True)
class TrialFiles:
    """Files of a trial.

    Attributes:
        directory: Directory of the training.
        train: Its YAML.
        configuration: Its ``.cfg``: the run's, or one with another bank.
        directories: Its run's directories.
        has_bank: Whether the trial has a bank of its own.
    """

    directory: str
    train: str
    configuration: str
    directories: Directories
    has_bank: bool

    @property
    def log(self) -> str:
        """Output of the training."""
        return storage.join(self.directory, "train.log")

    @property
    def metrics(self) -> str:
        """Metrics of each epoch."""
        return storage.join(self.directory, "metrics.csv")

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


def start_training(files: TrialFiles, gpus: str | None, threads: int | None, method: str = "fork") -> BaseProcess:
    """Begin or continue the training of a trial in a process that gets SIGTERM when this thread ends.

    Args:
        files: Files of the trial.
        gpus: GPUs, as in CUDA_VISIBLE_DEVICES; None for those of this process.
        threads: Number of threads; None for torch's choice.
        method: How the process begins: ``fork`` from this process, which has imported all, or ``spawn``.
    """
    environment = files.environment | ({} if gpus is None else {"CUDA_VISIBLE_DEVICES": gpus})
    context: Any = multiprocessing.get_context(method)
    process: BaseProcess = context.Process(target=_train, args=(files, environment, threads, os.getpid()))
    process.start()
    return process


@contextmanager
def ending(process: BaseProcess) -> Iterator[BaseProcess]:
    """End a process with the context: it may write a checkpoint first."""
    try:
        yield process
    finally:
        process.terminate()
        process.join(ENDING_TIME)
        process.kill()
        process.join()


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
    if files.has_bank:
        from aframe.steps.bank import make_bank

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
    rows = csv.DictReader(io.StringIO(storage.read_text(path)))
    return {int(row["epoch"]) + 1: float(row.get(metric) or "nan") for row in rows}
