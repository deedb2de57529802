"""Train a run's model, once or in a study, in a separate process or on a cluster."""

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from aframe.errors import TrainingError
from aframe.machine.processes import die_with
from aframe.progress import activity
from aframe.runs.artifacts import Artifacts


def train_model(run: Artifacts, gpus: str) -> None:
    """Train in a separate process. It gets SIGTERM when this process ends, and writes a checkpoint first.

    If ``[luigi_kubernetes]`` names an image, training runs on a cluster.

    Args:
        run: The run.
        gpus: GPUs, as in CUDA_VISIBLE_DEVICES.

    Raises:
        TrainingError: If training fails.
    """
    if run.config.kubernetes.trains:
        from aframe.kubernetes import lifecycle

        lifecycle.train(run)
        return
    code = _run(run, "Train", ["train", "fit", "--config", run.training_yaml], {"CUDA_VISIBLE_DEVICES": gpus})
    if code > 0:
        raise TrainingError("training failed: its output says why", is_reported=True)
    if code < 0:
        raise TrainingError(
            f"training was ended by signal {-code}, perhaps because memory ran out: run again to "
            "continue from its last checkpoint; if it fails again, set data.background_memory and "
            "data.waveform_memory: disk"
        )


def tune_model(run: Artifacts, gpus: str) -> None:
    """Run the study of a run in a separate process, or continue it. Its best model becomes the run's.

    Args:
        run: The run.
        gpus: GPUs, as in CUDA_VISIBLE_DEVICES.

    Raises:
        TrainingError: If the study has no model.
    """
    assert run.study_yaml is not None
    code = _run(run, "Tune", ["tune", "--config", run.study_yaml, "--gpus", gpus])
    if code > 0:
        raise TrainingError("the study failed: its output says why", is_reported=True)
    if code < 0:
        raise TrainingError(f"the study was ended by signal {-code}: run again to continue it")


def _run(run: Artifacts, task: str, words: Sequence[str], variables: Mapping[str, str] = MappingProxyType({})) -> int:
    """Run a command of aframe, which reports as a task of the run, and return its exit code."""
    environment = os.environ | variables | {"LAW_CONFIG_FILE": str(run.config.path)}
    environment[activity.FILE] = run.activity(task)
    die = functools.partial(die_with, os.getpid(), signal.SIGTERM)
    command = [sys.executable, "-P", "-m", "aframe.cli", *words]
    return subprocess.run(command, env=environment, check=False, preexec_fn=die).returncode
