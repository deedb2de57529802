"""Parallel work in forked processes that write to shared arrays."""

import contextlib
import gc
import math
import mmap
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from aframe.machine.processes import cores, die_with_parent
from aframe.types import Array

_inherited: list[Callable[[slice], None]] = []
"""Functions that a forked process has inherited from its parent; it calls the last one."""


def shared_array(shape: tuple[int, ...]) -> Array:
    """Create a float32 array of zeros that forked processes can write to."""
    number = math.prod(shape)
    if number == 0:
        return np.empty(shape, np.float32)
    return np.frombuffer(mmap.mmap(-1, 4 * number), dtype=np.float32).reshape(shape)


def in_slices(run: Callable[[slice], None], number: int, size: int, workers: int | None) -> None:
    """Call a function with all slices of ``number`` items, in forked processes if there is more than one slice.

    Args:
        run: Function of a slice. It writes its results to arrays of ``shared_array``.
        number: Number of items.
        size: Number of items in a slice.
        workers: Number of processes; None for one per core. Children of a pool use one process, since they may not
            have children.

    Raises:
        concurrent.futures.process.BrokenProcessPool: If a process crashes.
    """
    slices = [slice(start, start + size) for start in range(0, number, size)]
    requested = 1 if multiprocessing.current_process().daemon else workers or cores()
    processes = min(requested, len(slices))
    if processes <= 1:
        for items in slices:
            run(items)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, context, initializer=_inherit, initargs=(run,)) as pool:
        for _ in pool.map(_run_inherited, slices, chunksize=4):
            pass


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with torch on one thread. Forks have no others, and the order of sums depends on their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _inherit(run: Callable[[slice], None]) -> None:
    """Prepare a forked process to call a function."""
    gc.freeze()  # what it inherits stays: a destructor might wait for a thread that the fork does not have
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it at once; its parent informs the user
    die_with_parent()
    _inherited.append(run)


def _run_inherited(items: slice) -> None:
    """Call the inherited function with a slice."""
    _inherited[-1](items)
