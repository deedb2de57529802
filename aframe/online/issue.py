"""Make events of what the search sees: one for each signal, with revisions, and none twice."""

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from aframe.errors import AframeError
from aframe.events.cluster import Clustering
from aframe.online.live_event import LiveEvent, identifier_of
from aframe.online.live_stretch import ScoredPiece
from aframe.online.ranking import Ranking
from aframe.online.tracking import Sighting
from aframe.online.views import View
from aframe.preprocessing import Preprocessing

LOUDER = 1e-3
"""Least increase of the statistic that makes a revision. Smaller ones are rounding."""

REMEMBERED = 64
"""Number of the latest events that are compared with what the search sees."""

Part = TypeVar("Part")

logger = logging.getLogger("aframe.online")

Classes = Callable[[LiveEvent], Mapping[str, float]]
"""Probability of each class of an event's source."""

Viewer = Callable[[Sequence[Tensor], float, float], View]
"""What the detectors saw: of the whitened strain of a window, its start (GPS s) and the coalescence (GPS s)."""


@dataclass(frozen=True)
class Recipe:
    """What events are made with.

    Attributes:
        preprocessing: Of the model.
        clustering: Settings that turn scores into events.
        ranking: Gives false alarm rates.
        viewer: Says what the detectors saw.
        classes: Probabilities of the classes; None for none.
        versions: Versions of the code and of the model.
    """

    preprocessing: Preprocessing
    clustering: Clustering
    ranking: Ranking
    viewer: Viewer
    classes: Classes | None
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Moment:
    """When what was searched last had come.

    Attributes:
        latest: End of the newest strain, GPS s.
        received: When it was read, unix s.
        transport: Time from its measurement until then, s.
    """

    latest: float
    received: float
    transport: float


class Issuer:
    """Makes events of sightings.

    Args:
        recipe: What events are made with.
        before: Events that were issued before this process began, the latest revision of each.
    """

    def __init__(self, recipe: Recipe, before: Sequence[LiveEvent]) -> None:
        self.recipe, self._before = recipe, list(before)[-REMEMBERED:]
        self._events: dict[str, LiveEvent] = {}
        self._views: dict[str, View] = {}

    def event(self, sighting: Sighting, pieces: Iterable[ScoredPiece], moment: Moment) -> LiveEvent | None:
        """The event of a sighting; None if it tells nothing new.

        Args:
            sighting: What the search sees.
            pieces: Latest scored strain.
            moment: When the strain had come.
        """
        recipe, first = self.recipe, identifier_of(sighting.first)
        known = self._known(first, sighting.time)
        if known is not None:
            sample = 1 / recipe.preprocessing.whitening.sample_rate
            is_louder = sighting.statistic > known.statistic + LOUDER
            # A quieter one is the edge of a signal whose maximum was seen before a restart.
            is_same = abs(sighting.statistic - known.statistic) <= LOUDER
            is_moved = sighting.is_final and is_same and abs(sighting.time - known.time) > sample
            if not (is_louder or is_moved):
                return None
        rank = recipe.ranking.rank(sighting.statistic)
        view = _or_nothing(lambda: self._view(first, sighting, pieces), View(), f"what the detectors saw of {first}")
        event = LiveEvent(
            identifier=first if known is None else known.identifier,
            revision=0 if known is None else known.revision + 1,
            time=sighting.time,
            statistic=sighting.statistic,
            far_per_year=rank.far_per_year,
            far_is_upper_limit=rank.far_is_upper_limit,
            detectors=view.detectors,
            template=view.template,
            p_astro={},
            latency={},
            versions={**recipe.versions, "background": rank.background},
        )
        classes: Mapping[str, float] = {}
        if recipe.classes is not None:
            classes = _or_nothing(functools.partial(recipe.classes, event), classes, f"the classes of {first}")
        latency = {
            "arrived": moment.latest - sighting.time + moment.transport,
            "computed": max(0.0, time.time() - moment.received),
        }
        event = dataclasses.replace(event, p_astro=classes, latency=latency)
        self._remember(first, event)
        return event

    def _known(self, first: str, time: float) -> LiveEvent | None:
        """The event of a first maximum; or one from before a restart, by its time."""
        reach = self.recipe.clustering.cluster_window_length / 2
        near = [each for each in self._before if abs(each.time - time) <= reach]
        return self._events.get(first) or min(near, key=lambda each: abs(each.time - time), default=None)

    def _remember(self, first: str, event: LiveEvent) -> None:
        self._events.pop(first, None)
        self._events[first] = event
        while len(self._events) > REMEMBERED:
            oldest = next(iter(self._events))
            del self._events[oldest]
            self._views.pop(oldest, None)

    def _view(self, first: str, sighting: Sighting, pieces: Iterable[ScoredPiece]) -> View:
        """What the detectors saw in the loudest window, or what they saw before if it is no longer at hand."""
        preprocessing = self.recipe.preprocessing
        rate, size = preprocessing.whitening.sample_rate, preprocessing.kernel_size
        for piece in pieces:
            low = round((sighting.window - piece.start) * rate)
            if 0 <= low <= len(piece.strain[0]) - size:
                strain = [each[low : low + size] for each in piece.strain]
                self._views[first] = self.recipe.viewer(strain, piece.start + low / rate, sighting.time)
                break
        return self._views.get(first, View())


def _or_nothing(made: Callable[[], Part], nothing: Part, name: str) -> Part:
    """A part of an event; nothing where it cannot be made. An event without it is better than none."""
    try:
        return made()
    except (AframeError, ArithmeticError, LookupError, RuntimeError, ValueError) as error:
        logger.error("%s cannot be told: %s", name, error)
        return nothing
