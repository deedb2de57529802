"""What the tasks of a run are at work on: a small file each, on disk or on S3, which tells it to whoever looks.

A task's file appears when it starts, is renewed as it goes on, and goes when it is done; a task that fails leaves its
error there. One whose process was killed leaves it as it was: who reads it sees that nobody is at work.
"""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aframe import storage
from aframe.errors import AframeError
from aframe.machine.processes import is_alive, this_machine

INTERVAL = 10.0
"""Least seconds from one note of progress to the next."""

SILENCE = 600.0
"""Seconds without news after which a process of another machine is taken for ended: clocks need to agree to minutes."""

TIMES = ("started", "since", "updated")

FILE = "AFRAME_ACTIVITY"
"""Environment variable: where a process says what it is at work on, which does the work of the task that started it."""

LOG = "AFRAME_LOG"
"""Environment variable: the log that this process's lines go to."""


@dataclass(frozen=True)
class Activity:
    """What a task is, or was, at work on.

    Attributes:
        task: Its title: name, and stage and branch where it has them.
        state: ``running``, ``failed`` or, of a whole run, ``ended``.
        started: Unix s.
        since: Unix s at which it began what it is doing.
        updated: Unix s of the last news.
        machine: Where it works.
        process: Its number there.
        doing: What of its work, where it tells progress.
        unit: Of the progress, with a space before it.
        first: Progress with which it began: more than 0 where it continues.
        done: How much is done.
        total: Of how much; 0 where it tells no progress.
        error: Why it failed.
        log: Where its lines go; empty where nobody knows.
    """

    task: str
    state: str
    started: float
    since: float
    updated: float
    machine: str
    process: int
    doing: str = ""
    unit: str = ""
    first: float = 0.0
    done: float = 0.0
    total: float = 0.0
    error: str = ""
    log: str = ""

    @property
    def per_second(self) -> float:
        """Progress a second since it began; 0 where there is none yet."""
        return max(0.0, self.done - self.first) / max(self.updated - self.since, 1e-3)

    @property
    def seconds_left(self) -> float | None:
        """Time left at the present speed; None where nobody can know."""
        return (self.total - self.done) / self.per_second if self.per_second > 0 else None

    def is_at_work(self) -> bool:
        """Whether its process is: known of one of this machine, guessed of another by when it was last heard of."""
        if self.state != "running":
            return False
        if self.machine == this_machine():
            return is_alive(self.process)
        return time.time() - self.updated < SILENCE


_mine: dict[int, dict[str, Activity]] = {}
"""By process: path and content of what it is at work on, the innermost last; a forked process inherits none."""


def begin(path: str, task: str) -> None:
    """Say that this process starts a task."""
    now = time.time()
    _keep(path, Activity(task, "running", now, now, now, this_machine(), os.getpid(), log=os.environ.get(LOG, "")))


def note(doing: str, done: float | int, total: float | int, unit: str = "") -> None:
    """Say how far this process has come, unless it has just said so; nothing where it has begun no task.

    Args:
        doing: What is being done.
        done: How much is.
        total: Of how much.
        unit: With a space before it.
    """
    mine = _mine.get(os.getpid())
    if not mine:
        return
    path, known = next(reversed(mine.items()))
    now = time.time()
    if known.total and now - known.updated < INTERVAL:
        return
    if (known.doing, known.total) != (doing, total):
        known = dataclasses.replace(known, doing=doing, since=now, first=float(done), total=float(total), unit=unit)
    _keep(path, dataclasses.replace(known, done=float(done), updated=now))


def fail(path: str, task: str, error: str, log: str = "") -> None:
    """Say that a task has failed, of this process or of one that was killed.

    Args:
        path: Of the file.
        task: The task's title.
        error: Why.
        log: Where its lines are; empty for where they went when it began.
    """
    now = time.time()
    known = next(iter(read([path])), None) or Activity(task, "failed", now, now, now, this_machine(), os.getpid())
    log = log or known.log or os.environ.get(LOG, "")
    _keep(path, dataclasses.replace(known, state="failed", updated=now, error=error, log=log))
    _mine[os.getpid()].pop(path)


def end(path: str, is_kept: bool = False) -> None:
    """Say that something is done.

    Args:
        path: Of the file.
        is_kept: Whether the file stays, and tells when that was.
    """
    known = _mine.get(os.getpid(), {}).pop(path, None)
    with contextlib.suppress(AframeError, OSError):
        if is_kept and known is not None:
            storage.write_text(path, _text(dataclasses.replace(known, state="ended", updated=time.time())))
        elif not is_kept:
            storage.remove(path)


def read(paths: Sequence[str]) -> list[Activity]:
    """What files say; those that are gone meanwhile, or are none, are left out."""
    found = []
    for path in paths:
        with contextlib.suppress(AframeError, OSError, ValueError, TypeError, KeyError):
            content = json.loads(storage.read_text(path))
            times = {name: datetime.fromisoformat(content[name]).timestamp() for name in TIMES}
            found.append(Activity(**content | times))
    return found


def utc(seconds: float) -> str:
    """A time (Unix s) in UTC.

    >>> utc(0.0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _keep(path: str, activity: Activity) -> None:
    """Write the file; work goes on where that cannot be done, as nothing but who looks on needs it."""
    _mine.setdefault(os.getpid(), {})[path] = activity
    with contextlib.suppress(AframeError, OSError):
        storage.write_text(path, _text(activity))


def _text(activity: Activity) -> str:
    times = {name: utc(getattr(activity, name)) for name in TIMES}
    return json.dumps(dataclasses.asdict(activity) | times, indent=1)
