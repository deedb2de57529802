"""Stretches of time: which are analysable, and how they are cut into pieces of work."""

import functools
import itertools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import igwn_segments

from aframe import storage
from aframe.errors import DataError
from aframe.strain import recordings
from aframe.strain.channels import Recording
from aframe.strain.columns import DURATION_COLUMNS, START_COLUMNS, STOP_COLUMNS
from aframe.strain.lists import read_listing
from aframe.strain.notes import tell_once
from aframe.strain.resample import EDGE_DURATION
from aframe.strain.rows import Row, number
from aframe.strain.source import StrainSource
from aframe.strain.times import format_gps

FORMS = {
    form.count(" ") + 1: form.split() for form in ("start stop", "start stop duration", "number start stop duration")
}
"""Columns of a list without names, by their number."""

EXPECTED = (
    f"expected {', '.join(repr(' '.join(form)) for form in FORMS.values())}, or names above the columns (start and "
    "stop, or start and duration): GPS seconds with a decimal point, or UTC as 2019-04-29T13:29:25"
)
"""Forms of a row, for error messages."""

ROUNDING = 1.0
"""Difference in s by which a duration in a list may be rounded."""


@dataclass(frozen=True, order=True)
class Segment:
    """The half-open stretch of time [start, stop), GPS seconds.

    Raises:
        DataError: If it does not end after it starts.
    """

    start: float
    stop: float

    def __post_init__(self) -> None:
        if not self.stop > self.start:
            raise DataError(f"a segment from {self.start} to {self.stop} is empty: its end must come after its start")

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.stop - self.start


def coalesce(segments: Iterable[Segment]) -> list[Segment]:
    """Sort segments, and merge those that touch or overlap."""
    return _segments(_intervals(segments))


def intersect(*lists: Iterable[Segment]) -> list[Segment]:
    """The time that lies in every one of some lists.

    >>> intersect([Segment(0, 10)], [Segment(2, 4), Segment(8, 12)])
    [Segment(start=2, stop=4), Segment(start=8, stop=10)]
    """
    return _segments(functools.reduce(operator.and_, map(_intervals, lists)))


def outside(segments: Iterable[Segment], start: float, stop: float) -> list[Segment]:
    """The time in [start, stop) that lies in none of some segments.

    Args:
        segments: In any order.
        start: GPS seconds.
        stop: GPS seconds.

    >>> outside([Segment(2, 4), Segment(8, 12)], 0, 10)
    [Segment(start=0, stop=2), Segment(start=4, stop=8)]
    """
    return _segments(igwn_segments.segmentlist([igwn_segments.segment(start, stop)]) - _intervals(segments))


def _intervals(segments: Iterable[Segment]) -> igwn_segments.segmentlist:
    return igwn_segments.segmentlist(igwn_segments.segment(each.start, each.stop) for each in segments).coalesce()


def _segments(intervals: igwn_segments.segmentlist) -> list[Segment]:
    return [Segment(*interval) for interval in intervals]


def divide(segments: Iterable[Segment], min_duration: float, max_duration: float) -> list[Segment]:
    """Drop what is too short and cut what is too long.

    Args:
        segments: Any.
        min_duration: Shortest piece that is kept, seconds.
        max_duration: Longest piece, seconds: longer segments become pieces of exactly this length and a rest.

    >>> divide([Segment(0, 25), Segment(30, 32)], min_duration=4, max_duration=10)
    [Segment(start=0, stop=10), Segment(start=10, stop=20), Segment(start=20, stop=25)]
    """
    pieces = []
    for segment in segments:
        count = math.ceil(segment.duration / max_duration)
        edges = [segment.start + k * max_duration for k in range(count)] + [segment.stop]
        pieces += [Segment(a, b) for a, b in itertools.pairwise(edges) if b > a]
    return [piece for piece in pieces if piece.duration >= min_duration]


