"""Exclusive use of directories by one run.

A local directory has a lock of the kernel. A remote directory has a lease, which its holder renews.
"""

import atexit
import contextlib
import json
import os
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aframe import storage
from aframe.errors import AframeError, StorageError
from aframe.machine.locks import lock, lock_holder
from aframe.machine.processes import is_alive, this_machine

RENEWAL_INTERVAL = 20.0
"""Seconds between two renewals of a lease."""

EXPIRY_TIME = 3 * RENEWAL_INTERVAL
"""Seconds without a renewal after which the holder of a lease counts as dead."""

SETTLING_TIME = 1.0
"""Seconds after which a new lease is read back. If two processes wrote it at once, the later one holds it."""

_held: dict[str, dict[str, Any]] = {}
"""Content of each lease of this process and of the process that forked it, by path."""

_writing: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
"""Lock of each process, by its number. It is held while a lease is renewed or deleted."""


def claim(directories: Sequence[str]) -> None:
    """Claim directories for this process until it ends. Directories that it has already claimed remain claimed.

    The lease of a remote directory is a file ``.lock`` in it, which is renewed every ``RENEWAL_INTERVAL``. If another
    process holds the lease, this process takes it over at once if the holder was on this machine and has ended.
    Otherwise it takes the lease over if nobody renews it for ``EXPIRY_TIME``. It compares no clocks.

    Args:
        directories: Local or remote directories.

    Raises:
        StorageError: If another process uses a directory, or a directory cannot be written.
    """
    paths = [storage.join(directory, ".lock") for directory in directories if storage.is_remote(directory)]
    for directory in directories:
        if not storage.is_remote(directory):
            lock(directory)
    taken = {path: _take(path) for path in dict.fromkeys(paths) if not _is_mine(_held.get(path))}
    if not taken:
        return
    time.sleep(SETTLING_TIME)
    for path, lease in taken.items():
        stored = _read(path)
        if stored is None or stored["token"] != lease["token"]:
            raise _at_work(path, stored or lease)
    if not any(_is_mine(lease) for lease in _held.values()):
        threading.Thread(target=_renew, args=(os.getpid(),), daemon=True).start()
        atexit.register(_release, os.getpid())
    _held.update(taken)


def at_work(directory: str) -> str:
    """Process that has claimed a directory, in words; empty if there is none.

    The age of its lease decides whether a process of another machine is alive. The clocks must therefore agree within
    a minute.
    """
    if not storage.is_remote(directory):
        process = lock_holder(directory)
        return f"process {process}" if process else ""
    path = storage.join(directory, ".lock")
    lease = _read(path)
    if lease is None:
        return ""
    if lease["machine"] == this_machine():
        return _holder(lease) if is_alive(lease["process"]) else ""
    filesystem, inner = storage.filesystem_of(path)
    with contextlib.suppress(FileNotFoundError):
        if time.time() - filesystem.modified(inner).timestamp() < 2 * EXPIRY_TIME:
            return _holder(lease)
    return ""


def _take(path: str) -> dict[str, Any]:
    """Take a lease when no other process holds it, and return its content.

    Raises:
        StorageError: If another process renews the lease.
    """
    other = _read(path)
    if other is not None and not (other["machine"] == this_machine() and not is_alive(other["process"])):
        print(f"{path}: looking whether {_holder(other)} is still at work, for {EXPIRY_TIME:.0f} s at most", flush=True)
        deadline = time.monotonic() + EXPIRY_TIME
        while time.monotonic() < deadline:
            time.sleep(min(RENEWAL_INTERVAL / 4, EXPIRY_TIME / 4))
            current = _read(path)
            if current is None:
                break
            if current != other:
                raise _at_work(path, current)
    lease = {"machine": this_machine(), "process": os.getpid(), "token": uuid.uuid4().hex, "beats": 0}
    filesystem, inner = storage.filesystem_of(path)
    try:
        filesystem.pipe_file(inner, json.dumps(lease).encode(), mode="create" if other is None else "overwrite")
    except FileExistsError:
        raise _at_work(path, _read(path) or lease) from None
    return lease


def _read(path: str) -> dict[str, Any] | None:
    """Read the lease at a path; None if there is no readable lease."""
    filesystem, inner = storage.filesystem_of(path)
    with contextlib.suppress(FileNotFoundError, ValueError):
        return dict(json.loads(filesystem.cat_file(inner)))
    return None


def _at_work(path: str, lease: dict[str, Any]) -> StorageError:
    """Error for the user about a directory that another run uses."""
    return StorageError(
        f"another run ({_holder(lease)}) is at work in {path.removesuffix('/.lock')}: wait for it, or end it"
    )


def _holder(lease: dict[str, Any]) -> str:
    """Process and machine of the holder of a lease, in words."""
    return f"process {lease['process']} on {lease['machine'].partition(' ')[0]}"


def _is_mine(lease: dict[str, Any] | None) -> bool:
    """Whether this process holds a lease."""
    return lease is not None and lease["process"] == os.getpid()


def _renew(process: int) -> None:
    """Renew the leases of this process until it ends. A lease that another run has taken over is dropped."""
    while os.getpid() == process:
        time.sleep(RENEWAL_INTERVAL)
        for path, lease in list(_held.items()):
            # during an outage of the store, no other run can take over
            with _writing[process], contextlib.suppress(AframeError, OSError):
                stored = _read(path)
                if not _is_mine(lease) or path not in _held:
                    continue
                if stored is None or stored["token"] != lease["token"]:
                    if _held.pop(path, None) is not None:
                        print(f"warning: {path} was taken over by another run", flush=True)
                    continue
                lease["beats"] += 1
                filesystem, inner = storage.filesystem_of(path)
                filesystem.pipe_file(inner, json.dumps(lease).encode())


def _release(process: int) -> None:
    """Delete the leases of a process when it ends."""
    # a renewal that is on its way would write the lease again
    is_free = _writing[process].acquire(timeout=RENEWAL_INTERVAL)
    for path, lease in list(_held.items()):
        with contextlib.suppress(AframeError, OSError):
            stored = _read(path)
            if os.getpid() == process and _is_mine(lease) and stored is not None and stored["token"] == lease["token"]:
                storage.remove(path)
        _held.pop(path, None)
    if is_free:
        _writing[process].release()
