"""Locks of local directories. The kernel releases them when their process ends."""

import atexit
import contextlib
import fcntl
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from aframe.errors import StorageError
from aframe.machine.processes import is_alive

FLOCK = "hhqqi4x"
"""Format of struct flock of Linux: type, whence, start, length and process."""

_locks: list[IO[str]] = []
"""Lock files that stay open until the process ends."""


def lock(directory: str) -> None:
    """Claim a local directory for this process until the process ends.

    Args:
        directory: The directory. It is created if it does not exist.

    Raises:
        StorageError: If another process holds the lock, or the directory cannot be written.
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


def hold(path: str, wait: bool = True) -> IO[str] | None:
    """Lock a file until what is returned is closed, in this process and in all that it forks meanwhile.

    Args:
        path: Path of the file. It is created if it does not exist.
        wait: Whether to wait while another process holds the lock.

    Returns:
        The open file; None if another process holds the lock.

    Raises:
        StorageError: If the file cannot be written.
    """
    where = Path(path)
    try:
        file = where.open("a", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror}): mend its permissions") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.close()
        return None
    return file


@contextlib.contextmanager
def held(path: str) -> Iterator[None]:
    """Hold the lock of a file within the context. Wait for it first."""
    file = hold(path)
    try:
        yield
    finally:
        if file is not None:
            file.close()


def lock_holder(directory: str) -> int:
    """Number of the process that has claimed a local directory; 0 if there is none."""
    path = Path(directory) / ".lock"
    if any(Path(file.name) == path for file in _locks):
        return os.getpid()  # to open and close the file again would release the lock
    try:
        with path.open("rb") as file:
            if sys.platform != "linux":
                process = int(file.read() or 0)
                return process if process and is_alive(process) else 0
            answer = fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except (OSError, ValueError):
        return 0
    kind, *_, process = struct.unpack(FLOCK, answer)
    return 0 if kind == fcntl.F_UNLCK else int(process)
