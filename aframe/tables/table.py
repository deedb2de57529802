"""Tables of equally long columns with units and scalar attributes, stored in HDF5 files.

Layout of a file: attribute ``length``; group ``parameters`` with a dataset per column, each with a ``unit`` attribute;
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
    "template_chirp_mass": "M_sun",
    "luminosity_distance": "Mpc",
    "detector_time": "s",
    "glitch_time": "s",
    "frequency": "Hz",
    **dict.fromkeys(
        (
            "far_per_year",
            "far_interpolated_per_year",
            "far_extrapolated_per_year",
            "far_extrapolated_low_per_year",
            "far_extrapolated_high_per_year",
            "far_cleaned_per_year",
        ),
        "1 / yr",
    ),
    **dict.fromkeys(
        ("volume_bank_gpc3", "volume_bank_error", "volume_network_gpc3", "volume_network_error"),
        "Gpc^3",
    ),
    **dict.fromkeys(
        ("ra", "dec", "psi", "phase", "theta_jn", "tilt_1", "tilt_2", "phi_12", "phi_jl", "zenith", "azimuth"), "rad"
    ),
}
"""Units of columns. All other columns are dimensionless."""


AnyTable = TypeVar("AnyTable", bound="Table")


MERGE_BYTES = 2**26
"""Largest piece of a table in memory during a merge, in bytes."""

CHUNK_BYTES = 2**20
"""Largest HDF5 chunk of a column, in bytes."""

FEWEST_CHUNK_ROWS = 256
"""Smallest number of rows of an HDF5 chunk, unless ``CHUNK_BYTES`` limits it."""


@dataclass
class Table:
    """Rows of parameters and optional waveforms.

    Attributes:
        parameters: Columns by name, of shape (rows,) or (rows, ifos).
        waveforms: Channels by name, of shape (rows, samples).
        attributes: Values that hold for all rows.

    Raises:
        StorageError: If the columns have different lengths.
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
        """Select rows. The attributes do not change."""
        return type(self)(
            {name: column[selection] for name, column in self.parameters.items()},
            {name: channel[selection] for name, channel in self.waveforms.items()},
            dict(self.attributes),
        )

    @classmethod
    def concatenate(cls: type[AnyTable], tables: Sequence[AnyTable], additive: Sequence[str] = ()) -> AnyTable:
        """Concatenate the rows of tables.

        Args:
            tables: At least one table; all have the same columns.
            additive: Attributes to sum over all tables. Other attributes have the value of the last table.
        """
        first = tables[0]
        attributes: dict[str, Any] = {}
        for table in tables:
            attributes = _merged_attributes(attributes, table.attributes, additive)
        return cls(
            {name: np.concatenate([t.parameters[name] for t in tables]) for name in first.parameters},
            {name: np.concatenate([t.waveforms[name] for t in tables]) for name in first.waveforms},
            attributes,
        )

    def write(self, path: str, made_with: Parameters | None = None) -> None:
        """Write the table to a file. The file appears only when complete.

        Args:
            path: Local or s3 path.
            made_with: Parameters of the table.
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
        rows: slice | Array = slice(None),
        waveforms: bool = False,
    ) -> AnyTable:
        """Read a table, or a selection of its columns and rows.

        Args:
            path: Local or s3 path.
            columns: Names of the columns; None for all.
            rows: Rows, as a slice or their numbers in order.
            waveforms: Whether to read waveforms.

        Raises:
            StorageError: If the file is missing or truncated, or lacks a required column or attribute.
        """
        with storage.open_hdf5(path) as file:
            group = file.get("parameters", {})
            names = list(group) if columns is None else list(columns)
            required = cls.required_columns if columns is None else ()
            missing = [name for name in {*names, *required} if name not in group]
            missing += [name for name in cls.required_attributes if name not in file.attrs]
            if missing:
                raise StorageError(
                    f"{path} is no {cls.__name__}: it lacks {', '.join(sorted(missing))}; "
                    "check that it is the right file"
                )
            channels = file.get("waveforms", {}) if waveforms else {}
            return cls(
                {name: _column(group[name], rows) for name in names},
                {name: channels[name][rows] for name in channels},
                _attributes(file),
            )

    @classmethod
    def count(cls, path: str) -> int:
        """Number of rows in a file. It reads no columns."""
        with storage.open_hdf5(path) as file:
            return int(file.attrs["length"])


class TableWriter:
    """Append tables to an open HDF5 file. A long table thus does not need to fit in memory.

    Args:
        file: Empty file, open for writing.
    """

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._file.attrs["length"] = 0

    def append(self, table: Table) -> None:
        """Append the rows of a table. All tables must have the same columns.

        Raises:
            StorageError: If a text is longer than the longest text of the first table.
        """
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
                f"{name} holds texts of at most {dataset.dtype.itemsize} bytes, as in its first rows, but the new rows "
                f"have {column.dtype.itemsize} bytes: append the longest text first"
            )
        dataset.resize(start + len(column), axis=0)
        dataset[start:] = column


def write_tables(
    paths: Sequence[str], batches: Iterable[Sequence[Table]], made_with: Parameters | None, additive: Sequence[str]
) -> None:
    """Write tables in batches, without a whole table in memory.

    Args:
        paths: Paths of the tables. The files appear only when all are complete.
        batches: Rows to append to each table, in one or more batches.
        made_with: Parameters of the tables.
        additive: Attributes to sum over all batches. Other attributes have the value of the last batch.
    """
    with contextlib.ExitStack() as stack:
        writers = [TableWriter(stack.enter_context(storage.create_hdf5(path, made_with))) for path in paths]
        totals: list[dict[str, Any]] = [{} for _ in paths]
        for batch in batches:
            for k, (writer, table) in enumerate(zip(writers, batch, strict=True)):
                writer.append(table)
                totals[k] = _merged_attributes(totals[k], table.attributes, additive)
        for writer, attributes in zip(writers, totals, strict=True):
            writer.attributes(attributes)


def merge_tables(
    kind: type[Table], sources: Sequence[str], path: str, made_with: Parameters, additive: Sequence[str]
) -> None:
    """Merge tables in order, with at most 64 MB in memory.

    Args:
        kind: Class of the tables.
        sources: Paths of the tables.
        path: Path of the merged table. The file appears only when complete.
        made_with: Parameters of the merged table.
        additive: Attributes to sum over all tables. Other attributes have the value of the last table.
    """
    pieces = (piece for source in sources for piece in _pieces(kind, source, additive))
    write_tables([path], ((piece,) for piece in pieces), made_with, additive)


def _pieces(kind: type[Table], path: str, additive: Sequence[str]) -> Iterator[Table]:
    """Pieces of a table of at most ``MERGE_BYTES``, at least one.

    The first piece has the additive attributes of the whole table; in the others they are 0.
    """
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


def _merged_attributes(first: Mapping[str, Any], second: Mapping[str, Any], additive: Sequence[str]) -> dict[str, Any]:
    """Attributes of two tables after a merge."""
    return dict(first) | {
        name: first.get(name, 0) + value if name in additive else value for name, value in second.items()
    }


def _column(dataset: h5py.Dataset, rows: slice | Array) -> Array:
    """Rows of a column. Texts are decoded."""
    values = np.asarray(dataset[rows])
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values


def _attributes(file: h5py.File) -> dict[str, Any]:
    hidden = {"length", storage.PARAMETERS_ATTRIBUTE}
    return {
        name: value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
        for name, value in file.attrs.items()
        if name not in hidden
    }
