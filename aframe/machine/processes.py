"""Processes that end with their parent; machine, batch job, cores and foreign settings of this process."""

import ctypes
import gc
import math
import multiprocessing
import os
import resource
import signal
import socket
import sys
import time
import warnings
from pathlib import Path

PR_SET_PDEATHSIG = 1

JOB = "AFRAME_JOB"
"""Environment variable of a batch job with its name."""

JOB_CORES = "AFRAME_JOB_CORES"
"""Environment variable of a batch job with its number of requested cores, for systems without cgroups."""


FOREIGN_SETTINGS = ("LUIGI_CONFIG_", "LAW__", "PYTHONWARNINGS")
"""Beginnings of environment variables with settings of other projects that use luigi, law or Python."""

HIDDEN_WARNINGS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings for developers, which Python hides by default."""


def shed_foreign_settings() -> None:
    """Remove settings of other projects from the environment of this process, and what they made of its warnings."""
    if os.environ.get("PYTHONWARNINGS"):
        warnings.resetwarnings()
        for kind in HIDDEN_WARNINGS:
            warnings.simplefilter("ignore", kind)
    for name in [name for name in os.environ if name.startswith(FOREIGN_SETTINGS)]:
        del os.environ[name]


def die_with(parent: int, death: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel end this process when its parent ends. It works on Linux only.

    Call it in a child: as ``preexec_fn`` of a subprocess, or directly after a fork.

    Args:
        parent: Process number of the parent. If the parent has already ended, this process ends at once.
        death: Signal that this process receives; SIGTERM if it must save something.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death)
        if os.getppid() != parent:
            os._exit(1)


def die_with_parent() -> None:
    """Let the kernel end this process when its parent ends, if ``multiprocessing`` forked it."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with(parent.pid)


def limit_processor_time(seconds: float) -> None:
    """Let the kernel end this process with SIGXCPU once it has computed for so long.

    Args:
        seconds: Processor time from now on, s. The system's hard limit stays.
    """
    _, largest = resource.getrlimit(resource.RLIMIT_CPU)
    limit = math.ceil(time.process_time() + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit if largest < 0 else min(limit, largest), largest))


def environment_of_child() -> dict[str, str]:
    """Environment of a Python process that imports from where this one does, and computes with one thread.

    Each further thread takes memory, and has no work in a process that only reads.
    """
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def postpone_collection() -> None:
    """Search for no garbage while this process imports. It begins with ``begin_collection``, or before a fork.

    Python searches all that it has imported again and again, which takes a sixth of the time of the imports.
    """
    gc.disable()
    os.register_at_fork(before=begin_collection)


def begin_collection() -> None:
    """Search for garbage from now on, in what this process makes now. What it has imported stays."""
    if not gc.isenabled():
        gc.freeze()  # a forked process then copies no page of it for a search
        gc.enable()


def run_process() -> int:
    """Process number of the run: this process, or the process that forked it."""
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def this_machine() -> str:
    """Identifier of this machine and its boot. Process numbers are unique only within it."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()} {boot.read_text().strip() if boot.exists() else ''}"


def is_batch_job() -> bool:
    """Whether this process is a job of a batch system."""
    return JOB in os.environ


def cores() -> int:
    """Number of cores that this process may use: all, or those of its batch job."""
    return int(os.environ.get(JOB_CORES) or len(os.sched_getaffinity(0)))
