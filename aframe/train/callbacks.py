"""What happens around the training loop: curves on disk, and the finished model."""

import csv
import io

import lightning
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
