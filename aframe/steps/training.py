"""Train a run's model, in a separate process or on a cluster."""

import functools
import os
import signal
import subprocess
import sys

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
    command = [sys.executable, "-P", "-m", "aframe.cli", "train", "fit", "--config", run.training_yaml]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": gpus, "LAW_CONFIG_FILE": str(run.config.path)}
    environment[activity.FILE] = run.activity("Train")
    die = functools.partial(die_with, os.getpid(), signal.SIGTERM)
    process = subprocess.run(command, env=environment, check=False, preexec_fn=die)
    if process.returncode > 0:
        raise TrainingError("training failed: its output says why", is_reported=True)
    if process.returncode < 0:
        raise TrainingError(
            f"training was ended by signal {-process.returncode}, perhaps because memory ran out: run again to "
            "continue from its last checkpoint; if it fails again, set data.background_memory and "
            "data.waveform_memory: disk"
        )
