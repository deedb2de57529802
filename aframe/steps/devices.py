"""Choose the device and the number of threads on which a process of a run computes."""

import os
import sys

import torch

from aframe.machine.gpus import claim_gpu, release_gpu


def use_one_thread() -> None:
    """Compute on one thread.

    The number of threads sets the order of sums. Only a fixed number gives the same bytes. More workers use more cores.
    Training is one process and uses all cores.
    """
    torch.set_num_threads(1)


def use_one_gpu(gpus: str) -> str:
    """Reserve one of several GPUs for this process, and choose the device to compute on.

    No other worker sees this GPU. Workers beyond the number of GPUs wait. A machine without a GPU computes on the CPU,
    and prints a note.

    Args:
        gpus: GPUs, as in CUDA_VISIBLE_DEVICES. Empty for the CPU.

    Returns:
        ``cuda`` or ``cpu``.
    """
    gpu = claim_gpu(gpus) if gpus else ""
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    if not gpu:
        return "cpu"
    if not torch.cuda.is_available():
        release_gpu(gpu)
        print(f"note: there is no GPU {gpu} here: computing on the CPU", file=sys.stderr)
        return "cpu"
    return "cuda"


def given_device() -> str:
    """Device of a process whose GPUs, if any, come from a batch system: ``cuda`` or ``cpu``."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
