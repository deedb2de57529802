"""The injections of a search, found and missed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from matplotlib.axes import Axes

from aframe.events.significance import Background
from aframe.notebook.arguments import numbers, one_number
from aframe.notebook.display import DisplayedTable, show
from aframe.report import figures
from aframe.report.inputs import rates_to_show, reference_far_per_year
from aframe.report.text import number, rate
from aframe.sensitivity.efficiency import Efficiency, snr_efficiency
from aframe.tables import RecoveredTable
from aframe.types import Array


@dataclass(frozen=True, repr=False, eq=False)
class Injections(DisplayedTable):
    """All accepted injections, each with the event that recovered it.

    Attributes:
        table: Parameters of the injections and statistics of the events. The statistic is −inf where there is no event.
        background: Background that measures false alarm rates.
    """

    table: RecoveredTable
    background: Background

    @property
    def reference_far_per_year(self) -> float:
        """False alarm rate below which the report counts an injection as found.

        It is one per year, or the lowest rate that the background can measure.
        """
        return reference_far_per_year(self.background)

    def found(self, far_per_year: float | None = None) -> Bool[Array, " injections"]:
        """Whether each injection is at least as loud as the threshold of a false alarm rate.

        Args:
            far_per_year: Events per Julian year; None takes ``reference_far_per_year``.

        Raises:
            DataError: If the rate is no number.
            ConfigurationError: If the background cannot measure that rate.
        """
        return np.asarray(self.table["detection_statistic"] >= self._threshold(self._rate(far_per_year)))

    def efficiency(self, far_per_year: Sequence[float] | float | None = None) -> Efficiency:
        """Fraction of injections found, in bins of network SNR.

        Args:
            far_per_year: One or several false alarm rates, events per Julian year; None takes those of the report.

        Raises:
            DataError: If a rate is no number.
            ConfigurationError: If the background cannot measure one of the rates.
        """
        if far_per_year is None:
            far_per_year = rates_to_show(self.background.lowest_far_per_year, np.inf)
        rates = numbers(far_per_year, "a false alarm rate").astype(np.float64).ravel().tolist()
        thresholds = {far: self._threshold(far) for far in rates}
        snr, statistic = (self.table[name].astype(np.float64) for name in ("snr", "detection_statistic"))
        return snr_efficiency(snr, statistic, thresholds)

    def facts(self) -> Mapping[str, str]:
        """Numbers of injections, of draws and of found injections, and the columns."""
        far, total = self.reference_far_per_year, len(self)
        found_count = int(self.found().sum())
        return {
            "injections": number(total),
            "draws": number(int(self.table.attributes["num_injections"])),
            f"found at {rate(far)}": f"{number(found_count)} ({100 * found_count / max(1, total):.3g} %)",
            "columns": ", ".join(self.columns),
        }

    def plot(self, far_per_year: float | None = None, axes: Axes | None = None) -> Axes:
        """Draw found and missed injections by network SNR and chirp mass, as in the report's ``found_and_missed``.

        Args:
            far_per_year: See ``found``.
            axes: Axes to draw on; None makes a new figure.
        """
        found, far = self.found(far_per_year), self._rate(far_per_year)
        return show(figures.found_by_mass(self.table, found, far), axes)

    def plot_detectors(self, far_per_year: float | None = None, axes: Axes | None = None) -> Axes:
        """Draw found and missed injections by the SNRs of two detectors, as in ``found_and_missed-detectors``.

        Args:
            far_per_year: See ``found``.
            axes: Axes to draw on; None makes a new figure.
        """
        found, far = self.found(far_per_year), self._rate(far_per_year)
        return show(figures.found_by_detectors(self.table, found, far), axes)

    def plot_efficiency(self, far_per_year: Sequence[float] | float | None = None, axes: Axes | None = None) -> Axes:
        """Draw the fraction found against network SNR, as in the report's figure ``efficiency-snr``.

        Args:
            far_per_year: See ``efficiency``.
            axes: Axes to draw on; None makes a new figure.
        """
        return show(figures.efficiency_of_injections(self.efficiency(far_per_year)), axes)

    def _threshold(self, far_per_year: float) -> float:
        """Lowest statistic of a found injection. At rates above that of the whole background, any event is found."""
        return float(Background.threshold_at_far(self.background, far_per_year))

    def _rate(self, far_per_year: float | None) -> float:
        return self.reference_far_per_year if far_per_year is None else one_number(far_per_year, "a false alarm rate")
