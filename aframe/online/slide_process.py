"""The second process of a search that runs: it scores time slides of the data that the first process writes."""

import json
import math
import os
import signal
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

from aframe import storage
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import AframeError
from aframe.events.cluster import Clustering
from aframe.events.vetoes import Intervals, merged
from aframe.inference.scorers import TorchScorer
from aframe.machine.processes import die_with_parent
from aframe.online.slide_blocks import Block, SlideData, SlideSearch, score_block
from aframe.online.slide_history import Geometry, History, PieceStore, bytes_per_second
from aframe.strain.times import format_gps
from aframe.train.model import NAME, Model, load

WANTED_EVENTS = 100.0
"""Events of slides at the rate of alerts, within the hours of the background. They measure that rate to a tenth."""

MOST_BYTES = 2.0**31
"""Size of the embeddings, on disk and in memory, above which there are fewer slides."""

LATE_BLOCKS = 4
"""Blocks by which the second process may lag behind before the first one removes what it needs."""

NICENESS = 10
"""Priority of the second process below that of the first."""

PAUSE = 1.0
"""Time between two looks for new data, s."""

EXCLUDED = "excluded.json"
"""File with the times that slides leave out."""


@dataclass(frozen=True)
class SlidePlan:
    """How a background of slides is kept up.

    Attributes:
        directory: Directory of its files, local.
        shifts: Shift of each detector from one slide to the next, s.
        hours: Time of which the background consists, h.
        far_per_year: Rate of alerts, events per Julian year.
        share: Largest share of a core that slides take.
        block_length: Length of a block, s.
    """

    directory: str
    shifts: tuple[float, ...]
    hours: float
    far_per_year: float
    share: float
    block_length: float

    @property
    def lag(self) -> float:
        """Longest lag of a detector behind another in the first slide, s."""
        return max(self.shifts) - min(self.shifts)

    def slides(self, bytes_per_second: float) -> int:
        """Number of slides that give ``WANTED_EVENTS``, or as many as ``hours`` and ``MOST_BYTES`` allow.

        Args:
            bytes_per_second: Size of a second of data.
        """
        wanted = WANTED_EVENTS / self.far_per_year * SECONDS_PER_YEAR / (self.hours * 3600)
        allowed = min(self.hours * 3600, MOST_BYTES / bytes_per_second) / self.lag
        return max(1, int(min(np.ceil(wanted), allowed)))

    def least_events(self, slides: int) -> int:
        """Events that each block keeps at least: twice those at the rate of alerts in the whole background.

        One glitch may be in every slide of its block, and raise the loudest statistic that the block did not keep
        above all others. The background then still measures the rate of alerts.

        Args:
            slides: Number of slides.
        """
        return math.ceil(2 * self.far_per_year * slides * self.hours * 3600 / SECONDS_PER_YEAR)

    def history(self, slides: int, context: float) -> float:
        """Length of data that slides need, s.

        Args:
            slides: Number of slides.
            context: Time on either side of a block, s.
        """
        return slides * self.lag + LATE_BLOCKS * self.block_length + 2 * context

    @property
    def pieces(self) -> str:
        """Directory of embeddings."""
        return storage.join(self.directory, "embeddings")

    @property
    def events(self) -> str:
        """Directory of events of slides."""
        return storage.join(self.directory, "slides")

    @property
    def model(self) -> str:
        """The model, adapted to the noise."""
        return storage.join(self.directory, NAME)

    @property
    def excluded(self) -> str:
        """File with the times that slides leave out."""
        return storage.join(self.directory, EXCLUDED)


@dataclass(frozen=True)
class SlideJob:
    """What the second process needs to begin, besides the model, which it reads.

    Attributes:
        precision: In which the network computes.
        clustering: Settings that turn scores into events.
        plan: How the background is kept up.
        reach: Time that slides leave out on either side of an event that was issued, s.
        made_by: Parameters of all files.
    """

    precision: torch.dtype
    clustering: Clustering
    plan: SlidePlan
    reach: float
    made_by: storage.Parameters


