"""Columns of equal length with units and scalar attributes, in HDF5 files that other tools read.

Layout: attribute ``length``; group ``parameters`` with a dataset per column, each with a ``unit`` attribute;
group ``waveforms`` with a dataset per channel; scalars as attributes of the file.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import h5py
import numpy as np

from aframe import storage
from aframe.errors import StorageError
from aframe.storage.files import Parameters
from aframe.types import Array

UNITS: Mapping[str, str] = {
    "detection_time": "s",
    "injection_time": "s",
    "start": "s",
    "duration": "s",
    "geocent_time": "s",
    "shift": "s",
    "mass_1": "M_sun",
    "mass_2": "M_sun",
    "mass_1_source": "M_sun",
    "mass_2_source": "M_sun",
    "total_mass": "M_sun",
    "chirp_mass": "M_sun",
    "luminosity_distance": "Mpc",
    "detector_time": "s",
    **dict.fromkeys(
        (
            "far_per_year",
            "far_interpolated_per_year",
            "far_extrapolated_per_year",
            "far_cleaned_per_year",
        ),
        "1 / yr",
    ),
    **dict.fromkeys(
        ("ra", "dec", "psi", "phase", "theta_jn", "tilt_1", "tilt_2", "phi_12", "phi_jl", "zenith", "azimuth"), "rad"
    ),
}
"""Units of the columns that have one; every other column is dimensionless."""


AnyTable = TypeVar("AnyTable", bound="Table")


MERGE_BYTES = 2**26
"""Bytes of a table in memory while it is being joined to others."""

CHUNK_BYTES, FEWEST_CHUNK_ROWS = 2**20, 256
"""Largest piece of a column that is written at once, and rows for which a short column leaves room."""


@dataclass
class Table:
    """Rows of parameters, and of waveforms where there are any.

    Attributes:
        parameters: Column name to array of shape (rows,) or (rows, ifos).
        waveforms: Channel name to array of shape (rows, samples).
        attributes: Scalars that hold for all rows.
    """

    parameters: dict[str, Array]
    waveforms: dict[str, Array] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)

    required_columns: ClassVar[tuple[str, ...]] = ()
    required_attributes: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in (self.parameters | self.waveforms).items()}
        if len(set(lengths.values())) > 1:
            raise StorageError(f"columns of one table must be equally long, these are not: {lengths}")

    def __len__(self) -> int:
        columns = self.parameters or self.waveforms
        return len(next(iter(columns.values()))) if columns else 0

    def __getitem__(self, column: str) -> Array:
        return self.parameters[column]

    def rows(self: AnyTable, selection: Array | slice) -> AnyTable:
        """The table of the selected rows, with the same attributes."""
        return type(self)(
            {name: column[selection] for name, column in self.parameters.items()},
            {name: channel[selection] for name, channel in self.waveforms.items()},
            dict(self.attributes),
        )

    @classmethod
    def concatenate(cls: type[AnyTable], tables: Sequence[AnyTable], additive: Sequence[str] = ()) -> AnyTable:
        """Tables below each other.

        Args:
            tables: At least one, of the same columns.
            additive: Attributes of which the whole has the sum; of the others it has the last one's.
        """
        first = tables[0]
        attributes: dict[str, Any] = {}
        for table in tables:
            attributes = _joined(attributes, table.attributes, additive)
        return cls(
            {name: np.concatenate([t.parameters[name] for t in tables]) for name in first.parameters},
            {name: np.concatenate([t.waveforms[name] for t in tables]) for name in first.waveforms},
            attributes,
        )

    def write(self, path: str, made_with: Parameters | None = None) -> None:
        """Write the table, whole or not at all.

        Args:
            path: Local or s3 path.
            made_with: Parameters that made the table.
        """
        with storage.create_hdf5(path, made_with) as file:
            writer = TableWriter(file)
            writer.append(self)
            writer.attributes(self.attributes)

    @classmethod
    def read(
        cls: type[AnyTable],
        path: str,
        columns: Sequence[str] | None = None,
        rows: slice = slice(None),
        waveforms: bool = False,
    ) -> AnyTable:
        """Read a table, or some of its columns and rows; waveforms only when asked for.

        Raises:
            StorageError: If the file is missing, truncated, or lacks what this kind of table must have.
        """
        with storage.open_hdf5(path) as file:
            group = file.get("parameters", {})
            wanted = list(group) if columns is None else list(columns)
            required = cls.required_columns if columns is None else ()
            missing = [name for name in {*wanted, *required} if name not in group]
            missing += [name for name in cls.required_attributes if name not in file.attrs]
            if missing:
                raise StorageError(
                    f"{path} is no {cls.__name__}: it lacks {', '.join(sorted(missing))}; "
                    "check that it is the right file"
                )
            channels = file.get("waveforms", {}) if waveforms else {}
            return cls(
                {name: _column(group[name], rows) for name in wanted},
                {name: channels[name][rows] for name in channels},
                _attributes(file),
            )

    @classmethod
    def count(cls, path: str) -> int:
        """Number of rows, without reading any."""
        with storage.open_hdf5(path) as file:
            return int(file.attrs["length"])


class TableWriter:
    """Appends tables to an open HDF5 file, so that a long table never has to be in memory."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._file.attrs["length"] = 0

    def append(self, table: Table) -> None:
        """Add the rows of ``table``; every table must have the same columns."""
        start = int(self._file.attrs["length"])
        for group, columns in (("parameters", table.parameters), ("waveforms", table.waveforms)):
            for name, column in columns.items():
                self._extend(f"{group}/{name}", np.asarray(column), start)
        self._file.attrs["length"] = start + len(table)

    def attributes(self, values: Mapping[str, Any]) -> None:
        """Set scalar attributes of the file."""
        for name, value in values.items():
            self._file.attrs[name] = value

    def _extend(self, name: str, column: Array, start: int) -> None:
        if column.dtype.kind == "U":
            column = np.char.encode(column, "utf-8")
        if name not in self._file:
            row_bytes = max(1, column.dtype.itemsize * int(np.prod(column.shape[1:])))
            rows = max(1, min(max(len(column), FEWEST_CHUNK_ROWS), CHUNK_BYTES // row_bytes))
            dataset = self._file.create_dataset(
                name,
                shape=(0, *column.shape[1:]),
                maxshape=(None, *column.shape[1:]),
                chunks=(rows, *column.shape[1:]),
                dtype=column.dtype,
            )
            if name.startswith("parameters/"):
                dataset.attrs["unit"] = UNITS.get(name.removeprefix("parameters/"), "")
        dataset = self._file[name]
        if column.dtype.kind == "S" and column.dtype.itemsize > dataset.dtype.itemsize:
            raise StorageError(
                f"{name} holds texts of {dataset.dtype.itemsize} bytes at most, as its first rows did, and is given "
                f"one of {column.dtype.itemsize}: append the longest first"
            )
        dataset.resize(start + len(column), axis=0)
        dataset[start:] = column


def write_tables(
    paths: Sequence[str], batches: Iterable[Sequence[Table]], made_with: Parameters | None, additive: Sequence[str]
) -> None:
    """Write tables that come in batches, so that none of them is ever in memory as a whole.

    Args:
        paths: Where the tables go; they appear there only when all are complete.
        batches: For each batch, the rows that it adds to each table; at least one batch.
        made_with: Parameters that made the tables.
        additive: Attributes of which the whole has the sum; of the others it has the last one's.
    """
    with contextlib.ExitStack() as stack:
        writers = [TableWriter(stack.enter_context(storage.create_hdf5(path, made_with))) for path in paths]
        totals: list[dict[str, Any]] = [{} for _ in paths]
        for batch in batches:
            for k, (writer, table) in enumerate(zip(writers, batch, strict=True)):
                writer.append(table)
                totals[k] = _joined(totals[k], table.attributes, additive)
        for writer, attributes in zip(writers, totals, strict=True):
            writer.attributes(attributes)


def merge_tables(
    kind: type[Table], sources: Sequence[str], path: str, made_with: Parameters, additive: Sequence[str]
) -> None:
    """Join tables in order, 64 MB of them in memory at a time.

    Args:
        kind: The tables' kind.
        sources: Their paths.
        path: Where the whole goes; it appears there only when complete.
        made_with: Its parameters.
        additive: Attributes of which the whole has the sum; of the others it has the last one's.
    """
    pieces = (piece for source in sources for piece in _pieces(kind, source, additive))
    write_tables([path], ((piece,) for piece in pieces), made_with, additive)


def _pieces(kind: type[Table], path: str, additive: Sequence[str]) -> Iterator[Table]:
    """A table in pieces of ``MERGE_BYTES``, at least one; the first one's additive attributes are the whole table's."""
    with storage.open_hdf5(path) as file:
        total = int(file.attrs["length"])
        columns = [column for group in ("parameters", "waveforms") for column in file.get(group, {}).values()]
        row_bytes = sum(column.dtype.itemsize * int(np.prod(column.shape[1:])) for column in columns)
    rows = max(1, MERGE_BYTES // max(1, row_bytes))
    for start in range(0, max(1, total), rows):
        piece = kind.read(path, rows=slice(start, start + rows), waveforms=True)
        if start:
            piece.attributes |= {name: 0 for name in additive if name in piece.attributes}
        yield piece


def _joined(known: Mapping[str, Any], new: Mapping[str, Any], additive: Sequence[str]) -> dict[str, Any]:
    """Attributes of two tables together."""
    return dict(known) | {
        name: known.get(name, 0) + value if name in additive else value for name, value in new.items()
    }


def _column(dataset: h5py.Dataset, rows: slice) -> Array:
    """Rows of a column; texts as numpy's own, not as bytes."""
    values = np.asarray(dataset[rows])
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values


def _attributes(file: h5py.File) -> dict[str, Any]:
    hidden = {"length", storage.PARAMETERS_ATTRIBUTE}
    return {
        name: value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
        for name, value in file.attrs.items()
        if name not in hidden
    }
