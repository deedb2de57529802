"""Files that outlast a crash of the machine, and the journal of what a sink has."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aframe import storage

BEGUN = "begun"
"""State of an event whose sending began. If nothing follows, the sink may have it or not."""

SENT = "sent"
"""State of an event that the sink has."""

SKIPPED = "skipped"
"""State of an event that was issued before this sink was configured. It is not sent."""


def write_durably(path: str, text: str) -> None:
    """Write a local text file atomically, and wait until it is on the disk.

    Args:
        path: Local path.
        text: Content.

    Raises:
        StorageError: If it cannot be written.
    """
    with storage.atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    directory = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def append_durably(path: str, line: str) -> None:
    """Append a line to a local text file, and wait until it is on the disk.

    A line of which an earlier attempt left only the beginning is ended first, so that it spoils itself alone.

    Args:
        path: Local path.
        line: Line without its end.

    Raises:
        OSError: If it cannot be written, as on a full disk.
    """
    with open(path, "ab+") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())


@dataclass
class Journal:
    """What a sink has: a file with a line per step. It says after a crash what is to be sent, and what to ask for.

    Attributes:
        path: Local path of the file.
        identifiers: The sink's own identifier of each event that it has, by the event's name. It is empty for events
            that were skipped.
        begun: Names of events whose sending began and did not end.
        unrecorded: Lines that could not be written yet.
    """

    path: str
    identifiers: dict[str, str] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    unrecorded: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, path: str, issued: list[str]) -> "Journal":
        """Read a journal, or begin one.

        Args:
            path: Local path.
            issued: Names of all events that were issued so far. A new journal skips them.

        Raises:
            StorageError: If it cannot be read, or a new one cannot be written.
        """
        journal = cls(path)
        if not storage.exists(path):
            write_durably(path, "".join(f"{_line(SKIPPED, name)}\n" for name in issued))
        for line in Path(path).read_bytes().splitlines():
            journal._take(line)
        return journal

    def begin(self, name: str) -> None:
        """Record that the sending of an event begins.

        Raises:
            OSError: If that cannot be written. The event must not be sent then.
        """
        if name not in self.begun:
            append_durably(self.path, _line(BEGUN, name))
            self.begun.add(name)

    def end(self, name: str, identifier: str) -> None:
        """Record that the sink has an event. If that cannot be written now, ``catch_up`` writes it later.

        Args:
            name: Name of the event.
            identifier: The sink's own identifier of it.
        """
        self.identifiers[name] = identifier
        self.begun.discard(name)
        self.unrecorded.append(_line(SENT, name, identifier))
        self.catch_up()

    def catch_up(self) -> None:
        """Write what could not be written before, if that goes now."""
        try:
            while self.unrecorded:
                append_durably(self.path, self.unrecorded[0])
                del self.unrecorded[0]
        except OSError:
            return

    def _take(self, line: bytes) -> None:
        """Take in a line. One that a crash or a full disk cut short says nothing."""
        try:
            step: Mapping[str, str] = json.loads(line)
            state, name = step["state"], step["event"]
        except (ValueError, KeyError, TypeError):
            return
        if state == BEGUN:
            self.begun.add(name)
        else:
            self.identifiers[name] = step.get("id", "")
            self.begun.discard(name)


def _line(state: str, name: str, identifier: str = "") -> str:
    return json.dumps({"state": state, "event": name} | ({"id": identifier} if identifier else {}))
