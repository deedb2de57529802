"""The way of events to one sink: in order, with back-off, and none twice."""

import logging
import threading
import time
from typing import Protocol, runtime_checkable

import numpy as np

from aframe.errors import AframeError, DataError
from aframe.online.durable import Journal
from aframe.online.live_event import LiveEvent

FIRST_WAIT = 1.0
"""Seconds until the second attempt. Each further wait is twice as long."""

LONGEST_WAIT = 60.0
"""Longest wait between two attempts at a sink that does not answer, s."""

REFUSAL_WAIT = 600.0
"""Wait before an event that a sink refused is tried again, s. Other events do not wait for it."""

JITTER = 0.5
"""Smallest share of a wait. The share is drawn evenly up to 1, so that several searches do not come back at once."""

logger = logging.getLogger("aframe.online")


@runtime_checkable
class Sink(Protocol):
    """Where events go, besides the directory."""

    @property
    def name(self) -> str:
        """Name of the sink: a word, also of its journal."""

    def check(self) -> None:
        """Ask the server whether events could be sent.

        Raises:
            ConfigurationError: If the server is a wrong one, or refuses the credential.
            ServerError: If it does not answer.
        """

    def send(self, event: LiveEvent) -> str:
        """Send an event, and return the sink's own identifier of it.

        Raises:
            ServerError: If the sink does not take it now. The sink may have it nevertheless.
            DataError: If the sink refuses this event.
        """

    def find(self, event: LiveEvent) -> str:
        """The sink's own identifier of an event (this revision); empty if it does not have it.

        Raises:
            ServerError: If the sink does not answer.
        """

    def close(self) -> None:
        """End the connections."""


class Delivery:
    """Sends events to a sink.

    A sink whose server does not answer is left alone for a while, and longer each time. An event that is refused waits
    alone. Revisions of a signal keep their order. After an attempt whose end is unknown, the sink is asked whether it
    has the event before it is sent again.

    Args:
        sink: Where events go.
        journal: What it has.
        generator: Of the share of a wait.
    """

    def __init__(self, sink: Sink, journal: Journal, generator: np.random.Generator) -> None:
        self.sink = sink
        self.journal = journal
        self.trouble = ""
        self._generator = generator
        self._waiting: dict[str, LiveEvent] = {}
        self._due: dict[str, float] = {}
        self._open_at = 0.0
        self._failures = 0
        self._lock = threading.Lock()

    def add(self, event: LiveEvent) -> None:
        """Queue an event, which is on disk already, unless the sink has it."""
        if event.name not in self.journal.identifiers:
            self._waiting[event.name] = event

    @property
    def size(self) -> int:
        """Number of events that wait."""
        return len(self._waiting)

    def next_try(self) -> float | None:
        """Monotonic time (s) of the next attempt; None if nothing waits."""
        first: dict[str, str] = {}  # a later revision waits for the one before, however long that was put off
        for name, event in list(self._waiting.items()):
            first.setdefault(event.identifier, name)
        if not first:
            return None
        return max(self._open_at, min(self._due.get(name, 0.0) for name in first.values()))

    def deliver(self) -> None:
        """Send what is due, in order. Errors are logged, and never raised."""
        with self._lock:
            self.journal.catch_up()
            held: set[str] = set()
            for name, event in list(self._waiting.items()):
                now = time.monotonic()
                if now < self._open_at:
                    return
                if event.identifier in held or now < self._due.get(name, 0.0) or not self._try(event):
                    held.add(event.identifier)

    def _try(self, event: LiveEvent) -> bool:
        """Attempt to send an event, and return whether the sink has it."""
        try:
            identifier = self.sink.find(event) if event.name in self.journal.begun else ""
            if not identifier:
                self.journal.begin(event.name)
                identifier = self.sink.send(event)
        except DataError as error:
            self._due[event.name] = time.monotonic() + self._share() * REFUSAL_WAIT
            self._tell(f"{self.sink.name} refuses {event.name}: {error}")
            return False
        except (AframeError, OSError) as error:
            self._close(f"{self.sink.name} does not take events: {error}")
            return False
        except Exception as error:  # of a client: an event must not end the thread that sends all others
            logger.exception("%s", self.sink.name)
            self._close(f"{self.sink.name} does not take events: {type(error).__name__}: {error}")
            return False
        self.journal.end(event.name, identifier)
        self._waiting.pop(event.name, None)
        self._due.pop(event.name, None)
        self._failures, self.trouble = 0, ""
        logger.info("%s has %s as %s", self.sink.name, event.name, identifier)
        return True

    def _close(self, trouble: str) -> None:
        """Leave the sink alone for a while."""
        wait = min(FIRST_WAIT * 2**self._failures, LONGEST_WAIT)
        self._failures = min(self._failures + 1, 16)
        self._open_at = time.monotonic() + self._share() * wait
        self._tell(trouble)

    def _tell(self, trouble: str) -> None:
        """Log a trouble once, and not at each attempt."""
        if trouble != self.trouble:
            logger.warning("%s", trouble)
        self.trouble = trouble

    def _share(self) -> float:
        return float(self._generator.uniform(JITTER, 1.0))
