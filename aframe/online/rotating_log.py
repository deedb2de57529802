"""The log of a search that runs for months: files that rotate, in its output directory."""

import logging
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

from aframe import storage
from aframe.errors import StorageError

FILE = "log.txt"
"""Name of the latest log, in the output directory. Older ones end in ``.1``, ``.2``, …"""

LARGEST_BYTES = 10 * 2**20
"""Size at which a log is put aside."""

KEPT = 5
"""Number of logs that are kept besides the latest."""


class _Log(RotatingFileHandler):
    """A log that does without lines for which the disk has no room."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: standard error may lead to the same disk."""


def start_log(directory: str, *, largest_bytes: int = LARGEST_BYTES, kept: int = KEPT) -> logging.Logger:
    """Begin to write what the search says into ``log.txt``, with UTC. Warnings go to standard error too.

    Args:
        directory: Local output directory of the search.
        largest_bytes: Size at which a log is put aside.
        kept: Number of logs that are kept besides the latest.

    Returns:
        The logger, ``aframe.online``. ``stop_log`` ends it.

    Raises:
        StorageError: If the log cannot be written.
    """
    logger = logging.getLogger("aframe.online")
    stop_log()
    path = storage.join(directory, FILE)
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        file = _Log(path, maxBytes=largest_bytes, backupCount=kept, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror}): mend permissions or free space") from None
    written = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%SZ")
    written.converter = time.gmtime
    file.setFormatter(written)
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)
    console.setFormatter(logging.Formatter("%(message)s"))
    for handler in (file, console):
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


def stop_log() -> None:
    """End the log of this process, if it has one."""
    logger = logging.getLogger("aframe.online")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True
