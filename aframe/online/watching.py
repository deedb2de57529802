"""Say how the search is, again and again: see ``aframe.online.health``."""

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import AframeError
from aframe.online.health import DetectorHealth, Health, Latency, Rate, inspiral_range_mpc
from aframe.online.live_event import LiveEvent
from aframe.online.live_search import LiveSearch
from aframe.online.outbox import Outbox
from aframe.online.ranking import Ranking

REMEMBERED = 500
"""Number of the latest latencies of which medians are taken."""

QUIET = 10.0
"""Seconds of newer strain of others after which a detector counts as silent."""

Listener = Callable[[Health], None]
"""Takes the health whenever it is written."""

logger = logging.getLogger("aframe.online")


class Watch:
    """Gathers how the search is.

    Args:
        search: Scores strain.
        outbox: Takes events.
        ranking: Gives false alarm rates.
        directory: Output directory.
        versions: Versions of the code and of the model.

    Attributes:
        listeners: Take the health whenever it is written, as a page that is drawn.
    """

    def __init__(
        self,
        search: LiveSearch,
        outbox: Outbox,
        ranking: Ranking,
        directory: str,
        versions: Mapping[str, str],
    ) -> None:
        self._search, self._outbox, self._ranking = search, outbox, ranking
        self._directory, self._versions = directory, versions
        self.listeners: list[Listener] = []
        self._started, self._searched = time.time(), 0.0
        self._counts: Counter[str] = Counter()
        self._latencies: dict[str, deque[float]] = {}
        self._first = math.nan
        self._range_of: tuple[int, dict[str, float]] = (0, {})
        self._is_written = True
        self.health: Health | None = None

    def count(self, name: str) -> None:
        """Count something."""
        self._counts[name] += 1

    def scored(self, duration: float) -> None:
        """Note time that was searched, s."""
        self._searched += duration

    def computed(self, seconds: float) -> None:
        """Note the time from the arrival of strain to its scores, s."""
        self._note("scored", seconds)

    def issued(self, event: LiveEvent) -> None:
        """Note an event that is on disk."""
        self._counts["revisions" if event.revision else "events"] += 1
        for name, seconds in event.latency.items():
            self._note(name, seconds)
        self._note("total", sum(event.latency.values()))

    def write(self, searched_until: float, is_over: bool = False) -> None:
        """Write the health. That it cannot be written ends nothing.

        Args:
            searched_until: Start of the first window that was not scored, GPS s.
            is_over: Whether the search has ended.
        """
        self.health = self._gathered(searched_until, is_over)
        try:
            self.health.write(self._directory)
            for listener in self.listeners:
                listener(self.health)
            self._is_written = True
        except (AframeError, OSError) as error:
            if self._is_written:
                logger.warning("%s", error)
            self._is_written = False

    def _note(self, name: str, seconds: float) -> None:
        self._latencies.setdefault(name, deque(maxlen=REMEMBERED)).append(seconds)

    def _gathered(self, searched_until: float, is_over: bool) -> Health:
        ranking = self._ranking
        seen = self._counts["events"]
        expected = ranking.far_per_year * self._searched / SECONDS_PER_YEAR
        rolling = None if ranking.rolling is None else ranking.rolling.background()
        livetimes = [each.livetime for each in (rolling, ranking.file) if each is not None]
        return Health(
            written=time.time(),
            started=self._started,
            is_over=is_over,
            searched_until=searched_until if math.isfinite(searched_until) else math.nan,
            searched=self._searched,
            detectors=self._detectors(),
            latency={name: _latency(values) for name, values in self._latencies.items()},
            counts=dict(self._counts),
            waiting=self._outbox.waiting,
            rates=(Rate(ranking.far_per_year, seen, expected),),
            background=ranking.rank(0.0).background if livetimes else "none",
            background_livetime=livetimes[0] if livetimes else 0.0,
            troubles=tuple(filter(None, (*self._outbox.troubles, ranking.drift))),
            versions=self._versions,
        )

    def _detectors(self) -> dict[str, DetectorHealth]:
        search = self._search
        if not math.isfinite(self._first):
            self._first = min(search.reaches.values())
        ranges, detectors = self._ranges(), {}
        for ifo, account in search.accounts.items():
            reach = search.reaches[ifo]
            total = search.latest - self._first
            states = (
                ("waiting for data", not math.isfinite(reach)),
                ("silent", search.latest - reach > QUIET),
                ("searched", search.stretch is not None and search.stretch.windows > 0),
            )
            detectors[ifo] = DetectorHealth(
                state=next((name for name, holds in states if holds), "waiting for a PSD"),
                last_gps=reach if math.isfinite(reach) else math.nan,
                range_mpc=ranges.get(ifo, math.nan),
                searched_fraction=min(1.0, self._searched / total) if total > 0 else 0.0,
                gaps=dict(account.gaps),
            )
        return detectors

    def _ranges(self) -> dict[str, float]:
        """Range of each detector by the PSD of the latest block, Mpc."""
        stretch = self._search.stretch
        if stretch is None or stretch.psds is None:
            return {}
        if self._range_of[0] != id(stretch.psds):
            whitening = self._search.scorer.preprocessing.whitening
            ifos = self._search.scorer.preprocessing.ifos
            rows = zip(ifos, stretch.psds.cpu().numpy(), strict=True)
            ranges = {ifo: inspiral_range_mpc(psd, 1 / whitening.fftlength, whitening.highpass) for ifo, psd in rows}
            self._range_of = id(stretch.psds), ranges
        return self._range_of[1]


def _latency(values: Iterable[float]) -> Latency:
    median, high = np.quantile(np.array(list(values)), (0.5, 0.95))
    return Latency(float(median), float(high))
