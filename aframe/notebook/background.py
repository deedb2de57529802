"""The background of a search: events of time slides, and false alarm rates measured with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.table import QTable
from jaxtyping import Float, Int
from matplotlib.axes import Axes

from aframe.candidates.table import CandidateTable
from aframe.errors import ConfigurationError, DataError
from aframe.events.significance import FAR_TOLERANCE, Background
from aframe.events.tail import Tail, fit_tail
from aframe.notebook.arguments import numbers
from aframe.notebook.display import DisplayedObject, show, with_units
from aframe.report import figures
from aframe.report.text import duration, number, rate
from aframe.tables import EventTable
from aframe.types import Array


@dataclass(frozen=True, repr=False, eq=False)
class SearchBackground(DisplayedObject, Background):
    """Events of time slides: a ``Background`` that displays itself and refuses arguments that are no numbers.

    Attributes:
        path: File of the events.
        zero_lag: Events of unshifted data, loudest first. Figures show them with the background.
    """

    path: str
    zero_lag: CandidateTable | None = None

    @cached_property
    def tail(self) -> Tail | None:
        """Generalised Pareto fit to the loudest events; None if it may not be extrapolated."""
        tail = fit_tail(self) if self.zero_lag is None else self.zero_lag.tail
        return tail if tail is not None and tail.is_accepted else None

    @property
    def highest_far_per_year(self) -> float:
        """Number of events over livetime: the false alarm rate of the quietest event."""
        return self.lowest_far_per_year * max(1, len(self.statistics))

    def count(self, statistic: Float[Array, "*shape"] | float) -> Int[Array, "*shape"]:
        """Number of events at least as loud. ``far_per_year``, ``is_upper_limit`` and ``significance`` use it.

        Raises:
            DataError: If a statistic is no number.
        """
        return super().count(numbers(statistic, "a detection statistic"))

    def far_interpolated_per_year(self, statistic: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
        """False alarm rate as a continuous function of the statistic, in events per Julian year.

        Raises:
            DataError: If a statistic is no number.
        """
        return super().far_interpolated_per_year(numbers(statistic, "a detection statistic"))

    def significance(self, statistic: Float[Array, "*shape"] | float, livetime: float) -> Float[Array, "*shape"]:
        """Probability that noise makes at least one event as loud during an observation.

        Args:
            statistic: Detection statistics.
            livetime: Seconds of observation without time slides.

        Raises:
            DataError: If a statistic or the time is no number, or the time is negative.
        """
        if (numbers(livetime, "the livetime") < 0).any():
            raise DataError(f"the livetime of {livetime} s is negative: give the seconds that were observed")
        return super().significance(statistic, livetime)

    def threshold_at_far(self, far_per_year: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
        """Smallest statistic whose false alarm rate is at most ``far_per_year``.

        Args:
            far_per_year: Events per Julian year, from ``lowest_far_per_year`` to ``highest_far_per_year``. Any
                statistic has at most the latter rate, so its threshold is the lowest finite number.

        Raises:
            DataError: If a rate is no number.
            ConfigurationError: If a rate is outside that range.
        """
        far = numbers(far_per_year, "a false alarm rate")
        highest = self.highest_far_per_year
        if (far > highest * (1 + FAR_TOLERANCE)).any():
            raise ConfigurationError(
                f"no threshold has a false alarm rate as high as {np.max(far):.4g} per year: this background has "
                f"{len(self.statistics)} events, {highest:.4g} per year; give a rate up to that"
            )
        return super().threshold_at_far(far)

    def facts(self) -> Mapping[str, str]:
        """Number of events, live time, loudest event, lowest rate and file."""
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
            axes: Axes to draw on; None makes a new figure.
        """
        return show(figures.background(self, self.zero_lag, self.tail), axes)

    def to_astropy(self) -> QTable:
        """All columns of all events, with units.

        Each call reads the file, as the events of a year take some hundred megabytes of memory.
        """
        return with_units(EventTable.read(self.path).parameters)


def read_background(path: str) -> SearchBackground:
    """Read the background in a file: ``background.hdf5`` of a run's results.

    Args:
        path: Local or s3 path.

    Raises:
        StorageError: If the file is missing or holds no table of events.
    """
    events = Background.read(str(path))
    return SearchBackground(events.statistics, events.livetime, str(path))
