"""Inputs of a report. Results that do not exist yet are None."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aframe.bank.template_bank import TemplateBank
from aframe.candidates.table import CandidateTable
from aframe.events.glitches import EventGlitches
from aframe.events.significance import Background
from aframe.events.tail import Tail
from aframe.inference.closeup import Closeup
from aframe.sensitivity.efficiency import Efficiency, snr_efficiency
from aframe.sensitivity.limit import LimitTable
from aframe.sensitivity.volume import VolumeCurve
from aframe.tables import EventTable, RecoveredTable
from aframe.types import Array

SignalCounts = Mapping[str, int]
"""Number of signals of a set (``length``), and numbers of draws by the names of the table's attributes."""

RunTimes = Mapping[str, tuple[int, float, str]]
"""Number of tasks, their total seconds, and the end of the last one (UTC), by kind of task."""

TrainingCurves = Mapping[str, tuple[Array, Array]]
"""Epochs and values of each metric."""


@dataclass(frozen=True)
class DrawHistograms:
    """Histograms of the draws of testing injections: all draws, and the accepted ones.

    Attributes:
        mass_edges: Edges of bins in source-frame mass, M☉, evenly spaced in logarithm, shape (masses + 1,).
        masses: Numbers of physical draws in bins of mass_1 (rows) and mass_2, shape (masses, masses).
        accepted_masses: Source-frame mass_1 and mass_2 (M☉) of some accepted draws, shape (2, n).
        redshift_edges: Edges of bins in redshift, shape (redshifts + 1,).
        redshifts: Numbers of physical and of accepted draws in bins of redshift, shape (2, redshifts).
        snr_edges: Edges of bins in network SNR, evenly spaced in logarithm, shape (snrs + 1,).
        snrs: Numbers of draws with a waveform and of accepted draws in bins of network SNR, shape (2, snrs).
    """

    mass_edges: Array
    masses: Array
    accepted_masses: Array
    redshift_edges: Array
    redshifts: Array
    snr_edges: Array
    snrs: Array


@dataclass(frozen=True)
class PlainBankResults:
    """What a plain bank of matched filters finds in a run's data.

    Attributes:
        table: Comparison with the run's network.
        background: The bank's events of time slides.
        injections: The run's injections and the bank's events that recovered them.
        volumes: The bank's sensitive volume curves by population.
    """

    table: LimitTable
    background: Background
    injections: RecoveredTable
    volumes: Mapping[str, VolumeCurve]

    @property
    def efficiency(self) -> Efficiency:
        """Share of injections that the bank finds, against network SNR, at one false alarm a month."""
        far = float(self.table["far_per_year"][self.table.monthly])
        snr, statistic = (self.injections[name].astype(np.float64) for name in ("snr", "detection_statistic"))
        return snr_efficiency(snr, statistic, {far: float(self.background.threshold_at_far(far))})


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """Inputs of a report.

    Attributes:
        title: Heading of the page.
        configuration: Parameters of the run by ``section.key``.
        units: Units of the parameters by ``section.key``. Those without a unit may be left out.
        training: Epochs and values of each metric.
        background: Events of time slides.
        candidates: Zero-lag events, loudest first.
        vetoed: Zero-lag events in vetoed time, with the names of their vetoes; None without vetoes.
        closeups: Close-ups of the loudest candidates, by rank. Ranks start at 1.
        bank: Bank of templates.
        plain_bank: What an ideal search with such templates finds.
        signals: Counts of each existing set of signals (training, validation, testing).
        draws: Histograms of the testing injections' draws.
        injections: All accepted injections and the events that recovered them.
        volumes: Sensitive volume curves by population.
        pipelines: Those of the pipelines of a release, by population, then by pipeline; empty without a release.
        efficiencies: Fractions of injections found, by population and axis.
        segments: Start and stop (GPS s) of the segments of each stage, shape (segments, 2).
        glitches: Glitches of simulated strain near the loudest events of the background; None without glitches.
        noise: Frequency (Hz) and amplitude spectral density (1/√Hz) of each detector, both of shape (frequency,).
        run_times: Run times of tasks.
        provenance: Versions, commit, date, seed and hashes.
    """

    title: str
    configuration: Mapping[str, Any] | None
    units: Mapping[str, str]
    training: TrainingCurves | None
    background: Background | None
    candidates: CandidateTable | None
    vetoed: EventTable | None
    closeups: Mapping[int, Closeup]
    bank: TemplateBank | None
    plain_bank: PlainBankResults | None
    signals: Mapping[str, SignalCounts]
    draws: DrawHistograms | None
    injections: RecoveredTable | None
    volumes: Mapping[str, VolumeCurve] | None
    pipelines: Mapping[str, Mapping[str, VolumeCurve]]
    efficiencies: Mapping[str, Mapping[str, Efficiency]] | None
    segments: Mapping[str, Array]
    glitches: EventGlitches | None
    noise: Mapping[str, tuple[Array, Array]] | None
    run_times: RunTimes
    provenance: Mapping[str, str]

    @property
    def plain_bank_volumes(self) -> Mapping[str, VolumeCurve]:
        """Sensitive volume curves of the plain bank by population; empty without a plain bank."""
        return self.plain_bank.volumes if self.plain_bank else {}

    @property
    def simulated(self) -> bool:
        """Whether the noise is simulated."""
        return bool(self.configuration) and (self.configuration or {}).get("data.source") == "simulated"

    @property
    def tail(self) -> Tail | None:
        """Generalised Pareto fit to the loudest background events; None if it may not be extrapolated."""
        tail = self.candidates.tail if self.candidates is not None else None
        return tail if tail is not None and tail.is_accepted else None

    @property
    def reference_far_per_year(self) -> float | None:
        """False alarm rate below which the report counts an injection as found; None without background."""
        return None if self.background is None else reference_far_per_year(self.background)


def reference_far_per_year(background: Background) -> float:
    """False alarm rate below which an injection counts as found: one per year, or the lowest measurable rate."""
    return max(1.0, background.lowest_far_per_year)


def rates_to_show(lowest: float, highest: float) -> list[float]:
    """False alarm rates in tables and figures: one per year, month and day, as far as they can be measured.

    Args:
        lowest: Lowest rate of the background, events per Julian year.
        highest: Highest rate of the background, events per Julian year.

    >>> rates_to_show(10.0, 1e6), rates_to_show(0.1, 1e6)
    ([10.0, 365.25], [1.0, 12.0, 365.25])
    """
    reference = max(lowest, 1.0)
    return [reference, *(rate for rate in (12.0, 365.25) if 2 * reference < rate <= highest)]
