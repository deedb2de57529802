"""Close-ups of candidates in a file: ``closeups.hdf5``, with a group for each candidate, named by its rank."""

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
"""Energies are kept to three digits, in half precision; what is beyond it, an SNR of 360, is kept as this."""

SERIES = ("score_time", "score", "statistic_time", "statistic")


def write_closeups(path: str, closeups: Iterable[tuple[int, Closeup]], made_with: Parameters | None = None) -> None:
    """Write close-ups one by one, as they are made; the file appears when it is complete.

    Args:
        path: Local or s3 path.
        closeups: Ranks of candidates, the loudest being 1, and their close-ups.
        made_with: Parameters that made them.
    """
    with storage.create_hdf5(path, made_with) as file:
        for rank, closeup in closeups:
            group = file.create_group(f"{rank:04d}")
            group.attrs["ifos"] = list(closeup.whitened)
            _put(group, "time", closeup.time, "GPS s")
            for name in SERIES:
                _put(group, name, getattr(closeup, name), "GPS s" if name.endswith("time") else "1")
            for ifo, transform in closeup.q_transforms.items():
                own = group.create_group(ifo)
                own.attrs["q"] = transform.q
                _put(own, "whitened", np.asarray(closeup.whitened[ifo], np.float32), "standard deviation of the noise")
                _put(own, "energy_time", transform.time, "GPS s")
                _put(own, "energy_frequency", transform.frequency, "Hz")
                energy = np.minimum(transform.energy, HIGHEST_ENERGY).astype(np.float16)
                _put(own, "energy", energy, "mean energy of the noise")


def read_closeups(path: str) -> dict[int, Closeup]:
    """Close-ups of a file, by the candidate's rank.

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
