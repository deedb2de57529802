"""What a report shows; anything that is not there yet is None."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aframe.events.candidates import CandidateTable
from aframe.events.significance import Background
from aframe.sensitivity.efficiency import Efficiency
from aframe.sensitivity.volume import VolumeCurve
from aframe.tables import RecoveredTable
from aframe.types import Array

TrainingCurves = Mapping[str, tuple[Array, Array]]
"""Epochs and values of each metric."""


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """All that a report is made of.

    Attributes:
        title: Heading of the page.
        configuration: Parameters of the run by ``section.key``.
        training: Epochs and values of each metric.
        background: Events of time slides.
        candidates: Zero-lag events, loudest first.
        injections: All accepted injections and the events that recovered them.
        volumes: Sensitive volume curves by population.
        efficiencies: Shares found by population and axis.
        provenance: Versions, date and seed.
    """

    title: str
    configuration: Mapping[str, Any] | None
    training: TrainingCurves | None
    background: Background | None
    candidates: CandidateTable | None
    injections: RecoveredTable | None
    volumes: Mapping[str, VolumeCurve] | None
    efficiencies: Mapping[str, Mapping[str, Efficiency]] | None
    provenance: Mapping[str, str]

    @property
    def simulated(self) -> bool:
        """Whether the noise is simulated."""
        return bool(self.configuration) and (self.configuration or {}).get("data.source") == "simulated"

    @property
    def reference_far_per_year(self) -> float | None:
        """Rate at which the report calls an injection found: one a year, or the lowest that can be measured."""
        return None if self.background is None else max(1.0, self.background.lowest_far_per_year)


def rates_to_show(lowest: float, highest: float) -> list[float]:
    """False alarm rates per year at which numbers are given: one per year, month and day, as far as they are measured.

    >>> rates_to_show(10.0, 1e6), rates_to_show(0.1, 1e6)
    ([10.0, 365.25], [1.0, 12.0, 365.25])
    """
    reference = max(lowest, 1.0)
    return [reference, *(rate for rate in (12.0, 365.25) if 2 * reference < rate <= highest)]
