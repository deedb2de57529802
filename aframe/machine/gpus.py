"""GPUs of this machine, one for each worker."""

import atexit
import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import IO

GPU_POLL = 0.2
"""Seconds from one look for a free GPU to the next."""

_gpus: dict[tuple[int, str], IO[str]] = {}
"""The lock of each GPU that a process has claimed, by process and GPU: a forked process inherits no claim."""


def claim_gpu(gpus: str, directory: str | None = None) -> str:
    """Claim one of some GPUs for this process until it ends, however it ends; waits where others have them all.

    Args:
        gpus: As in CUDA_VISIBLE_DEVICES: numbers or names, separated by commas.
        directory: Of the locks, the same for all who share the machine; None for the user's own of temporary files.

    Returns:
        The GPU, as in CUDA_VISIBLE_DEVICES.
    """
    wanted = [gpu for gpu in gpus.replace(" ", "").split(",") if gpu]
    folder = Path(directory or Path(tempfile.gettempdir()) / f"aframe-gpus-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    is_told = False
    while True:
        for gpu in wanted:
            if (os.getpid(), gpu) in _gpus or _claim(folder, gpu):
                return gpu
        if not is_told:
            print(f"all of GPUs {gpus} are taken: waiting for one, as each worker has one of its own", flush=True)
            is_told = True
        time.sleep(GPU_POLL)


def _claim(folder: Path, gpu: str) -> bool:
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
    """Give a claimed GPU back."""
    _gpus.pop((os.getpid(), gpu)).close()
