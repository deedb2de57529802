"""Local copies of training data on s3. Training reads the data repeatedly and at random, so they are fetched once."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aframe import storage
from aframe.errors import StorageError
from aframe.progress.lines import transfer_progress
from aframe.storage.cache import alone, cache_directory
from aframe.storage.s3 import ObjectInfo, ObjectStore

FETCHED_AT_ONCE = 8
"""Objects that are fetched at the same time."""

PIECE_BYTES = 2**24
"""Bytes of an object in one request."""

SPARE_BYTES = 2**28
"""Bytes of the disk that stay free."""

FETCH_ATTEMPTS = 2
"""Attempts to fetch an object whose content differs from the store's checksum."""


@dataclass(frozen=True)
class RemoteFile:
    """A remote object and its local copy.

    Attributes:
        url: ``s3://bucket/key``.
        info: The store's description of the object.
        copy: Local path of the copy.
    """

    url: str
    info: ObjectInfo
    copy: Path

    @property
    def record(self) -> Path:
        """File beside the copy that identifies its source. It is written last."""
        return self.copy.with_name(f".{self.copy.name}.source")

    @property
    def has_copy(self) -> bool:
        """Whether the copy is complete, unchanged, and of the store's present object."""
        try:
            recorded, state = json.loads(self.record.read_text(encoding="utf-8")), self.copy.stat()
        except (OSError, ValueError):
            return False
        return bool(recorded == self.identity | {"written": state.st_mtime_ns} and state.st_size == self.info.size)

    @property
    def identity(self) -> dict[str, Any]:
        """Values that distinguish the object from other objects at this URL."""
        return {"url": self.url, "etag": self.info.etag, "size": self.info.size}


def local_copies(directory: str, paths: Sequence[str]) -> dict[str, str]:
    """Fetch remote files, and return local paths by the given paths. Local files keep their paths.

    Copies of unchanged files are used again. If several processes need the same directory, the first one fetches and
    the others wait.

    Args:
        directory: Local or remote directory. The cache has a directory for each remote one.
        paths: Files in the directory.

    Raises:
        StorageError: If a file does not exist, cannot be fetched or is damaged, or if the disk is too small.
    """
    if not storage.is_remote(directory):
        return {path: path for path in paths}
    filesystem, _ = storage.filesystem_of(directory)
    cache = cache_directory() / _name(directory, filesystem)
    with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool, alone(cache):
        infos = pool.map(lambda path: _describe(filesystem, path), paths)
        files = [
            RemoteFile(path, info, cache / path.removeprefix(directory).lstrip("/"))
            for path, info in zip(paths, infos, strict=True)
        ]
        missing = [file for file in files if not file.has_copy]
        for partial in cache.rglob(".partial-*"):  # killed processes left them: the lock excludes running ones
            partial.unlink()
        if missing:
            _check_room(cache, missing)
            _fetch_all(filesystem, missing, pool)
    return {file.url: str(file.copy) for file in files}


def _name(directory: str, filesystem: Any) -> str:
    """Name of a remote directory in the cache: readable, and different for each store."""
    store = filesystem.endpoint if isinstance(filesystem, ObjectStore) else ""
    bare = "".join(c if c.isalnum() or c in "-._" else "-" for c in directory.partition("://")[2].rstrip("/"))
    return f"{bare[-60:].strip('-.')}-{hashlib.sha256(f'{store} {directory}'.encode()).hexdigest()[:10]}"


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


def _check_room(cache: Path, missing: Sequence[RemoteFile]) -> None:
    needed, free = sum(file.info.size for file in missing), shutil.disk_usage(cache).free
    if needed + SPARE_BYTES > free:
        raise StorageError(
            f"{len(missing)} files of training data need {needed / 1e9:.2f} GB, and {cache} has {free / 1e9:.2f} GB "
            "free: free space, or set AFRAME_CACHE_DIR to a directory on a larger disk"
        )


def _fetch_all(filesystem: Any, missing: Sequence[RemoteFile], pool: ThreadPoolExecutor) -> None:
    total = sum(file.info.size for file in missing)
    with transfer_progress(f"fetching training data, {len(missing)} files", total) as advance:
        running = [pool.submit(_fetch, filesystem, file, advance) for file in missing]
        try:
            for done in as_completed(running):
                done.result()
        except BaseException:
            for future in running:
                future.cancel()
            raise


def _fetch(filesystem: Any, file: RemoteFile, advance: Callable[[int], None]) -> None:
    """Fetch and verify an object. Its copy appears when it is complete."""
    file.copy.parent.mkdir(parents=True, exist_ok=True)
    partial = file.copy.with_name(f".partial-{file.copy.name}")
    for number in range(FETCH_ATTEMPTS):
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with partial.open("wb") as stream:
            for start in range(0, file.info.size, PIECE_BYTES):
                piece = _read(filesystem, file, start, min(start + PIECE_BYTES, file.info.size))
                stream.write(piece)
                sha256.update(piece)
                md5.update(piece)
                advance(len(piece) if number == 0 else 0)
        expected = file.info.sha256 or file.info.md5
        actual = (sha256 if file.info.sha256 else md5).hexdigest()
        if expected in ("", actual):
            break
    else:
        partial.unlink()
        raise StorageError(
            f"{file.url} is damaged: the store promises the checksum {expected}, but the content has {actual} in "
            f"{FETCH_ATTEMPTS} attempts; make it again, or upload it again"
        )
    partial.replace(file.copy)
    partial.write_text(json.dumps(file.identity | {"written": file.copy.stat().st_mtime_ns}), encoding="utf-8")
    partial.replace(file.record)


def _read(filesystem: Any, file: RemoteFile, start: int, stop: int) -> bytes:
    inner = file.url.partition("://")[2]
    try:
        if isinstance(filesystem, ObjectStore):
            return filesystem.read_range(inner, start, stop, file.info.etag)
        return bytes(filesystem.cat_file(inner, start, stop))
    except FileNotFoundError:
        raise StorageError(
            f"{file.url} was deleted while it was being fetched: make it again, or mend the path"
        ) from None
