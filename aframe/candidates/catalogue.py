"""Catalogues of known events, and their coincidence with candidates.

``gwosc_events.csv`` lists the events of the Gravitational Wave Open Science Center (https://gwosc.org/eventapi, CC BY
4.0; R. Abbott et al., arXiv:1912.11716 and arXiv:2302.03676) up to GWTC-3 and GW230529. The list includes marginal
events and the blind injection. Each row has the GPS time (s, to a tenth) of the event's latest version, and the
catalogue of that version.
"""

import csv
import functools
from dataclasses import dataclass
from importlib import resources

import numpy as np
from jaxtyping import Float

from aframe.errors import DataError
from aframe.strain.lists import read_events
from aframe.strain.times import format_gps
from aframe.types import Array

GWOSC = "gwosc_events.csv"
PAGE = "https://gwosc.org/eventapi/html/{catalog}/{name}/v{version}/"


@dataclass(frozen=True)
class EventCatalogue:
    """Names and times of known events.

    Attributes:
        names: Event names, shape (events,).
        times: Event times, GPS s, shape (events,).
    """

    names: Array
    times: Array

    @classmethod
    def gwosc(cls) -> "EventCatalogue":
        """Load the list that this package contains."""
        return cls.read(str(resources.files("aframe.candidates") / GWOSC))

    @classmethod
    def read(cls, path: str) -> "EventCatalogue":
        """Read a table with the columns ``name`` and ``gps`` (GPS s), or GWOSC's ``commonName`` and ``GPS``.

        Raises:
            DataError: If an event has no name or no time.
            StorageError: If the file does not exist.
        """
        events = read_events(path)
        unnamed = next((time for name, time in events if not name), None)
        if unnamed is not None:
            raise DataError(f"{path} has no name of the event at {format_gps(unnamed)}: add a column name")
        return cls(np.array([name for name, _ in events], dtype=np.str_), np.array([time for _, time in events]))

    def coincident(self, times: Float[Array, " candidates"], window: float) -> Array:
        """Find the name of the nearest event to each time.

        Args:
            times: Times of candidates, GPS s, shape (candidates,).
            window: Largest time difference, s.

        Returns:
            Names, shape (candidates,); empty without an event within the window.
        """
        if not len(self.times):
            return np.full(len(times), "", dtype=np.str_)
        order = np.argsort(self.times)
        ordered = self.times[order]
        after = np.minimum(np.searchsorted(ordered, times), len(ordered) - 1)
        before = np.maximum(after - 1, 0)
        nearest = np.where(np.abs(times - ordered[before]) <= np.abs(times - ordered[after]), before, after)
        return np.where(np.abs(times - ordered[nearest]) <= window, self.names[order][nearest], "")


def gwosc_page(name: str) -> str:
    """Address of an event's page at GWOSC. It is empty for events outside the list of this package.

    >>> gwosc_page("GW170817")
    'https://gwosc.org/eventapi/html/GWTC-1-confident/GW170817/v3/'
    """
    return _gwosc_pages().get(name, "")


@functools.cache
def _gwosc_pages() -> dict[str, str]:
    text = (resources.files("aframe.candidates") / GWOSC).read_text(encoding="utf-8")
    return {row["name"]: PAGE.format(**row) for row in csv.DictReader(text.splitlines())}
