"""How far a piece of work has come, on the terminal."""

import contextlib
import mmap
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from aframe import activity

INTERVAL = 5.0
"""Least time between two lines, s."""


class Progress:
    """Prints how far a piece of work has come, a few times a minute, in plain lines.

    Args:
        name: What is being done.
        unit: Of the numbers, with a space before it.
        interval: Least time between two lines, s.
    """

    def __init__(self, name: str, unit: str = "", interval: float = INTERVAL) -> None:
        self.name, self.unit, self.interval = name, unit, interval
        self.start = self.last = time.monotonic()

    def __call__(self, done: float | int, total: float | int) -> None:
        """Report ``done`` of ``total``."""
        activity.note(self.name, done, total, self.unit)
        now = time.monotonic()
        if now - self.last >= self.interval and 0 < done < total:
            self.last = now
            left = (now - self.start) * (total - done) / done
            print(f"{self.name}: {_share(done, total)}{self.unit}, {left:.0f} s left", flush=True)


class Ledger:
    """How much background each job has scored, in memory that the workers which are forked afterwards share.

    Args:
        jobs: Seconds of background of each job.
        sampling_rate: Windows in a second of background, Hz.
        was_done: Tells whether a job was done before this run; asked when the first job of this run starts.
        interval: Least time between two lines of all jobs together, s.
    """

    def __init__(
        self, jobs: Sequence[float], sampling_rate: float, was_done: Callable[[int], bool], interval: float = INTERVAL
    ) -> None:
        self.jobs, self.sampling_rate, self.was_done = np.array(jobs, np.float64), sampling_rate, was_done
        self.interval = interval
        shared = np.frombuffer(mmap.mmap(-1, 8 * (len(jobs) + 3)), np.float64)
        self._done, self._all = shared[: len(jobs)], shared[len(jobs) :]  # start, time of the last line, done before

    def job(self, index: int, name: str) -> Callable[[float, float], None]:
        """What the job with a number calls, as it goes on, with its seconds of background done and to do.

        Args:
            index: Number of the job.
            name: What the user calls it.
        """
        start = time.monotonic()
        if self._all[0] == 0:
            self._all[:2] = start
            self._all[2] = sum(seconds for k, seconds in enumerate(self.jobs) if k != index and self.was_done(k))

        def report(done: float, total: float) -> None:
            self._done[index] = done
            activity.note(name, done, total, " s of background")
            now = time.monotonic()
            if now - self._all[1] >= self.interval and done > 0:
                self._all[1] = now
                print(f"{name}: {self._line(done, total, now - start)}; {self._overall(now)}", flush=True)

        return report

    def _line(self, done: float, total: float, seconds: float) -> str:
        speed = done / seconds
        told = f"{_share(done, total)} s of background, {speed * self.sampling_rate:.0f} windows/s"
        return f"{told}, {(total - done) / speed:.0f} s left"

    def _overall(self, now: float) -> str:
        scored, total = self._done.sum(), self.jobs.sum()
        done = scored + self._all[2]
        left = (total - done) * (now - self._all[0]) / scored
        return f"all {len(self.jobs)} jobs: {_share(done, total)} s, {left:.0f} s left"


def _share(done: float | int, total: float | int) -> str:
    return f"{done:.0f} of {total:.0f} ({100 * done / total:.0f} %)"


def in_words(seconds: float) -> str:
    """A duration as one says it.

    >>> in_words(75.0), in_words(8000.0), in_words(3e5)
    ('75 s', '2.2 h', '3.5 days')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


@contextlib.contextmanager
def transfer_progress(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Follow a transfer of ``total`` bytes: a bar on a terminal, plain lines elsewhere.

    Args:
        name: What is being transferred.
        total: Bytes.

    Yields:
        What is to be called, from any thread, with the number of bytes that have arrived since the last call.
    """
    if sys.stderr.isatty():
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn("{task.description}"), progress.BarColumn(), progress.DownloadColumn(),
            progress.TransferSpeedColumn(), progress.TimeRemainingColumn(),
        )  # fmt: skip
        with progress.Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(name, total=total)
            yield lambda number: bar.advance(task, number)
        return
    lines, lock, done = Progress(name, " MB"), threading.Lock(), 0

    def advance(number: int) -> None:
        nonlocal done
        with lock:
            done += number
            lines(done / 1e6, total / 1e6)

    yield advance
    seconds = time.monotonic() - lines.start
    print(f"{name}: {total / 1e6:.0f} MB in {seconds:.1f} s", flush=True)
