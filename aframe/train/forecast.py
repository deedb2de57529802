"""Forecast of the duration of a training from its first steps, and comparison with the speed of the machine."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from aframe.constants import AUTO
from aframe.machine.precision import described, is_emulated, resolve_trainer, trainer_dtype
from aframe.machine.processes import cores
from aframe.progress.lines import in_words

MEASURED_TIME = 60.0
"""Seconds of training that the forecast is based on."""

LARGEST_SLOWDOWN = 3.0
"""Ratio of measured to possible duration above which a warning names the reason."""

LEAST_TIME_LEFT = 120.0
"""Seconds left below which the speed of the machine is not measured. The measurement takes a few seconds."""

WindowSeconds = Callable[[str, str], float]
"""Seconds that this machine needs to train with a window, for Lightning's name of a precision and a type of device."""


class Forecast(Callback):
    """Prints the remaining time after a minute of steps. If the training is too slow, it prints the reason.

    Args:
        window_seconds: Measures the seconds that this machine needs to train with a window; None for no comparison.
    """

    def __init__(self, window_seconds: WindowSeconds | None) -> None:
        self.window_seconds = window_seconds
        self.start: float | None = None
        self.first, self.is_printed = 0, False

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the time and number of this process's first step. What a network measures before does not count."""
        if self.start is None:
            self.start, self.first = time.monotonic(), trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print the forecast once."""
        assert self.start is not None
        elapsed, done = time.monotonic() - self.start, trainer.global_step - self.first
        if self.is_printed or elapsed < MEASURED_TIME or done == 0:
            return
        self.is_printed = True
        seconds = elapsed / done
        left = seconds * (trainer.estimated_stepping_batches - trainer.global_step)
        if trainer.is_global_zero:
            print(f"Train: {seconds:.2g} s a step, {in_words(left)} left, and validations", flush=True)
            if self.window_seconds is not None and left > LEAST_TIME_LEFT:
                self._compare(trainer, pl_module, seconds, left)

    def _compare(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, seconds: float, left: float
    ) -> None:
        """Print a warning if the machine could train much faster."""
        assert self.window_seconds is not None
        device, precision = pl_module.device.type, str(trainer.precision)
        best = resolve_trainer(AUTO, device) if is_emulated(trainer_dtype(precision), device) else precision
        data = trainer.datamodule  # type: ignore[attr-defined] # set by the Trainer
        try:
            possible = data.batch_size * self.window_seconds(best, device)
        except torch.OutOfMemoryError:  # the training has all memory of the GPU and continues without a comparison
            return
        if seconds > LARGEST_SLOWDOWN * possible:
            print(
                f"warning: training will take {in_words(left)} more, {seconds / possible:.1f} times what this machine "
                f"can do ({in_words(left * possible / seconds)}): {reason(precision, device, data.memory)}",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def reason(precision: str, device: str, memory: tuple[str, str]) -> str:
    """Likely reason why a training is slow, and its remedy.

    Args:
        precision: Lightning's name of the precision.
        device: Type of device that trains.
        memory: Configured memory of the background and of the waveforms: auto, device, host or disk.
    """
    kind = trainer_dtype(precision)
    if is_emulated(kind, device):
        return f"it computes in {described(kind, device)}; set trainer.precision: {AUTO}"
    load = os.getloadavg()[0]
    if device == "cpu" and load > 1.5 * cores():
        return f"other processes use the processor (load {load:.1f} on {cores()} cores); stop them"
    if "disk" in memory:
        return "data.background_memory or data.waveform_memory is disk; set auto, or use a faster disk as TMPDIR"
    return "`aframe doctor DIR` measures this machine; see that nothing else uses it, and that it is not throttled"
