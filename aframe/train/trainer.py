"""Lightning's trainer, in a precision that the device has instructions for."""

from typing import Literal

import lightning
from lightning.pytorch.accelerators import Accelerator

from aframe.constants import AUTO
from aframe.machine.precision import resolve_trainer, training_device

Precision = Literal[
    "auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true", "transformer-engine",
    "transformer-engine-float16", "bf16", "16", "32", "64",
]  # fmt: skip

Bits = Literal[16, 32, 64]


class AframeTrainer(lightning.Trainer):
    """Lightning's trainer, with ``precision`` auto.

    Args:
        precision: Lightning's name of the precision, or auto: bf16-mixed if the device has instructions for bfloat16,
            else 32-true.
        accelerator: Lightning's name of the accelerator.
        kwargs: Other arguments of Lightning's trainer.
    """

    def __init__(
        self, *, precision: Precision | Bits | None = "auto", accelerator: str | Accelerator = AUTO, **kwargs: object
    ) -> None:
        name = resolve_trainer(precision, training_device(accelerator))
        super().__init__(precision=name, accelerator=accelerator, **kwargs)  # type: ignore[arg-type]
