"""Access to local and S3 files by path, with atomic writes."""

import contextlib
import gzip
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import h5py
from fsspec.implementations.local import LocalFileSystem

from aframe.errors import StorageError
from aframe.machine.processes import is_alive
from aframe.storage.paths import filesystem_of, glob, is_remote
from aframe.storage.sink import Sink
from aframe.storage.unreadable import no_hdf5, not_read

if TYPE_CHECKING:
    from aframe.storage.s3 import ObjectStore

PARAMETERS_ATTRIBUTE = "aframe_parameters"
"""HDF5 root attribute with the parameters that made the file, as JSON."""

GZIP_SIGNATURE = b"\x1f\x8b"
"""First bytes of a compressed file."""

UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""First bytes of text in UTF-16."""

Parameters = Mapping[str, Any]


def _object_store(filesystem: fsspec.AbstractFileSystem) -> "ObjectStore | None":
    """The file system if it is an S3 store; otherwise None."""
    if isinstance(filesystem, LocalFileSystem):
        return None
    from aframe.storage.s3 import ObjectStore

    return filesystem if isinstance(filesystem, ObjectStore) else None


def join(directory: str, *names: str) -> str:
    """Join a local or remote directory and names to a path.

    Args:
        directory: Local path or URL.
        *names: Names of subdirectories and the file.
    """
    return "/".join([str(directory).rstrip("/"), *names])


def exists(path: str) -> bool:
    """Whether a file or directory exists."""
    filesystem, inner = filesystem_of(path)
    return bool(filesystem.exists(inner))


def sizes(directory: str, *names: str) -> dict[str, int]:
    """Sizes in bytes of the files that ``glob`` gives. A file that is being replaced may be missing."""
    filesystem, _ = filesystem_of(directory)
    result = {}
    for path in glob(directory, *names):
        with contextlib.suppress(FileNotFoundError):
            result[path] = int(filesystem.size(path) or 0)
    return result


def fingerprint(path: str) -> str:
    """Hash that changes when a file changes. It covers size, times and other metadata of the file system."""
    filesystem, inner = filesystem_of(path)
    return str(filesystem.ukey(inner))


def remove(path: str) -> None:
    """Delete a file or directory if it exists."""
    filesystem, inner = filesystem_of(path)
    if _object_store(filesystem):
        for name in filesystem.find(inner):
            filesystem.rm_file(name)
    elif filesystem.exists(inner):
        filesystem.rm(inner, recursive=True)


@contextlib.contextmanager
def atomic(path: str, scratch_in: str | None = None) -> Iterator[Path]:
    """Write a file or directory atomically.

    The context provides a local temporary path. Its content moves to ``path`` when the block ends without error. A
    local file is renamed; a remote file appears when its upload is complete. After an error, no file remains.

    A directory replaces an existing directory at ``path``. Replacement of a remote directory is not atomic: the new
    files appear one after another, each complete, and then the files that only the old directory had are deleted. To
    publish a remote directory atomically, write it under a new name, and then write one file with that name.

    Args:
        path: Final path of the content.
        scratch_in: Local directory for the temporary path, if another process watches the directory of ``path``. It is
            not used if it is on another file system.

    Yields:
        The temporary path.

    Raises:
        StorageError: If the content cannot be written.
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
    """Upload a file or directory. Remote files that a local directory does not have are deleted.

    Args:
        local: The local file or directory.
        path: Remote path.
    """
    filesystem, inner = filesystem_of(path)
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


def existing_parent(path: Path) -> Path:
    """The path itself, or its nearest parent that exists.

    Args:
        path: Absolute path.
    """
    return next(parent for parent in (path, *path.parents) if os.path.lexists(parent))


def free_bytes(path: Path) -> int:
    """Free space of the disk of a local directory, bytes. The directory does not have to exist.

    Args:
        path: Absolute path of the directory.
    """
    return shutil.disk_usage(existing_parent(path)).free


def why_not_written(path: Path, least_free: float = 0.0) -> str:
    """Reason why a local directory cannot be written. The directory does not have to exist.

    Args:
        path: Absolute path of the directory.
        least_free: Free bytes that its disk must have.

    Returns:
        The reason; empty if the directory can be written.
    """
    existing = existing_parent(path)
    if not os.path.isdir(existing):
        return f"{existing} is no directory"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"there is no permission to write in {existing}"
    longest = os.pathconf(existing, "PC_NAME_MAX")
    if any(len(os.fsencode(name)) > longest for name in path.parts):
        return f"a name in it is longer than {longest} bytes"
    free = free_bytes(path)
    return "" if free >= least_free else f"its disk has {free / 1e6:.0f} MB left"


def _not_written(path: str, error: OSError) -> StorageError:
    """Error for the user about a file that cannot be written."""
    blocked = isinstance(error, (FileExistsError, NotADirectoryError)) and not is_remote(path)
    reason = why_not_written(Path(path).absolute().parent) if blocked else ""
    reason = reason or error.strerror or " ".join(str(error).split())
    return StorageError(
        f"{path} cannot be written ({reason}): mend permissions or free space, or choose another directory"
    )


def _partial_prefix(pid: int) -> str:
    """Prefix of the temporary directories of a process of this machine."""
    return f".partial-{socket.gethostname()}-{pid}-"


