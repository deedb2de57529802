"""The background of a search that runs: time slides of its last hours, which a second process scores.

The first process writes embeddings and whitened strain, which the search has anyway. The second process scores slides
of them and writes their events. Files are all that the two share. Whichever is killed, the other goes on, and a new one
begins where the files end.
"""

import copy
import dataclasses
import json
import logging
import math
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

import numpy as np
import torch
from jaxtyping import Float

from aframe import storage
from aframe.errors import StorageError
from aframe.events.cluster import Clustering
from aframe.events.significance import Background
from aframe.inference.scorers import TorchScorer
from aframe.online.live_search import ScoredPiece
from aframe.online.slide_blocks import FLOOR, SLIDES, SlideSearch
from aframe.online.slide_history import Geometry, PieceStore, bytes_per_second
from aframe.online.slide_process import SlideJob, SlidePlan, read_excluded, run
from aframe.tables import EventTable
from aframe.tensors import Psd
from aframe.train.model import Model, save
from aframe.types import Array

SHARE = 0.25
"""Largest share of a core that slides take. Those of two detectors and matched filters take a third of it."""

BLOCK_LENGTH = 256.0
"""Length of a block, s. Its context, a few cluster windows, is scored twice."""

PIECE_LENGTH = 32.0
"""Length of data in a file, s. A killed process loses that much of the background, and nothing else."""

LOOK_INTERVAL = 5.0
"""Least time between two looks for new events of slides, s."""

RESTART_INTERVAL = 60.0
"""Least time between two starts of the second process, s."""

logger = logging.getLogger("aframe.online")


def reach_of(model: Model, clustering: Clustering) -> float:
    """Time (s) on either side of a signal in which it changes events of slides.

    A signal reaches through a window, the whitening filter and an average. Within half a cluster window of that, it
    displaces quieter events.

    Args:
        model: Network and preprocessing.
        clustering: Settings that turn scores into events.
    """
    preprocessing = model.preprocessing
    reach = preprocessing.kernel_length + preprocessing.whitening.before_length
    return reach + clustering.integration_window_length + clustering.cluster_window_length / 2


@dataclass(frozen=True)
class _BlockEvents:
    """Events of slides of a block.

    Attributes:
        start: GPS s of the block's start.
        statistics: Detection statistics, shape (events,).
        livetime: Live time, s.
        floor: Loudest statistic that the block did not keep.
    """

    start: float
    statistics: Float[Array, " events"]
    livetime: float
    floor: float


