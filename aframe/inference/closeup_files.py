"""Files of close-ups: ``closeups.hdf5`` has a group for each candidate, and the group's name is its rank."""

from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np

from aframe import storage
from aframe.inference.closeup import Closeup
from aframe.inference.q_transform import QTransform
from aframe.storage.files import Parameters
from aframe.types import Array

HIGHEST_ENERGY = float(np.finfo(np.float16).max)
"""Largest energy that a file holds: that of an SNR of 360. Files hold energies to three digits, in half precision."""

SERIES = ("score_time", "score", "statistic_time", "statistic")
"""Datasets of a candidate's group that are no detector's."""


def write_closeups(path: str, closeups: Iterable[tuple[int, Closeup]], made_with: Parameters | None = None) -> None:
    """Write close-ups one by one. The file appears when it is complete.

    Args:
        path: Local or s3 path.
        closeups: Ranks of candidates and their close-ups. The loudest candidate has rank 1.
        made_with: Parameters of the run that made them.
    """
    with storage.create_hdf5(path, made_with) as file:
        for rank, closeup in closeups:
            group = file.create_group(f"{rank:04d}")
            group.attrs["ifos"] = list(closeup.whitened)
            _put(group, "time", closeup.time, "GPS s")
            for name in SERIES:
                _put(group, name, getattr(closeup, name), "GPS s" if name.endswith("time") else "1")
            for ifo, transform in closeup.q_transforms.items():
                detector, whitened = group.create_group(ifo), np.asarray(closeup.whitened[ifo], np.float32)
                detector.attrs["q"] = transform.q
                _put(detector, "whitened", whitened, "standard deviation of the noise")
                _put(detector, "energy_time", transform.time, "GPS s")
                _put(detector, "energy_frequency", transform.frequency, "Hz")
                energy = np.minimum(transform.energy, HIGHEST_ENERGY).astype(np.float16)
                _put(detector, "energy", energy, "mean energy of the noise")


def read_closeups(path: str) -> dict[int, Closeup]:
    """Read the close-ups of a file, by the candidate's rank.

    Raises:
        StorageError: If the file is missing or damaged.
    """
    with storage.open_hdf5(path) as file:
        return {int(name): _closeup(file[name]) for name in sorted(file)}


def _closeup(group: h5py.Group) -> Closeup:
    ifos = [str(ifo) for ifo in group.attrs["ifos"]]
    return Closeup(
        time=group["time"][:],
        whitened={ifo: group[ifo]["whitened"][:] for ifo in ifos},
        q_transforms={ifo: _transform(group[ifo]) for ifo in ifos},
        **{name: group[name][:] for name in SERIES},
    )


def _transform(group: h5py.Group) -> QTransform:
    time, frequency = group["energy_time"][:], group["energy_frequency"][:]
    return QTransform(time, frequency, group["energy"][:].astype(np.float64), float(group.attrs["q"]))


def _put(group: h5py.Group, name: str, values: Array, unit: str) -> None:
    packed: dict[str, Any] = {"compression": "gzip", "shuffle": True} if values.size else {}
    group.create_dataset(name, data=values, **packed).attrs["unit"] = unit
