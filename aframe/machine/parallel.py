"""Work on all cores, in forked processes that write into shared arrays."""

import math
import mmap
import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from aframe.machine.processes import cores, die_with_parent
from aframe.types import Array

_inherited: list[Callable[[slice], None]] = []
"""In a forked process: the work that it is there for."""


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
