"""A set of texts that a process shares with those that it forks."""

import fcntl
import hashlib
import os
import tempfile
import weakref


class SharedSet:
    """Texts that this process or one that it forked has added.

    Their digests lie in a file without a name. Its lock goes with the process that holds it, so a killed process
    blocks no other.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it stays open as long as the set
        weakref.finalize(self, self._file.close)
        self._size = hashlib.sha256().digest_size

    def add(self, text: str) -> bool:
        """Add a text.

        Returns:
            Whether nobody had added it before.
        """
        digest, number = hashlib.sha256(text.encode()).digest(), self._file.fileno()
        fcntl.lockf(number, fcntl.LOCK_EX)
        try:
            content = os.pread(number, os.fstat(number).st_size, 0)
            size = len(content) - len(content) % self._size  # what a killed process has not written whole is none
            if digest in (content[start : start + self._size] for start in range(0, size, self._size)):
                return False
            os.pwrite(number, digest, size)
            return True
        finally:
            fcntl.lockf(number, fcntl.LOCK_UN)
