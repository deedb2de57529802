"""Activity of the tasks of a run: one small file per task, on disk or on S3, which ``aframe status`` reads.

A process creates the file of its task at the start, updates it during the work, and deletes it at the end. A failed
task leaves its error in the file. A killed process leaves the file unchanged; the reader then finds that the process
is not alive.
"""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aframe import storage
from aframe.errors import AframeError, InterruptionError
from aframe.machine.processes import is_alive, this_machine

UPDATE_INTERVAL = 10.0
"""Minimum number of seconds between two updates of a file."""

MAX_SILENCE = 600.0
"""Seconds without an update after which a process of another machine counts as ended. Clocks must agree to minutes."""

TIMES = ("started", "since", "updated")
"""Attributes of an activity that are times. A file has them in UTC."""

FILE = "AFRAME_ACTIVITY"
"""Environment variable with the path of the activity file, for a subprocess that does the work of its task."""

LOG = "AFRAME_LOG"
"""Environment variable with the path of the log of this process."""


@dataclass(frozen=True)
class Activity:
    """State and progress of a task.

    Attributes:
        task: Title of the task: name, with stage and branch if it has them.
        state: ``running``, ``failed`` or, for a whole run, ``ended``.
        started: Start of the task, Unix s.
        since: Start of the present step, Unix s.
        updated: Last update, Unix s.
        machine: Identifier of the machine that runs the task.
        process: Process number on this machine.
        doing: Name of the present step; empty if the task does not report progress.
        unit: Unit of the progress, with a space before it.
        first: Progress at the start of the step; more than 0 if the step continues earlier work.
        done: Present progress.
        total: Progress at the end of the step; 0 if the task does not report progress.
        error: Reason of a failure.
        log: Path of the log; empty if it is not known.
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
        """Progress per second since the start of the step."""
        return max(0.0, self.done - self.first) / max(self.updated - self.since, 1e-3)

    @property
    def seconds_left(self) -> float | None:
        """Remaining time at the present speed, s; None without progress."""
        return (self.total - self.done) / self.per_second if self.per_second > 0 else None

    def is_at_work(self) -> bool:
        """Whether the process of the task is running.

        For a process of another machine, the time since its last update decides.
        """
        if self.state != "running":
            return False
        if self.machine == this_machine():
            return is_alive(self.process)
        return time.time() - self.updated < MAX_SILENCE


_activities: dict[int, dict[str, Activity]] = {}
"""Present activities by process and path, the innermost last. A forked process inherits none."""


def begin(path: str, task: str) -> None:
    """Record that this process starts a task.

    Args:
        path: Path of the activity file.
        task: Title of the task.
    """
    now = time.time()
    _keep(path, Activity(task, "running", now, now, now, this_machine(), os.getpid(), log=os.environ.get(LOG, "")))


@contextlib.contextmanager
def of_stage(task: str) -> Iterator[None]:
    """Record the work of a subprocess that a run began for a stage, and its failure. Without a run it does nothing.

    Args:
        task: Title of the stage's task.
    """
    path = os.environ.get(FILE, "")
    if not path:
        yield
        return
    begin(path, task)
    try:
        yield
    except (KeyboardInterrupt, InterruptionError):
        raise
    except BaseException as error:
        fail(path, task, " ".join(str(error).split()) or type(error).__name__)
        raise


def note(doing: str, done: float | int, total: float | int, unit: str = "") -> None:
    """Record the progress of this process, at most once per ``UPDATE_INTERVAL``. Without a task it does nothing.

    Args:
        doing: Name of the present step.
        done: Present progress.
        total: Progress at the end of the step.
        unit: Unit of the progress, with a space before it.
    """
    activities = _activities.get(os.getpid())
    if not activities:
        return
    path, activity = next(reversed(activities.items()))
    now = time.time()
    if activity.total and now - activity.updated < UPDATE_INTERVAL:
        return
    if (activity.doing, activity.total) != (doing, total):
        activity = dataclasses.replace(
            activity, doing=doing, since=now, first=float(done), total=float(total), unit=unit
        )
    _keep(path, dataclasses.replace(activity, done=float(done), updated=now))


def fail(path: str, task: str, error: str, log: str = "") -> None:
    """Record the failure of a task of this process or of a killed process.

    Args:
        path: Path of the activity file.
        task: Title of the task.
        error: Reason of the failure.
        log: Path of the log; empty for the log at the start of the task.
    """
    now = time.time()
    activity = next(iter(read([path])), None) or Activity(task, "failed", now, now, now, this_machine(), os.getpid())
    log = log or activity.log or os.environ.get(LOG, "")
    _keep(path, dataclasses.replace(activity, state="failed", updated=now, error=error, log=log))
    _activities[os.getpid()].pop(path)


def end(path: str, is_kept: bool = False) -> None:
    """Record the end of a task or run.

    Args:
        path: Path of the activity file.
        is_kept: Whether to keep the file with the time of the end, instead of deleting it.
    """
    activity = _activities.get(os.getpid(), {}).pop(path, None)
    with contextlib.suppress(AframeError, OSError):
        if is_kept and activity is not None:
            storage.write_text(path, _text(dataclasses.replace(activity, state="ended", updated=time.time())))
        elif not is_kept:
            storage.remove(path)


def read(paths: Sequence[str]) -> list[Activity]:
    """Read activity files. Missing and unreadable files are left out."""
    activities = []
    for path in paths:
        with contextlib.suppress(AframeError, OSError, ValueError, TypeError, KeyError):
            content = json.loads(storage.read_text(path))
            times = {name: datetime.fromisoformat(content[name]).timestamp() for name in TIMES}
            activities.append(Activity(**content | times))
    return activities


def utc(seconds: float) -> str:
    """Format a time (Unix s) in UTC.

    >>> utc(0.0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _keep(path: str, activity: Activity) -> None:
    """Write an activity file. Errors are ignored, since only ``aframe status`` needs the file.

    Args:
        path: Path of the file.
        activity: Content.
    """
    _activities.setdefault(os.getpid(), {})[path] = activity
    with contextlib.suppress(AframeError, OSError):
        storage.write_text(path, _text(activity))


def _text(activity: Activity) -> str:
    """Content of an activity file: JSON with times in UTC."""
    times = {name: utc(getattr(activity, name)) for name in TIMES}
    return json.dumps(dataclasses.asdict(activity) | times, indent=1)
