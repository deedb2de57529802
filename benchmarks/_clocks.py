"""Measurement of time and memory, and their scatter over repetitions."""

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
    """Processor time of a call, s. Other processes on the machine do not count."""
    start = time.process_time()
    call()
    return time.process_time() - start


def wall_seconds(call: Callable[[], object]) -> float:
    """Elapsed time of a call, s."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def middle(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Median of repetitions, and half the distance between their maximum and minimum."""
    return float(np.median(values)), float(np.max(values) - np.min(values)) / 2


def peak_gigabytes() -> float:
    """Peak memory of this process, GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def alone(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a new process. The peak memory of this process is that of the call alone.

    Args:
        function: The function.
        *args: Its arguments.
        **kwargs: Its keyword arguments.

    Returns:
        Result of the function.

    Raises:
        BrokenProcessPool: If the process is killed.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()
