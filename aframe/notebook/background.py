"""The background of a search: events of time slides, and what rates follow from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from astropy.table import QTable
from matplotlib.axes import Axes

from aframe.events.candidates import CandidateTable
from aframe.events.significance import Background
from aframe.events.tail import ExponentialTail, fit_tail
from aframe.notebook.shown import Shown, show, with_units
from aframe.report import panels
from aframe.report.text import duration, number, rate
from aframe.tables import EventTable


@dataclass(frozen=True, repr=False, eq=False)
class SearchBackground(Shown, Background):
    """Events of time slides: a ``Background`` that can be looked at.

    Attributes:
        path: File that they are in.
        zero_lag: Events of unshifted data, loudest first, to draw beside them.
    """

    path: str
    zero_lag: CandidateTable | None = None

    @cached_property
    def tail(self) -> ExponentialTail | None:
        """What is fitted to the loudest events, if that is an exponential."""
        tail = fit_tail(self) if self.zero_lag is None else self.zero_lag.tail
        return tail if tail is not None and tail.is_exponential else None

    def facts(self) -> Mapping[str, str]:
        """How much there is of it."""
        loudest = f"{self.statistics[-1]:.3f}" if len(self.statistics) else "none"
        return {
            "events": number(len(self.statistics)),
            "live time": f"{self.livetime_years:.4g} yr ({duration(self.livetime)})",
            "loudest": loudest,
            "lowest rate": f"{self.lowest_far_per_year:.4g} / yr ({rate(self.lowest_far_per_year)})",
            "file": self.path,
        }

    def plot(self, axes: Axes | None = None) -> Axes:
        """Events per year at least as loud, as in the report's figure ``background``.

        Args:
            axes: Where it is drawn; a new figure where None.
        """
        draw = partial(panels.background, slides=self, zero_lag=self.zero_lag, tail=self.tail)
        return show(draw, axes, ncols=2)

    def to_astropy(self) -> QTable:
        """All columns of all events, with units; read anew at each call, as a year's are some hundred megabytes."""
        return with_units(EventTable.read(self.path).parameters)


def read_background(path: str) -> SearchBackground:
    """The background in a file: ``background.hdf5`` of a run's results.

    Args:
        path: Local or ``s3://``.

    Raises:
        StorageError: If it is missing or no table of events.
    """
    events = Background.read(str(path))
    return SearchBackground(events.statistics, events.livetime, str(path))
