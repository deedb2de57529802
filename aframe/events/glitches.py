"""Which glitches of simulated noise are near events."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from aframe.tables import EventTable, GlitchTable
from aframe.types import Array

WINDOW = 1.0
"""Largest distance of an event from the middle of a short glitch, or from an end of a long one, s."""


@dataclass(frozen=True)
class EventGlitches:
    """The loudest events of a background, and the glitches near them.

    Attributes:
        statistics: Detection statistics, loudest first, shape (events,).
        names: Class of the loudest glitch near each event, shape (events,). Empty without one.
        numbers: Number of glitches in the data by class and detector, such as ``("blip", "H1")``.
        shares: Share of the time that is near a glitch of a class, by class: what chance alone explains.
    """

    statistics: Float[Array, " events"]
    names: Array
    numbers: dict[tuple[str, str], int]
    shares: dict[str, float]

    @classmethod
    def of(cls, events: EventTable, glitches: GlitchTable, ifos: Sequence[str], livetime: float) -> "EventGlitches":
        """Find the glitches near events.

        Args:
            events: Events of time slides.
            glitches: Glitches in the data.
            ifos: Detectors, in the order of the events' shifts.
            livetime: Length of the data, s.
        """
        events = events.rows(np.argsort(-events["detection_statistic"], kind="stable"))
        classes = sorted(set(glitches["glitch_class"].tolist()))
        numbers = {
            (name, ifo): int(((glitches["glitch_class"] == name) & (glitches["ifo"] == ifo)).sum())
            for name in classes
            for ifo in ifos
        }
        taken = 2 * _half_widths(glitches) / livetime
        shares = {name: float(taken[glitches["glitch_class"] == name].sum()) for name in classes}
        return cls(events["detection_statistic"], names_near(events, glitches, ifos), numbers, shares)

    def among(self, number: int) -> dict[str, int]:
        """Number of events by class, among the loudest.

        Args:
            number: Number of the loudest events.
        """
        names, counts = np.unique(self.names[:number], return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))


def names_near(events: EventTable, glitches: GlitchTable, ifos: Sequence[str]) -> Array:
    """Find the class of the glitch near each event. Of several, the loudest in the search's band counts.

    Args:
        events: Events. Slide time t is the time t + shift in the data of a detector.
        glitches: Glitches in the data.
        ifos: Detectors, in the order of the events' shifts.

    Returns:
        Classes, shape (events,). Empty without a glitch.
    """
    names = np.full(len(events), "", dtype=np.dtype("U32"))
    loudest = np.zeros(len(events))
    half = _half_widths(glitches)
    for k in range(len(glitches)):
        time = events["detection_time"] + events["shift"][:, list(ifos).index(str(glitches["ifo"][k]))]
        near: Bool[Array, " events"] = np.abs(time - glitches["glitch_time"][k]) <= half[k]
        near &= glitches["snr_in_band"][k] > loudest
        names[near], loudest[near] = glitches["glitch_class"][k], glitches["snr_in_band"][k]
    return names


def _half_widths(glitches: GlitchTable) -> Array:
    """Time on either side of a glitch's middle in which events are near it, s."""
    return WINDOW + np.nan_to_num(glitches["duration"]) / 2
