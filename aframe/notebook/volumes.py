"""The sensitive volumes of a search."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import QTable
from matplotlib.axes import Axes

from aframe.errors import DataError
from aframe.notebook.arguments import existing_name, one_number
from aframe.notebook.display import DisplayedObject, on_screen, show, with_units
from aframe.report import figures, paper
from aframe.report.text import duration, number, rate
from aframe.sensitivity.efficiency import Efficiency
from aframe.sensitivity.volume import UNITS, VolumeCurve, population_label


@dataclass(frozen=True, repr=False, eq=False)
class SensitiveVolumes(DisplayedObject, Mapping[str, VolumeCurve]):
    """Curves of sensitive volume against false alarm rate, by the name of the population.

    Attributes:
        curves: Curves by population. Names of their attributes have the units.
        efficiencies: Fraction of all draws that is found, by axis (``luminosity_distance``, ``chirp_mass``, …).
        simulated: Whether the noise is simulated.
    """

    curves: Mapping[str, VolumeCurve]
    efficiencies: Mapping[str, Efficiency]
    simulated: bool

    def __getitem__(self, population: str) -> VolumeCurve:
        return self.curves[existing_name("population", population, self.curves)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.curves)

    def __len__(self) -> int:
        return len(self.curves)

    def at(self, far_per_year: float) -> QTable:
        """Volume of each population at a false alarm rate, with its errors. It interpolates as the report does.

        Args:
            far_per_year: Events per Julian year.

        Raises:
            DataError: If the rate is no number, or outside the range of the curves.
        """
        far_per_year = one_number(far_per_year, "a false alarm rate")
        rows: dict[str, list[float]] = {name: [] for name in UNITS if name != "far_per_year"}
        for curve in self.curves.values():
            lowest, highest = float(curve.far_per_year[0]), float(curve.far_per_year[-1])
            if not lowest * (1 - 1e-9) <= far_per_year <= highest * (1 + 1e-9):
                raise DataError(
                    f"a false alarm rate of {far_per_year:.4g} per year is not between {lowest:.4g} and {highest:.4g}, "
                    "which is what this background can measure: give a rate in this range"
                )
            for name, values in rows.items():
                values.append(curve.at(far_per_year, curve.quantity(name)))
        return with_units({"population": np.array(list(self))} | {k: np.array(v) for k, v in rows.items()}, UNITS)

    def facts(self) -> Mapping[str, str]:
        """Volume of each population at the report's rate. If nothing is found, the upper end of the 95 % interval."""
        facts = {}
        for name, curve in self.curves.items():
            far = min(max(1.0, float(curve.far_per_year[0])), float(curve.far_per_year[-1]))
            value, error = curve.at(far, curve.volume_gpc3), curve.at(far, curve.standard_error)
            highest = curve.at(far, curve.interval_gpc3[1])
            text = f"{number(value)} ± {number(error, 2)} Gpc³" if value > 0 else f"< {number(highest)} Gpc³ (95 %)"
            facts[population_label(name)] = f"{text} at {rate(far)}"
        first = next(iter(self.curves.values()), None)
        return facts | ({} if first is None else {"live time": duration(first.scope.livetime)})

    def plot(self, axes: Axes | None = None) -> list[Axes]:
        """Draw volume against false alarm rate, a panel per population, as in the report's ``sensitive_volume``.

        Args:
            axes: Axes to draw a single population on; None makes a new figure of all populations.

        Raises:
            DataError: If there are axes and several populations.
        """
        if axes is None:
            with paper.looks():
                return paper.volumes_figure(self.curves, self.simulated, {}, make=on_screen).axes
        if len(self) != 1:
            raise DataError(f"one pair of axes takes one population, not {', '.join(self)}: choose one of them")
        (name,) = self
        plot = figures.volume(name, self[name], self.simulated)
        return [show(plot, axes, paper.draw_volume)]

    def plot_efficiency(self, axis: str = "luminosity_distance", axes: Axes | None = None) -> Axes:
        """Draw the fraction of all draws that is found, as in the report's figures ``efficiency-…``.

        Args:
            axis: Parameter on the horizontal axis: a key of ``efficiencies``.
            axes: Axes to draw on; None makes a new figure.

        Raises:
            DataError: If there is no efficiency against this parameter.
        """
        if axis not in self.efficiencies:
            existing = ", ".join(self.efficiencies) or "nothing, as there are none of these populations"
            raise DataError(f"there is no efficiency against {axis!r}: there are those against {existing}")
        return show(figures.efficiency_of_draws(self.efficiencies[axis]), axes)

    def to_astropy(self, population: str) -> QTable:
        """Table of a population's curve, with units: the datasets of ``sensitive_volume.h5``.

        Args:
            population: Name of the population.

        Raises:
            UnknownNameError: If there is no such population.
        """
        curve = self[population]
        return with_units({name: curve.quantity(name) for name in UNITS}, UNITS)
