"""A bank of templates and its file."""

import math
from dataclasses import dataclass

import h5py
import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from aframe import storage
from aframe.bank.slices import Shape, SlicedTemplates
from aframe.errors import StorageError
from aframe.types import Array

NUMBERS = ("sample_rate", "after")
"""Attributes of the file, by the names of the bank's numbers."""

JOINING_SHARE = "joining_share"
"""Attribute of the file that earlier banks lack."""

COLUMNS = ("mass_1", "mass_2", "chi_1", "chi_2", "chirp_mass")
"""Columns of a bank's binaries."""

TEMPLATES, SLICES = "templates", "slices"
"""Dataset of whole templates, or group of the slices of long ones: "0", "1" and so on, the earliest first."""

SHORT_SERIES = ("pulses", "octaves")
"""Datasets of further complex series. All series are pairs of numbers."""

SHAPE = ("first", "decimation")
"""Attributes of a slice's dataset: see ``aframe.bank.slices.Shape``."""

TEMPLATE_SIZE = "template_size"
"""Attribute of the group of slices: samples of a whole template."""

WRITTEN_AT_ONCE = 256
"""Number of series that are read or written at once."""

SIGNAL_COLUMNS = ("match", "signal_chirp_mass")
"""Columns of the signals that measure the bank, by the names of the bank's arrays."""


@dataclass(frozen=True)
class TemplateBank:
    """Templates in order of chirp mass.

    Attributes:
        templates: Whitened complex series, each of unit norm per quadrature, shape (templates, time). Long ones are
            slices.
        parameters: Columns of shape (templates,): ``mass_1`` and ``mass_2`` (detector frame, solar masses), and the
            spins along the orbital axis, ``chi_1`` and ``chi_2``.
        chirp_mass: Chirp masses (detector frame, solar masses), shape (templates,).
        sample_rate: Sampling rate, Hz.
        after: Part of a template after coalescence, s.
        match: Matches of signals of the population with the bank, shape (signals,).
        signal_chirp_mass: Chirp masses of these signals (detector frame, solar masses), shape (signals,).
        psds: Smooth PSD of each detector, 1/Hz, shape (ifos, frequency), evenly from 0 Hz to the Nyquist frequency. The
            templates are whitened by their geometric mean.
        pulses: Whitened complex series of short glitches, of unit norm per quadrature, shape (pulses, time).
        octaves: Complex filters for the octaves of whitened strain, of unit norm per quadrature, shape (octaves, time).
        joining_share: Share of the last draws that joined the bank when its placement ended; NaN if not known.
    """

    templates: Complex[Tensor, "templates time"] | SlicedTemplates
    parameters: dict[str, Array]
    chirp_mass: Array
    sample_rate: float
    after: float
    match: Array
    signal_chirp_mass: Array
    psds: Array
    pulses: Complex[Tensor, "pulses pulse_time"]
    octaves: Complex[Tensor, "octaves octave_time"]
    joining_share: float = math.nan

    @property
    def template_size(self) -> int:
        """Samples of a whole template."""
        return self.templates.size if isinstance(self.templates, SlicedTemplates) else self.templates.shape[-1]

    @property
    def mean_match(self) -> float:
        """Mean match of the population's signals with the bank."""
        return float(self.match.mean())

    @property
    def quantile_10(self) -> float:
        """Match that 10 % of the signals do not reach."""
        return float(np.quantile(self.match, 0.1))

    @property
    def quantile_01(self) -> float:
        """Match that 1 % of the signals do not reach."""
        return float(np.quantile(self.match, 0.01))

    def write(self, path: str, parameters: storage.Parameters) -> None:
        """Write the bank. Half precision rounds each sample by at most 1/2048 of itself.

        Args:
            path: Local or s3 path.
            parameters: Parameters that made the bank.
        """
        with storage.create_hdf5(path, parameters) as file:
            if isinstance(self.templates, SlicedTemplates):
                file.create_group(SLICES).attrs[TEMPLATE_SIZE] = self.templates.size
                for number, (shape, series) in enumerate(
                    zip(self.templates.shapes, self.templates.series, strict=True)
                ):
                    dataset = _write(file, f"{SLICES}/{number}", series)
                    dataset.attrs.update({name: getattr(shape, name) for name in SHAPE})
            else:
                _write(file, TEMPLATES, self.templates)
            for name in SHORT_SERIES:
                _write(file, name, getattr(self, name))
            for name, column in (self.parameters | {"chirp_mass": self.chirp_mass}).items():
                file.create_dataset(f"parameters/{name}", data=np.asarray(column, dtype=np.float64))
            for name in (*SIGNAL_COLUMNS, "psds"):
                file.create_dataset(name, data=np.asarray(getattr(self, name), dtype=np.float64))
            file.attrs.update({name: getattr(self, name) for name in (*NUMBERS, JOINING_SHARE)})

    @classmethod
    def read(cls, path: str) -> "TemplateBank":
        """Read a bank.

        Args:
            path: Local or s3 path.

        Raises:
            StorageError: If the file is missing, truncated, or no bank.
        """
        with storage.open_hdf5(path) as file:
            needed = (TEMPLATES, *SHORT_SERIES, *(f"parameters/{name}" for name in COLUMNS), *SIGNAL_COLUMNS, "psds")
            missing = [name for name in needed if name not in file and (name != TEMPLATES or SLICES not in file)]
            missing += [name for name in NUMBERS if name not in file.attrs]
            if missing:
                raise StorageError(
                    f"{path} is no bank of templates: it lacks {', '.join(missing)}; check that it is the right file"
                )
            columns = {name: np.asarray(file[f"parameters/{name}"]) for name in COLUMNS}
            templates = _read_slices(file[SLICES], path) if SLICES in file else _read(file[TEMPLATES])
            pulses, octaves = (_read(file[name]) for name in SHORT_SERIES)
            if any(column.shape != (len(templates),) for column in columns.values()):
                raise StorageError(f"{path}: its templates and columns differ in number; make the bank again")
            chirp_mass = columns.pop("chirp_mass")
            sample_rate, after = (float(file.attrs[name]) for name in NUMBERS)
            psds = np.asarray(file["psds"])
            if psds.ndim != 2 or psds.shape[1] < 2 or not (np.isfinite(psds) & (psds > 0)).all():
                raise StorageError(f"{path}: its PSDs are no positive numbers; make the bank again")
            match, masses = (np.asarray(file[name]) for name in SIGNAL_COLUMNS)
            share = float(file.attrs.get(JOINING_SHARE, math.nan))
            return cls(templates, columns, chirp_mass, sample_rate, after, match, masses, psds, pulses, octaves, share)


