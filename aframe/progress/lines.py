"""Progress lines on the terminal."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

from aframe.machine.console_records import Share, emit
from aframe.progress import activity

LINE_INTERVAL = 5.0
"""Minimum time between two progress lines, s."""

ProgressReport = Callable[[float, float], None]
"""Function that receives what is done, and the total."""


class Progress:
    """Prints progress in plain lines, several times per minute.

    Args:
        name: Name of the work.
        unit: Unit of the progress, with a space before it.
        interval: Minimum time between two lines, s.
    """

    def __init__(self, name: str, unit: str = "", interval: float = LINE_INTERVAL) -> None:
        self.name, self.unit, self.interval = name, unit, interval
        self.start = self.last = time.monotonic()

    def __call__(self, done: float | int, total: float | int) -> None:
        """Report progress.

        Args:
            done: Present progress. A report of none starts the clock.
            total: Progress at the end.
        """
        activity.note(self.name, done, total, self.unit)
        now = time.monotonic()
        if done == 0:
            self.start = now
        if now - self.last >= self.interval and 0 < done < total:
            self.last = now
            left = (now - self.start) * (total - done) / done
            emit(Share(self.name, done, total, left, self.unit))


def in_words(seconds: float) -> str:
    """Format a duration in a suitable unit.

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
    """Show the progress of a transfer: a bar on a terminal, plain lines otherwise.

    Args:
        name: Name of the transfer.
        total: Size, bytes.

    Yields:
        Function to call from any thread, with the number of bytes that have arrived since the last call.
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
