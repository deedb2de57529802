"""The precision in which this machine's processor computes best."""

import functools
import time

import torch

EMULATED = "bfloat16 is emulated here"
"""Why there is no value of it."""

TRAINED_IN = {torch.float32: "32-true", torch.bfloat16: "bf16-mixed"}
"""What Lightning calls a training in each precision."""

SIZE, RATIO = 256, 4.0
"""Of the matrices whose product tells, and how many times as long as in float32 it takes where it is emulated."""


@functools.cache
def is_emulated(dtype: torch.dtype, device: str) -> bool:
    """Whether a device has no instructions for a precision, so that it computes in it many times more slowly."""
    if device != "cpu":
        return False
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # where others are at work, threads that wait for each other take most of the time
    try:
        return _product_seconds(dtype) > RATIO * _product_seconds(torch.float32)
    finally:
        torch.set_num_threads(threads)


def _product_seconds(dtype: torch.dtype) -> float:
    matrix, times = torch.ones(SIZE, SIZE, dtype=dtype), []
    for _ in range(4):
        start = time.process_time()
        matrix @ matrix
        times.append(time.process_time() - start)
    return min(times)


def fastest() -> torch.dtype:
    """bfloat16 where the processor has instructions for it, else float32."""
    return torch.float32 if is_emulated(torch.bfloat16, "cpu") else torch.bfloat16


def name_of(dtype: torch.dtype) -> str:
    """A precision as configurations name it."""
    return str(dtype).removeprefix("torch.")