def read_segments(path: str, ifo: str | None = None) -> list[Segment]:
    """Read a list of segments, in order of time.

    A row has a start and stop, or start, stop and duration, or a number, start, stop and duration; or the columns that
    the first row names; or is one of a timeline in JSON. Rows of no duration are left out.

    Args:
        path: Local or s3 path.
        ifo: Detector of the flag, if the list names flags; None for any.

    Raises:
        DataError: Naming the file and line of a row that is malformed or padded.
        StorageError: If there is no such file.
    """
    listing = read_listing(path, ifo)
    columns: dict[str, int] = {}
    if listing.header is not None:
        names = {"start": START_COLUMNS, "stop": STOP_COLUMNS, "duration": DURATION_COLUMNS}
        places = {name: listing.seconds(titles) for name, titles in names.items()}
        columns = {name: place for name, place in places.items() if place is not None}
        if "start" not in columns or len(columns) == 1:
            raise DataError(f"{listing.header} has no columns start and stop: {EXPECTED}")
    rows = listing.rows_of(ifo) if columns else [row.without_index() for row in listing.rows]
    for row, column in itertools.product(rows, [k for k, title in enumerate(listing.titles) if "pad" in title]):
        if number(row.text(column) or "0") != 0:
            raise DataError(f"{row} has a padding: add it to start and stop, and leave its column out")
    segments = [_parse_row(row, columns) for row in rows]
    return sorted(segment for segment in segments if segment is not None)


def _parse_row(row: Row, columns: Mapping[str, int]) -> Segment | None:
    """Segment of a row. None if it is empty.

    Args:
        row: The row.
        columns: Columns of start, stop and duration. Empty without names of columns.
    """
    columns = columns or {name: column for column, name in enumerate(FORMS.get(len(row.values), ()))}
    values = {name: row.time(column) for name, column in columns.items()}
    times = {name: value for name, value in values.items() if value is not None}
    if not times or len(times) < len(values):
        raise DataError(f"{row} is no segment: {EXPECTED}")
    start, duration = times["start"], times.get("duration")
    stop = times["stop"] if "stop" in times else start + times["duration"]
    if stop < start or (duration is not None and abs(duration - (stop - start)) >= ROUNDING):
        raise DataError(f"{row} does not end after it starts, or its duration differs: {EXPECTED}")
    return Segment(start, stop) if stop > start else None


def united(path: str, segments: Iterable[Segment]) -> list[Segment]:
    """Merge the segments of a user's list that touch or overlap. A note tells about an overlap, once.

    Args:
        path: Path of the list.
        segments: Segments in the list.
    """
    segments = list(segments)
    merged = coalesce(segments)
    twice = sum(segment.duration for segment in segments) - sum(segment.duration for segment in merged)
    if twice > 0:
        tell_once(f"segments in {path} overlap, by {twice:g} s in all: they are united")
    return merged


def write_segments(path: str, segments: Iterable[Segment], made_with: storage.Parameters | None = None) -> None:
    """Write a segwizard file (number, start, stop, duration), to the last bit of every time.

    Args:
        path: Local or s3 path.
        segments: What to write.
        made_with: Parameters that made the list.
    """
    lines = ["# seg start stop duration"]
    for index, segment in enumerate(segments):
        times = (segment.start, segment.stop, segment.duration)
        lines.append(f"{index} {' '.join(format_gps(t) for t in times)}")
    if made_with is not None:
        storage.sign(path, made_with)
    storage.write_text(path, "\n".join(lines) + "\n")


def open_data_segments(ifos: Sequence[str], start: float, stop: float) -> list[Segment]:
    """When open data of all detectors exist, from GWOSC's ``<IFO>_DATA`` timelines.

    Args:
        ifos: Detectors.
        start: GPS seconds.
        stop: GPS seconds.

    Raises:
        DataError: If GWOSC cannot be asked.
    """
    lists = (timeline_segments(f"{ifo}_DATA", start, stop) for ifo in ifos)
    return cut(intersect(*lists), start, stop)


