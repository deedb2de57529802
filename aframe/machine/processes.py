"""Processes that do not outlive their parent; which machine, job and cores this one has."""

import ctypes
import multiprocessing
import os
import signal
import socket
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1

JOB = "AFRAME_JOB"
"""Environment variable of a batch job: its name."""

JOB_CORES = "AFRAME_JOB_CORES"
"""Environment variable of a batch job: how many cores it has asked for, which a system without cgroups does not say."""


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
