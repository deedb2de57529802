"""Paths and URLs: what a user's text names, and which files a directory or a pattern has."""

import glob as standard
import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import fsspec
from fsspec.implementations.local import LocalFileSystem

from aframe.errors import ConfigurationError, StorageError

STORES = ("s3", "s3a")
"""Schemes of S3 stores."""

SCHEMES = (*STORES, "memory")
"""Schemes of the stores that can be read and written. The last is fsspec's, of one process."""

URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
"""Beginning of a URL. All else is a local path, with colons too."""

MACOS = "._"
"""Beginning of the names of files in which macOS keeps what its own disks say of a file."""

LOCAL_URL = re.compile(r"file://(localhost)?(?=/)")
"""Beginning of the URL of a local file."""

for scheme in STORES:  # by name: the class is slow to import, and only S3 paths need it
    fsspec.register_implementation(scheme, "aframe.storage.s3.ObjectStore", clobber=True)


def is_remote(path: str) -> bool:
    """Whether ``path`` is a URL (``s3://…``) and not a local path."""
    return URL.match(str(path)) is not None


def locate(text: str, directory: str = "") -> str:
    """Convert the path that a user gives to one that can be opened. All options, keys and variables use it.

    >>> locate("strain/12:30", "/data"), locate("file:///data/strain"), locate("s3://bucket/strain", "/data")
    ('/data/strain/12:30', '/data/strain', 's3://bucket/strain')

    Args:
        text: Local path, in which ``~`` is a home directory, or URL. ``file://`` begins a local path.
        directory: Directory at which a relative path starts. By default this process's.

    Raises:
        ConfigurationError: If the text is empty, or cannot be in a file of a run: it is no UTF-8, or has a control
            character.
    """
    text = os.fspath(text)
    if not text:
        raise ConfigurationError("a path is empty: give one (the variable that it was to come from may not be set)")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ConfigurationError(f"{text!r} is not UTF-8, or has a control character: rename it")
    if LOCAL_URL.match(text):
        bare = LOCAL_URL.sub("", text)
        return bare if os.path.exists(bare) else unquote(bare)
    return text if is_remote(text) else os.path.join(directory, os.path.expanduser(text))


def filesystem_of(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """File system of a path, and the path in it.

    Raises:
        StorageError: If it is a URL of a store that cannot be read.
    """
    url = URL.match(str(path))
    if url is None:
        return LocalFileSystem(), os.path.abspath(path)
    if url[1] not in SCHEMES:
        raise StorageError(f"{path} is no local path and no s3://bucket/key: give one of these")
    filesystem = fsspec.filesystem(url[1])
    return filesystem, str(filesystem._strip_protocol(str(path)))


def glob(directory: str, *names: str) -> list[str]:
    """Sorted paths in a directory that match a pattern. Remote paths include their scheme.

    Args:
        directory: Local or remote directory. Nothing in it is a pattern.
        *names: Patterns of the names of subdirectories and the file.
    """
    filesystem, inner = filesystem_of(directory)
    pattern = "/".join(names)
    if not is_remote(directory):
        matches = standard.glob(pattern, root_dir=inner, recursive=True, include_hidden=True)
        return sorted(os.path.join(inner, name) for name in matches)
    paths = filesystem.glob(f"{standard.escape(inner.rstrip('/'))}/{pattern}")
    return sorted(filesystem.unstrip_protocol(path) for path in paths)


def has_suffix(path: str, suffixes: str | tuple[str, ...]) -> bool:
    """Whether a path ends in a suffix, in small or capital letters. All that depends on suffixes asks here.

    Args:
        path: Local path or URL.
        suffixes: Suffix, or several, in small letters.

    >>> has_suffix("flags.XML.gz", (".xml", ".xml.gz")), has_suffix("mine.prior.txt", ".prior")
    (True, False)
    """
    return str(path).lower().endswith(suffixes)


def files_in(place: str, suffixes: tuple[str, ...]) -> list[str]:
    """Sorted paths of the files with certain suffixes that a path names.

    Of a directory or a pattern, what cannot be a file of these is left out with a warning: directories, pipes, devices,
    links to nothing, and the ``._`` files of macOS.

    Args:
        place: File, directory or pattern such as ``data/*.hdf5``. A path that exists, or a part that does, is no
            pattern.
        suffixes: Suffixes of the files, such as ``.hdf5``, in small letters. Capitals in names do not matter.

    Raises:
        StorageError: If the path itself is a pipe, a device, or a link to nothing, or a directory cannot be read.
    """
    filesystem, inner = filesystem_of(place)
    if not is_remote(place):
        _check_readable(place, inner)
    if filesystem.isdir(inner):
        paths = glob(place, "*")
    elif filesystem.exists(inner) or (not is_remote(place) and os.path.islink(inner)):
        reason = "" if is_remote(place) else _why_no_file(inner)
        if reason and not Path(inner).name.startswith(MACOS):
            raise StorageError(f"{place} is {reason}: give a file or a directory")
        paths = [str(place)]
    elif is_remote(place):
        paths = [filesystem.unstrip_protocol(path) for path in filesystem.glob(inner)]
    else:
        parent = next(path for path in Path(inner).parents if os.path.exists(path))
        paths = glob(str(parent), *Path(inner).relative_to(parent).parts)
    paths = sorted(path for path in paths if has_suffix(path, suffixes))
    if is_remote(place) or paths == [str(place)]:
        return paths
    reasons = {path: _why_no_file(path) for path in paths}
    for path, reason in reasons.items():
        if reason:
            print(f"note: {path} is left out: it is {reason}", file=sys.stderr)
    return [path for path, reason in reasons.items() if not reason]


def _check_readable(place: str, path: str) -> None:
    """Check that a local directory, or the one in which a path or a pattern begins, can be listed and entered.

    Args:
        place: What the user gives, for error messages.
        path: The same as an absolute path.

    Raises:
        StorageError: If this user may not do so.
    """
    directory = next(each for each in (path, *map(str, Path(path).parents)) if os.path.exists(each))
    if os.path.isdir(directory) and not os.access(directory, os.R_OK | os.X_OK):
        raise StorageError(f"{place} cannot be read (no permission to read {directory}): mend its permissions")


def _why_no_file(path: str) -> str:
    """What a local path is that is no file of data; empty for a file."""
    if os.path.isdir(path):
        return "a directory"
    if not os.path.exists(path):
        return f"a link to {os.readlink(path)}, which does not exist" if os.path.islink(path) else ""
    if not os.path.isfile(path):
        return "a pipe, a socket or a device"
    return "a file of macOS with no data" if os.path.basename(path).startswith(MACOS) else ""


def distinct(paths: Sequence[str]) -> list[str]:
    """Paths of different files. Of several names of one file, which are links, the first is kept.

    Args:
        paths: Local or remote.
    """
    files: dict[object, str] = {}
    for path in paths:
        status = None if is_remote(path) or not os.path.exists(path) else os.stat(path)
        files.setdefault((status.st_dev, status.st_ino) if status else path, path)
    return list(files.values())
