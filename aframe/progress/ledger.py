"""How much background all jobs of a run have scored together."""

import mmap
import time
from collections.abc import Callable, Sequence

import numpy as np

from aframe.progress import activity
from aframe.progress.lines import INTERVAL, share_done


class Ledger:
    """How much background each job has scored, in memory that the workers which are forked afterwards share.

    Args:
        jobs: Seconds of background of each job.
        sampling_rate: Windows in a second of background, Hz.
        was_done: Tells whether a job was done before this run; asked when the first job of this run starts.
        interval: Least time between two lines of all jobs together, s.
    """

    def __init__(
        self, jobs: Sequence[float], sampling_rate: float, was_done: Callable[[int], bool], interval: float = INTERVAL
    ) -> None:
        self.jobs, self.sampling_rate, self.was_done = np.array(jobs, np.float64), sampling_rate, was_done
        self.interval = interval
        shared = np.frombuffer(mmap.mmap(-1, 8 * (len(jobs) + 3)), np.float64)
        self._done, self._all = shared[: len(jobs)], shared[len(jobs) :]  # start, time of the last line, done before

    def job(self, index: int, name: str) -> Callable[[float, float], None]:
        """What the job with a number calls, as it goes on, with its seconds of background done and to do.

        Args:
            index: Number of the job.
            name: What the user calls it.
        """
        start = time.monotonic()
        if self._all[0] == 0:
            self._all[:2] = start
            self._all[2] = sum(seconds for k, seconds in enumerate(self.jobs) if k != index and self.was_done(k))

        def report(done: float, total: float) -> None:
            self._done[index] = done
            activity.note(name, done, total, " s of background")
            now = time.monotonic()
            if now - self._all[1] >= self.interval and done > 0:
                self._all[1] = now
                print(f"{name}: {self._line(done, total, now - start)}; {self._overall(now)}", flush=True)

        return report

    def _line(self, done: float, total: float, seconds: float) -> str:
        speed = done / seconds
        told = f"{share_done(done, total)} s of background, {speed * self.sampling_rate:.0f} windows/s"
        return f"{told}, {(total - done) / speed:.0f} s left"

    def _overall(self, now: float) -> str:
        scored, total = self._done.sum(), self.jobs.sum()
        done = scored + self._all[2]
        left = (total - done) * (now - self._all[0]) / scored
        return f"all {len(self.jobs)} jobs: {share_done(done, total)} s, {left:.0f} s left"