def timeline_segments(flag: str, start: float, stop: float) -> list[Segment]:
    """When one of GWOSC's flags, such as ``L1_CBC_CAT2``, was set, in whole seconds around [start, stop).

    Raises:
        DataError: If GWOSC cannot be asked.
    """
    try:
        rows = _ask_gwosc(flag, math.floor(start), math.ceil(stop))
    except Exception as error:
        raise DataError(
            f"GWOSC did not give the segments of {flag} ({' '.join(str(error).split())}): check the network and try "
            "again, or give files: segments in [luigi_data], or dq_files in [luigi_vetoes]"
        ) from error
    return [Segment(float(a), float(b)) for a, b in rows]


def _ask_gwosc(flag: str, start: int, stop: int) -> list[Any]:
    from gwosc import timeline

    return list(timeline.get_segments(flag, start, stop))


def cut(segments: Iterable[Segment], start: float, stop: float) -> list[Segment]:
    """What of the segments lies in [start, stop)."""
    return intersect(segments, [Segment(start, stop)])


def recorded_segments(files: Iterable[Recording], ifos: Sequence[str]) -> list[Segment]:
    """The time that files cover for all detectors."""
    files = list(files)
    return intersect(*([Segment(r.start, r.stop) for r in files if r.ifo == ifo] for ifo in ifos))


def analysable(source: StrainSource, start: float, stop: float) -> list[Segment]:
    """The pieces of coincident time that a stage works on, one after the other and disjoint.

    They come from the user's own list where there is one; else from GWOSC, from what local files cover, or are all
    of the time where noise is simulated. Measured strain loses a little at each end of a segment, where the
    anti-alias filter has no data to work on; it then starts and ends on a whole second.

    Args:
        source: Where strain comes from.
        start: GPS seconds.
        stop: GPS seconds.

    Raises:
        DataError: If nothing is left.
    """
    if source.segments is not None:
        segments = united(source.segments, read_segments(source.segments))
    elif source.kind == "gwosc":
        segments = open_data_segments(source.ifos, start - 1, stop + 1)
    elif source.kind == "local":
        directory = source.frames or ""
        files = recordings.in_directory(directory, channels=source.channels)
        recordings.check_recordings(files, source.ifos, source.sample_rate, directory)
        segments = recorded_segments(files, source.ifos)
    else:
        segments = [Segment(start, stop)]
    if source.kind != "simulated":
        segments = _shrink(segments)
    segments = _on_samples(cut(segments, start, stop), source.sample_rate)
    pieces = divide(segments, source.min_duration, source.max_duration)
    if not pieces:
        longest = max((segment.duration for segment in segments), default=0.0)
        raise DataError(
            f"{','.join(source.ifos)} have no coincident segment of min_duration = {source.min_duration:g} s from "
            f"{start:.0f} to {stop:.0f} (the longest is {longest:g} s): lower min_duration, widen the time, or mend "
            "the source of data"
        )
    return pieces


def _shrink(segments: Iterable[Segment]) -> list[Segment]:
    """Keep from each segment the whole seconds that resampling leaves unspoilt."""
    inner = [(math.ceil(s.start + EDGE_DURATION), math.floor(s.stop - EDGE_DURATION)) for s in coalesce(segments)]
    return [Segment(float(start), float(stop)) for start, stop in inner if stop > start]


def _on_samples(segments: Iterable[Segment], sample_rate: float) -> list[Segment]:
    """Move ends inwards to the nearest sample; those that are whole seconds stay."""
    inner = [(_next_sample(s.start, sample_rate), -_next_sample(-s.stop, sample_rate)) for s in segments]
    return [Segment(start, stop) for start, stop in inner if stop > start]


def _next_sample(time: float, sample_rate: float) -> float:
    second = math.floor(time)
    return second + math.ceil((time - second) * sample_rate - 1e-3) / sample_rate