class RollingBackground:
    """Events of time slides of the last hours.

    Args:
        model: Network and preprocessing.
        precision: In which the network computes.
        clustering: Settings that turn scores into events.
        plan: How the background is kept up.
        versions: What else made the background, such as the model's hash. If it changes, the background begins anew.
    """

    def __init__(
        self,
        model: Model,
        precision: torch.dtype,
        clustering: Clustering,
        plan: SlidePlan,
        versions: storage.Parameters,
    ) -> None:
        self.plan, self.model, self.ifos = plan, model, model.preprocessing.ifos
        self.geometry = Geometry.of(model)
        search = SlideSearch(TorchScorer(model, precision), clustering, plan.shifts)
        self.context = search.context / clustering.sampling_rate
        self.made_by = json.loads(json.dumps({
            **versions, "precision": str(precision), "shifts": plan.shifts, "block_length": plan.block_length,
            "preprocessing": dataclasses.asdict(model.preprocessing), "clustering": dataclasses.asdict(clustering),
        }))  # fmt: skip
        self.job = SlideJob(precision, clustering, plan, reach_of(model, clustering), self.made_by)
        self.store = PieceStore(plan.pieces, self.made_by)
        storage.sweep(plan.directory)
        self._forget_others()
        self._pieces: list[ScoredPiece] = []
        self._blocks: dict[str, _BlockEvents] = {}
        self._background: Background | None = None
        self._process: BaseProcess | None = None
        self._started = self._looked = -math.inf
        self._slides, self._is_whole = 0, True
        self._newest, self._is_written = self.store.newest(clustering.sampling_rate), True

    def _forget_others(self) -> None:
        """Remove what another model, or other settings, have made."""
        changed: set[str] = set()
        for path in [*storage.glob(self.plan.pieces, "*.hdf5"), *storage.glob(self.plan.events, "*.hdf5")]:
            try:
                before = storage.made_with(path) or {}
            except StorageError:
                before = {"a damaged file": path}
            names = {name for name in before.keys() | self.made_by if before.get(name) != self.made_by.get(name)}
            if names:
                changed |= names
                storage.remove(path)
        if changed:
            logger.warning("the background begins anew: another %s made it", ", ".join(sorted(changed)))

    def start(self, psds: Psd | None = None) -> None:
        """Start the second process.

        Args:
            psds: Smooth PSD of each detector to which the search has adapted its network: see ``Network.adapt``; None
                if it has not.

        Raises:
            StorageError: If the model cannot be written.
        """
        model = self.model
        if psds is not None:
            model = dataclasses.replace(model, network=copy.deepcopy(model.network))
            model.network.adapt(psds)
        save(model, self.plan.model, self.made_by)
        self._start()

    def _start(self) -> None:
        """Start the second process, or start it again if it has ended.

        It reads the model itself: what is handed to a new process must fit in a pipe, or this process would wait. The
        kernel ends it with the thread that starts it, so all calls must come from one thread, which lasts.
        """
        if self._process is not None and self._process.is_alive():
            return
        if time.monotonic() - self._started < RESTART_INTERVAL:
            return
        if self._process is not None:
            logger.warning("the process of time slides ended with code %s: it starts again", self._process.exitcode)
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=run, args=(self.job,), name="aframe slides", daemon=True)
        self._process.start()
        self._started = time.monotonic()

    def close(self) -> None:
        """Write what is not yet written, and end the second process."""
        self._write()
        if self._process is not None:
            self._process.terminate()
            self._process.join()

    def add(self, piece: ScoredPiece) -> None:
        """Add scored strain. Strain that slides already have, as a restarted search scores again, is left out.

        Args:
            piece: Piece after all those before.
        """
        if len(piece.scores) == 0 or piece.start < self._newest - 0.5 / self.geometry.sampling_rate:
            return
        self._newest = piece.start + len(piece.scores) / self.geometry.sampling_rate
        if self._pieces and not piece.goes_on:
            self._write()
        self._pieces.append(piece)
        if sum(len(each.scores) for each in self._pieces) >= PIECE_LENGTH * self.geometry.sampling_rate:
            self._write()
        if self._process is not None:
            self._start()

    def _write(self) -> None:
        """Write the pieces in memory as one file, and remove files that no slide needs any more."""
        if not self._pieces:
            return
        whole, self._pieces = self.geometry.joined(self._pieces), []
        self._slides = self.plan.slides(bytes_per_second(whole, self.geometry))
        try:
            self.store.write(whole, self.ifos)
            self.store.remove_before(self._newest - self.plan.history(self._slides, self.context))
            self._is_written = True
        except StorageError as error:
            if self._is_written:
                logger.warning("time slides lack strain from GPS %.0f on: %s", whole.start, error)
            self._is_written = False

    def exclude(self, time: float) -> None:
        """Leave out the time around an event that was issued, in all detectors, of slides from now on.

        Args:
            time: Coalescence time, GPS s.
        """
        oldest = self._newest - self.plan.hours * 3600
        times = sorted({*(each for each in read_excluded(self.plan) if each >= oldest), time})
        try:
            storage.write_text(self.plan.excluded, json.dumps(times))
        except StorageError as error:
            logger.warning("time slides keep the event at GPS %.3f: %s", time, error)

    def background(self) -> Background | None:
        """Events of slides of the last hours; None without any."""
        if time.monotonic() - self._looked >= LOOK_INTERVAL and self._look():
            self._background = _merged(list(self._blocks.values()))
        return self._background

    @property
    def version(self) -> str:
        """What the background consists of: first and last time of its blocks, GPS s, and their number."""
        starts = [block.start for block in self._blocks.values()]
        if not starts:
            return "slides of no data"
        return f"slides of GPS {min(starts):.0f}-{max(starts) + self.plan.block_length:.0f}, {len(starts)} blocks"

    def _look(self) -> bool:
        """Read new events of slides, and remove those that are too old. Whether anything changed."""
        self._looked = time.monotonic()
        paths = storage.glob(self.plan.events, "slides-*.hdf5")
        new = [path for path in paths if path not in self._blocks]
        for path in new:
            try:
                table = EventTable.read(path, ["detection_statistic"])
            except StorageError as error:
                logger.warning("%s: it is removed, with its live time", error)
                storage.remove(path)
                continue
            start = float(path.rpartition("slides-")[2].partition("-")[0])
            floor = float(table.attributes[FLOOR])
            self._blocks[path] = _BlockEvents(start, table["detection_statistic"], table.livetime, floor)
            self._compare(start, int(table.attributes[SLIDES]))
        newest = max([self._newest, *(block.start for block in self._blocks.values())])
        old = [path for path, block in self._blocks.items() if block.start < newest - self.plan.hours * 3600]
        for path in old:
            del self._blocks[path]
            storage.remove(path)
        return bool(new or old)

    def _compare(self, start: float, slides: int) -> None:
        """Say it if a block has fewer slides than the plan, unless the one before had fewer too."""
        if slides < self._slides and self._is_whole:
            logger.warning(
                "time slides from GPS %.0f on: %d of %d fit in %.0f %% of a core",
                start, slides, self._slides, 100 * self.plan.share,
            )  # fmt: skip
        self._is_whole = slides >= self._slides


def _merged(blocks: Sequence[_BlockEvents]) -> Background | None:
    """Background of blocks. It has no events that are quieter than what a block did not keep."""
    if not blocks:
        return None
    floor = max(block.floor for block in blocks)
    statistics = np.concatenate([block.statistics for block in blocks])
    return Background(statistics[statistics > floor], sum(block.livetime for block in blocks))
