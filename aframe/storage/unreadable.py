"""Errors about files that cannot be read."""

import errno
import os

from aframe.errors import StorageError
from aframe.storage.paths import filesystem_of

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""First bytes of an HDF5 file."""


def no_hdf5(path: str, error: OSError) -> StorageError:
    """Error for the user about a file that HDF5 cannot open. It suggests deletion only for a damaged file."""
    if isinstance(error, IsADirectoryError):
        return StorageError(f"{path} is a directory: give an HDF5 file")
    if error.errno == errno.EAGAIN or "already open" in str(error):
        return StorageError(
            f"{path} is open in a program that writes it, or one ended before it closed it: wait, or mend the file "
            "with h5clear -s"
        )
    if error.errno is not None:
        return not_read(path, error)
    if "signature not found" in str(error) and not _begins_as_hdf5(path):
        return StorageError(f"{path} is no HDF5 file: mend the path, or fetch the file again")
    reason = " ".join(str(error).split())
    return StorageError(
        f"{path} is not a complete HDF5 file ({reason}): it may be truncated; if a step of the run made it, delete it "
        "and run that again, else fetch it again or give another file"
    )


def _begins_as_hdf5(path: str) -> bool:
    """Whether a file starts with the signature of HDF5. A shorter file may contain a part of it."""
    filesystem, inner = filesystem_of(path)
    with filesystem.open(inner, "rb") as stream:
        return HDF5_SIGNATURE.startswith(stream.read(len(HDF5_SIGNATURE)))


def not_read(path: str, error: OSError) -> StorageError:
    """Error for the user about a file that cannot be read."""
    # the message of h5py contains addresses and file descriptors
    reason = os.strerror(error.errno) if error.errno else " ".join(str(error).split())
    return StorageError(f"{path} cannot be read ({reason}): mend its permissions or the path")
