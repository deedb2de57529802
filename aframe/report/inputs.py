"""What a report shows; anything that is not there yet is None."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aframe.candidates.table import CandidateTable
from aframe.events.significance import Background
from aframe.events.tail import ExponentialTail
from aframe.inference.closeup import Closeup
from aframe.sensitivity.efficiency import Efficiency
from aframe.sensitivity.volume import VolumeCurve
from aframe.tables import EventTable, RecoveredTable
from aframe.types import Array

SignalCounts = Mapping[str, int]
"""Of a set of signals: how many there are and, by the names of its table's attributes, how many draws that took."""

RunTimes = Mapping[str, tuple[int, float, str]]
"""Of each kind of task: how many there were, seconds that they took together, and when the last one ended (UTC)."""

TrainingCurves = Mapping[str, tuple[Array, Array]]
"""Epochs and values of each metric."""


@dataclass(frozen=True)
class DrawHistograms:
    """Where the testing injections' draws lie: all of them, and those accepted.

    Attributes:
        mass_edges: Edges of bins in source-frame mass, M☉, evenly in logarithm.
        masses: Physical draws in bins of mass_1 (rows) and mass_2, shape (masses, masses).
        accepted_masses: Some of the accepted, source-frame mass_1 and mass_2 in M☉, shape (2, n).
        redshift_edges: Edges of bins in redshift.
        redshifts: Physical draws, and accepted ones, in bins of redshift, shape (2, redshifts).
        snr_edges: Edges of bins in network SNR, evenly in logarithm.
        snrs: Draws of which a waveform was made, and accepted ones, in bins of network SNR, shape (2, snrs).
    """

    mass_edges: Array
    masses: Array
    accepted_masses: Array
    redshift_edges: Array
    redshifts: Array
    snr_edges: Array
    snrs: Array


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """All that a report is made of.

    Attributes:
        title: Heading of the page.
        configuration: Parameters of the run by ``section.key``.
        training: Epochs and values of each metric.
        background: Events of time slides.
        candidates: Zero-lag events, loudest first.
        vetoed: Zero-lag events in vetoed time, and by whom they are vetoed; None where nothing is vetoed.
        closeups: What the loudest of them look like, by rank, which begins at 1.
        signals: Counts of each set of signals (training, validation, testing) that there is.
        draws: Where the testing injections' draws lie.
        injections: All accepted injections and the events that recovered them.
        volumes: Sensitive volume curves by population.
        efficiencies: Shares found by population and axis.
        segments: Start and stop (GPS s) of the segments of each stage, shape (segments, 2).
        noise: Frequency (Hz) and amplitude spectral density (1/√Hz) of each detector.
        run_times: How long tasks took.
        provenance: Versions, commit, date, seed and hashes.
    """

    title: str
    configuration: Mapping[str, Any] | None
    training: TrainingCurves | None
    background: Background | None
    candidates: CandidateTable | None
    vetoed: EventTable | None
    closeups: Mapping[int, Closeup]
    signals: Mapping[str, SignalCounts]
    draws: DrawHistograms | None
    injections: RecoveredTable | None
    volumes: Mapping[str, VolumeCurve] | None
    efficiencies: Mapping[str, Mapping[str, Efficiency]] | None
    segments: Mapping[str, Array]
    noise: Mapping[str, tuple[Array, Array]] | None
    run_times: RunTimes
    provenance: Mapping[str, str]

    @property
    def simulated(self) -> bool:
        """Whether the noise is simulated."""
        return bool(self.configuration) and (self.configuration or {}).get("data.source") == "simulated"

    @property
    def tail(self) -> ExponentialTail | None:
        """What is fitted to the loudest background events, if that is an exponential."""
        tail = self.candidates.tail if self.candidates is not None else None
        return tail if tail is not None and tail.is_exponential else None

    @property
    def reference_far_per_year(self) -> float | None:
        """Rate at which the report calls an injection found: one a year, or the lowest that can be measured."""
        return None if self.background is None else reference_far_per_year(self.background)


def reference_far_per_year(background: Background) -> float:
    """Rate at which an injection is called found: one a year, or the lowest that can be measured."""
    return max(1.0, background.lowest_far_per_year)


def rates_to_show(lowest: float, highest: float) -> list[float]:
    """False alarm rates per year at which numbers are given: one per year, month and day, as far as they are measured.

    >>> rates_to_show(10.0, 1e6), rates_to_show(0.1, 1e6)
    ([10.0, 365.25], [1.0, 12.0, 365.25])
    """
    reference = max(lowest, 1.0)
    return [reference, *(rate for rate in (12.0, 365.25) if 2 * reference < rate <= highest)]
