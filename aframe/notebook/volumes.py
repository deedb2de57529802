"""The sensitive volumes of a search."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from astropy.table import QTable
from matplotlib.axes import Axes

from aframe.errors import DataError
from aframe.notebook.asked import known, one_number
from aframe.notebook.shown import Shown, on_screen, show, with_units
from aframe.report import panels, paper
from aframe.report.text import duration, number, rate
from aframe.sensitivity.efficiency import Efficiency
from aframe.sensitivity.volume import UNITS, VolumeCurve, population_label


@dataclass(frozen=True, repr=False, eq=False)
class SensitiveVolumes(Shown, Mapping[str, VolumeCurve]):
    """A curve of sensitive volume against false alarm rate for each population, by its name.

    Attributes:
        curves: By population; attributes' names have their units.
        efficiencies: Share of all draws that is found, by axis (``luminosity_distance``, ``chirp_mass``, …).
        simulated: Whether the noise is simulated.
    """

    curves: Mapping[str, VolumeCurve]
    efficiencies: Mapping[str, Efficiency]
    simulated: bool

    def __getitem__(self, population: str) -> VolumeCurve:
        return self.curves[known("population", population, self.curves)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.curves)

    def __len__(self) -> int:
        return len(self.curves)

    def at(self, far_per_year: float) -> QTable:
        """All that is known of each population's volume at a false alarm rate, interpolated as in the report.

        Args:
            far_per_year: Events per Julian year.

        Raises:
            DataError: If it is no number, or the curves do not reach that rate.
        """
        far_per_year = one_number(far_per_year, "a false alarm rate")
        rows: dict[str, list[float]] = {name: [] for name in UNITS if name != "far_per_year"}
        for curve in self.curves.values():
            lowest, highest = float(curve.far_per_year[0]), float(curve.far_per_year[-1])
            if not lowest * (1 - 1e-9) <= far_per_year <= highest * (1 + 1e-9):
                raise DataError(
                    f"a false alarm rate of {far_per_year:.4g} per year is not between {lowest:.4g} and {highest:.4g}, "
                    "which is what this background can measure: ask for one that is"
                )
            for name, values in rows.items():
                values.append(curve.at(far_per_year, curve.quantity(name)))
        return with_units({"population": np.array(list(self))} | {k: np.array(v) for k, v in rows.items()}, UNITS)

    def facts(self) -> Mapping[str, str]:
        """Volume of each population at the report's rate; where nothing is found, the end of its 95 % interval."""
        told = {}
        for name, curve in self.curves.items():
            far = min(max(1.0, float(curve.far_per_year[0])), float(curve.far_per_year[-1]))
            value, error = curve.at(far, curve.volume_gpc3), curve.at(far, curve.standard_error)
            highest = curve.at(far, curve.interval_gpc3[1])
            known_as = f"{number(value)} ± {number(error, 2)} Gpc³" if value > 0 else f"< {number(highest)} Gpc³ (95 %)"
            told[population_label(name)] = f"{known_as} at {rate(far)}"
        first = next(iter(self.curves.values()), None)
        return told | ({} if first is None else {"live time": duration(first.scope.livetime)})

    def plot(self, axes: Axes | None = None) -> list[Axes]:
        """Volume against false alarm rate, a panel for each population, as in the report's ``sensitive_volume``.

        Args:
            axes: Where it is drawn, of one population alone; a new figure of all where None.

        Raises:
            DataError: If several populations are to be drawn on one pair of axes.
        """
        if axes is None:
            with paper.looks():
                return paper.volumes_figure(self.curves, self.simulated, on_screen).axes
        if len(self) != 1:
            raise DataError(f"one pair of axes takes one population, not {', '.join(self)}: ask for one of them")
        (name,) = self
        return [show(partial(paper.draw_volume, name=name, curve=self[name], simulated=self.simulated), axes, ncols=2)]

    def plot_efficiency(self, axis: str = "luminosity_distance", axes: Axes | None = None) -> Axes:
        """Share of all draws that is found, as in the report's figures ``efficiency-…``.

        Args:
            axis: What it is drawn against: a key of ``efficiencies``.
            axes: Where it is drawn; a new figure where None.

        Raises:
            DataError: If there is no such efficiency.
        """
        if axis not in self.efficiencies:
            known = ", ".join(self.efficiencies) or "nothing, as there are none of these populations"
            raise DataError(f"no efficiency is known against {axis!r}: ask for one against {known}")
        draw = partial(panels.efficiency, shares=self.efficiencies[axis], label=paper.SHARE_OF_DRAWS)
        return show(draw, axes, ncols=3, title=paper.EFFICIENCY_LEGEND)

    def to_astropy(self, population: str) -> QTable:
        """A population's curve, with units: the datasets of ``sensitive_volume.h5``.

        Args:
            population: One of those that there are, by name.

        Raises:
            UnknownNameError: If there is none of that name.
        """
        curve = self[population]
        return with_units({name: curve.quantity(name) for name in UNITS}, UNITS)
