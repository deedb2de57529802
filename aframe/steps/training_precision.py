"""Determine the precision of a training: the value in its YAML, or the choice of ``auto`` on the training machine."""

import sys
from collections.abc import Mapping
from typing import Any

from aframe.constants import AUTO, PRECISION_CHOICES
from aframe.machine.precision import (
    check_trainer_supported,
    described,
    explained,
    is_emulated,
    measurement,
    resolve_trainer,
    trainer_dtype,
    training_device,
)
from aframe.runs.artifacts import TRAINER_PRECISION, Artifacts, training_parameters
from aframe.runs.precision_record import record_first


def settle(
    run: Artifacts, training_yaml: str, changes: Mapping[str, Any] | None = None, device: str | None = None
) -> str:
    """Determine the precision of a run's training, and record it. A resumed run keeps it.

    Args:
        run: The run.
        training_yaml: The training's YAML.
        changes: Values of the command line that replace values of the YAML, as ``train.<key>``.
        device: Type of the device that trains. None for the default of this process.

    Returns:
        Lightning's name of the precision.

    Raises:
        ConfigurationError: If the device cannot compute in it.
    """
    keys = training_parameters(training_yaml) | dict(changes or {})
    device = device or training_device(keys.get("train.trainer.accelerator", AUTO))
    name = run.precision("training", keys.get(TRAINER_PRECISION))
    if name == AUTO:
        chosen = resolve_trainer(AUTO, device)
        name = record_first(
            run.precision_record("training"), chosen, measurement(device), PRECISION_CHOICES["training"]
        )
    check_trainer_supported(name, device)
    return name


def announce(name: str, accelerator: object) -> None:
    """Print the precision of a training, and a warning if the device emulates it.

    Args:
        name: Lightning's name of the precision.
        accelerator: Lightning's name of the accelerator.
    """
    device = training_device(accelerator)
    print(f"Train: precision {name}; {explained(device)}", flush=True)
    warn_of_emulated_training(name, device)


def warn_of_emulated_training(name: str, device: str) -> None:
    """Warn if a device emulates the precision of a training.

    Args:
        name: Lightning's name of the precision.
        device: Type of the device that trains.
    """
    kind = trainer_dtype(name)
    if is_emulated(kind, device):
        mend = f"train.yaml with trainer.precision: {AUTO}, in another AFRAME_TRAIN_RUN_DIR, trains faster here"
        print(f"warning: training computes in {described(kind, device)}: {mend}", file=sys.stderr, flush=True)
