"""Precision of the benchmarks: the fastest of the processor."""

import torch

from aframe.machine.precision import DTYPES, TRAINER_PRECISIONS, choose

EMULATION_NOTE = "bfloat16 is emulated here"
"""Note of a row without a value."""

TRAINED_IN = {DTYPES[name]: lightning for name, lightning in TRAINER_PRECISIONS.items()}
"""Name in Lightning of each precision."""


def fastest() -> torch.dtype:
    """bfloat16 if the processor has instructions for it, otherwise float32."""
    return DTYPES[choose("cpu")]


def name_of(dtype: torch.dtype) -> str:
    """Name of a precision in configurations."""
    return str(dtype).removeprefix("torch.")
