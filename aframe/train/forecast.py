"""How long a training will take, from its own steps, and whether that is what the machine can do."""

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

MEASURED = 60.0
"""Seconds of training from which the time left is told."""

SLOW = 3.0
"""A training that takes more than this multiple of what the machine can do is told of, with what to change."""

WORTH_A_MEASUREMENT = 120.0
"""Seconds left from which on it is worth a few seconds to measure what the machine can do."""

WindowSeconds = Callable[[str, str], float]
"""Seconds in which this machine can train with a window, for Lightning's name of a precision and a type of device."""


class Forecast(Callback):
    """Prints, once a minute of steps is done, how long the training will take; and if that is too long, why.

    Args:
        window_seconds: In which this machine can train with a window; None where nobody can tell.
    """

    def __init__(self, window_seconds: WindowSeconds | None) -> None:
        self.window_seconds = window_seconds
        self.start, self.first, self.is_told = 0.0, 0, False

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note when training began, or went on."""
        self.start, self.first = time.monotonic(), trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print it, once."""
        elapsed, done = time.monotonic() - self.start, trainer.global_step - self.first
        if self.is_told or elapsed < MEASURED or done == 0:
            return
        self.is_told = True
        seconds = elapsed / done
        left = seconds * (trainer.estimated_stepping_batches - trainer.global_step)
        if trainer.is_global_zero:
            print(f"Train: {seconds:.2g} s a step, {in_words(left)} left, and validations", flush=True)
            if self.window_seconds is not None and left > WORTH_A_MEASUREMENT:
                self._compare(trainer, pl_module, seconds, left)

    def _compare(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, seconds: float, left: float
    ) -> None:
        """Print a warning where the machine can do much better."""
        assert self.window_seconds is not None
        device, precision = pl_module.device.type, str(trainer.precision)
        best = resolve_trainer(AUTO, device) if is_emulated(trainer_dtype(precision), device) else precision
        data = trainer.datamodule  # type: ignore[attr-defined] # set by the Trainer
        try:
            possible = data.batch_size * self.window_seconds(best, device)
        except torch.OutOfMemoryError:  # the training has all of the GPU: it must go on, measured or not
            return
        if seconds > SLOW * possible:
            told = reason(precision, device, data.memory)
            print(
                f"warning: training will take {in_words(left)} more, {seconds / possible:.1f} times what this machine "
                f"can do ({in_words(left * possible / seconds)}): {told}",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def reason(precision: str, device: str, memory: tuple[str, str]) -> str:
    """Why a training is slow, as far as that can be seen, and what to change.

    Args:
        precision: Lightning's name of the precision.
        device: Type of device that trains.
        memory: Where the background and the waveforms are wanted: auto, device, host or disk.
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
