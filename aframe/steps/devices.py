"""The device and the threads that a process of a run computes on."""

import os
import sys
from typing import TYPE_CHECKING

import torch

from aframe.machine.gpus import claim_gpu, release_gpu

if TYPE_CHECKING:
    pass


def use_one_thread() -> None:
    """Compute on one thread: sums over threads are in another order, so that only a fixed number gives the same bytes.

    More cores are used by more workers. Training, one process of its own, takes all cores.
    """
    torch.set_num_threads(1)


def use_one_gpu(gpus: str) -> str:
    """Let this process see one of some GPUs, which no other worker sees; the device to compute on.

    Workers beyond the number of GPUs wait. Where there is no GPU the device is the CPU, with a note.

    Args:
        gpus: As in CUDA_VISIBLE_DEVICES; empty for the CPU.
    """
    mine = claim_gpu(gpus) if gpus else ""
    os.environ["CUDA_VISIBLE_DEVICES"] = mine
    if not mine:
        return "cpu"
    if not torch.cuda.is_available():
        release_gpu(mine)
        print(f"note: there is no GPU {mine} here: computing on the CPU", file=sys.stderr)
        return "cpu"
    return "cuda"


def given_device() -> str:
    """The device to compute on, of a process that a batch system has given its GPUs, or none."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
