"""Callbacks of the training loop: metrics and records on disk, checkpoints, and the finished model."""

import csv
import io
import signal
import time
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.nn import Module

from aframe import storage
from aframe.machine.console_records import Share, emit
from aframe.progress import activity
from aframe.storage.files import Parameters
from aframe.train import model, record
from aframe.train.architectures.batch_norm import synchronise
from aframe.train.module import AframeModule

EXAMPLE_WINDOWS = 64
"""Windows in the file of the example batch."""


class MetricsFile(Callback):
    """Writes ``metrics.csv``, a row per epoch. A resumed training continues it without gap or repetition.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, object]:
        """Rows so far, for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Restore the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])  # type: ignore[call-overload]

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Add the epoch's row."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name != "loss"}
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
        path: Path of the file.
        made_with: Parameters of the training.
    """

    def __init__(self, path: str, made_with: Parameters) -> None:
        self.path, self.made_with = path, made_with

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save the model."""
        assert isinstance(pl_module, AframeModule)
        if trainer.is_global_zero and trainer.state.status != "interrupted":
            model.save(pl_module.model(), self.path, self.made_with)


class KeepRecord(Callback):
    """Writes the first batch as an example, and the results of the last validation.

    Args:
        directory: Directory of the training.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the example batch."""
        path = storage.join(self.directory, record.EXAMPLE_BATCH)
        assert isinstance(pl_module, AframeModule)
        if trainer.is_global_zero and not storage.exists(path):
            data, batch = pl_module.data, pl_module.data.make_batch(0)
            parts = (x[:EXAMPLE_WINDOWS].cpu().numpy() for x in (batch.windows, batch.labels, batch.is_noise))
            example = record.ExampleBatch(data.inputs.ifos, data.inputs.sample_rate, *parts)
            record.write_example_batch(path, example)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the validation."""
        assert isinstance(pl_module, AframeModule)
        if trainer.is_global_zero and pl_module.last_validation is not None:
            record.write_validation(storage.join(self.directory, record.VALIDATION), pl_module.last_validation)


class CheckpointWhenTerminated(Callback):
    """Writes a checkpoint of the current step when the process receives SIGTERM, as a preempted job does.

    Args:
        path: Path of the checkpoint.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.has_sigterm = False

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Install a handler that only notes the signal, if several processes train.

        Lightning's own handler waits for the other processes during collective operations, so no process would end.
        """
        if trainer.world_size > 1:
            signal.signal(signal.SIGTERM, lambda *_: setattr(self, "has_sigterm", True))

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Share the signal of one process with all processes before the same step."""
        if trainer.world_size > 1:
            has_sigterm = self.has_sigterm or trainer.received_sigterm  # Lightning's own handler ran before training
            flag = torch.tensor(float(has_sigterm), device=pl_module.device)
            trainer._signal_connector.received_sigterm = bool(trainer.strategy.reduce(flag, reduce_op="max"))

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Write the checkpoint after SIGTERM. After other exceptions the state may be that of an incomplete step."""
        if isinstance(exception, SIGTERMException):
            trainer.save_checkpoint(self.path)


class EpochLines(Callback):
    """Prints a line per epoch, for output without a progress bar."""

    def __init__(self) -> None:
        self.start: float | None = None
        self.first = 0

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the time and epoch of this process's first step. What a network measures before does not count."""
        if self.start is None:
            self.start, self.first = time.monotonic(), trainer.current_epoch

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Print loss, AUROC, the fraction of signals found and the time left."""
        if trainer.is_global_zero:
            done, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
            begin = time.monotonic() if self.start is None else self.start
            left = (time.monotonic() - begin) / (done - self.first) * max(0, epochs - done)
            metrics = trainer.callback_metrics
            names = {"train_loss": "loss", "valid_auroc": "AUROC", "valid_found": "found at one false alarm a month"}
            values = [
                f"{name} {float(metrics[key]):.4g}"
                for key, name in names.items()
                if key in metrics and not metrics[key].isnan()
            ]
            note = " (extrapolated)" if metrics.get("found_is_extrapolated") and len(values) == len(names) else ""
            emit(Share("Train", done, epochs, left, note=f"{', '.join(values)}{note}", step="epoch"))


class TellSteps(Callback):
    """Reports the number of finished steps to monitors of the process."""

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report the steps."""
        steps = int(trainer.num_training_batches) * (trainer.max_epochs or 0)
        activity.note("training", trainer.global_step, steps, " steps")


class SynchronisedNorms(TorchSyncBatchNorm):
    """Batch norms over the batches of all processes: torch's on GPUs, and an equal one on other devices."""

    def apply(self, model: Module) -> Module:
        """Replace the norms of a model that several processes train."""
        if next(model.parameters()).device.type == "cuda":
            return super().apply(model)
        synchronise(model)
        return model
