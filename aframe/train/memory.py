"""Where the large arrays of a training lie: on the device, else in host memory, else on disk."""

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

SHARE = 0.5
"""Most of the free memory that data may take: the network, and what made the data, need the rest."""


def free_on_device(device: torch.device) -> int:
    """Bytes that are free on a GPU; for the CPU, in host memory."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else free_on_host()


def free_on_host() -> int:
    """Bytes of memory that this process may still take: what the machine has free, or what a job's limit leaves."""
    free = _available()
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    return free if limit is None or used is None else min(free, max(0, limit - used))


def choose_place(wanted: Memory, size: int, device: torch.device, sharers: int = 1) -> Place:
    """The first place with room for an array.

    Args:
        wanted: A place to take in any case, or auto.
        size: Bytes.
        device: Where the network trains.
        sharers: Processes on this machine that each have such an array.
    """
    if wanted != "auto":
        return wanted
    if device.type != "cpu" and size <= SHARE * free_on_device(device):
        return "device"
    return "host" if size * sharers <= SHARE * free_on_host() else "disk"


def allocate(
    shape: Iterable[int], dtype: torch.dtype, place: Place, device: torch.device, directory: str | None = None
) -> Tensor:
    """An array of any content.

    On disk it is a file without a name, mapped into memory, which vanishes however the process ends; parts that are
    used often stay in memory as long as there is room. In host memory it is locked where there is a GPU to copy to.

    Args:
        shape: Of the array.
        dtype: Of its elements.
        place: Where it lies.
        device: Where the network trains.
        directory: For arrays on disk; None for that of temporary files.

    Raises:
        DataError: If the disk has no room for it.
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
        os.posix_fallocate(handle, 0, max(1, needed))  # a full disk is told now, and not by a signal later
        return torch.from_file(path, shared=True, size=number, dtype=dtype).reshape(shape)
    finally:
        os.close(handle)
        os.unlink(path)


def _available() -> int:
    """MemAvailable where there is one: pages that only cache files are free, too."""
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