def events_path(plan: SlidePlan, start: float) -> str:
    """Path of the events of a block that starts at a time, GPS s."""
    return storage.join(plan.events, f"slides-{format_gps(start)}-{format_gps(plan.block_length)}.hdf5")


class SlideWork:
    """Scores blocks of slides, oldest first.

    Args:
        job: What to do.
        model: Network and preprocessing.
    """

    def __init__(self, job: SlideJob, model: Model) -> None:
        self.job, self.plan = job, job.plan
        self.search = SlideSearch(TorchScorer(model, job.precision), job.clustering, job.plan.shifts)
        store = PieceStore(job.plan.pieces, job.made_by)
        self.history = History(store, Geometry.of(model), self.search.ifos)
        self._left_out: set[float] = set()

    def step(self) -> bool:
        """Score the next block that is complete.

        Returns:
            Whether there was one.
        """
        self.history.update()
        block = self._next()
        if block is None:
            return False
        geometry = self.history.geometry
        slides = self.plan.slides(bytes_per_second(self.history.stretches[0].pieces[0], geometry))
        pace = Pace(self.plan.share, block.stop - block.start)
        try:
            data = SlideData(self.history.stretches, self._excluded())
            events = score_block(
                self.search, data, block, range(1, slides + 1), pace.goes_on, least=self.plan.least_events(slides)
            )
            if events.livetime > 0:
                events.write(events_path(self.plan, block.start), self.job.made_by)
                return True
        except AframeError as error:
            print(f"slides from GPS {block.start:.0f} are left out: {error}", file=sys.stderr)
        self._left_out.add(block.start)
        return True

    def _next(self) -> Block | None:
        """The oldest block that is complete and not yet scored."""
        length, newest = self.plan.block_length, self.history.newest
        done = {path.rpartition("/")[2] for path in storage.glob(self.plan.events, "slides-*.hdf5")}
        ready = newest - self.search.context / self.job.clustering.sampling_rate
        oldest = newest - self.plan.hours * 3600
        for stretch in self.history.stretches:
            for number in range(int(stretch.start // length), int(stretch.stop // length) + 1):
                start = number * length
                name = events_path(self.plan, start).rpartition("/")[2]
                is_ready = start >= oldest and start + length <= ready
                if is_ready and name not in done and start not in self._left_out:
                    return Block(start, start + length)
        return None

    def _excluded(self) -> Intervals:
        times = np.array(read_excluded(self.plan), dtype=np.float64)
        spans = merged(np.stack([times - self.job.reach, times + self.job.reach], axis=1))
        return dict.fromkeys(self.search.ifos, spans)


def read_excluded(plan: SlidePlan) -> list[float]:
    """Times (GPS s) of the events that slides leave out; none if a crash of the machine damaged their file."""
    if not storage.exists(plan.excluded):
        return []
    try:
        return [float(time) for time in json.loads(storage.read_text(plan.excluded))]
    except (ValueError, TypeError):
        print(f"note: {plan.excluded} is damaged: slides keep the events that it had", file=sys.stderr)
        return []


class Pace:
    """Keeps the work for a block within a share of a core.

    Args:
        share: Largest share of a core.
        block_length: Length of the block, s.
    """

    def __init__(self, share: float, block_length: float) -> None:
        self.share, self.most = share, share * block_length
        self.spent, self._last = 0.0, time.process_time()

    def goes_on(self) -> bool:
        """Rest for what was computed since the last call. Whether the block has processor time left."""
        now = time.process_time()
        worked, self._last = now - self._last, now
        self.spent += worked
        time.sleep(worked * (1 / self.share - 1))
        return self.spent < self.most


def run(job: SlideJob) -> None:
    """Score slides until the parent ends this process.

    Args:
        job: What to do.
    """
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this process
    os.nice(NICENESS)
    torch.set_num_threads(1)
    work = SlideWork(job, load(job.plan.model))
    while True:
        if not work.step():
            time.sleep(PAUSE)
