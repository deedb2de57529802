"""The user's cache: where it lies, and how one process at a time writes into a directory of it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aframe.errors import StorageError
from aframe.storage.paths import locate


def cache_directory() -> Path:
    """Directory of copies: AFRAME_CACHE_DIR, or ``aframe`` in the user's cache (XDG_CACHE_HOME, or ``~/.cache``)."""
    configured, user_cache = os.environ.get("AFRAME_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    if configured:
        return Path(locate(configured))
    return (Path(user_cache) if user_cache else Path.home() / ".cache") / "aframe"


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Lock a directory against other processes that fetch. The kernel frees the lock however a process ends."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise StorageError(
            f"{cache} cannot be used ({error.strerror or error}): mend its permissions or free space, or set "
            "AFRAME_CACHE_DIR to another directory"
        ) from error
