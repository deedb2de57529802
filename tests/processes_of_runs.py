"""Runs that go on while a test looks on, interferes, or ends them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from terminal import LAW, environment_of

INJECTIONS = ("aframe.tasks.waveforms.MergeInjections",)
"""A task that needs two workflows of two branches each."""

FETCH = ("aframe.tasks.data.FetchStrain", "--stage", "test")


def wait_for(condition: Callable[[], object], seconds: float = 240) -> None:
    """Wait until something holds; fail where it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@contextmanager
def running(directory: Path, output: Path, *task: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A task of a run in a session of its own, killed at the end if it still goes on.

    Args:
        directory: Of the run.
        output: Where what it prints goes.
        task: Words of its command line.
    """
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [LAW, "run", *task, "--workers", "2"], env=environment_of(directory), stdout=stream,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
