"""The state of a placement on disk, so that an interrupted one goes on."""

import contextlib

import numpy as np

from aframe import storage
from aframe.bank.placement import Placement
from aframe.errors import ParameterMismatchError, StorageError

COUNTS = ("drawn", "batches")
"""Attributes of the file, by the names of a placement's numbers."""


def save(placement: Placement, path: str, parameters: storage.Parameters) -> None:
    """Write the state of a placement.

    Args:
        placement: The placement.
        path: Local or s3 path.
        parameters: Parameters of the bank.
    """
    with storage.create_hdf5(path, parameters) as file:
        for name, column in placement.columns.items():
            file.create_dataset(f"columns/{name}", data=column)
        file.create_dataset("joined", data=np.array(placement.joined, dtype=np.int64))
        file.attrs.update({name: getattr(placement, name) for name in COUNTS})


def resume(path: str, parameters: storage.Parameters) -> Placement | None:
    """Read the state of an interrupted placement. None without one that had the same parameters.

    Args:
        path: Local or s3 path.
        parameters: Parameters of the bank.
    """
    with contextlib.suppress(StorageError, ParameterMismatchError, KeyError):
        storage.check_parameters(path, parameters)
        with storage.open_hdf5(path) as file:
            columns = {name: np.asarray(column) for name, column in file["columns"].items()}
            counts = {name: int(file.attrs[name]) for name in COUNTS}
            return Placement(columns, np.asarray(file["joined"]).tolist(), **counts)
    return None
