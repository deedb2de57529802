"""A set of texts that a process shares with its forked processes."""

import fcntl
import hashlib
import os
import tempfile
import weakref


class SharedSet:
    """Set of texts that this process and its forked processes have added.

    An unnamed file holds the digests of the texts. Its lock is released when the holder ends, so a killed process does
    not block others.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it stays open for the life of the set
        weakref.finalize(self, self._file.close)
        self._size = hashlib.sha256().digest_size

    def add(self, text: str) -> bool:
        """Add a text to the set.

        Returns:
            Whether the text is new.
        """
        digest, number = hashlib.sha256(text.encode()).digest(), self._file.fileno()
        fcntl.lockf(number, fcntl.LOCK_EX)
        try:
            content = os.pread(number, os.fstat(number).st_size, 0)
            size = len(content) - len(content) % self._size  # a killed process may have written a partial digest
            if digest in (content[start : start + self._size] for start in range(0, size, self._size)):
                return False
            os.pwrite(number, digest, size)
            return True
        finally:
            fcntl.lockf(number, fcntl.LOCK_UN)
