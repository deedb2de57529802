"""Probabilities of an event's source classes, from p_astro and the best template."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aframe.candidates.classes import CLASSES, TERRESTRIAL, ClassModel
from aframe.candidates.rank import SignalModel
from aframe.online.live_event import LiveEvent


def class_probabilities(p_astro: float, template: Mapping[str, float], classes: ClassModel) -> dict[str, float]:
    """Share out an event's p_astro.

    Args:
        p_astro: Probability that the event is a signal.
        template: Parameters of the best template, with ``mass_1`` and ``mass_2`` in the detector's frame; without
            them, the classes are those of the population.
        classes: Classes of the signals that the run recovers.

    Returns:
        Probability of each class and of ``Terrestrial``, whose sum is 1.
    """
    masses = (np.array([template.get(name, math.nan)]) for name in ("mass_1", "mass_2"))
    shares = classes.shares(*masses)[0].tolist()
    return {**{name: p_astro * share for name, share in zip(CLASSES, shares, strict=True)}, TERRESTRIAL: 1 - p_astro}


def live_p_astro(signals: SignalModel, statistic: float, far_per_year: float, is_upper_limit: bool) -> float:
    """Probability that an event is a signal, from the densities of a run and the search's own false alarm rate.

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
    ratio = signals.densities.log_ratio(value)
    if not is_upper_limit and not background.is_upper_limit(value)[0]:
        ratio = ratio - math.log(far_per_year / float(background.far_interpolated_per_year(value)[0]))
    return float(signals.posterior.p_astro(ratio)[0])


@dataclass(frozen=True)
class SourceClasses:
    """Gives the class probabilities of events.

    Attributes:
        signals: Densities of signals and noise, the signals' rate and their classes, of the run.
    """

    signals: SignalModel

    def __call__(self, event: LiveEvent) -> dict[str, float]:
        """Probability of each class and of ``Terrestrial``.

        Args:
            event: Event with its statistic, false alarm rate and template.
        """
        p_astro = live_p_astro(self.signals, event.statistic, event.far_per_year, event.far_is_upper_limit)
        return class_probabilities(p_astro, event.template, self.signals.classes)
