"""Where curves go besides ``metrics.csv``: TensorBoard, and Weights & Biases for who asks for it."""

import hashlib
import importlib.util
import os

import fsspec
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from aframe import storage
from aframe.errors import ConfigurationError

TENSORBOARD = "tensorboard"
"""Folder of TensorBoard's files in the training's directory."""


def loggers(directory: str, checkpoint: str | None, use_wandb: bool) -> list[Logger]:
    """Loggers of a training, which continue those of its earlier processes.

    Args:
        directory: Of the training, local or s3.
        checkpoint: That it continues from, if it does: what was logged later than it is taken back.
        use_wandb: Whether to log to Weights & Biases too.

    Raises:
        ConfigurationError: If Weights & Biases is wanted and not installed.
    """
    step = _step(checkpoint) if checkpoint else None
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


def _step(checkpoint: str) -> int:
    """Steps that a checkpoint has behind it."""
    with fsspec.open(checkpoint, "rb") as stream:
        return int(torch.load(stream, map_location="cpu", weights_only=True)["global_step"])
