"""A file that HDF5 writes to, and that lets it close after an error."""

import io
from pathlib import Path
from typing import Any


class Sink(io.FileIO):
    """A new local file that raises its first write error at its end. All writes after that error do nothing.

    HDF5 writes what it holds when it closes a file. If it meets an error then, as on a full disk, the file stays open,
    and the process crashes.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all bytes, or keep the error."""
        view = memoryview(data).cast("B")
        written = 0
        try:
            while self.error is None and written < len(view):
                written += super().write(view[written:])
        except OSError as error:
            self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size, or keep the error."""
        try:
            return super().truncate(size) if self.error is None else 0
        except OSError as error:
            self.error = error
            return 0

    def __exit__(self, *error: Any) -> None:
        """Close the file.

        Raises:
            OSError: If a write has failed.
        """
        super().__exit__(*error)
        if self.error is not None:
            raise self.error
