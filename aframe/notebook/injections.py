"""The injections of a search, and which of them it finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool
from matplotlib.axes import Axes

from aframe.events.significance import Background
from aframe.notebook.asked import numbers, one_number
from aframe.notebook.shown import ShownTable, show
from aframe.report import panels, paper
from aframe.report.inputs import rates_to_show, reference_far_per_year
from aframe.report.text import number, rate
from aframe.sensitivity.efficiency import Efficiency, snr_efficiency
from aframe.tables import RecoveredTable
from aframe.types import Array


@dataclass(frozen=True, repr=False, eq=False)
class Injections(ShownTable):
    """All accepted injections, each with the event that recovered it.

    Attributes:
        table: Their parameters; statistic −inf where there is no event.
        background: What false alarm rates are measured with.
    """

    table: RecoveredTable
    background: Background

    @property
    def reference_far_per_year(self) -> float:
        """Rate at which the report calls one found: one a year, or the lowest that the background can measure."""
        return reference_far_per_year(self.background)

    def found(self, far_per_year: float | None = None) -> Bool[Array, " injections"]:
        """Which of them are louder than the threshold of a false alarm rate.

        Args:
            far_per_year: Events per Julian year; ``reference_far_per_year`` where None.

        Raises:
            DataError: If it is no number.
            ConfigurationError: If the background cannot measure that rate.
        """
        far = self.reference_far_per_year if far_per_year is None else one_number(far_per_year, "a false alarm rate")
        return np.asarray(self.table["detection_statistic"] >= self._threshold(far))

    def efficiency(self, far_per_year: Sequence[float] | float | None = None) -> Efficiency:
        """Share of injections found, in bins of network SNR.

        Args:
            far_per_year: Rates in events per Julian year, or one; those of the report where None.

        Raises:
            DataError: If one is no number.
            ConfigurationError: If the background cannot measure one of them.
        """
        lowest = self.background.lowest_far_per_year
        given = rates_to_show(lowest, np.inf) if far_per_year is None else far_per_year
        rates = numbers(given, "a false alarm rate").astype(np.float64).ravel().tolist()
        thresholds = {far: self._threshold(far) for far in rates}
        snr, statistic = (self.table[name].astype(np.float64) for name in ("snr", "detection_statistic"))
        return snr_efficiency(snr, statistic, thresholds)

    def facts(self) -> Mapping[str, str]:
        """How many there are, of how many draws, and how many are found."""
        far, total = self.reference_far_per_year, len(self)
        found = int(self.found().sum())
        return {
            "injections": number(total),
            "draws": number(int(self.table.attributes["num_injections"])),
            f"found at {rate(far)}": f"{number(found)} ({100 * found / max(1, total):.3g} %)",
            "columns": ", ".join(self.columns),
        }

    def plot(self, far_per_year: float | None = None, axes: Axes | None = None) -> Axes:
        """Found and missed ones by network SNR and chirp mass, as in the report's figure ``found_and_missed``.

        Args:
            far_per_year: See ``found``.
            axes: Where it is drawn; a new figure where None.
        """
        draw = partial(panels.found_by_mass, table=self.table, found=self.found(far_per_year))
        return show(draw, axes, ncols=2, title=self._found_at(far_per_year))

    def plot_detectors(self, far_per_year: float | None = None, axes: Axes | None = None) -> Axes:
        """Found and missed ones by the SNRs of two detectors, as in ``found_and_missed-detectors``.

        Args:
            far_per_year: See ``found``.
            axes: Where it is drawn; a new figure where None.
        """
        draw = partial(panels.found_by_detectors, table=self.table, found=self.found(far_per_year))
        return show(draw, axes, ncols=2, title=self._found_at(far_per_year))

    def plot_efficiency(self, far_per_year: Sequence[float] | float | None = None, axes: Axes | None = None) -> Axes:
        """Share found against network SNR, as in the report's figure ``efficiency-snr``.

        Args:
            far_per_year: See ``efficiency``.
            axes: Where it is drawn; a new figure where None.
        """
        draw = partial(panels.efficiency, shares=self.efficiency(far_per_year), label=paper.SHARE_OF_INJECTIONS)
        return show(draw, axes, ncols=3, title=paper.EFFICIENCY_LEGEND)

    def _threshold(self, far_per_year: float) -> float:
        """Least statistic of one found; at rates that allow all of the background, that of any event."""
        return float(Background.threshold_at_far(self.background, far_per_year))

    def _found_at(self, far_per_year: float | None) -> str:
        return paper.found_at(self.reference_far_per_year if far_per_year is None else far_per_year)