def _write(file: h5py.File, name: str, series: Complex[Tensor, "series time"]) -> h5py.Dataset:
    """Write complex series as pairs of numbers in half precision, some at a time."""
    dataset = file.create_dataset(name, (*series.shape, 2), np.float16, chunks=(1, series.shape[1], 2))
    for start in range(0, len(series), WRITTEN_AT_ONCE):
        some = series[start : start + WRITTEN_AT_ONCE]
        dataset[start : start + len(some)] = torch.view_as_real(some).half().numpy()
    return dataset


def _read(dataset: h5py.Dataset) -> Complex[Tensor, "series time"]:
    """Read complex series, some at a time."""
    result = torch.empty(dataset.shape, dtype=torch.float32)
    for start in range(0, len(result), WRITTEN_AT_ONCE):
        some = slice(start, start + WRITTEN_AT_ONCE)
        result[some] = torch.from_numpy(dataset[some].astype(np.float32))
    return torch.view_as_complex(result)


def _read_slices(group: h5py.Group, path: str) -> SlicedTemplates:
    """Read the slices of long templates.

    Raises:
        StorageError: If they differ in number.
    """
    datasets = [group[str(number)] for number in range(len(group))]
    series = tuple(_read(dataset) for dataset in datasets)
    if len({len(each) for each in series}) != 1:
        raise StorageError(f"{path}: its slices differ in number; make the bank again")
    shapes = tuple(Shape(**{name: int(each.attrs[name]) for name in SHAPE}, size=each.shape[1]) for each in datasets)
    return SlicedTemplates(int(group.attrs[TEMPLATE_SIZE]), shapes, series)
