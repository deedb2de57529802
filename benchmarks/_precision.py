"""The precision in which this machine's processor computes best."""

import torch

from aframe.machine.precision import DTYPES, TRAINER_PRECISIONS, choose

EMULATED = "bfloat16 is emulated here"
"""Why there is no value of it."""

TRAINED_IN = {DTYPES[name]: lightning for name, lightning in TRAINER_PRECISIONS.items()}
"""What Lightning calls a training in each precision."""


def fastest() -> torch.dtype:
    """bfloat16 where the processor has instructions for it, else float32."""
    return DTYPES[choose("cpu")]


def name_of(dtype: torch.dtype) -> str:
    """A precision as configurations name it."""
    return str(dtype).removeprefix("torch.")