def sweep(directory: str) -> None:
    """Delete partial files of killed processes of this machine under a local or remote directory."""
    if is_remote(directory):
        filesystem, inner = filesystem_of(directory)
        store = _object_store(filesystem)
        if store:
            store.abort_stale_uploads(inner)
        _sweep(Path(tempfile.gettempdir()), [path.name for path in Path(tempfile.gettempdir()).iterdir()])
        return
    for folder, names, _ in os.walk(directory):
        _sweep(Path(folder), names)


def _sweep(folder: Path, names: list[str]) -> None:
    """Delete partial directories of dead processes in a folder.

    Args:
        folder: The folder.
        names: Names of its subdirectories. Names of partial directories are removed from the list.
    """
    pattern = re.compile(rf"\.partial-{re.escape(socket.gethostname())}-(\d+)-")
    for name in [name for name in names if name.startswith(".partial-")]:
        names.remove(name)
        match = pattern.match(name)
        if match and not is_alive(int(match[1])):
            shutil.rmtree(folder / name, ignore_errors=True)


def write_text(path: str, text: str) -> None:
    """Write a text file atomically.

    Args:
        path: Local or remote path.
        text: Content.
    """
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def try_to_write(path: str) -> None:
    """Write an empty file beside a path and remove it, so that who may not write there learns it before the work.

    Args:
        path: Local or remote path.

    Raises:
        StorageError: If nothing can be written there.
    """
    probe = f"{path}.{secrets.token_hex(4)}"
    write_text(probe, "")
    remove(probe)


def write_first(path: str, text: str) -> str:
    """Write a text file atomically, unless the file already exists.

    Args:
        path: Local or remote path.
        text: Content.

    Returns:
        Content of the file: ``text``, or the text of the process that wrote the file first.
    """
    if is_remote(path):
        filesystem, inner = filesystem_of(path)
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


def read_text(path: str, *, may_be_utf_16: bool = False) -> str:
    """Read a text file in UTF-8, which may be compressed with gzip.

    Args:
        path: Local or remote path.
        may_be_utf_16: Whether a mark at the beginning may tell that it is in UTF-16, as Excel's Unicode text.

    Raises:
        StorageError: If the file is missing, cannot be read, or is no text.
    """
    content = read_bytes(path)
    is_utf_16 = may_be_utf_16 and content[:2] in UTF_16_MARKS
    with contextlib.suppress(UnicodeDecodeError):
        text = content.decode("utf-16" if is_utf_16 else "utf-8-sig")
        if "\0" not in text:
            return text
    raise StorageError(f"{path} is no text file in UTF-8: save it so, or mend the path")


def read_bytes(path: str) -> bytes:
    """Read a file, which may be compressed with gzip, as a whole.

    Raises:
        StorageError: If the file is missing, cannot be read, or its compression is damaged.
    """
    try:
        filesystem, inner = filesystem_of(path)
        content = bytes(filesystem.cat_file(inner))
    except FileNotFoundError:
        raise StorageError(f"{path} does not exist: run the step that makes it, or mend the path") from None
    except IsADirectoryError:
        raise StorageError(f"{path} is no text file: mend the path") from None
    except (PermissionError, NotADirectoryError) as error:
        raise not_read(path, error) from None
    try:
        return gzip.decompress(content) if content.startswith(GZIP_SIGNATURE) else content
    except (OSError, EOFError, zlib.error) as error:
        raise StorageError(f"{path} is damaged ({error}): fetch it again") from None


def open_binary(path: str) -> Any:
    """Open a local or remote file for reading bytes, as a context manager."""
    filesystem, inner = filesystem_of(path)
    return filesystem.open(inner, "rb")


def sha256(path: str) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with open_binary(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def open_hdf5(path: str) -> Iterator[h5py.File]:
    """Open a local or S3 HDF5 file for reading.

    Raises:
        StorageError: If the file is missing, or is no complete HDF5 file, or a part that the context reads is damaged.
    """
    with contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(open_binary(path)) if is_remote(path) else path
            file = stack.enter_context(h5py.File(source, "r"))
        except FileNotFoundError:
            raise StorageError(f"{path} does not exist: run the step that makes it, or mend the path") from None
        except OSError as error:
            raise no_hdf5(path, error) from None
        try:
            yield file
        except OSError as error:
            if error.errno is not None:
                raise
            raise StorageError(
                f"{path} is damaged ({' '.join(str(error).split())}): if a step of the run made it, delete it and run "
                "that again, else fetch it again"
            ) from None


@contextlib.contextmanager
def create_hdf5(path: str, parameters: Parameters | None = None) -> Iterator[h5py.File]:
    """Create an HDF5 file atomically.

    Args:
        path: Local or S3 path. The file appears there when it is complete.
        parameters: Parameters that made the content. ``made_with`` returns them.

    Yields:
        The open file.

    Raises:
        StorageError: If the file cannot be written.
    """
    with atomic(path) as temporary, Sink(temporary) as sink, h5py.File(sink, "w", track_order=False) as file:
        if parameters is not None:
            file.attrs[PARAMETERS_ATTRIBUTE] = json.dumps(parameters, sort_keys=True)
        yield file
