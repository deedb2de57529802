"""Time, memory, and their scatter over repetitions."""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
T = TypeVar("T")


def core_seconds(call: Callable[[], object]) -> float:
    """Processor time of a call: what others do on the machine does not count."""
    start = time.process_time()
    call()
    return time.process_time() - start


def wall_seconds(call: Callable[[], object]) -> float:
    """Time of a call by the clock."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def middle(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The median of some repetitions, and half the distance between the largest and the smallest."""
    return float(np.median(values)), float(np.max(values) - np.min(values)) / 2


def peak_gigabytes() -> float:
    """The most memory that this process has had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def alone(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a process of its own, whose memory is that of this call alone.

    Raises:
        BrokenProcessPool: If the process is killed.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()
