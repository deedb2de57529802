"""Rank events of a search that runs: by its own time slides as soon as they suffice, and by a file before."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.stats import binomtest

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background

SUFFICIENT_EVENTS = 10.0
"""Events that slides must have at the rate of alerts before they rank: they then know that rate to a third."""

NO_BACKGROUND = "none"
"""Version of the background where there is none."""

COMPARED_EVENTS = (1000, 100, 10)
"""Numbers of a background's loudest events at which its rate is compared with another's."""

CHANCE = 1e-4
"""Probability below which two rates are taken to differ."""

DRIFT = 2.0
"""Ratio of two rates below which they are not said to differ.

Slides repeat each glitch many times. Their events scatter more than the Poisson test expects.
"""

logger = logging.getLogger("aframe.online")


@runtime_checkable
class Rolling(Protocol):
    """A background that grows, as ``RollingBackground``."""

    def background(self) -> Background | None:
        """Events of slides up to now; None without any."""

    @property
    def version(self) -> str:
        """What it consists of."""


@dataclass(frozen=True)
class Rank:
    """How rare an event is.

    Attributes:
        far_per_year: Measured false alarm rate, events per Julian year; infinite without a background.
        far_is_upper_limit: Whether no event of the background is as loud.
        background: Version of the background.
    """

    far_per_year: float
    far_is_upper_limit: bool
    background: str


@dataclass(frozen=True)
class _Chosen:
    """The background that ranks.

    Attributes:
        background: Its events; None without any.
        version: What it is.
        is_rolling: Whether it consists of slides of this search.
    """

    background: Background | None
    version: str
    is_rolling: bool


class Ranking:
    """Ranks events.

    Slides of the search itself rank once they have ``SUFFICIENT_EVENTS`` live times of the rate of alerts. Before, the
    file ranks. Without a file, or with one that is too short to measure the rate of alerts, the slides rank from the
    beginning, and most rates are upper limits.

    Args:
        rolling: Slides of the search; None without any.
        file: Background of a file; None without one.
        file_version: What the file is, such as its name and hash.
        far_per_year: Rate of alerts, events per Julian year.
    """

    def __init__(
        self, rolling: Rolling | None, file: Background | None, file_version: str, far_per_year: float
    ) -> None:
        self.rolling, self.file, self.far_per_year = rolling, file, far_per_year
        self._of_file = _Chosen(file, NO_BACKGROUND if file is None else file_version, False)
        self._chosen = self._of_file
        self.drift = ""
        self._file_measures = file is not None and file.lowest_far_per_year <= far_per_year
        if file is not None and not self._file_measures:
            logger.warning(
                "%s has %.3g years of live time, too few for %g events a year: no event is issued until slides of this "
                "search have enough; give a larger background, or a higher far_per_year",
                file_version, file.livetime_years, far_per_year,
            )  # fmt: skip

    def rank(self, statistic: float) -> Rank:
        """Rank an event by the background of this moment.

        Args:
            statistic: Detection statistic.
        """
        self._choose()
        background = self._chosen.background
        if background is None:
            return Rank(np.inf, True, NO_BACKGROUND)
        measured, is_limit = background.far_per_year(statistic), background.is_upper_limit(statistic)
        return Rank(float(measured), bool(is_limit), self._chosen.version)

    @property
    def threshold(self) -> float:
        """Statistic from which on events have at most the rate of alerts; infinite if no background measures it."""
        self._choose()
        background = self._chosen.background
        if background is None or background.lowest_far_per_year > self.far_per_year:
            return np.inf
        return float(background.threshold_at_far(self.far_per_year))

    def _choose(self) -> None:
        """Choose the background that ranks. Say so if it is another than before, and if the rates have moved apart."""
        slides = None if self.rolling is None else self.rolling.background()
        before = self._chosen
        if slides is before.background and before.is_rolling:
            return
        wanted = SUFFICIENT_EVENTS / self.far_per_year * SECONDS_PER_YEAR
        if self.rolling is not None and slides is not None and (slides.livetime >= wanted or not self._file_measures):
            self._chosen = _Chosen(slides, self.rolling.version, True)
        else:
            self._chosen = self._of_file
        if self._chosen.is_rolling != before.is_rolling:
            logger.warning("%s", _hand_over(before, self._chosen, self.far_per_year))
        if self._chosen.is_rolling and self.file is not None and slides is not None:
            drift = drifted(self.file, slides)
            if drift and not self.drift:
                logger.warning("%s", drift)
            self.drift = drift


def _hand_over(before: _Chosen, after: _Chosen, far_per_year: float) -> str:
    thresholds = []
    for chosen in (before, after):
        background = chosen.background
        if background is None or background.lowest_far_per_year > far_per_year:
            thresholds.append("not measured")
        else:
            thresholds.append(f"{float(background.threshold_at_far(far_per_year)):.3f}")
    if before.background is None:
        return (
            f"events are ranked by {after.version}: the statistic of {far_per_year:g} events a year is {thresholds[1]}"
        )
    return (
        f"events are ranked by {after.version}, no longer by {before.version}: the statistic of {far_per_year:g} "
        f"events a year was {thresholds[0]} and is {thresholds[1]}"
    )


def drifted(file: Background, slides: Background, counts: Sequence[int] = COMPARED_EVENTS) -> str:
    """Compare the rates of two backgrounds above a few statistics.

    Above a statistic, the two numbers of events are Poisson numbers. If the rates are equal, the second number is
    binomial, given the sum (Przyborowski and Wilenski, Biometrika 31, 313, 1940).

    Args:
        file: First background.
        slides: Second background.
        counts: Numbers of the first one's loudest events, each of which gives a statistic.

    Returns:
        A sentence about the largest difference; empty without one.
    """
    largest, sentence = DRIFT, ""
    share = slides.livetime / (slides.livetime + file.livetime)
    quietest = slides.statistics[0] if len(slides.statistics) else np.inf
    for count in counts:
        if len(file.statistics) < count or file.statistics[-count] < quietest:
            continue
        statistic = float(file.statistics[-count])
        both = (int(file.count(statistic)), int(slides.count(statistic)))
        ratio = (both[1] + 0.5) / slides.livetime / ((both[0] + 0.5) / file.livetime)
        is_chance = binomtest(both[1], sum(both), share).pvalue > CHANCE
        if not is_chance and max(ratio, 1 / ratio) > largest:
            largest = max(ratio, 1 / ratio)
            sentence = (
                f"the rate of events above {statistic:.3f} has changed: slides have {both[1]} in "
                f"{slides.livetime_years:.3g} years, the file has {both[0]} in {file.livetime_years:.3g} years"
            )
    return sentence
