"""The last day of a search, a sample a minute: ranges of the detectors, and latencies."""

import contextlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from aframe import storage
from aframe.errors import StorageError
from aframe.online.documents import numbered, to_json
from aframe.online.health import Health
from aframe.report.palette import PALETTE
from aframe.report.plots import Axis, Line, Plot

FILE = "history.json"
"""Name of the file, in the output directory."""

INTERVAL = 60.0
"""Time between two samples, s."""

MOST_SAMPLES = 24 * 60
"""Number of samples that are kept: those of a day."""


class History:
    """Samples of a search's records, oldest first.

    Args:
        directory: Output directory of the search. Samples that are there from before are taken up.
    """

    def __init__(self, directory: str) -> None:
        self._path = storage.join(directory, FILE)
        self.samples: list[dict[str, Any]] = []
        with contextlib.suppress(StorageError, ValueError, TypeError, KeyError):
            self.samples = list(json.loads(storage.read_text(self._path))["samples"])[-MOST_SAMPLES:]

    def add(self, health: Health) -> bool:
        """Take a sample and save all, if the last one is a minute old. Whether it did.

        Args:
            health: The latest record.
        """
        if self.samples and health.written - self.samples[-1]["time"] < INTERVAL:
            return False
        ranges = {ifo: detector.range_mpc for ifo, detector in health.detectors.items()}
        latency = {part: each.median for part, each in health.latency.items()}
        sample = {"time": health.written, "range_mpc": ranges, "latency_s": latency}
        self.samples = [*self.samples, sample][-MOST_SAMPLES:]
        with contextlib.suppress(StorageError):  # a full disk must not end the page
            storage.write_text(self._path, to_json({"samples": self.samples}))
        return True

    def plots(self, now: float) -> list[Plot]:
        """Ranges and latencies against time; none without samples.

        Args:
            now: Unix time of the right end, s.
        """
        shown = (("Range", "Mpc", "range_mpc"), ("Latency, median", "s", "latency_s"))
        return [
            Plot(
                title=title,
                x=Axis("Time from now", "h"),
                y=Axis(title, unit, limits=(0.0, None)),
                marks=self._lines(lambda sample, key=key: sample[key], now),  # type: ignore[misc]
            )
            for title, unit, key in shown
            if any(sample[key] for sample in self.samples)
        ]

    def _lines(self, of: Callable[[Mapping[str, Any]], Mapping[str, Any]], now: float) -> Sequence[Line]:
        hours = np.array([(sample["time"] - now) / 3600 for sample in self.samples])
        names = list(dict.fromkeys(name for sample in self.samples for name in of(sample)))
        rows = [numbered(of(sample)) for sample in self.samples]
        return [
            Line(x=hours, y=np.array([row.get(name, math.nan) for row in rows]), color=color, label=name)
            for name, color in zip(names, PALETTE, strict=False)
        ]
