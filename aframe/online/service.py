"""The search that runs: strain from a source, scores, events, ranks, and events on disk."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aframe.errors import AframeError
from aframe.inference.scorers import Scorer
from aframe.online.arrivals import Arrival, Source
from aframe.online.handover import Handovers
from aframe.online.issue import Issuer, Moment
from aframe.online.live_event import LiveEvent
from aframe.online.live_search import LiveSearch
from aframe.online.live_stretch import ScoredPiece
from aframe.online.outbox import Outbox
from aframe.online.resumption import Resumption
from aframe.online.rolling_background import RollingBackground
from aframe.online.tracking import Sighting, Tracker
from aframe.online.watching import Watch

WAIT = 1.0
"""Longest wait for strain before the search looks whether it is to end, s."""

SILENCE = 30.0
"""Seconds without any strain after which the log says so."""

LEAST_INTERVAL = 1.0
"""Least time between two records of how far the search has come, s."""

logger = logging.getLogger("aframe.online")


@dataclass(frozen=True)
class Parts:
    """What a search that runs consists of.

    Attributes:
        source: Where strain comes from.
        search: Scores it.
        tracker: Finds events in the scores.
        issuer: Makes events of what the tracker finds.
        outbox: Takes events.
        handovers: Writes the strain around events for who looks at them closely.
        background: Time slides of the search itself; None for none.
        watch: Tells how the search is.
        due: Unix time (s) at which strain of a GPS time (s) is measured.
        directory: Output directory.
        model: SHA-256 of the model.
    """

    source: Source
    search: LiveSearch
    tracker: Tracker
    issuer: Issuer
    outbox: Outbox
    handovers: Handovers
    background: RollingBackground | None
    watch: Watch
    due: Callable[[float], float]
    directory: str
    model: str

    @property
    def scorer(self) -> Scorer:
        """Scores windows."""
        return self.search.scorer


class Service:
    """Runs a search until it is told to stop, or a replay ends.

    Args:
        parts: What it consists of.
        resumed: Where an earlier search stopped; None for a new one.
    """

    def __init__(self, parts: Parts, resumed: Resumption | None) -> None:
        self.parts = parts
        self._scored_until = -math.inf if resumed is None else resumed.searched_until
        self._pieces: deque[ScoredPiece] = deque()
        self._moment = Moment(-math.inf, time.time(), 0.0)
        self._heard = self._recorded = time.monotonic()
        self._is_silent, self._is_started = False, False
        self._trouble = ""

    def run(self, is_stopped: Callable[[], bool]) -> None:
        """Search until told to stop, or until the source is over.

        Args:
            is_stopped: Whether to stop. It is asked once a second or more often.
        """
        parts = self.parts
        parts.outbox.start()
        try:
            while not is_stopped() and not parts.source.is_over:
                self.step(WAIT)
            if parts.source.is_over:
                self._take(parts.search.flush())
                self._issue(parts.tracker.close())
            self._record()
        finally:
            parts.outbox.close(timeout=0.0 if is_stopped() else WAIT)
            if parts.background is not None:
                parts.background.close()
            parts.source.close()
            parts.handovers.close()
            parts.watch.write(self._scored_until, is_over=parts.source.is_over)

    def step(self, timeout: float) -> None:
        """Search what has arrived. What is wrong with it is counted and said, and ends nothing.

        Args:
            timeout: Longest wait for strain, s.
        """
        parts = self.parts
        try:
            arrivals = parts.source.arrivals(timeout)
            self._hear(arrivals)
            self._take(parts.search.add(arrivals))
            parts.handovers.add(arrivals)
            if parts.search.stretch is None:
                self._issue(parts.tracker.close())
            self._trouble = ""
        except (AframeError, OSError) as error:
            parts.watch.count("errors of the source")
            parts.search.reset()
            if str(error) != self._trouble:
                logger.warning("%s", error)
            self._trouble = str(error)
            time.sleep(min(timeout, WAIT))
        if time.monotonic() - self._recorded >= LEAST_INTERVAL:
            self._record()
            parts.watch.write(self._scored_until)

    def _hear(self, arrivals: Sequence[Arrival]) -> None:
        """Note when strain came, and that none comes."""
        if arrivals:
            newest = max(arrivals, key=lambda arrival: arrival.stop)
            transport = max(0.0, newest.received - self.parts.due(newest.stop))
            received = max(arrival.received for arrival in arrivals)
            self._moment = Moment(newest.stop, received, transport)
            self._heard = time.monotonic()
            if self._is_silent:
                logger.warning("strain comes again, from GPS %.3f on", min(each.start for each in arrivals))
            self._is_silent = False
        elif time.monotonic() - self._heard > SILENCE and not self._is_silent:
            self._is_silent = True
            logger.warning("no strain has come for %.0f s: the search waits for it", SILENCE)

    def _take(self, pieces: Sequence[ScoredPiece]) -> None:
        parts = self.parts
        for piece in pieces:
            self._pieces.append(piece)
            self._start_background()
            seen = parts.tracker.add(piece.start, piece.scores, piece.goes_on, parts.issuer.recipe.ranking.threshold)
            self._issue(seen)
            if parts.background is not None:
                parts.background.add(piece)
            clustering = parts.issuer.recipe.clustering
            stop = piece.start + len(piece.scores) / clustering.sampling_rate
            parts.watch.scored(max(0.0, stop - max(piece.start, self._scored_until)))
            self._scored_until = max(self._scored_until, stop)
            while self._pieces and self._pieces[0].start < stop - clustering.integration_window_length - 2.0:
                if len(self._pieces) == 1:
                    break
                self._pieces.popleft()
            parts.watch.computed(time.time() - self._moment.received)
        for flaw in parts.search.take_flaws():
            parts.watch.count("stretches not searched")
            logger.warning("%s", flaw)

    def _start_background(self) -> None:
        """Start the slides with the first scores, once the network is adapted to the noise."""
        if self.parts.background is not None and not self._is_started:
            self.parts.background.start(self.parts.search.psds)
            self._is_started = True

    def _issue(self, sightings: Sequence[Sighting]) -> None:
        parts = self.parts
        for sighting in sightings:
            event = parts.issuer.event(sighting, self._pieces, self._moment)
            if event is None:
                continue
            written = parts.outbox.put(event)
            parts.watch.issued(written)
            self._tell(written)
            parts.handovers.want(written)
            if parts.background is not None:  # a revision too: it moves, and a kill may have lost the first
                parts.background.exclude(event.time)

    @staticmethod
    def _tell(event: LiveEvent) -> None:
        sign = "<" if event.far_is_upper_limit else "="
        total = sum(event.latency.values())
        logger.warning(
            "%s: statistic %.3f at GPS %.3f, FAR %s %.3g per year, on disk %.2f s after the merger",
            event.name, event.statistic, event.time, sign, event.far_per_year, total,
        )  # fmt: skip

    def _record(self) -> None:
        """Write how far the search has come, so that a later one goes on there."""
        parts, stretch = self.parts, self.parts.search.stretch
        self._recorded = time.monotonic()
        if stretch is None or not math.isfinite(self._scored_until):
            return
        if parts.outbox.waiting["disk"]:
            return  # after a SIGKILL, events that are in memory alone must be searched again
        clustering = parts.issuer.recipe.clustering
        rewound = stretch.next_window - 2 * clustering.cluster_window_length - clustering.integration_window_length
        psds = parts.search.psds
        record = Resumption(
            parts.model,
            begin=stretch.resumed_from(rewound),
            anchor=stretch.anchor,
            searched_until=self._scored_until,
            psds=[] if psds is None else psds.tolist(),
        )
        try:
            record.write(parts.directory)
        except AframeError as error:
            parts.watch.count("records not written")
            logger.warning("%s", error)
