"""The durable queue of events: on disk before anyone sees them, then to each sink, none lost and none twice.

The directory ``events`` holds a file for each revision of each event, for good. It is the queue and the record at once.
A journal for each sink says which of them that sink has. docs/online-alerts.md describes both.
"""

import contextlib
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from aframe import storage
from aframe.errors import ConfigurationError, ServerError, StorageError
from aframe.online.delivery import Delivery, Sink
from aframe.online.durable import Journal, write_durably
from aframe.online.live_event import LiveEvent

__all__ = ["Outbox", "Sink"]

EVENTS = "events"
"""Directory of the events' files, in the output directory."""

STATE = "outbox"
"""Directory of the journals and of the reserve, in the output directory."""

HANDOVER = "handover"
"""Directory of the hand-overs to parameter estimation, in the output directory."""

RESERVE_BYTES = 2**20
"""Size of a file that is deleted when the disk is full, so that events still have room: some three hundred of them."""

LONGEST_SLEEP = 1.0
"""Longest time between two looks at what waits, s."""

logger = logging.getLogger("aframe.online")


class Outbox:
    """Durable queue of events.

    Args:
        directory: Local output directory of the search. Two processes must not share it.
        sinks: Where events go besides the directory.
        generator: Of the waits between attempts; None draws them anew in each process.

    Raises:
        ConfigurationError: If the directory is remote, or two sinks have one name.
        StorageError: If the directory cannot be written, or what is in it cannot be read.
    """

    def __init__(self, directory: str, sinks: Sequence[Sink], *, generator: np.random.Generator | None = None) -> None:
        if storage.is_remote(directory):
            raise ConfigurationError(
                f"output = {directory} is on a store, and events must be safe on a disk before they are sent: give a "
                "local directory"
            )
        names = [sink.name for sink in sinks]
        if len(set(names)) < len(names):
            raise ConfigurationError(f"two sinks are called {max(names, key=names.count)}: leave one of them out")
        self.directory = directory
        self._events, self._state = storage.join(directory, EVENTS), storage.join(directory, STATE)
        for path in (self._events, self._state):
            storage.try_to_write(storage.join(path, "probe"))
        storage.sweep(self._events)
        storage.sweep(self._state)
        issued = stored_events(directory)
        self._known = set(issued)
        self._unwritten: dict[str, LiveEvent] = {}
        self._lock = threading.RLock()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        draws = generator or np.random.default_rng()
        self.deliveries = [self._delivery(sink, issued, draws) for sink in sinks]
        self._keep_reserve()

    def _delivery(self, sink: Sink, issued: Sequence[str], generator: np.random.Generator) -> Delivery:
        """The way to a sink, with all events that it lacks."""
        journal = Journal.open(storage.join(self._state, f"{sink.name}.jsonl"), list(issued))
        delivery = Delivery(sink, journal, generator)
        for name in issued:
            if name not in journal.identifiers:
                delivery.add(LiveEvent.read(self._path(name)))
        return delivery

    def check(self) -> None:
        """Ask each sink whether events could be sent. Call it before the search begins.

        A server that has taken events before may be away for a while: that is said, and ends nothing. A search that is
        started again must not wait for it.

        Raises:
            ConfigurationError: If a server is a wrong one, or refuses the credential.
            ServerError: If one does not answer that has never taken an event.
        """
        for delivery in self.deliveries:
            try:
                delivery.sink.check()
            except ServerError as error:
                if not any(delivery.journal.identifiers.values()):
                    raise
                logger.warning("%s: its events wait", error)

    def put(self, event: LiveEvent) -> LiveEvent:
        """Write an event to disk, and then queue it for the sinks. An event that was issued before is not issued again.

        If the disk is full even without the reserve, the event stays in memory, and is written as soon as there is
        room. No sink sees it before.

        Args:
            event: The event, with the latencies ``arrived`` and ``computed``.

        Returns:
            The event with the latency ``written``: the time until it was on disk.
        """
        with self._lock:
            self._write_rest()
            if event.name in self._known:
                return event
            # what came before it goes first: sinks get the revisions of an event in order
            written = None if self._unwritten else self._write(event)
            if written is None:
                self._unwritten[event.name] = event
                return event
        self._queue(written)
        return written

    def deliver(self) -> None:
        """Write what could not be written, and send what is due, in this thread."""
        self._write_rest()
        for delivery in self.deliveries:
            delivery.deliver()

    def start(self) -> None:
        """Begin to deliver, in a thread for each sink, and one that looks after the disk."""
        tasks: list[tuple[Callable[[], None], Delivery | None]] = [(self._write_rest, None)]
        tasks += [(delivery.deliver, delivery) for delivery in self.deliveries]
        for task, delivery in tasks:
            thread = threading.Thread(target=self._run, args=(task, delivery), daemon=True, name="aframe-outbox")
            thread.start()
            self._threads.append(thread)

    def close(self, timeout: float = 0.0) -> None:
        """End the threads, and close the sinks.

        Args:
            timeout: Seconds in which events that wait may still be sent.
        """
        end = time.monotonic() + timeout
        while self.pending and time.monotonic() < end:
            time.sleep(0.02)
        self._is_closed = True
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()) + LONGEST_SLEEP)
        for delivery in self.deliveries:
            delivery.sink.close()

    @property
    def waiting(self) -> dict[str, int]:
        """Number of events that wait for each sink, and for ``disk``."""
        return {"disk": len(self._unwritten)} | {each.sink.name: each.size for each in self.deliveries}

    @property
    def pending(self) -> int:
        """Number of events that wait for a sink or for the disk, each sink's apart."""
        return sum(self.waiting.values())

    @property
    def troubles(self) -> list[str]:
        """What is wrong with sinks, a line each."""
        return [each.trouble for each in self.deliveries if each.trouble]

    def _path(self, name: str) -> str:
        return storage.join(self._events, f"{name}.json")

    def _queue(self, event: LiveEvent) -> None:
        for delivery in self.deliveries:
            delivery.add(event)
        with self._changed:
            self._changed.notify_all()

    def _write(self, event: LiveEvent) -> LiveEvent | None:
        """Write an event, in the room of the reserve if there is no other. None if that fails."""
        begin = time.perf_counter()
        path = self._path(event.name)
        try:
            try:
                write_durably(path, event.text())
            except StorageError:
                Path(self._state, "reserve").unlink(missing_ok=True)
                write_durably(path, event.text())
        except (StorageError, OSError) as error:
            if event.name not in self._unwritten:
                logger.error("%s is not on disk yet, and is kept until there is room: %s", event.name, error)
            return None
        seconds = time.perf_counter() - begin
        written = dataclasses.replace(event, latency={**event.latency, "written": seconds})
        with contextlib.suppress(StorageError, OSError):  # it is on disk already, without this number
            write_durably(path, written.text())
        self._known.add(event.name)
        return written

    def _write_rest(self) -> None:
        """Write events that could not be written before, and the reserve."""
        with self._lock:
            for name, event in list(self._unwritten.items()):
                written = self._write(event)
                if written is None:
                    return
                del self._unwritten[name]
                logger.warning("%s is on disk now", name)
                self._queue(written)
            self._keep_reserve()

    def _keep_reserve(self) -> None:
        """Take the reserve's room on the disk, if there is so much."""
        path = Path(self._state, "reserve")
        if path.exists() or storage.free_bytes(path.parent.absolute()) < 2 * RESERVE_BYTES:
            return
        try:
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError:
            path.unlink(missing_ok=True)

    def _run(self, task: Callable[[], None], delivery: Delivery | None) -> None:
        """Do a task again and again until the outbox is closed."""
        while not self._is_closed:
            task()
            with self._changed:  # looks and waits in one step, so that no event comes between both
                due = None if delivery is None else delivery.next_try()
                wait = LONGEST_SLEEP if due is None else min(max(due - time.monotonic(), 0.0), LONGEST_SLEEP)
                if wait > 0 and not self._is_closed:
                    self._changed.wait(wait)


def stored_events(directory: str) -> list[str]:
    """Names of the events in an output directory, in the order of their times and revisions.

    Args:
        directory: Output directory of a search.
    """
    names = [Path(path).stem for path in storage.glob(storage.join(directory, EVENTS), "G*-*.json")]
    parts = [(name, *name.removeprefix("G").rpartition("-")[::2]) for name in names]
    whole = [(int(time), int(revision), name) for name, time, revision in parts if (time + revision).isdigit()]
    return [name for _, _, name in sorted(whole)]
