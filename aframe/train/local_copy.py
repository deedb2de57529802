"""Training data on s3 are fetched once to this machine: training reads them again and again, and at random."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from aframe import storage
from aframe.errors import StorageError
from aframe.progress.lines import transfer_progress
from aframe.storage.s3 import ObjectInfo, ObjectStore

FETCHED_AT_ONCE = 8
"""Objects that travel side by side."""

PIECE_BYTES = 2**24
"""Bytes of an object that are asked for at once."""

ROOM = 2**28
"""Bytes of free disk that are not touched."""

TRIES = 2
"""How often an object is fetched whose content is not what the store says it is."""


@dataclass(frozen=True)
class Wanted:
    """An object, and where its copy belongs.

    Attributes:
        url: ``s3://bucket/key``.
        about: What the store says of it.
        copy: Local path.
    """

    url: str
    about: ObjectInfo
    copy: Path

    @property
    def record(self) -> Path:
        """A file beside the copy that says what it is a copy of; it is written last."""
        return self.copy.with_name(f".{self.copy.name}.source")

    @property
    def is_there(self) -> bool:
        """Whether the copy is complete, of what the store has now, and as it was written."""
        try:
            known, state = json.loads(self.record.read_text(encoding="utf-8")), self.copy.stat()
        except (OSError, ValueError):
            return False
        return bool(known == self.identity | {"written": state.st_mtime_ns} and state.st_size == self.about.size)

    @property
    def identity(self) -> dict[str, Any]:
        """What tells an object from another one of that name."""
        return {"url": self.url, "etag": self.about.etag, "size": self.about.size}


def cache_directory() -> Path:
    """Where copies go: AFRAME_CACHE_DIR, or ``aframe`` in the user's cache (XDG_CACHE_HOME, or ``~/.cache``)."""
    own, users = os.environ.get("AFRAME_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    return Path(own).expanduser() if own else (Path(users) if users else Path.home() / ".cache") / "aframe"


def local_copies(directory: str, paths: Sequence[str]) -> dict[str, str]:
    """Paths of files in a directory that this machine can read fast: their own, or of copies of remote ones.

    What was fetched before and has not changed stays as it is. Processes that want the same directory wait for the
    first of them, which fetches.

    Args:
        directory: Local or remote; each remote one has a directory of its own in the cache.
        paths: Files in it.

    Raises:
        StorageError: If one does not exist, cannot be fetched or is damaged, naming it; if the disk is too small.
    """
    if not storage.is_remote(directory):
        return {path: path for path in paths}
    filesystem, _ = fsspec.core.url_to_fs(directory)
    cache = cache_directory() / _name(directory, filesystem)
    with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool, _alone(cache):
        told = pool.map(lambda path: _describe(filesystem, path), paths)
        wanted = [
            Wanted(path, about, cache / path.removeprefix(directory).lstrip("/"))
            for path, about in zip(paths, told, strict=True)
        ]
        missing = [each for each in wanted if not each.is_there]
        for partial in cache.rglob(".partial-*"):  # of killed processes: this one is alone here
            partial.unlink()
        if missing:
            _check_room(cache, missing)
            _fetch_all(filesystem, missing, pool)
    return {each.url: str(each.copy) for each in wanted}


def _name(directory: str, filesystem: Any) -> str:
    """Name of a source's directory in the cache: readable, and different for each store."""
    store = filesystem.endpoint if isinstance(filesystem, ObjectStore) else ""
    bare = "".join(c if c.isalnum() or c in "-._" else "-" for c in directory.partition("://")[2].rstrip("/"))
    return f"{bare[-60:].strip('-.')}-{hashlib.sha256(f'{store} {directory}'.encode()).hexdigest()[:10]}"


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Wait until no other process fetches into a directory; the kernel frees it however a process ends."""
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


def _describe(filesystem: Any, path: str) -> ObjectInfo:
    inner = path.partition("://")[2]
    try:
        if isinstance(filesystem, ObjectStore):
            return filesystem.describe(inner)
        return ObjectInfo(int(filesystem.info(inner)["size"]), str(filesystem.ukey(inner)), "", "")
    except FileNotFoundError:
        raise StorageError(
            f"{path} does not exist: run the step that makes it, or mend AFRAME_TRAIN_DATA_DIR"
        ) from None


def _check_room(cache: Path, missing: Sequence[Wanted]) -> None:
    needed, free = sum(each.about.size for each in missing), shutil.disk_usage(cache).free
    if needed + ROOM > free:
        raise StorageError(
            f"{len(missing)} files of training data need {needed / 1e9:.2f} GB, and {cache} has {free / 1e9:.2f} GB "
            "free: free space, or set AFRAME_CACHE_DIR to a directory on a larger disk"
        )


def _fetch_all(filesystem: Any, missing: Sequence[Wanted], pool: ThreadPoolExecutor) -> None:
    total = sum(each.about.size for each in missing)
    with transfer_progress(f"fetching training data, {len(missing)} files", total) as advance:
        running = [pool.submit(_fetch, filesystem, each, advance) for each in missing]
        try:
            for done in as_completed(running):
                done.result()
        except BaseException:
            for each in running:
                each.cancel()
            raise


def _fetch(filesystem: Any, wanted: Wanted, advance: Callable[[int], None]) -> None:
    """Fetch and verify an object; its copy appears when that is done."""
    wanted.copy.parent.mkdir(parents=True, exist_ok=True)
    partial = wanted.copy.with_name(f".partial-{wanted.copy.name}")
    for number in range(TRIES):
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with partial.open("wb") as stream:
            for start in range(0, wanted.about.size, PIECE_BYTES):
                piece = _read(filesystem, wanted, start, min(start + PIECE_BYTES, wanted.about.size))
                stream.write(piece)
                sha256.update(piece)
                md5.update(piece)
                advance(len(piece) if number == 0 else 0)
        promised = wanted.about.sha256 or wanted.about.md5
        found = (sha256 if wanted.about.sha256 else md5).hexdigest()
        if promised in ("", found):
            break
    else:
        partial.unlink()
        raise StorageError(
            f"{wanted.url} is damaged: the store promises the checksum {promised} and sends what has {found}, "
            f"{TRIES} times; make it anew, or upload it again"
        )
    partial.replace(wanted.copy)
    partial.write_text(json.dumps(wanted.identity | {"written": wanted.copy.stat().st_mtime_ns}), encoding="utf-8")
    partial.replace(wanted.record)


def _read(filesystem: Any, wanted: Wanted, start: int, stop: int) -> bytes:
    inner = wanted.url.partition("://")[2]
    try:
        if isinstance(filesystem, ObjectStore):
            return filesystem.read_range(inner, start, stop, wanted.about.etag)
        return bytes(filesystem.cat_file(inner, start, stop))
    except FileNotFoundError:
        raise StorageError(
            f"{wanted.url} was deleted while it was being fetched: make it anew, or mend the path"
        ) from None
