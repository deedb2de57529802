"""Probabilities of an event's source classes, from the densities of a run and the event's best template."""

import math
from dataclasses import dataclass

import numpy as np

from aframe.candidates.classes import CLASSES, TERRESTRIAL
from aframe.candidates.rank import SignalModel
from aframe.online.live_event import LiveEvent


def live_log_ratio(signals: SignalModel, statistic: float, far_per_year: float, is_upper_limit: bool) -> float:
    """Natural logarithm of signals to noise, from the densities of a run and the search's own false alarm rate.

    Noise changes. The run's density of noise is multiplied by the ratio of the false alarm rates that the search and
    the run have at this statistic, unless one of them is only an upper limit.

    Args:
        signals: Densities of signals and noise, and the signals' rate, of the run.
        statistic: Statistic of the event.
        far_per_year: Its false alarm rate in the search, events per Julian year.
        is_upper_limit: Whether that is an upper limit.
    """
    background = signals.densities.background
    value = np.array([statistic])
    ratio = float(signals.densities.log_ratio(value)[0])
    if not is_upper_limit and not background.is_upper_limit(value)[0]:
        ratio -= math.log(far_per_year / float(background.far_interpolated_per_year(value)[0]))
    return ratio


@dataclass(frozen=True)
class SourceClasses:
    """Gives the class probabilities of events.

    Attributes:
        signals: Densities of signals and noise, and the signals' rates, of the run.
    """

    signals: SignalModel

    def __call__(self, event: LiveEvent) -> dict[str, float]:
        """Probability of each class and of ``Terrestrial``, whose sum is 1.

        Args:
            event: Event with its statistic and false alarm rate, and its template if there is one.
        """
        ratio = live_log_ratio(self.signals, event.statistic, event.far_per_year, event.far_is_upper_limit)
        masses = np.array([[event.template.get(name, math.nan) for name in ("mass_1", "mass_2")]])
        p_astro = float(self.signals.posterior.p_astro(np.array([ratio]))[0])
        shares = self.signals.sources.split(np.array([ratio]), np.array([event.statistic]), masses)[0]
        return {**{n: p_astro * float(s) for n, s in zip(CLASSES, shares, strict=True)}, TERRESTRIAL: 1 - p_astro}
