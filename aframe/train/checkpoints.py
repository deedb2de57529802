"""Checkpoints from which an interrupted training continues."""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from aframe import storage
from aframe.errors import StorageError
from aframe.train.saved import read_saved

LAST = "last.ckpt"
"""Name of the last checkpoint."""

BEFORE = "before.ckpt"
"""Name of the checkpoint before the last one, on local disks."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints atomically, and keeps the one before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: State of the training, as Lightning collects it.
            path: Local or s3 path.
            storage_options: Not used.
        """
        with storage.atomic(str(path)) as temporary:
            torch.save(checkpoint, temporary)
            if not storage.is_remote(str(path)) and os.path.exists(path):
                os.replace(path, Path(path).with_name(BEFORE))


def resumable(directory: str, is_told: bool) -> str | None:
    """Checkpoint from which a training continues: the last one, or the one before if that is damaged.

    Args:
        directory: Directory of the checkpoints.
        is_told: Whether to print a note about a damaged checkpoint.

    Returns:
        Path of the checkpoint. None if the training starts at the beginning.
    """
    paths = [path for path in (storage.join(directory, name) for name in (LAST, BEFORE)) if storage.exists(path)]
    for number, path in enumerate(paths):
        try:
            finished_steps(path)
        except Exception as error:  # torch raises many kinds of errors
            if is_told:
                following = "the one before is tried" if number + 1 < len(paths) else "training starts at the beginning"
                print(f"note: {path} is damaged ({_reason(error)}): {following}", file=sys.stderr, flush=True)
        else:
            return path
    return None


def check_whole(path: str) -> None:
    """Check a checkpoint that a user gives. torch reads a damaged one without a word.

    Args:
        path: Local or s3 path.

    Raises:
        StorageError: If it is missing or damaged, or no checkpoint.
    """
    try:
        finished_steps(path)
    except Exception as error:  # torch raises many kinds of errors
        raise StorageError(f"{path} is no whole checkpoint ({_reason(error)}): give another one") from None


def _reason(error: Exception) -> str:
    """An error in a few words."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def finished_steps(checkpoint: str) -> int:
    """Number of finished steps of a checkpoint.

    Args:
        checkpoint: Local or s3 path.
    """
    return int(read_saved(checkpoint)["global_step"])
