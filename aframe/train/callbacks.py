"""What happens around the training loop: curves on disk, and the finished model."""

import csv
import io
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback

from aframe import storage
from aframe.storage import Parameters
from aframe.train import model
from aframe.train.module import AframeModule


class MetricsFile(Callback):
    """Keeps ``metrics.csv``, a row per epoch; a resumed training continues it without gap or repetition.

    Args:
        path: Where the file lies.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, object]:
        """Rows so far, kept with the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Take up the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])  # type: ignore[call-overload]

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add the epoch's row."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "learning_rate": rate, **metrics}
        self.rows = [r for r in self.rows if r["epoch"] < row["epoch"]] + [row]
        if trainer.is_global_zero:
            names = list(dict.fromkeys(name for r in self.rows for name in r))
            text = io.StringIO()
            writer = csv.DictWriter(text, names)
            writer.writeheader()
            writer.writerows(self.rows)
            storage.write_text(self.path, text.getvalue())


class SaveModel(Callback):
    """Writes ``model.pt`` when training is complete, from one process only.

    Args:
        path: Where the file goes.
        made_with: Parameters of the training.
    """

    def __init__(self, path: str, made_with: Parameters) -> None:
        self.path, self.made_with = path, made_with

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save the model."""
        assert isinstance(pl_module, AframeModule)
        if trainer.is_global_zero and trainer.state.status != "interrupted":
            model.save(pl_module.model(), self.path, self.made_with)


class EpochLines(Callback):
    """A plain line per epoch, where there is no terminal for a progress bar."""

    def __init__(self) -> None:
        self.start, self.first = 0.0, 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note when training began, or went on."""
        self.start, self.first = time.monotonic(), trainer.current_epoch

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Print loss, AUROC, efficiency and the time left."""
        if trainer.is_global_zero:
            done, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
            left = (time.monotonic() - self.start) / (done - self.first) * max(0, epochs - done)
            values = [
                f"{name} {float(trainer.callback_metrics[key]):.4g}"
                for name, key in (("loss", "train_loss"), ("AUROC", "valid_auroc"), ("efficiency", "valid_efficiency"))
                if key in trainer.callback_metrics
            ]
            print(f"Train: epoch {done} of {epochs}: {', '.join(values)}, {left:.0f} s left", flush=True)


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are written whole or not at all."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write one.

        Args:
            checkpoint: What lightning wants to keep.
            path: Local or s3 path.
            storage_options: Not used.
        """
        with storage.atomic(str(path)) as temporary:
            torch.save(checkpoint, temporary)
