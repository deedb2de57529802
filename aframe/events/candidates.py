"""The zero-lag events of a search, loudest first, with their significance."""

import csv
import io
from typing import ClassVar

import lal
import numpy as np

from aframe import storage
from aframe.events.significance import Background
from aframe.storage import Parameters
from aframe.tables import EventTable, Table

HEADER = ("utc", "gps_time_s", "detection_statistic", "far_per_year", "significance")


class CandidateTable(Table):
    """Zero-lag events, loudest first.

    Columns ``detection_time`` (GPS s), ``detection_statistic``, ``far_per_year`` and ``significance`` (probability that
    noise alone makes one such event in the observation); attributes ``Tb`` and ``T0`` (s of background and zero lag).
    """

    required_columns: ClassVar = ("detection_time", "detection_statistic", "far_per_year", "significance")
    required_attributes: ClassVar = ("Tb", "T0")


def candidates(zero_lag: EventTable, background: Background) -> CandidateTable:
    """Rank the events of unshifted data against the background.

    Args:
        zero_lag: Events of unshifted data; their ``Tb`` is the observing time.
        background: Events of time slides.
    """
    order = np.argsort(-zero_lag["detection_statistic"], kind="stable")
    statistic = zero_lag["detection_statistic"][order]
    columns = {
        "detection_time": zero_lag["detection_time"][order],
        "detection_statistic": statistic,
        "far_per_year": background.far_per_year(statistic),
        "significance": background.significance(statistic, zero_lag.livetime),
    }
    return CandidateTable(columns, attributes={"Tb": background.livetime, "T0": zero_lag.livetime})


def utc(gps_time: float) -> str:
    """UTC of a GPS time, to the millisecond.

    >>> utc(1126259462.4)
    '2015-09-14 09:50:45.400'
    """
    milliseconds = round(gps_time * 1000)
    year, month, day, hour, minute, second = lal.GPSToUTC(milliseconds // 1000)[:6]
    return f"{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milliseconds % 1000:03}"


def to_csv(table: CandidateTable) -> str:
    """The candidates as comma-separated values with a header."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(HEADER)
    for row in zip(*(table[name] for name in CandidateTable.required_columns), strict=True):
        time, statistic, rate, probability = (float(value) for value in row)
        writer.writerow([utc(time), f"{time:.3f}", f"{statistic:.6g}", f"{rate:.6g}", f"{probability:.6g}"])
    return stream.getvalue()


def write_candidates(table: CandidateTable, directory: str, made_with: Parameters | None = None) -> None:
    """Write ``candidates.csv`` and ``candidates.hdf5``, each whole or not at all, the latter last."""
    storage.write_text(storage.join(directory, "candidates.csv"), to_csv(table))
    table.write(storage.join(directory, "candidates.hdf5"), made_with)
