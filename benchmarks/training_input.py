"""Share of the preparation of batches in a training step, for the shipped networks and each place of the data.

The network of the demo trains on a processor. The network of the full analysis trains on a GPU. Without a GPU, the
benchmark measures a few steps on the processor, which take a minute each.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import yaml
from _clocks import middle
from _precision import TRAINED_IN, fastest, name_of
from _rows import QUICK, at_most, sized, tell

from aframe import cli
from aframe.costs.amounts import network, repairings
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config
from aframe.steps.training_data import RunDataModule
from aframe.train.data import Batch
from aframe.train.memory import Memory
from aframe.train.module import AframeModule

SHARE = at_most(0.10)
CHANGES = (
    "data.source=simulated", "data.asd=aLIGO_O4_high_asd.txt", "data.train_start=1262304000",
    f"data.train_stop={1262304000 + sized(2048, 1280)}", "data.test_stop=1262326592",
    f"waveforms.num_training_waveforms={sized(1000, 200)}", "waveforms.num_validation_waveforms=20",
)  # fmt: skip
"""Changes of a configuration to a small amount of simulated data."""


@dataclass(frozen=True)
class Case:
    """A training to measure.

    Attributes:
        configuration: Name of the configuration for ``aframe init``.
        device: Type of device.
        steps: Number of measured steps. One step precedes them.
        memories: Places of the data.
    """

    configuration: str
    device: str
    steps: int
    memories: Sequence[Memory]


class Timed(RunDataModule):
    """Data module that measures the preparation of batches."""

    making: float = 0.0

    def make_batch(self, step: int, rank: int = 0) -> Batch:
        """See ``RunDataModule``."""
        start = clock(self.device.type)
        batch = super().make_batch(step, rank)
        self.making += clock(self.device.type) - start
        return batch


class Steps(lightning.Callback):
    """Records the end of each step, and the time spent on batches so far."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Record both times."""
        assert isinstance(trainer.datamodule, Timed)  # type: ignore[attr-defined]
        data = trainer.datamodule  # type: ignore[attr-defined]
        self.ends.append((clock(data.device.type), data.making))


def clock(device: str) -> float:
    """Time in s: processor time, or elapsed time after all work of the GPU is done."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def prepare(directory: Path, configuration: str) -> Artifacts:
    """Prepare a run with a small amount of simulated strain.

    Args:
        directory: Directory of the run.
        configuration: Name of the configuration.
    """
    for name in ("train_data", "test_data", "train_run", "condor", "results"):
        os.environ[f"AFRAME_{name.upper()}_DIR"] = str(directory / name)
    os.environ["LAW_CONFIG_FILE"] = str(directory / "sandbox.cfg")
    changes = [f"--set={change}" for change in CHANGES]
    cli.main(["init", str(directory), "--config", configuration, *changes])
    cli.main(["data", "--stage", "train"])
    cli.main(["waveforms", "--stage", "train", "--stage", "validation"])
    return Artifacts(load_config(os.environ["LAW_CONFIG_FILE"]), Directories.from_environment())


def measure(run: Artifacts, case: Case, memory: Memory) -> None:
    """Print the share of a step that the preparation of its batch takes.

    Args:
        run: The run.
        case: The training.
        memory: Place of the data.
    """
    keys = yaml.safe_load(Path(run.training_yaml).read_text(encoding="utf-8"))["data"]
    data = Timed(**keys | {"background_memory": memory, "waveform_memory": memory})
    built = network(run)
    module = AframeModule(lambda *_: built, repairings=repairings(run))
    precision, steps = fastest() if case.device == "cpu" else torch.bfloat16, Steps()
    trainer = lightning.Trainer(
        accelerator=case.device, devices=1, precision=TRAINED_IN[precision], max_steps=case.steps + 1,
        gradient_clip_val=1.0, limit_val_batches=0, num_sanity_val_steps=0, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[steps],
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    whole, making = np.diff(np.array(steps.ends), axis=0).T
    share, error = middle(making / whole)
    kind, size = type(built).__name__, keys["batch_size"]
    print(f"{kind}, {size} windows, {memory}: step {np.median(whole):.3f} s, its batch {np.median(making):.3f} s")
    place = "processor" if case.device == "cpu" else "gpu"
    tell(f"training_input_{kind}_{size}_{place}_{name_of(precision)}_{memory}", share, "of a step", SHARE, error)


def main() -> None:
    torch.set_num_threads(1)
    cases = [Case("demo-factorised", "cpu", sized(20, 4), ("auto", "disk"))]
    if torch.cuda.is_available():
        cases.append(Case("bbh", "cuda", sized(20, 5), ("auto", "disk")))
    elif not QUICK:
        cases.append(Case("bbh", "cpu", 2, ("auto",)))
    for case in cases:
        with tempfile.TemporaryDirectory() as directory:
            run = prepare(Path(directory) / "run", case.configuration)
            for memory in case.memories:
                measure(run, case, memory)


if __name__ == "__main__":
    main()
