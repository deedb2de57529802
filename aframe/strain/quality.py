"""When strain is not to be trusted, as its publishers say: gates, GWOSC's bits, segment lists, known events."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from aframe import storage
from aframe.errors import DataError
from aframe.strain import recordings, segments
from aframe.strain.flags import XML_SUFFIXES, read_flags
from aframe.strain.recordings import format_gps
from aframe.strain.segments import Segment, coalesce, intersect, outside, read_segments
from aframe.types import Array

MASKS = (("quality/simple/DQmask", "DQShortnames"), ("quality/injections/Injmask", "InjShortnames"))
"""Where GWOSC's HDF5 files have their bits, and beside them the bits' names."""


def read_gates(path: str) -> list[Segment]:
    """Read a list of gates, in which strain was multiplied by an inverse Tukey window.

    Each line has a gate's centre (GPS s), the half-width of the stretch that is zero and the length of the taper on
    either side of it (s); ``#`` begins a comment. What is affected is centre ± (half-width + taper).

    Raises:
        DataError: Naming the file and line of a row that is malformed.
        StorageError: If there is no such file.
    """
    gates = []
    for number, line in enumerate(storage.read_text(path).splitlines(), start=1):
        words = line.partition("#")[0].split()
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        good = len(values) == 3 and all(map(math.isfinite, values)) and min(values) >= 0 and sum(values[1:]) > 0
        if words and not good:
            raise DataError(
                f"{path}, line {number}: {' '.join(words)!r} is no gate: expected 'centre half-width taper' in s"
            )
        if words:
            centre, half_width, taper = values
            gates.append(Segment(centre - half_width - taper, centre + half_width + taper))
    return coalesce(gates)


def read_list(path: str, ifo: str) -> list[Segment]:
    """One detector's segments in a segwizard list, or in a LIGO_LW document: of all its flags of that detector.

    Raises:
        DataError: If the file is malformed; if a LIGO_LW document has no flag of the detector.
        StorageError: If there is no such file.
    """
    if not path.endswith(XML_SUFFIXES):
        return coalesce(read_segments(path, may_overlap=True))
    flags = read_flags(path)
    own = [flag for flag in flags if flag.ifo == ifo]
    if not own:
        raise DataError(f"{path} has flags of {', '.join(sorted({f.ifo for f in flags})) or 'none'}, not of {ifo}")
    return coalesce(segment for flag in own for segment in flags[flag])


def read_event_times(path: str) -> list[float]:
    """GPS times of events, from a table with a column ``gps`` (comma-separated, as GWOSC's) or one in each line.

    Raises:
        DataError: Naming the file and line of what is no time.
        StorageError: If there is no such file.
    """
    rows = list(csv.reader(line.partition("#")[0] for line in storage.read_text(path).splitlines()))
    header = [name.strip() for name in rows[0]] if rows else []
    column, first = (header.index("gps"), 1) if "gps" in header else (0, 0)
    times = []
    for number, row in enumerate(rows[first:], start=first + 1):
        try:
            times += [_finite(row[column])] if row else []
        except (ValueError, IndexError):
            raise DataError(
                f"{path}, line {number}: {','.join(row)[:60]!r} has no GPS time: expected a comma-separated table with "
                "a column gps, or a time in each line"
            ) from None
    return times


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


@dataclass(frozen=True, eq=False)
class Bits:
    """GWOSC's bit mask of one detector and file, as a series of whole numbers.

    Attributes:
        path: The file.
        ifo: Detector.
        start: GPS seconds of the first sample.
        spacing: Seconds from one to the next.
        names: Of the bits, the lowest first.
        values: The mask.
    """

    path: str
    ifo: str
    start: float
    spacing: float
    names: tuple[str, ...]
    values: Array

    @property
    def span(self) -> Segment:
        """The time for which the bits are known."""
        return Segment(self.start, self.start + self.spacing * len(self.values))

    def unset(self, name: str) -> list[Segment]:
        """When a bit is not set."""
        off = (self.values >> self.names.index(name)) & 1 == 0
        edges = np.flatnonzero(np.diff(np.concatenate([[False], off, [False]]))).reshape(-1, 2)
        return [Segment(self.start + a * self.spacing, self.start + b * self.spacing) for a, b in edges.tolist()]


def read_bits(path: str) -> list[Bits]:
    """The bits for data quality, and those for injections, of one of GWOSC's HDF5 files; of another file, none.

    Raises:
        DataError: If the file does not say of which detector they are.
        StorageError: If the file is missing or damaged.
    """
    found = []
    with storage.open_hdf5(path) as file:
        for mask, names in MASKS:
            beside = f"{mask.rpartition('/')[0]}/{names}"
            if mask in file and beside in file:
                series: h5py.Dataset = file[mask]
                labels = tuple(name.decode() for name in file[beside][:])
                start, spacing = float(series.attrs["Xstart"]), float(series.attrs["Xspacing"])
                ifo = recordings.inventory(path)[0].ifo
                found.append(Bits(path, ifo, start, spacing, labels, series[:].astype(np.int64)))
    return found


def unset_in_files(
    directory: str, names: Sequence[str], ifos: Sequence[str], needed: Sequence[Segment]
) -> dict[tuple[str, str], list[Segment]]:
    """When bits are not set, from the GWOSC HDF5 files of a directory.

    Args:
        directory: Of the files.
        names: Of bits of data quality (CBC_CAT2) and of injections (NO_CBC_HW_INJ).
        ifos: Detectors.
        needed: Time for which they must be known.

    Returns:
        Segments by detector and bit.

    Raises:
        DataError: If a file does not have a bit, or there are no files of some of the time.
    """
    paths = [p for suffix in (".hdf5", ".h5", ".hdf") for p in storage.glob(storage.join(directory, f"*{suffix}"))]
    bits = [part for path in paths for part in read_bits(path)]
    result = {}
    for ifo in ifos:
        own = [part for part in bits if part.ifo == ifo]
        for name in names:
            having = [part for part in own if name in part.names]
            if own and not having:
                known = dict.fromkeys(label for part in own for label in part.names)
                raise DataError(f"{own[0].path} has no bit {name}: dq_bits may name {', '.join(known)}")
            _check_known(f"{directory} has no HDF5 file with bit {name} of {ifo}", having, needed)
            result[ifo, name] = coalesce(segment for part in having for segment in part.unset(name))
    return result


def _check_known(complaint: str, having: Iterable[Bits], needed: Sequence[Segment]) -> None:
    known = [part.span for part in having]
    unknown = [gap for segment in needed for gap in outside(known, segment.start, segment.stop)]
    if unknown:
        raise DataError(
            f"{complaint} from {format_gps(unknown[0].start)} to {format_gps(unknown[0].stop)}: add GWOSC's file "
            "to dq_files in [luigi_vetoes]"
        )


def unset_in_timeline(
    names: Sequence[str], ifos: Sequence[str], needed: Sequence[Segment]
) -> Mapping[tuple[str, str], list[Segment]]:
    """When bits are not set, from GWOSC's timelines: as ``unset_in_files``, without files.

    Raises:
        DataError: If GWOSC cannot be asked, or does not know a bit.
    """
    start, stop = min(segment.start for segment in needed), max(segment.stop for segment in needed)
    result = {}
    for ifo in ifos:
        for name in names:
            good = segments.timeline_segments(f"{ifo}_{name}", start, stop)
            result[ifo, name] = intersect(outside(good, start, stop), needed)
    return result
