"""False alarm rates and significance of events from a background of time slides."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import poisson

from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError, DataError
from aframe.tables import EventTable
from aframe.types import Array

FAR_TOLERANCE = 1e-12
"""Relative tolerance of the test whether a false alarm rate is a whole number of events per livetime."""

TAIL_SIZE = 30
"""Number of the loudest events whose mean excess is the scale of the tail beyond them."""


def tail_scale(loudest: Float[Array, " events"]) -> float:
    """Scale of an exponential tail beyond the loudest event: the mean excess over the ``TAIL_SIZE``-th loudest.

    Args:
        loudest: Statistics, loudest first. 0 with fewer than two.

    >>> tail_scale(np.array([4.0, 2.0, 1.0]))
    2.0
    """
    tail = loudest[:TAIL_SIZE]
    return float((tail[:-1] - tail[-1]).mean()) if len(tail) > 1 else 0.0


def false_alarm_rate(
    count: Int[Array, "*shape"] | np.integer, livetime: Float[Array, "*shape"] | float
) -> Float[Array, "*shape"]:
    """False alarm rate, max(n_b, 1) / T_b, in events per Julian year.

    Args:
        count: Number of background events at least as loud, n_b.
        livetime: Live time of the background, T_b, in s.
    """
    return np.asarray(np.maximum(count, 1) / (livetime / SECONDS_PER_YEAR))


def false_alarm_probability(
    count: Int[Array, "*shape"], livetime: Float[Array, "*shape"] | float, observed: float
) -> Float[Array, "*shape"]:
    """Probability of at least one noise event as loud during an observation: 1 − exp(−T (1 + n_b) / T_b).

    Usman et al., arXiv:1508.02357, eq. 17.

    Args:
        count: Number of background events at least as loud, n_b.
        livetime: Live time of the background, T_b, in s.
        observed: Observing time without time slides, T, in s.
    """
    return np.asarray(-np.expm1(-observed * (1 + count) / livetime))


@runtime_checkable
class Thresholds(Protocol):
    """What says which statistic has a false alarm rate."""

    def threshold_at_far(self, far_per_year: Float[Array, " rates"]) -> Float[Array, " rates"]:
        """Smallest statistic with a false alarm rate of at most ``far_per_year``, events per Julian year."""

    def threshold_interval(
        self, far_per_year: Float[Array, " rates"], probability: float
    ) -> tuple[Float[Array, " rates"], Float[Array, " rates"]]:
        """Statistics between which the true threshold of a rate lies with a probability."""


@dataclass(frozen=True)
class Background:
    """Events of time-slid data. Time slides hold no coincident signals.

    Attributes:
        statistics: Detection statistics, shape (events,). The constructor takes any order and sorts them.
        livetime: Live time of all time slides, T_b, in s.

    Raises:
        DataError: If the live time is not positive or a statistic is not finite.
    """

    statistics: Float[Array, " events"]
    livetime: float

    def __post_init__(self) -> None:
        if not self.livetime > 0:
            raise DataError(f"background livetime is {self.livetime} s: score time slides before asking for rates")
        ordered = np.sort(self.statistics)
        if not np.isfinite(ordered[[0, -1]] if len(ordered) else 0.0).all():
            raise DataError("a background event has a statistic that is not finite: score that segment again")
        object.__setattr__(self, "statistics", ordered)

    @classmethod
    def read(cls, path: str) -> "Background":
        """Read the statistics and the live time of an event table."""
        table = EventTable.read(path, columns=["detection_statistic"])
        return cls(table["detection_statistic"], table.livetime)

    @property
    def livetime_years(self) -> float:
        """Live time of all time slides, T_b, in Julian years."""
        return self.livetime / SECONDS_PER_YEAR

    @property
    def lowest_far_per_year(self) -> float:
        """Lowest rate that this background can measure: one event per live time."""
        return 1 / self.livetime_years

    def count(self, statistic: Float[Array, "*shape"] | float) -> Int[Array, "*shape"]:
        """Number of background events at least as loud, n_b.

        Raises:
            DataError: If a statistic is not a number. It would count as louder than all background.
        """
        _check_numbers(statistic)
        return np.asarray(len(self.statistics) - np.searchsorted(self.statistics, statistic, side="left"))

    def far_per_year(self, statistic: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
        """False alarm rate in events per Julian year: see ``false_alarm_rate``.

        The rate of an event louder than all background, 1 / T_b, is an upper limit.
        """
        return false_alarm_rate(self.count(statistic), self.livetime)

    def is_upper_limit(self, statistic: Float[Array, "*shape"] | float) -> Bool[Array, "*shape"]:
        """Whether no background event is as loud. The false alarm rate is then an upper limit."""
        return np.asarray(self.count(statistic) == 0)

    def far_interpolated_per_year(self, statistic: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
        """False alarm rate as a continuous function of the statistic, in events per Julian year.

        The rate at a background event is ``far_per_year``. Between two events, its logarithm is linear in the
        statistic. The rate is constant beyond the loudest and the quietest event. It is never below ``far_per_year``.

        Raises:
            DataError: If a statistic is not a number.
        """
        _check_numbers(statistic)
        events = self.statistics.astype(np.float64)
        if not len(events):
            return self.far_per_year(statistic)
        value = np.clip(np.asarray(statistic, dtype=np.float64), events[0], events[-1])
        above = np.searchsorted(events, value, side="left")
        upper, lower = events[above], events[np.maximum(above - 1, 0)]
        gap = upper - lower
        share = np.divide(upper - value, gap, out=np.zeros_like(value), where=gap > 0)
        at_upper, at_lower = np.log(self.far_per_year(upper)), np.log(self.far_per_year(lower))
        return np.asarray(np.exp(at_upper + share * (at_lower - at_upper)))

    def significance(self, statistic: Float[Array, "*shape"] | float, livetime: float) -> Float[Array, "*shape"]:
        """Probability of at least one noise event as loud: see ``false_alarm_probability``.

        Args:
            statistic: Detection statistics.
            livetime: Observing time without time slides, T, in s.

        Returns:
            One probability per statistic.
        """
        return false_alarm_probability(self.count(statistic), self.livetime, livetime)

    def threshold_at_far(self, far_per_year: Float[Array, "*shape"] | float) -> Float[Array, "*shape"]:
        """Smallest statistic with a false alarm rate of at most ``far_per_year``.

        Let the rate allow k background events. The threshold is the next floating-point number above the (k + 1)-th
        loudest background statistic. If the rate allows all background events, the threshold is the lowest finite
        number. Every threshold is thus above −inf, the statistic of injections without an event.

        Args:
            far_per_year: Events per Julian year.

        Returns:
            One threshold per rate.

        Raises:
            ConfigurationError: If a rate is below ``lowest_far_per_year``.
        """
        rate = np.asarray(far_per_year, dtype=np.float64)
        allowed = np.floor(np.minimum(rate * self.livetime_years * (1 + FAR_TOLERANCE), len(self.statistics) + 1))
        allowed = np.nan_to_num(allowed, nan=0.0).astype(np.int64)
        if not (allowed >= 1).all():
            raise ConfigurationError(
                f"false alarm rate {rate.min():.4g} per year cannot be measured with {self.livetime_years:.4g} years "
                f"of background, whose lowest is {self.lowest_far_per_year:.4g} per year: "
                "use that rate or score more time slides"
            )
        lowest = np.finfo(np.float64).min
        padded = np.concatenate([[-np.inf], self.statistics.astype(np.float64)])
        loudest_excluded = padded[np.maximum(len(self.statistics) - allowed, 0)]
        return np.asarray(np.maximum(np.nextafter(loudest_excluded, np.inf), lowest))

    def threshold_interval(
        self, far_per_year: Float[Array, " rates"], probability: float
    ) -> tuple[Float[Array, " rates"], Float[Array, " rates"]]:
        """Statistics between which the true threshold of a rate lies, given that these events are a chance sample.

        The number of background events above the true threshold is a Poisson number of mean k = rate × T_b. Its
        quantiles give the ends. If it may be 0, the upper end lies beyond the loudest event, where the rate is taken to
        fall exponentially, with the mean excess of the loudest ``TAIL_SIZE`` events as scale.

        Args:
            far_per_year: Events per Julian year.
            probability: Probability of the interval.

        Returns:
            Lower and upper ends, each of shape (rates,).
        """
        loudest = self.statistics[::-1].astype(np.float64)
        if not len(loudest):
            none = np.full(np.shape(far_per_year), np.finfo(np.float64).min)
            return none, none
        mean, outside = np.asarray(far_per_year) * self.livetime_years, (1 - probability) / 2
        padded = np.append(loudest, np.finfo(np.float64).min)
        most = np.minimum(poisson.ppf(1 - outside, mean), len(loudest)).astype(np.int64)
        fewest = np.minimum(poisson.ppf(outside, mean), len(loudest)).astype(np.int64)
        beyond = loudest[0] + tail_scale(loudest) * np.maximum(-mean - np.log(outside), 0.0)
        return padded[most], np.where(fewest > 0, padded[np.maximum(fewest - 1, 0)], beyond)


def _check_numbers(statistic: Float[Array, "*shape"] | float) -> None:
    if np.isnan(statistic).any():
        raise DataError("a statistic is not a number, so it has no false alarm rate: score that segment again")
