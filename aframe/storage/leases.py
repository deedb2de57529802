"""One run at a time in a directory: a local one by a lock of the kernel's, a remote one by a lease that is renewed."""

import atexit
import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any

import fsspec

from aframe import storage
from aframe.errors import AframeError, StorageError
from aframe.machine.locks import lock, lock_holder
from aframe.machine.processes import is_alive, this_machine

BEAT = 20.0
"""Seconds from one renewal of a lease to the next."""

WATCH = 3 * BEAT
"""Seconds for which somebody else's lease is watched: if it is not renewed meanwhile, its holder is dead."""

SETTLE = 1.0
"""Seconds after which a lease is read back: of two processes that took it at once, the later one has it."""

_held: dict[str, dict[str, Any]] = {}
"""Path and content of the leases of this process, and of the one that it was forked from."""


def claim(directories: Sequence[str]) -> None:
    """Claim directories for this process until it ends, however it ends; those that it has already, it keeps.

    A remote directory has a lease: a file ``.lock`` in it, renewed every ``BEAT``. A process that finds another one's
    takes it over at once where it was of this machine and has ended, else after watching for ``WATCH`` that nobody
    renews it: no clocks are compared.

    Args:
        directories: Local or remote.

    Raises:
        StorageError: If another process works there, or they cannot be written.
    """
    paths = [storage.join(directory, ".lock") for directory in directories if storage.is_remote(directory)]
    for directory in directories:
        if not storage.is_remote(directory):
            lock(directory)
    taken = {path: _take(path) for path in dict.fromkeys(paths) if not _is_mine(_held.get(path))}
    if not taken:
        return
    time.sleep(SETTLE)
    for path, mine in taken.items():
        found = _read(path)
        if found is None or found["token"] != mine["token"]:
            raise _at_work(path, found or mine)
    if not any(_is_mine(lease) for lease in _held.values()):
        threading.Thread(target=_renew, args=(os.getpid(),), daemon=True).start()
        atexit.register(_release, os.getpid())
    _held.update(taken)


def at_work(directory: str) -> str:
    """Who has claimed a directory; empty where nobody has.

    Of a lease of another machine only its age tells, so that clocks need to agree within a minute.
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
    filesystem, inner = fsspec.core.url_to_fs(path)
    with contextlib.suppress(FileNotFoundError):
        if time.time() - filesystem.modified(inner).timestamp() < 2 * WATCH:
            return _holder(lease)
    return ""


def _take(path: str) -> dict[str, Any]:
    """Write a lease of one's own, once nobody else's is alive."""
    found = _read(path)
    if found is not None and not (found["machine"] == this_machine() and not is_alive(found["process"])):
        print(f"{path}: looking whether {_holder(found)} is still at work, for {WATCH:.0f} s at most", flush=True)
        end = time.monotonic() + WATCH
        while time.monotonic() < end:
            time.sleep(min(BEAT / 4, WATCH / 4))
            now = _read(path)
            if now is None:
                break
            if now != found:
                raise _at_work(path, now)
    mine = {"machine": this_machine(), "process": os.getpid(), "token": uuid.uuid4().hex, "beats": 0}
    filesystem, inner = fsspec.core.url_to_fs(path)
    try:
        filesystem.pipe_file(inner, json.dumps(mine).encode(), mode="create" if found is None else "overwrite")
    except FileExistsError:
        raise _at_work(path, _read(path) or mine) from None
    return mine


def _read(path: str) -> dict[str, Any] | None:
    """The lease at a path, if there is one that can be read."""
    filesystem, inner = fsspec.core.url_to_fs(path)
    with contextlib.suppress(FileNotFoundError, ValueError):
        return dict(json.loads(filesystem.cat_file(inner)))
    return None


def _at_work(path: str, lease: dict[str, Any]) -> StorageError:
    return StorageError(
        f"another run ({_holder(lease)}) is at work in {path.removesuffix('/.lock')}: wait for it, or end it"
    )


def _holder(lease: dict[str, Any]) -> str:
    return f"process {lease['process']} on {lease['machine'].partition(' ')[0]}"


def _is_mine(lease: dict[str, Any] | None) -> bool:
    return lease is not None and lease["process"] == os.getpid()


def _renew(process: int) -> None:
    """Renew this process's leases for as long as it lives; a lease that somebody else has taken over is given up."""
    while os.getpid() == process:
        time.sleep(BEAT)
        for path, lease in list(_held.items()):
            with contextlib.suppress(AframeError, OSError):  # the store's outage: others cannot take over either
                found = _read(path)
                if not _is_mine(lease):
                    continue
                if found is None or found["token"] != lease["token"]:
                    if _held.pop(path, None) is not None:
                        print(f"warning: {path} was taken over by another run", flush=True)
                    continue
                lease["beats"] += 1
                filesystem, inner = fsspec.core.url_to_fs(path)
                filesystem.pipe_file(inner, json.dumps(lease).encode())


def _release(process: int) -> None:
    """Delete the leases of a process that ends."""
    for path, lease in list(_held.items()):
        with contextlib.suppress(AframeError, OSError):
            found = _read(path)
            if os.getpid() == process and _is_mine(lease) and found is not None and found["token"] == lease["token"]:
                storage.remove(path)
