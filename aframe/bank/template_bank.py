"""A bank of templates and its file."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from aframe import storage
from aframe.errors import StorageError
from aframe.types import Array

NUMBERS = ("sample_rate", "after")
"""Attributes of the file, by the names of the bank's numbers."""

JOINING_SHARE = "joining_share"
"""Attribute of the file that earlier banks lack."""

COLUMNS = ("mass_1", "mass_2", "chi_1", "chi_2", "chirp_mass")
"""Columns of a bank's binaries."""

SERIES = ("templates", "pulses", "octaves")
"""Datasets of complex series, as pairs of numbers."""

SIGNAL_COLUMNS = ("match", "signal_chirp_mass")
"""Columns of the signals that measure the bank, by the names of the bank's arrays."""


@dataclass(frozen=True)
class TemplateBank:
    """Templates in order of chirp mass.

    Attributes:
        templates: Whitened complex series, each of unit norm per quadrature, shape (templates, time).
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

    templates: Complex[Tensor, "templates time"]
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
            for name in SERIES:
                pairs = torch.view_as_real(getattr(self, name)).half().numpy()
                file.create_dataset(name, data=pairs, chunks=(1, *pairs.shape[1:]))
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
            needed = (*SERIES, *(f"parameters/{name}" for name in COLUMNS), *SIGNAL_COLUMNS, "psds")
            missing = [name for name in needed if name not in file]
            missing += [name for name in NUMBERS if name not in file.attrs]
            if missing:
                raise StorageError(
                    f"{path} is no bank of templates: it lacks {', '.join(missing)}; check that it is the right file"
                )
            columns = {name: np.asarray(file[f"parameters/{name}"]) for name in COLUMNS}
            pairs, *others = (torch.from_numpy(np.asarray(file[name], dtype=np.float32)) for name in SERIES)
            if pairs.ndim != 3 or any(column.shape != pairs.shape[:1] for column in columns.values()):
                raise StorageError(f"{path}: its templates and columns differ in number; make the bank again")
            chirp_mass = columns.pop("chirp_mass")
            sample_rate, after = (float(file.attrs[name]) for name in NUMBERS)
            psds = np.asarray(file["psds"])
            if psds.ndim != 2 or psds.shape[1] < 2 or not (np.isfinite(psds) & (psds > 0)).all():
                raise StorageError(f"{path}: its PSDs are no positive numbers; make the bank again")
            match, masses = (np.asarray(file[name]) for name in SIGNAL_COLUMNS)
            pulses, octaves = (torch.view_as_complex(each) for each in others)
            templates = torch.view_as_complex(pairs)
            share = float(file.attrs.get(JOINING_SHARE, math.nan))
            return cls(templates, columns, chirp_mass, sample_rate, after, match, masses, psds, pulses, octaves, share)
