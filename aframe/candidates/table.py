"""Table of candidates: the zero-lag events of a search, loudest first, with their significance."""

import csv
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, ClassVar

import lal
import numpy as np

from aframe import storage
from aframe.candidates.removal import Removal
from aframe.events.significance import Background
from aframe.events.tail import Tail, extrapolate, fit_tail
from aframe.storage.files import Parameters
from aframe.tables import EventTable, Table
from aframe.types import Array

TAIL_PREFIX = "tail_"
"""Prefix of the attributes that hold the fit to the loudest background events."""


class CandidateTable(Table):
    """Zero-lag events, loudest first.

    Columns: ``detection_time`` (GPS s), ``detection_statistic``, ``far_per_year`` and ``significance`` (probability of
    at least one noise event as loud during the observation). Attributes: ``Tb`` and ``T0``, live times of background
    and zero lag in s. docs/results.md explains the optional columns.
    """

    required_columns: ClassVar = ("detection_time", "detection_statistic", "far_per_year", "significance")
    required_attributes: ClassVar = ("Tb", "T0")

    @property
    def tail(self) -> Tail | None:
        """Fit to the loudest background events; None if they were too few, or in a table of an earlier version."""
        names = [field.name for field in fields(Tail)]
        values = {name: self.attributes.get(f"{TAIL_PREFIX}{name}") for name in names}
        if any(value is None for value in values.values()):
            return None
        return Tail(**values | {"excess": tuple(np.asarray(values["excess"]).tolist())})


def candidates(zero_lag: EventTable, background: Background, removal: Removal | None = None) -> CandidateTable:
    """Rank the events of unshifted data against the background.

    Args:
        zero_lag: Events of unshifted data. Their ``Tb`` is the observing time.
        background: Events of time slides.
        removal: Ranking against the background without louder candidates, in the order of ``loudest_first``. Rates
            beyond the background are then extrapolated from the remaining background.

    Returns:
        Candidates, loudest first.
    """
    order = loudest_first(zero_lag)
    statistic, livetime = zero_lag["detection_statistic"][order], zero_lag.livetime
    cleaned = background if removal is None else removal.background
    tail = fit_tail(cleaned)
    beyond = extrapolate(cleaned, tail, statistic)
    columns = {
        "detection_time": zero_lag["detection_time"][order],
        "detection_statistic": statistic,
        "far_per_year": background.far_per_year(statistic),
        "far_is_upper_limit": background.is_upper_limit(statistic),
        "significance": background.significance(statistic, livetime),
        "far_interpolated_per_year": background.far_interpolated_per_year(statistic),
        "far_extrapolated_per_year": beyond.far_per_year,
        "far_extrapolated_low_per_year": beyond.low_per_year,
        "far_extrapolated_high_per_year": beyond.high_per_year,
        "is_extrapolated": beyond.is_extrapolated,
    }
    attributes = {"Tb": background.livetime, "T0": livetime}
    if tail is not None:
        attributes |= {f"{TAIL_PREFIX}{field.name}": getattr(tail, field.name) for field in fields(tail)}
    if removal is not None:
        columns |= {
            "far_cleaned_per_year": removal.far_per_year,
            "far_cleaned_is_upper_limit": removal.count == 0,
            "significance_cleaned": removal.significance(livetime),
            "is_removed": removal.removed,
        }
        attributes["Tb_cleaned"] = cleaned.livetime
    return CandidateTable(columns, attributes=attributes)


def loudest_first(zero_lag: EventTable) -> Array:
    """Rows of the events in descending order of their statistic."""
    return np.argsort(-zero_lag["detection_statistic"], kind="stable")


def utc(gps_time: float) -> str:
    """UTC of a GPS time, to the millisecond.

    >>> utc(1126259462.4)
    '2015-09-14 09:50:45.400'
    """
    milliseconds = round(gps_time * 1000)
    year, month, day, hour, minute, second = lal.GPSToUTC(milliseconds // 1000)[:6]
    return f"{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milliseconds % 1000:03}"


def _seconds(value: Any) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _arrival(value: Any) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def _number(value: Any) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


CSV_COLUMNS: Mapping[str, tuple[tuple[str, Callable[[Any], str]], ...]] = {
    "detection_time": (("utc", utc), ("gps_time_s", _seconds)),
    **{
        name: ((name, _number),)
        for name in ("detection_statistic", "far_per_year", "significance", "p_astro", "p_bns", "p_nsbh", "p_bbh",
                     "template_mass_1", "template_mass_2", "template_chirp_mass", "far_interpolated_per_year",
                     "far_extrapolated_per_year", "far_extrapolated_low_per_year", "far_extrapolated_high_per_year",
                     "far_cleaned_per_year", "significance_cleaned")
    },
    **{
        name: ((name, str),)
        for name in ("far_is_upper_limit", "is_extrapolated", "far_cleaned_is_upper_limit", "is_removed", "vetoes",
                     "catalogue_event")
    },
}  # fmt: skip
"""Headers and formats of each table column in the comma-separated values. NaN becomes an empty text."""


def to_csv(table: CandidateTable) -> str:
    """Format candidates as comma-separated values with a header.

    The required columns come first, and arrival times in the detectors last.
    """
    fields: list[tuple[str, Callable[[Any], str], Array]] = []
    optional = [name for name in CSV_COLUMNS if name in table.parameters and name not in table.required_columns]
    for name in (*table.required_columns, *optional):
        fields += [(header, write, table[name]) for header, write in CSV_COLUMNS[name]]
    if "detector_time" in table.parameters:
        for ifo, times in zip(table.attributes["ifos"], table["detector_time"].T, strict=True):
            fields.append((f"gps_time_{ifo.lower()}_s", _arrival, times))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([header for header, _, _ in fields])
    for row in zip(*(column.tolist() for _, _, column in fields), strict=True):
        writer.writerow([write(value) for (_, write, _), value in zip(fields, row, strict=True)])
    return stream.getvalue()


def write_candidates(table: CandidateTable, directory: str, made_with: Parameters | None = None) -> None:
    """Write ``candidates.csv``, then ``candidates.hdf5``. Each file appears only when complete.

    Args:
        table: Candidates.
        directory: Local or s3 directory.
        made_with: Parameters of the table.
    """
    storage.write_text(storage.join(directory, "candidates.csv"), to_csv(table))
    table.write(storage.join(directory, "candidates.hdf5"), made_with)
