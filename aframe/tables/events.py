"""Tables of events and of recovered injections."""

from typing import ClassVar

import numpy as np
from jaxtyping import Float

from aframe import storage
from aframe.errors import DataError
from aframe.storage.files import Parameters
from aframe.tables.table import Table, TableWriter
from aframe.types import Array

SEARCHED = "searched"
"""Dataset of the searched stretches of time."""


class EventTable(Table):
    """Clustered events.

    Columns: ``detection_statistic``, ``detection_time`` (GPS s, slide time) and ``shift`` (rows × ifos, s). Attribute
    ``Tb``: live time of all slides, s.
    """

    required_columns: ClassVar[tuple[str, ...]] = ("detection_statistic", "detection_time", "shift")
    required_attributes: ClassVar[tuple[str, ...]] = ("Tb",)

    @property
    def livetime(self) -> float:
        """Live time of all slides, s."""
        return float(self.attributes["Tb"])


class RecoveredTable(Table):
    """Injections and the events that recovered them. Without an event, the statistic is −inf and the time NaN."""

    required_columns: ClassVar[tuple[str, ...]] = (
        "detection_statistic",
        "detection_time",
        "injection_time",
        "shift",
        "snr",
        "mass_1",
        "mass_2",
        "redshift",
    )
    required_attributes: ClassVar[tuple[str, ...]] = ("num_injections", "ifos")


def write_searched(
    path: str, events: EventTable, spans: Float[Array, "stretches 2"], made_with: Parameters | None = None
) -> None:
    """Write events together with the time that was searched. The file appears only when complete.

    Args:
        path: Local or s3 path.
        events: The events.
        spans: Start and stop of the searched stretches, GPS s.
        made_with: Parameters of the events.
    """
    with storage.create_hdf5(path, made_with) as file:
        writer = TableWriter(file)
        writer.append(events)
        writer.attributes(events.attributes)
        file.create_dataset(SEARCHED, data=spans).attrs["unit"] = "s"


def read_searched(path: str) -> Float[Array, "stretches 2"]:
    """Start and stop (GPS s) of the stretches in which the events of a file were searched.

    Args:
        path: Local or s3 path.

    Raises:
        DataError: If the file does not tell them.
    """
    with storage.open_hdf5(path) as file:
        if SEARCHED not in file:
            raise DataError(
                f"{path} does not tell which time was searched, as files of `aframe infer --strain … --output` of this "
                "version do: search the strain again"
            )
        return np.asarray(file[SEARCHED], dtype=np.float64)
