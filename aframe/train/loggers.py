"""Loggers of metrics besides ``metrics.csv``: TensorBoard, and optionally Weights & Biases."""

import hashlib
import importlib.util
import os

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from aframe import storage
from aframe.errors import ConfigurationError
from aframe.train.checkpoints import finished_steps

TENSORBOARD = "tensorboard"
"""Folder of TensorBoard's files in the training's directory."""


def loggers(directory: str, checkpoint: str | None, use_wandb: bool) -> list[Logger]:
    """Create the loggers of a training. They continue the logs of its earlier processes.

    Args:
        directory: Directory of the training, local or s3.
        checkpoint: Checkpoint that the training continues from, if any. Later log entries are removed.
        use_wandb: Whether to log to Weights & Biases too.

    Raises:
        ConfigurationError: If Weights & Biases is requested but not installed.
    """
    step = finished_steps(checkpoint) if checkpoint else None
    chosen: list[Logger] = [TensorBoardLogger(directory, name=None, version=TENSORBOARD, purge_step=step)]
    if use_wandb:
        if importlib.util.find_spec("wandb") is None:
            raise ConfigurationError("use_wandb = true, but wandb is not installed: pip install 'aframe[wandb]'")
        place = directory if storage.is_remote(directory) else os.path.abspath(directory)
        chosen.append(
            WandbLogger(
                name=os.environ.get("WANDB_NAME") or place,
                project=os.environ.get("WANDB_PROJECT") or "aframe",
                id=hashlib.sha256(place.encode()).hexdigest()[:16],
                save_dir="." if storage.is_remote(directory) else directory,
                resume="allow",
            )
        )
    return chosen
