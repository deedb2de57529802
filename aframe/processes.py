"""Processes that do not outlive their parent, and that do not work in one directory at the same time."""

import atexit
import ctypes
import fcntl
import math
import mmap
import multiprocessing
import os
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np

from aframe.errors import StorageError
from aframe.types import Array

PR_SET_PDEATHSIG = 1

GPU_POLL = 0.2
"""Seconds from one look for a free GPU to the next."""

FLOCK = "hhqqi4x"
"""Linux's struct flock: kind of lock, where from, start, length, process."""

JOB = "AFRAME_JOB"
"""Environment variable of a batch job: its name."""

JOB_CORES = "AFRAME_JOB_CORES"
"""Environment variable of a batch job: how many cores it has asked for, which a system without cgroups does not say."""

_locks: list[IO[str]] = []
"""Kept open until the process ends."""

_gpus: dict[tuple[int, str], IO[str]] = {}
"""The lock of each GPU that a process has claimed, by process and GPU: a forked process inherits no claim."""

_inherited: list[Callable[[slice], None]] = []
"""In a forked process: the work that it is there for."""


def die_with(parent: int, death: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel end this process when its parent ends, however it ends (Linux; elsewhere nothing happens).

    To be called in a child: as ``preexec_fn`` of a subprocess, or first thing after a fork.

    Args:
        parent: The parent's process number; if it has ended already, this process ends here.
        death: What it is sent; SIGTERM where it has something to save.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death)
        if os.getppid() != parent:
            os._exit(1)


def die_with_parent() -> None:
    """The same for a process that ``multiprocessing`` forked; in any other nothing happens."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with(parent.pid)


def run_process() -> int:
    """Number of the process that a run is: this one, or the one that forked it."""
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid


def lock(directory: str) -> None:
    """Claim a local directory for this process until it ends, however it ends.

    Args:
        directory: Where the run's results go; made if need be.

    Raises:
        StorageError: If another process works there, or it cannot be written.
    """
    path = Path(directory) / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{directory} cannot be written ({error.strerror}): mend its permissions or choose another"
        ) from None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise StorageError(
            f"another run (process {holder}) is at work in {directory}: wait for it, or end it"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    _locks.append(file)
    atexit.register(file.close)


def lock_holder(directory: str) -> int:
    """Number of the process that has claimed a local directory; 0 where none has."""
    path = Path(directory) / ".lock"
    if any(Path(file.name) == path for file in _locks):
        return os.getpid()  # opened again and closed, the file would lose this process's claim
    try:
        with path.open("rb") as file:
            if sys.platform != "linux":
                process = int(file.read() or 0)
                return process if process and is_alive(process) else 0
            asked = fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except (OSError, ValueError):
        return 0
    kind, *_, process = struct.unpack(FLOCK, asked)
    return 0 if kind == fcntl.F_UNLCK else int(process)


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


def is_alive(pid: int) -> bool:
    """Whether a process of this machine still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def this_machine() -> str:
    """Name of this machine, and of the time since it was started: process numbers mean nothing beyond these."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()} {boot.read_text().strip() if boot.exists() else ''}"


def is_batch_job() -> bool:
    """Whether this process is a job of a batch system."""
    return JOB in os.environ


def cores() -> int:
    """Cores that this process may use: all, or those of its batch job."""
    return int(os.environ.get(JOB_CORES) or len(os.sched_getaffinity(0)))


def shared_array(shape: tuple[int, ...]) -> Array:
    """A float32 array of zeros that forked processes write into."""
    number = math.prod(shape)
    if number == 0:
        return np.empty(shape, np.float32)
    return np.frombuffer(mmap.mmap(-1, 4 * number), dtype=np.float32).reshape(shape)


def in_slices(run: Callable[[slice], None], number: int, size: int, workers: int | None) -> None:
    """Call a function with all slices of ``number`` items, in forked processes if there is more than one slice.

    Args:
        run: Called with each slice; its results go to arrays of ``shared_array``.
        number: Items.
        size: Items in a slice.
        workers: Processes; all cores when None. One in the children of a pool, which may not have children.

    Raises:
        concurrent.futures.process.BrokenProcessPool: If a process crashes.
    """
    slices = [slice(start, start + size) for start in range(0, number, size)]
    wanted = 1 if multiprocessing.current_process().daemon else workers or cores()
    processes = min(wanted, len(slices))
    if processes <= 1:
        for items in slices:
            run(items)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, context, initializer=_inherit, initargs=(run,)) as pool:
        for _ in pool.map(_run_inherited, slices, chunksize=4):
            pass


def _inherit(run: Callable[[slice], None]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once; its parent tells the user
    die_with_parent()
    _inherited.append(run)


def _run_inherited(items: slice) -> None:
    _inherited[-1](items)
