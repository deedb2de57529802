"""Find the best templates of candidates and of recovered injections in their strain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from aframe.candidates.classes import TEMPLATE_CHIRP_MASS, TEMPLATE_COLUMNS, log_chirp_mass
from aframe.candidates.table import loudest_first
from aframe.candidates.templates import Templates, best_template
from aframe.errors import DataError
from aframe.inference.closeup import whitened_background
from aframe.inference.injected import injected_window
from aframe.inference.run import InjectionIndex
from aframe.strain.files import parse_background_path
from aframe.tables import EventTable, RecoveredTable, Table
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.model import Model
from aframe.types import Array

MASS_BINS, INJECTIONS_PER_BIN = 10, 30
"""Bins, even in ln chirp mass, of the injections whose best template is looked for, and how many in each."""


@dataclass(frozen=True)
class TemplateFinder:
    """Finds the template that fits a signal best.

    Attributes:
        model: Network with templates, and preprocessing.
        templates: Parameters of the templates.
        files: Paths of background files.
    """

    model: Model
    templates: Templates
    files: Sequence[str]

    def with_templates(self, zero_lag: EventTable, number: int) -> EventTable:
        """Add the masses of the best templates of the loudest events. Events without strain get NaN.

        Args:
            zero_lag: Events of unshifted data.
            number: Number of the events.
        """
        masses = np.full((len(zero_lag), 2), np.nan)
        for row in loudest_first(zero_lag)[:number].tolist():
            time = float(zero_lag["detection_time"][row])
            start, stop = self._window(time)
            for path in self._files_at(time):
                try:
                    masses[row] = self._masses(whitened_background(path, self.model.preprocessing, start, stop).streams)
                except DataError:  # at the edge of a file
                    continue
        columns = zero_lag.parameters | dict(zip(TEMPLATE_COLUMNS, masses.T, strict=True))
        return EventTable(columns, attributes=zero_lag.attributes)

    def measure(self, index: InjectionIndex, injections: RecoveredTable) -> Table:
        """Chirp masses of the best templates of injections.

        Args:
            index: All injections of the run.
            injections: Injections to look at.

        Returns:
            Columns ``injection_time``, ``shift`` and ``template_chirp_mass`` (detector frame, solar masses) of those
            that have strain.
        """
        chirp_mass = np.full(len(injections), np.nan)
        rows = index.rows_of(injections["injection_time"], injections["shift"])
        for place in np.flatnonzero(rows >= 0).tolist():
            signal = index.read(rows[place : place + 1], waveforms=True)
            start, stop = self._window(float(signal["injection_time"][0]))
            for path in self._files_at(start + float(signal["shift"].min())):
                try:
                    masses = self._masses(injected_window(path, self.model.preprocessing, signal, (start, stop)))
                except DataError:  # at the edge of a file
                    continue
                chirp_mass[place] = np.exp(log_chirp_mass(masses[:1], masses[1:]))[0]
        columns = {name: injections[name] for name in ("injection_time", "shift")}
        return Table(columns | {TEMPLATE_CHIRP_MASS: chirp_mass}).rows(np.isfinite(chirp_mass))

    def _window(self, time: float) -> tuple[float, float]:
        """Start and end (GPS s) of the window that stands for a coalescence time."""
        preprocessing = self.model.preprocessing
        start = time - preprocessing.coalescence_offset
        return start, start + preprocessing.kernel_length

    def _files_at(self, time: float) -> Iterator[str]:
        for path in self.files:
            start, duration = parse_background_path(path)
            if start <= time < start + duration:
                yield path

    def _masses(self, streams: Float[Array, "ifos time"]) -> Array:
        """Masses of the best template in a window, shape (2,).

        Raises:
            DataError: If the strain is shorter than a window.
        """
        network, size = self.model.network, self.model.preprocessing.kernel_size
        assert isinstance(network, MatchedFilterNetwork)
        if streams.shape[-1] < size:
            raise DataError(f"{streams.shape[-1]} samples are shorter than a window of {size}")
        number, _ = best_template(network, torch.from_numpy(streams[:, :size].copy()))
        parameters = self.templates.parameters(number)
        return np.array([parameters["mass_1"], parameters["mass_2"]])


def injections_to_measure(recovered: RecoveredTable, threshold: float, rng: np.random.Generator) -> RecoveredTable:
    """Choose the recovered injections whose best template tells the error of the chirp mass.

    They are spread evenly over the logarithm of the chirp mass, so that each class has its share.

    Args:
        recovered: Accepted injections and the events that recovered them.
        threshold: Smallest statistic. Quieter injections have the templates of noise.
        rng: Source of all randomness.
    """
    has_event = np.flatnonzero(recovered["detection_statistic"] >= threshold)
    chirp_mass = log_chirp_mass(recovered["mass_1"][has_event], recovered["mass_2"][has_event])
    if not len(has_event):
        return recovered.rows(has_event)
    edges = np.linspace(chirp_mass.min(), chirp_mass.max(), MASS_BINS + 1)[1:-1]
    bins = np.searchsorted(edges, chirp_mass)
    chosen = [rng.permutation(has_event[bins == each])[:INJECTIONS_PER_BIN] for each in range(MASS_BINS)]
    return recovered.rows(np.sort(np.concatenate(chosen)))


def with_template_chirp_mass(recovered: RecoveredTable, measured: Table) -> RecoveredTable:
    """Injections with the column ``template_chirp_mass``, which is NaN for those that were not looked at.

    Args:
        recovered: Accepted injections.
        measured: Result of ``TemplateFinder.measure``.
    """
    known = {
        (time, *shift): chirp_mass
        for time, shift, chirp_mass in zip(
            *(measured[name].tolist() for name in ("injection_time", "shift", TEMPLATE_CHIRP_MASS)), strict=True
        )
    }
    keys = zip(recovered["injection_time"].tolist(), recovered["shift"].tolist(), strict=True)
    column = np.array([known.get((time, *shift), np.nan) for time, shift in keys], dtype=np.float64)
    return RecoveredTable(recovered.parameters | {TEMPLATE_CHIRP_MASS: column}, attributes=recovered.attributes)
