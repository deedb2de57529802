"""Total progress of all jobs of a run that score background."""

import mmap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aframe.machine.console_records import Share, emit
from aframe.progress import activity
from aframe.progress.lines import LINE_INTERVAL, Progress, ProgressReport

BACKGROUND = " s of background"
"""Unit of the progress of a job."""


@dataclass(frozen=True)
class JobProgress:
    """Functions that a job calls to report its progress.

    Attributes:
        injections: Receives the number of injections that are scored, and how many there are. None are at the start.
        background: Receives the background that is scored, and the total, s.
    """

    injections: ProgressReport
    background: ProgressReport


class Ledger:
    """Amount of background that each job has scored, in memory shared with workers that are forked later.

    Args:
        jobs: Background of each job, s.
        sampling_rate: Windows per second of background, Hz.
        was_done: Function that returns whether a job was done before this run. It is called when the first job starts.
        interval: Minimum time between two lines of all jobs together, s.
    """

    def __init__(
        self,
        jobs: Sequence[float],
        sampling_rate: float,
        was_done: Callable[[int], bool],
        interval: float = LINE_INTERVAL,
    ) -> None:
        self.jobs, self.sampling_rate, self.was_done = np.array(jobs, np.float64), sampling_rate, was_done
        self.interval = interval
        shared = np.frombuffer(mmap.mmap(-1, 8 * (len(jobs) + 4)), np.float64)
        # start, last line (both s), done before, and done at the last line
        self._done, self._all = shared[: len(jobs)], shared[len(jobs) :]

    def job(self, index: int, name: str) -> JobProgress:
        """Register the start of a job.

        Args:
            index: Number of the job.
            name: Title of the job.

        Returns:
            Its progress. The time that the background will take follows from what was done since the last line. The
            first report gives no line: before it, the job did what takes longest, whitening, encoding and injections.
        """
        at_last_line: tuple[float, float] | None = None
        if self._all[0] == 0:
            self._all[:2] = time.monotonic()
            self._all[2] = sum(seconds for k, seconds in enumerate(self.jobs) if k != index and self.was_done(k))

        def report(done: float, total: float) -> None:
            nonlocal at_last_line
            self._done[index] = done
            activity.note(name, done, total, BACKGROUND)
            now = time.monotonic()
            if at_last_line is None:
                at_last_line = now, done
                if self._all[1] == self._all[0]:  # no job had a line
                    self._all[1], self._all[3] = now, self._done.sum()
            elif now - self._all[1] >= self.interval and done > at_last_line[1]:
                speed = (done - at_last_line[1]) / (now - at_last_line[0])
                note = f"{speed * self.sampling_rate:.0f} windows/s"
                left = (total - done) / speed
                emit(Share(name, done, total, left, BACKGROUND, note, overall=self._overall(now)))
                at_last_line, self._all[1] = (now, done), now

        return JobProgress(Progress(name, " injections", self.interval), report)

    def _overall(self, now: float) -> Share:
        """Progress of all jobs, at a time of the monotonic clock."""
        scored, total = self._done.sum(), self.jobs.sum()
        done, more = scored + self._all[2], scored - self._all[3]
        left = (total - done) * (now - self._all[1]) / more
        self._all[3] = scored
        return Share(f"all {len(self.jobs)} jobs", done, total, left, " s")
