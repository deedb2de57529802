"""Records of progress that a process sends to the console of its run.

Without a console, for example in a job of a batch system, a process prints the line of the record instead.
"""

import dataclasses
import json
import os
import select
import sys
from dataclasses import dataclass
from typing import Any

CONSOLE = "AFRAME_CONSOLE"
"""Environment variable with the identity of the pipe to the console. Only what goes to this pipe may hold records."""

MARKER = b"\x1e"
"""Beginning of a record: the ASCII record separator, as in RFC 7464."""


@dataclass(frozen=True)
class Share:
    """How much of some work is done.

    Attributes:
        name: Name of the work.
        done: Present progress.
        total: Progress at the end.
        left: Remaining time, s.
        unit: Unit of the progress, with a space before it.
        note: Further values, for example a speed.
        step: Name of one of few steps, for example ``epoch``. The line then has no percentage.
        overall: Progress of all jobs, if the work is one of many jobs.
    """

    name: str
    done: float | int
    total: float | int
    left: float | int
    unit: str = ""
    note: str = ""
    step: str = ""
    overall: "Share | None" = None

    @property
    def rest(self) -> str:
        """The words after the share.

        >>> Share("strain", 30, 120, 5.2, " s").rest
        's, 5 s left'
        """
        return ", ".join(filter(None, (self.unit.strip(), self.note, f"{self.left:.0f} s left")))

    @property
    def line(self) -> str:
        """The record in words.

        >>> Share("strain", 30, 120, 5.2, " s").line
        'strain: 30 of 120 (25 %) s, 5 s left'
        >>> Share("Train", 3, 40, 5.2, note="loss 0.2", step="epoch").line
        'Train: epoch 3 of 40: loss 0.2, 5 s left'
        """
        share = f"{self.done:.0f} of {self.total:.0f}"
        if self.step:
            line = f"{self.name}: {self.step} {share}: {self.rest}"
        else:
            line = f"{self.name}: {share} ({100 * self.done / self.total:.0f} %){' ' if self.unit else ', '}{self.rest}"
        return f"{line}; {self.overall.line}" if self.overall else line


@dataclass(frozen=True)
class End:
    """End of some work.

    Attributes:
        name: Name of the work.
        duration: Duration, s.
    """

    name: str
    duration: float

    @property
    def line(self) -> str:
        """The record in words.

        >>> End("Train", 3.14).line
        'Train: done in 3.1 s'
        """
        return f"{self.name}: done in {self.duration:.{0 if self.duration >= 10 else 1}f} s"


Record = Share | End


def emit(record: Record) -> None:
    """Send a record to the console. Without a console, print its line.

    One write of at most ``PIPE_BUF`` bytes is not mixed with those of other processes. A longer record is printed as a
    line, without a bar.

    Args:
        record: The record.
    """
    data = _encode(record)
    if _has_console() and len(data) <= select.PIPE_BUF:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), data)
    else:
        print(record.line, flush=True)


def read(line: bytes) -> tuple[bytes, Record | None]:
    """Put the record that ends a printed line into words.

    Args:
        line: The line, without its end.

    Returns:
        The line in words, and the record. Any other line is returned unchanged, with None.
    """
    text, marker, encoded = line.rpartition(MARKER)
    if not marker:
        return line, None
    try:
        record = _decode(json.loads(encoded))
        return text + record.line.encode(), record
    except (ValueError, TypeError, ArithmeticError, AttributeError):  # it is no record, but text of a user
        return line, None


def identity(descriptor: int) -> str:
    """Identity of the pipe or file behind a file descriptor.

    Args:
        descriptor: The file descriptor.
    """
    status = os.fstat(descriptor)
    return f"{status.st_dev}:{status.st_ino}"


def _has_console() -> bool:
    """Whether the output of this process goes to the console."""
    try:
        return os.environ.get(CONSOLE) == identity(sys.stdout.fileno())
    except OSError:  # the output has no file descriptor
        return False


def _encode(record: Record) -> bytes:
    """A record as a line of bytes."""
    return MARKER + json.dumps(dataclasses.asdict(record), separators=(",", ":"), default=float).encode() + b"\n"


def _decode(fields: dict[str, Any]) -> Record:
    """A record from its fields."""
    if "duration" in fields:
        return End(**fields)
    overall = fields.pop("overall")
    return Share(**fields, overall=overall and Share(**overall))
