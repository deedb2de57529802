"""The LightningModule: a network, binary cross-entropy, and AdamW on a one-cycle schedule."""

from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from aframe.errors import ConfigurationError, TrainingError
from aframe.train.architectures import MatchedFilterNetwork, Network
from aframe.train.architectures.contract import check_network
from aframe.train.data import AframeDataModule, Batch
from aframe.train.examples import MeasuredBatch
from aframe.train.metrics import Validation, validation_metrics
from aframe.train.model import Model
from aframe.train.validation import ValidationScores

BANK = "filters.bank"
"""End of the name of the parameter with templates that are trained."""

TEMPLATE_RATE = 1e-3
"""Learning rate of templates as a fraction of the head's. A sample of a template is some hundredths."""

LOSS_CHECK_STEPS = 50
"""Steps between two checks that the loss is a number."""


class AframeModule(lightning.LightningModule):
    """Trains a network to distinguish signals from noise.

    Args:
        architecture: Class of the network and its arguments. Detectors and window come from the data.
        learning_rate: Peak learning rate.
        weight_decay: Weight decay of AdamW.
        warmup_fraction: Fraction of the steps in which the learning rate rises.
        compiled: Whether to compile the network. Compiling takes minutes, and steps on a GPU are then faster.
        repairings: Additional negatives per window of noise. Each fuses the embeddings of different windows of noise,
            one per detector. This costs little for a factorised network, and a whole evaluation for a joint one.
        max_fpr: Largest false-positive rate of the validation AUROC.
    """

    def __init__(  # noqa: PLR0917 - each is a key of the training YAML
        self,
        architecture: Callable[[int, int], Network],
        learning_rate: float = 5.85e-4,
        weight_decay: float = 0.02,
        warmup_fraction: float = 0.15,
        compiled: bool = False,
        repairings: int = 0,
        max_fpr: float = 1e-3,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.warmup_fraction, self.max_fpr, self.repairings = warmup_fraction, max_fpr, repairings
        self.compiled = compiled
        self.network: Network | None = None
        self._parts: tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]] | None = None  # if compiled
        self.losses = torch.zeros(2, dtype=torch.float64)  # sum and number of the losses in this epoch
        self.last_validation: Validation | None = None

    @property
    def data(self) -> AframeDataModule:
        """Data module of the training."""
        return self.trainer.datamodule  # type: ignore[attr-defined] # set by the Trainer

    def configure_model(self) -> None:
        """Build the network for the detectors and window of the data."""
        if self.network is None:
            search = self.data.inputs
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(search.seed)
                self.network = self.architecture(len(search.ifos), search.kernel_size)
            if isinstance(self.network, MatchedFilterNetwork):
                bank = search.bank()
                mass, psds = torch.from_numpy(bank.chirp_mass), torch.from_numpy(bank.psds)
                phase = search.whitening.phase
                self.network.set_bank(bank.templates, mass, psds, bank.pulses, bank.octaves, phase)
                self.network.bias.requires_grad_(False)  # it is counted; several processes must know before they begin
            check_network(self.network, search.stride_size)

    def forward(self, windows: Tensor) -> Tensor:
        """Logits of whitened windows: shape (batch, ifos, time) to (batch,)."""
        assert self.network is not None
        return self.network(windows)

    def training_step(self, batch: Batch | MeasuredBatch, batch_idx: int) -> Tensor:
        """Binary cross-entropy of a batch and its re-paired negatives.

        Args:
            batch: Windows and labels, or measurements and labels for a network with a fixed encoder.
            batch_idx: Number of the step in the epoch.
        """
        assert self.network is not None
        if isinstance(batch, MeasuredBatch):
            assert isinstance(self.network, MatchedFilterNetwork)
            embeddings = self.network.weigh(batch.measured[..., None])
            scores = self.network.step_scores(embeddings.unbind(1))[:, 0]
            followed = self.network.with_coherence(scores, batch.coherence)
            return self._loss(torch.cat([scores, followed]), batch.labels.repeat(2))
        encode, fuse = self._parts or (self.network.encode_windows, self.network.fuse_windows)
        embeddings, labels = encode(batch.windows), batch.labels
        pairings, noise = [embeddings], embeddings[:, batch.is_noise] if self.repairings else embeddings[:, :0]
        for number in range(1, self.repairings + 1):
            pairings.append(torch.stack([channel.roll(k * number, 0) for k, channel in enumerate(noise)]))
        scores = fuse(torch.cat(pairings, dim=1)).float()
        return self._loss(scores, torch.cat([labels, labels.new_zeros(len(scores) - len(labels))]))

    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Binary cross-entropy, which is added to the epoch's losses."""
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels)
        self.losses += torch.stack([loss.detach(), torch.ones_like(loss.detach())])
        self.log("loss", loss, batch_size=len(labels))
        return loss

    def on_fit_start(self) -> None:
        """Compile the network if this is configured, or collect the examples of a network with matched filters.

        Raises:
            ConfigurationError: If templates are to be trained by several processes. Not each step uses all parameters.
        """
        assert self.network is not None
        if getattr(self.network, "trainable", False) and self.trainer.world_size > 1:
            raise ConfigurationError("trainable: true needs one process: set trainer.devices: 1, or leave it out")
        self.losses = self.losses.to(self.device)
        if isinstance(self.network, MatchedFilterNetwork):
            self.data.mine(self.network)
        elif self.compiled:
            encode, fuse = self.network.encode_windows, self.network.fuse_windows
            self._parts = torch.compile(encode), torch.compile(fuse, dynamic=self.repairings > 0)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the sum of the losses of an incomplete epoch."""
        checkpoint["losses"] = self.losses.cpu()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the sum of the losses."""
        self.losses = checkpoint["losses"]

    def on_train_batch_start(self, batch: Batch | MeasuredBatch, batch_idx: int) -> None:
        """Reset the mean loss at the start of an epoch, and check from time to time that the loss is a number.

        Each check waits for the GPU, so it does not run in every step.

        Raises:
            TrainingError: If the loss is no number.
        """
        if batch_idx == 0:
            self.losses.zero_()
        if batch_idx % LOSS_CHECK_STEPS == 0:
            self._check_loss()

    def on_train_batch_end(self, outputs: Any, batch: Batch | MeasuredBatch, batch_idx: int) -> None:
        """Log the epoch's mean loss over all steps and processes, including steps before a restart."""
        if self.trainer.is_last_batch:
            self._check_loss()
            total, number = self.trainer.strategy.reduce(self.losses.clone(), reduce_op="sum")
            self.log("train_loss", total / number, on_step=False, on_epoch=True, batch_size=1)

    def _check_loss(self) -> None:
        if not bool(torch.isfinite(self.losses[0])):
            raise TrainingError(
                f"the loss is no longer a number, at step {self.trainer.global_step}: begin in another "
                "AFRAME_TRAIN_RUN_DIR with half the model.learning_rate, or with trainer.precision: 32-true; if it "
                "comes back, look for strain that is not noise in the training background"
            )

    def on_validation_start(self) -> None:
        """Copy the running statistics of the first process to all processes. ``model.pt`` will have these."""
        if self.network is not None and self.trainer.world_size > 1:
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, 0)

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Score the validation set, each process a share of it, and log its metrics.

        Args:
            batch: Not used.
            batch_idx: Not used.
        """
        data = self.data
        assert self.network is not None
        assert data.validation is not None
        share = (self.trainer.global_rank, self.trainer.world_size)
        with torch.autocast(self.device.type, enabled=False):
            scores = data.validation.score(self.network, data.validation_background, self.device, share)
        self.last_validation = data.validation.joined(self._gather(scores))
        for name, value in validation_metrics(self.last_validation, self.max_fpr).items():
            self.log(name, value, prog_bar=name in ("valid_auroc", "valid_found"), batch_size=1)

    def _gather(self, scores: ValidationScores) -> list[ValidationScores]:
        """Scores of all processes, in order of rank."""
        if self.trainer.world_size == 1:
            return [scores]
        gathered: list[ValidationScores] = [scores] * self.trainer.world_size
        torch.distributed.all_gather_object(gathered, scores)
        return gathered

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW, with a learning rate that rises and falls once over the whole training."""
        is_scaled = self.trainer.precision == "16-mixed"  # fused optimizers cannot unscale before clipping
        templates = [each for name, each in self.named_parameters() if name.endswith(BANK)]
        others = [each for name, each in self.named_parameters() if not name.endswith(BANK)]
        groups, rates = [{"params": others, "weight_decay": self.weight_decay}], [self.learning_rate]
        if templates:
            groups.append({"params": templates, "weight_decay": 0.0})
            rates.append(TEMPLATE_RATE * self.learning_rate)
        optimizer = torch.optim.AdamW(groups, self.learning_rate, fused=not is_scaled)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = OneCycleLR(optimizer, rates, total_steps=steps, pct_start=self.warmup_fraction)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the norm of the gradient. Lightning refuses to do this for fused optimizers."""
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def model(self) -> Model:
        """Present state of the network, with its preprocessing and precision, for ``model.pt``."""
        assert self.network is not None
        return Model(self.network, self.data.preprocessing, str(self.trainer.precision))
