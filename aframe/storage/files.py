"""Local and S3 paths alike: open, exists, and writes that happen whole or not at all."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import fsspec
import h5py
from fsspec.implementations.local import LocalFileSystem

from aframe.errors import StorageError
from aframe.machine.processes import is_alive

if TYPE_CHECKING:
    from aframe.storage.s3 import ObjectStore

PARAMETERS_ATTRIBUTE = "aframe_parameters"
"""HDF5 root attribute that holds, as JSON, the parameters that made the file."""

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""What an HDF5 file begins with."""

Parameters = Mapping[str, Any]

for protocol in ("s3", "s3a"):  # by name: what speaks S3 takes long to import, and is where a path begins with this
    fsspec.register_implementation(protocol, "aframe.storage.s3.ObjectStore", clobber=True)


def is_remote(path: str) -> bool:
    """Whether ``path`` is a URL (``s3://…``) and not a local path."""
    return len(urlsplit(str(path)).scheme) > 1


def _object_store(filesystem: fsspec.AbstractFileSystem) -> "ObjectStore | None":
    """The file system, where it is S3's."""
    if isinstance(filesystem, LocalFileSystem):
        return None
    from aframe.storage.s3 import ObjectStore

    return filesystem if isinstance(filesystem, ObjectStore) else None


def join(directory: str, *names: str) -> str:
    """Path of a file in a local or remote directory."""
    return "/".join([str(directory).rstrip("/"), *names])


def exists(path: str) -> bool:
    """Whether a file or directory is there."""
    filesystem, inner = fsspec.core.url_to_fs(str(path))
    return bool(filesystem.exists(inner))


def glob(pattern: str) -> list[str]:
    """Sorted paths that match a pattern, with the protocol kept."""
    filesystem, inner = fsspec.core.url_to_fs(str(pattern))
    return sorted(filesystem.unstrip_protocol(p) if is_remote(pattern) else str(p) for p in filesystem.glob(inner))


def sizes(pattern: str) -> dict[str, int]:
    """Bytes of the files whose paths match a pattern; of one that is being replaced perhaps none."""
    filesystem, _ = fsspec.core.url_to_fs(str(pattern))
    found = {}
    for path in glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            found[path] = int(filesystem.size(path) or 0)
    return found


def fingerprint(path: str) -> str:
    """What changes when a file does: a hash of its size, its times and whatever else its file system says of it."""
    filesystem, inner = fsspec.core.url_to_fs(str(path))
    return str(filesystem.ukey(inner))


def remove(path: str) -> None:
    """Delete a file or directory if it is there."""
    filesystem, inner = fsspec.core.url_to_fs(str(path))
    if _object_store(filesystem):
        for name in filesystem.find(inner):
            filesystem.rm_file(name)
    elif filesystem.exists(inner):
        filesystem.rm(inner, recursive=True)


