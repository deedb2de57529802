"""The LightningModule: one network, binary cross-entropy, AdamW on a one-cycle schedule."""

from collections.abc import Callable

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from aframe.train.architectures import Network
from aframe.train.data import AframeDataModule, Batch
from aframe.train.metrics import efficiency, partial_auroc
from aframe.train.model import Model


class AframeModule(lightning.LightningModule):
    """Trains a network to tell signals from noise.

    Args:
        architecture: Class of the network and its arguments; detectors and window come from the data.
        learning_rate: Peak learning rate.
        weight_decay: Of AdamW.
        warmup_fraction: Part of the steps in which the learning rate rises.
        repairings: Further negatives per window of noise, made by fusing its embedding of one detector with other such
            windows' embeddings of the others: nearly free for a factorised network, a whole evaluation for a joint one.
        max_fpr: False-positive rate up to which the validation AUROC is taken.
    """

    def __init__(  # noqa: PLR0917 - each is a key of the training YAML
        self,
        architecture: Callable[[int, int], Network],
        learning_rate: float = 5.85e-4,
        weight_decay: float = 0.02,
        warmup_fraction: float = 0.15,
        repairings: int = 0,
        max_fpr: float = 1e-3,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.warmup_fraction, self.max_fpr, self.repairings = warmup_fraction, max_fpr, repairings
        self.network: Network | None = None

    @property
    def data(self) -> AframeDataModule:
        """The data module that this module is trained with."""
        return self.trainer.datamodule  # type: ignore[attr-defined] # set by the Trainer

    def configure_model(self) -> None:
        """Build the network once the data's detectors and window are known."""
        if self.network is None:
            search = self.data.search
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(search.seed)
                self.network = self.architecture(len(search.ifos), search.kernel_size)
            self.network.hop(search.stride_size)  # refuses a stride that does not fit

    def forward(self, windows: Tensor) -> Tensor:
        """Logits of whitened windows, shape (batch, ifos, time) to (batch,)."""
        assert self.network is not None
        return self.network(windows)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Binary cross-entropy of a batch and its re-paired negatives."""
        assert self.network is not None
        embeddings, labels = self.network.encode_windows(batch.windows), batch.labels
        pairings, noise = [embeddings], embeddings[:, batch.is_noise]
        for number in range(1, self.repairings + 1):
            pairings.append(torch.stack([channel.roll(k * number, 0) for k, channel in enumerate(noise)]))
        scores = self.network.fuse_windows(torch.cat(pairings, dim=1)).float()
        labels = torch.cat([labels, labels.new_zeros(len(scores) - len(labels))])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.labels))
        return loss

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Score the validation set: AUROC at low false-positive rate, and efficiency by SNR."""
        assert self.network is not None
        assert self.data.validation is not None
        validation = self.data.validation
        with torch.autocast(self.device.type, enabled=False):
            background, foreground = validation.score(
                self.network, self.data.search.stride_size, self.data.validation_slides, self.device
            )
        self.log("valid_auroc", partial_auroc(background, foreground, self.max_fpr), prog_bar=True, batch_size=1)
        self.log("valid_efficiency", efficiency(background, foreground, 1e-4), prog_bar=True, batch_size=1)
        snr = validation.snr.to(self.device)
        for low, high in ((5, 7), (7, 9), (9, 12), (12, 16)):
            band = (snr >= low) & (snr < high)
            if band.any():
                found = efficiency(background, foreground[band], 1e-4)
                self.log(f"valid_efficiency_snr_{low}_{high}", found, batch_size=1)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW, learning rate up and down once over the whole training."""
        optimizer = torch.optim.AdamW(self.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = OneCycleLR(optimizer, self.learning_rate, total_steps=steps, pct_start=self.warmup_fraction)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the gradient's norm; bf16 has no gradient scale, so a fused optimizer may be clipped directly."""
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def model(self) -> Model:
        """The network as it stands, ready to be saved."""
        assert self.network is not None
        return Model(self.network, self.data.preprocessing)
