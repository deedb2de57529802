"""Memory of the large arrays of a training: on the device, else in host memory, else on disk."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from aframe.errors import DataError

Place = Literal["device", "host", "disk"]
Memory = Literal["auto", "device", "host", "disk"]

MEMORY_SHARE = 0.5
"""Largest fraction of the free memory for data. The network, and the preparation of the data, need the rest."""


def free_on_device(device: torch.device) -> int:
    """Free bytes of a GPU's memory; for the CPU, of host memory."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else free_on_host()


def free_on_host() -> int:
    """Free bytes of host memory, or of the memory limit of the job if that is less."""
    free = _available()
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    return free if limit is None or used is None else min(free, max(0, limit - used))


def choose_place(memory: Memory, size: int, device: torch.device, sharers: int = 1) -> Place:
    """Choose the place of an array: the first with enough memory, unless one is configured.

    Args:
        memory: Configured place, or auto.
        size: Size of the array, bytes.
        device: Device that trains the network.
        sharers: Number of processes on this machine that each have such an array.
    """
    if memory != "auto":
        return memory
    if device.type != "cpu" and size <= MEMORY_SHARE * free_on_device(device):
        return "device"
    return "host" if size * sharers <= MEMORY_SHARE * free_on_host() else "disk"


def allocate(
    shape: Iterable[int], dtype: torch.dtype, place: Place, device: torch.device, directory: str | None = None
) -> Tensor:
    """Allocate an array without setting its content.

    On disk it is a file without a name, mapped into memory. The file vanishes however the process ends, and frequently
    used parts stay in memory while there is room. In host memory it is pinned if the network trains on a GPU.

    Args:
        shape: Shape of the array.
        dtype: Type of its elements.
        place: Place of the array.
        device: Device that trains the network.
        directory: Directory of arrays on disk; None for that of temporary files.

    Raises:
        DataError: If the disk has too little free space.
    """
    shape = tuple(shape)
    if place == "device":
        return torch.empty(shape, dtype=dtype, device=device)
    if place == "host":
        return torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")
    number = int(torch.Size(shape).numel())
    folder = directory or tempfile.gettempdir()
    free, needed = shutil.disk_usage(folder).free, number * dtype.itemsize
    if needed > free:
        raise DataError(
            f"{folder} has {free / 1e9:.1f} GB free, but {needed / 1e9:.1f} GB of training data are to lie there: free "
            "some, set TMPDIR to a larger disk, or train with less background or fewer waveforms"
        )
    handle, path = tempfile.mkstemp(prefix=".aframe-", dir=folder)
    try:
        os.posix_fallocate(handle, 0, max(1, needed))  # a full disk raises here, not as a signal later
        return torch.from_file(path, shared=True, size=number, dtype=dtype).reshape(shape)
    finally:
        os.close(handle)
        os.unlink(path)


def _available() -> int:
    """Available bytes of memory, including pages that only cache files where the system reports them."""
    meminfo = Path("/proc/meminfo")
    for line in meminfo.read_text(encoding="ascii").splitlines() if meminfo.exists() else ():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no control group, or no limit ("max")
        return None