@contextlib.contextmanager
def atomic(path: str, scratch_in: str | None = None) -> Iterator[Path]:
    """A local temporary path whose content appears under ``path`` when the block ends without error.

    Local files are renamed into place; remote ones are uploaded and appear when that is complete. After an error
    nothing is left behind. A directory may be written too: it replaces an earlier one of that name. A remote one cannot
    be replaced at once: its files appear one by one, each whole, and then those that only the earlier one has go. Who
    needs all of them together writes them under a new name, and then one file that names it.

    Args:
        path: Where the content will be.
        scratch_in: Local directory of the temporary path, where someone watches that of ``path``; it is not used where
            it is on another file system.
    """
    remote = is_remote(path)
    parent = Path(tempfile.gettempdir()) if remote else Path(path).absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if scratch_in is not None and not remote and os.stat(scratch_in).st_dev == parent.stat().st_dev:
            parent = Path(scratch_in)
        scratch = Path(tempfile.mkdtemp(prefix=_partial_prefix(os.getpid()), dir=parent))
    except OSError as error:
        raise _not_written(path, error) from None
    try:
        temporary = scratch / Path(path).name
        yield temporary
        if remote:
            _upload(temporary, str(path))
        elif temporary.is_dir() and Path(path).exists():
            os.rename(path, scratch / "replaced")
            os.rename(temporary, path)
        else:
            os.replace(temporary, path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _upload(local: Path, path: str) -> None:
    filesystem, inner = fsspec.core.url_to_fs(path)
    files = sorted(file for file in local.rglob("*") if file.is_file()) if local.is_dir() else [local]
    names = [join(inner, file.relative_to(local).as_posix()) if file != local else inner for file in files]
    store = _object_store(filesystem)
    for file, name in zip(files, names, strict=True):
        if store:
            store.upload(file, name)
        else:
            filesystem.put_file(str(file), name)
    if local.is_dir():
        for name in set(filesystem.find(inner)) - set(names):
            filesystem.rm_file(name)


def why_not_written(path: Path, least_free: float = 0.0) -> str:
    """Why nothing can be written in a local directory that may have to be made first; empty where it can.

    Args:
        path: The directory, absolute.
        least_free: Bytes that its disk must have free.
    """
    there = next(parent for parent in (path, *path.parents) if os.path.lexists(parent))
    if not os.path.isdir(there):
        return f"{there} is no directory"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"there is no permission to write in {there}"
    longest = os.pathconf(there, "PC_NAME_MAX")
    if any(len(os.fsencode(name)) > longest for name in path.parts):
        return f"a name in it is longer than {longest} bytes"
    free = shutil.disk_usage(there).free
    return "" if free >= least_free else f"its disk has {free / 1e6:.0f} MB left"


def _not_written(path: str, error: OSError) -> StorageError:
    blocked = isinstance(error, (FileExistsError, NotADirectoryError)) and not is_remote(path)
    reason = why_not_written(Path(path).absolute().parent) if blocked else ""
    reason = reason or error.strerror or " ".join(str(error).split())
    return StorageError(
        f"{path} cannot be written ({reason}): mend permissions or free space, or choose another directory"
    )


def _partial_prefix(pid: int) -> str:
    return f".partial-{socket.gethostname()}-{pid}-"


def sweep(directory: str) -> None:
    """Delete what killed processes of this machine left half written under a directory, or for a remote one."""
    if is_remote(directory):
        filesystem, inner = fsspec.core.url_to_fs(directory)
        store = _object_store(filesystem)
        if store:
            store.abort_stale_uploads(inner)
        _sweep(Path(tempfile.gettempdir()), [path.name for path in Path(tempfile.gettempdir()).iterdir()])
        return
    for folder, names, _ in os.walk(directory):
        _sweep(Path(folder), names)


def _sweep(folder: Path, names: list[str]) -> None:
    """Delete those of a folder's sub-folders that a dead process wrote in; take all partial ones off the list."""
    mine = re.compile(rf"\.partial-{re.escape(socket.gethostname())}-(\d+)-")
    for name in [name for name in names if name.startswith(".partial-")]:
        names.remove(name)
        match = mine.match(name)
        if match and not is_alive(int(match[1])):
            shutil.rmtree(folder / name, ignore_errors=True)


def write_text(path: str, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_first(path: str, text: str) -> str:
    """Write a text, whole or not at all, unless somebody else has written that file meanwhile; what stands there."""
    if is_remote(path):
        filesystem, inner = fsspec.core.url_to_fs(str(path))
        if not filesystem.exists(inner):
            with contextlib.suppress(FileExistsError):
                filesystem.pipe_file(inner, text.encode(), mode="create")
        return read_text(path)
    parent = Path(path).absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=_partial_prefix(os.getpid()), dir=parent))
    try:
        (scratch / "text").write_text(text, encoding="utf-8")
        with contextlib.suppress(FileExistsError):
            os.link(scratch / "text", path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return read_text(path)


def read_text(path: str) -> str:
    """Content of a text file."""
    try:
        filesystem, inner = fsspec.core.url_to_fs(str(path))
        return str(filesystem.cat_file(inner).decode("utf-8"))
    except FileNotFoundError:
        raise StorageError(f"{path} does not exist: run the step that makes it, or mend the path") from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise StorageError(f"{path} is no text file: mend the path") from None
    except (PermissionError, NotADirectoryError) as error:
        raise _not_read(path, error) from None


def sha256(path: str) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with fsspec.open(str(path), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def open_hdf5(path: str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, from disk or s3.

    Raises:
        StorageError: If the file is missing, or is no complete HDF5 file.
    """
    with contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(fsspec.open(path, "rb")) if is_remote(path) else path
            file = stack.enter_context(h5py.File(source, "r"))
        except FileNotFoundError:
            raise StorageError(f"{path} does not exist: run the step that makes it, or mend the path") from None
        except OSError as error:
            raise _no_hdf5(path, error) from None
        yield file


def _no_hdf5(path: str, error: OSError) -> StorageError:
    """Why HDF5 cannot open a file, of which only a damaged one is to be deleted."""
    if isinstance(error, IsADirectoryError):
        return StorageError(f"{path} is a directory: give an HDF5 file")
    if error.errno is not None:
        return _not_read(path, error)
    if "signature not found" in str(error) and not _begins_as_hdf5(path):
        return StorageError(f"{path} is no HDF5 file: mend the path, or fetch the file anew")
    reason = " ".join(str(error).split())
    return StorageError(
        f"{path} is not a complete HDF5 file ({reason}): it may be truncated; if a step of the run made it, delete it "
        "and run that again, else fetch it anew or give another file"
    )


def _begins_as_hdf5(path: str) -> bool:
    """Whether the first bytes, as far as there are any, are those of an HDF5 file."""
    with fsspec.open(str(path), "rb") as stream:
        return HDF5_SIGNATURE.startswith(stream.read(len(HDF5_SIGNATURE)))


def _not_read(path: str, error: OSError) -> StorageError:
    # h5py's own text has addresses and file descriptors in it
    reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
    return StorageError(f"{path} cannot be read ({reason}): mend its permissions or the path")


@contextlib.contextmanager
def create_hdf5(path: str, parameters: Parameters | None = None) -> Iterator[h5py.File]:
    """Create an HDF5 file that appears under ``path`` only when complete.

    Args:
        path: Local or s3 path.
        parameters: The parameters that made the content, kept for ``made_with``.
    """
    with atomic(path) as temporary, h5py.File(temporary, "w", track_order=False) as file:
        if parameters is not None:
            file.attrs[PARAMETERS_ATTRIBUTE] = json.dumps(parameters, sort_keys=True)
        yield file
