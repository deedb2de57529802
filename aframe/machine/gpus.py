"""GPUs of this machine: which exist, and which worker has which."""

import atexit
import fcntl
import os
import re
import tempfile
import time
from pathlib import Path
from typing import IO

from aframe.errors import ConfigurationError

GPU_POLL_INTERVAL = 0.2
"""Seconds between two searches for a free GPU."""

_gpus: dict[tuple[int, str], IO[str]] = {}
"""Lock of each claimed GPU, by process and GPU. A forked process does not inherit claims."""


def claim_gpu(gpus: str, directory: str | None = None) -> str:
    """Claim one GPU for this process until the process ends. If all GPUs are claimed, it waits for one.

    Args:
        gpus: GPUs to choose from, as in CUDA_VISIBLE_DEVICES: numbers or names, separated by commas.
        directory: Directory of the locks, common to all processes that share the GPUs; None for a temporary directory
            of the user.

    Returns:
        The GPU, as in CUDA_VISIBLE_DEVICES.
    """
    names = [gpu for gpu in gpus.replace(" ", "").split(",") if gpu]
    folder = Path(directory or Path(tempfile.gettempdir()) / f"aframe-gpus-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    is_waiting = False
    while True:
        for gpu in names:
            if (os.getpid(), gpu) in _gpus or _claim(folder, gpu):
                return gpu
        if not is_waiting:
            print(f"all of GPUs {gpus} are taken: waiting for one, as each worker has one of its own", flush=True)
            is_waiting = True
        time.sleep(GPU_POLL_INTERVAL)


def _claim(folder: Path, gpu: str) -> bool:
    """Try to claim a GPU without waiting.

    Args:
        folder: Directory of the locks.
        gpu: Number or name of the GPU.

    Returns:
        Whether this process now holds the GPU.
    """
    file = (folder / f"{gpu.replace('/', '-')}.lock").open("a+", encoding="utf-8")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    _gpus[os.getpid(), gpu] = file
    atexit.register(file.close)
    return True


def release_gpu(gpu: str) -> None:
    """Release a claimed GPU."""
    _gpus.pop((os.getpid(), gpu)).close()


def check_gpus(gpus: str, number: int) -> None:
    """Refuse GPUs that this machine lacks. A machine without GPUs computes on the CPU, and a note says so later.

    Args:
        gpus: GPUs, as in CUDA_VISIBLE_DEVICES.
        number: Number of GPUs of this machine.

    Raises:
        ConfigurationError: If a GPU does not exist. The message names those that exist.
    """
    names = [gpu for gpu in gpus.replace(" ", "").split(",") if gpu]
    wrong = [name for name in names if not re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", name)]
    if wrong:
        raise ConfigurationError(
            f"--gpus {gpus}: {', '.join(wrong)} is no GPU: give numbers, as 0,1, or names, as nvidia-smi -L shows them"
        )
    lacking = [name for name in names if number and name.isdigit() and int(name) >= number]
    if lacking:
        raise ConfigurationError(
            f"--gpus {gpus}: this machine has no GPU {', '.join(lacking)}, it has {', '.join(map(str, range(number)))}"
        )


def number_of_gpus() -> int:
    """Number of GPUs of this machine. 0 if the environment hides some: the number is then unknown."""
    import torch  # slow, and claims need none of it

    return 0 if os.environ.get("CUDA_VISIBLE_DEVICES") else torch.cuda.device_count()
