"""Published data quality of strain: gates, GWOSC's bits, segment lists and times of known events."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from aframe import storage
from aframe.errors import DataError
from aframe.strain import hdf5_files, recordings, segments
from aframe.strain.columns import CENTRE_COLUMNS, HALF_WIDTH_COLUMNS, TAPER_COLUMNS
from aframe.strain.flags import is_document, read_flags
from aframe.strain.lists import read_events, read_listing
from aframe.strain.segments import Segment, coalesce, intersect, outside, read_segments
from aframe.strain.times import format_gps
from aframe.types import Array

MASKS = (("quality/simple/DQmask", "DQShortnames"), ("quality/injections/Injmask", "InjShortnames"))
"""Datasets of bit masks in GWOSC's HDF5 files, each with the dataset of the bits' names in the same group."""

LONGEST_GATE = 60.0
"""Longest plausible gate, s. The longest of O3 has 4 s. Longer bad time is vetoed by segments."""

EXPECTED_GATE = "expected 'centre half-width taper' in s, and no start, stop and padding, nor milliseconds"
"""Form of a row, for error messages."""


def read_gates(path: str, ifo: str | None = None) -> list[Segment]:
    """Read a list of gates. A gate multiplies strain by an inverse Tukey window.

    Each row has three numbers: the gate's centre (GPS s), the half-width of the stretch of zeros (s), and the length
    of the taper on either side (s). A first row may name the columns. A gate affects centre ± (half-width + taper).

    Args:
        path: Local or s3 path.
        ifo: Detector, if the list names detectors; None for any.

    Raises:
        DataError: With file and line of a malformed row.
        StorageError: If the file does not exist.
    """
    listing = read_listing(path)
    columns: list[int | None] = [0, 1, 2]
    if listing.header is not None:
        columns = [listing.seconds(names) for names in (CENTRE_COLUMNS, HALF_WIDTH_COLUMNS, TAPER_COLUMNS)]
        if None in columns:
            raise DataError(f"{listing.header} has no columns centre, half_width and taper: {EXPECTED_GATE}")
    gates = []
    rows = (
        [row.without_index() for row in listing.rows]
        if listing.header is None
        else listing.rows_of(ifo, has_flags=False)
    )
    for row in rows:
        values = [None if column is None else row.time(column) for column in columns]
        numbers = [value for value in values if value is not None]
        is_whole = len(numbers) == 3 and (listing.header is not None or len(row.values) == 3)
        centre, half = numbers[0] if is_whole else 0.0, sum(numbers[1:])
        if not is_whole or min(numbers) < 0 or not centre - half < centre + half:
            raise DataError(f"{row} is no gate: {EXPECTED_GATE}")
        if 2 * half > LONGEST_GATE:
            raise DataError(
                f"{row} is a gate of {2 * half:g} s, longer than {LONGEST_GATE:g} s: {EXPECTED_GATE}; give longer bad "
                "time as veto_segments"
            )
        gates.append(Segment(centre - half, centre + half))
    return coalesce(gates)


def read_list(path: str, ifo: str) -> list[Segment]:
    """Read one detector's segments from a segwizard list or a LIGO_LW document.

    Args:
        path: Local or s3 path. Of a LIGO_LW document, the segments of all flags of the detector count.
        ifo: Detector.

    Raises:
        DataError: If the file is malformed, or has no flag of the detector.
        StorageError: If the file does not exist.
    """
    if not is_document(path):
        return coalesce(read_segments(path, ifo))
    flags = read_flags(path)
    flags_of_ifo = [flag for flag in flags if flag.ifo == ifo]
    if not flags_of_ifo:
        raise DataError(f"{path} has flags of {', '.join(sorted({f.ifo for f in flags})) or 'none'}, not of {ifo}")
    return coalesce(segment for flag in flags_of_ifo for segment in flags[flag])


def read_event_times(path: str) -> list[float]:
    """Read GPS times of events from a list or a table, as ``read_events`` does.

    Raises:
        DataError: With file and line of a malformed time.
        StorageError: If the file does not exist.
    """
    return [time for _, time in read_events(path)]


@dataclass(frozen=True, eq=False)
class Bits:
    """Time series of GWOSC's bit mask of one detector in one file.

    Attributes:
        path: Path of the file.
        ifo: Detector.
        start: Time of the first sample, GPS s.
        spacing: Time between samples, s.
        names: Names of the bits, lowest bit first.
        values: Bit masks, whole numbers, shape (samples,).
    """

    path: str
    ifo: str
    start: float
    spacing: float
    names: tuple[str, ...]
    values: Array

    @property
    def span(self) -> Segment:
        """Time that the series covers."""
        return Segment(self.start, self.start + self.spacing * len(self.values))

    def unset(self, name: str) -> list[Segment]:
        """Segments in which a bit is not set."""
        off = (self.values >> self.names.index(name)) & 1 == 0
        edges = np.flatnonzero(np.diff(np.concatenate([[False], off, [False]]))).reshape(-1, 2)
        return [Segment(self.start + a * self.spacing, self.start + b * self.spacing) for a, b in edges.tolist()]


def read_bits(path: str) -> list[Bits]:
    """Read the bit masks of data quality and of injections from one of GWOSC's HDF5 files.

    Other HDF5 files have no bit masks; the result is then empty.

    Raises:
        DataError: If the file does not name the detector, or its masks have no times.
        StorageError: If the file is missing or damaged.
    """
    masks = []
    with storage.open_hdf5(path) as file:
        for mask, names in MASKS:
            beside = f"{mask.rpartition('/')[0]}/{names}"
            if mask in file and beside in file:
                series: h5py.Dataset = file[mask]
                labels = tuple(name.decode() for name in file[beside][:])
                axis = series.attrs.get("Xstart"), series.attrs.get("Xspacing")
                flaw = hdf5_files.axis_flaw(*axis)
                if flaw:
                    raise DataError(f"{path}: {mask} {flaw}; fetch the file again")
                start, spacing = map(float, axis)
                ifo = recordings.inventory(path)[0].ifo
                masks.append(Bits(path, ifo, start, spacing, labels, _whole(series[:])))
    return masks


def _whole(values: Array) -> Array:
    """Bit masks of numbers of any type. Numbers that are no mask (NaN, −1, 0.5) have no bit."""
    numbers = np.asarray(values, np.float64)
    is_mask = (numbers >= 0) & (numbers < 2**53) & (numbers == np.floor(numbers))
    return np.where(is_mask, numbers, 0).astype(np.int64)


def unset_in_files(
    directory: str, names: Sequence[str], ifos: Sequence[str], needed: Sequence[Segment]
) -> dict[tuple[str, str], list[Segment]]:
    """Find segments in which bits are not set, from the GWOSC HDF5 files of a directory.

    Args:
        directory: Directory of the files, or pattern of their names.
        names: Names of bits, of data quality (such as CBC_CAT2) or of injections (such as NO_CBC_HW_INJ).
        ifos: Detectors.
        needed: Time that the files must cover.

    Returns:
        Segments by detector and bit.

    Raises:
        DataError: If the files lack a bit, or do not cover ``needed``.
    """
    paths = storage.files_in(directory, (".hdf5", ".h5", ".hdf"))
    hdf5_files.check(paths)
    bits = [part for path in paths for part in read_bits(path)]
    result = {}
    for ifo in ifos:
        bits_of_ifo = [part for part in bits if part.ifo == ifo]
        for name in names:
            masks = [part for part in bits_of_ifo if name in part.names]
            if bits_of_ifo and not masks:
                labels = dict.fromkeys(label for part in bits_of_ifo for label in part.names)
                raise DataError(f"{bits_of_ifo[0].path} has no bit {name}: dq_bits may name {', '.join(labels)}")
            _check_coverage(f"{directory} has no HDF5 file with bit {name} of {ifo}", masks, needed)
            result[ifo, name] = coalesce(segment for part in masks for segment in part.unset(name))
    return result


def _check_coverage(complaint: str, masks: Iterable[Bits], needed: Sequence[Segment]) -> None:
    spans = [part.span for part in masks]
    gaps = [gap for segment in needed for gap in outside(spans, segment.start, segment.stop)]
    if gaps:
        raise DataError(
            f"{complaint} from {format_gps(gaps[0].start)} to {format_gps(gaps[0].stop)}: add GWOSC's file "
            "to dq_files in [luigi_vetoes]"
        )


def unset_in_timeline(
    names: Sequence[str], ifos: Sequence[str], needed: Sequence[Segment]
) -> Mapping[tuple[str, str], list[Segment]]:
    """Find segments in which bits are not set, from GWOSC's timelines.

    Args:
        names: Names of bits, as for ``unset_in_files``.
        ifos: Detectors.
        needed: Time of interest.

    Returns:
        Segments within ``needed``, by detector and bit.

    Raises:
        DataError: If GWOSC does not answer, or has no such bit.
    """
    start, stop = min(segment.start for segment in needed), max(segment.stop for segment in needed)
    result = {}
    for ifo in ifos:
        for name in names:
            good = segments.timeline_segments(f"{ifo}_{name}", start, stop)
            result[ifo, name] = intersect(outside(good, start, stop), needed)
    return result
