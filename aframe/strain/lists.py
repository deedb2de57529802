"""Read lists of segments, gates and events, in the forms that the field writes.

A list has a row a line: values between commas, semicolons, tabs or blanks, in quotes or not. The first row may have
names, and the rows of a printed table their number. ``#``, ``%``, ``!`` and ``//`` begin a comment. JSON is GWOSC's:
timelines, or tables of events.
"""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from aframe import storage
from aframe.errors import DataError
from aframe.strain.channels import detector
from aframe.strain.rows import INDEX, Row, number
from aframe.strain.times import is_plausible

COMMENT = re.compile(r"""^((?:[^"]|"[^"]*")*?)(?:#|(?:^|(?<=\s))(?://|[%!])).*""")
"""A line with a comment. Its group is what comes before."""

INTERVAL = re.compile(r"[\[(]+([^\[\]()]+)[\])]+,?")
"""An interval as [a, b). Its group is what the brackets enclose."""

DAY_AND_TIME = re.compile(
    r"\b(\d{4}-\d\d-\d\d)[T ]+(\d\d:\d\d[^\s,;\"]*)"
    r"(?:(?<=\d) +([+-]\d\d(?::?\d\d)?|(?i:UTC|GMT|Z)[+-]?[\d:]*|\(?[A-Z]{1,5}\)?|[A-Z][a-z]+/\w+)(?=[\s,;\"]|$))?"
)
"""A time of day, with blanks in it or not. Its groups are the day, the time and what may be a time zone behind it."""

NANOSECONDS = re.compile(r"(.*?)(?:ns|nanosec|nanoseconds?|nsec)")
"""Name of a column with the nanoseconds of another one, in small letters alone. Its group is the other's name."""

UNIT = re.compile(r"[(\[](.*)[)\]]")
"""Unit in the name of a column. Its group is the unit."""

WORDS_OF_SECONDS = {"s", "sec", "secs", "second", "seconds", "gps", "utc", "gmt", "time", "in"}
"""Words of which the unit of a column of times or durations may consist."""

TIMELINES = ("segments", "active")
"""Keys of a flag's segments in the JSON of GWOSC and of DQSegDB."""

DELIMITERS = (";", "\t", ",")
"""Characters between values, in the order in which they are looked for. Without any of them, blanks."""

TIME_COLUMNS = (
    "gps", "gpstime", "gpstimes", "gpss", "time", "timegps", "geocenttime", "tc", "tgps", "eventtime", "triggertime",
    "peaktime", "mergertime", "coalescencetime", "utc", "utctime",
)  # fmt: skip
"""Names of a column of times, in the order of preference, in small letters alone."""

NAME_COLUMNS = ("commonname", "name", "event", "eventname", "superevent", "supereventid", "id", "label")
"""Names of a column of names, likewise."""

START_COLUMNS = ("start", "gpsstart", "startgps", "starttime", "gpsstarttime", "tstart", "begin", "from")
STOP_COLUMNS = ("stop", "end", "gpsstop", "gpsend", "stopgps", "endgps", "stoptime", "endtime", "gpsstoptime",
                "gpsendtime", "tstop", "tend", "to")  # fmt: skip
DURATION_COLUMNS = ("duration", "dur", "length", "dt", "seconds")
"""Names of the columns of a segment's ends and its duration, likewise."""

DETECTOR_COLUMNS = ("ifo", "ifos", "detector", "detectors", "observatory", "instrument", "instruments")
FLAG_COLUMNS = ("flag", "flagname", "name")
VERSION_COLUMNS = ("version", "flagversion")
"""Names of the columns of a segment's detector, and of its flag's name and version, likewise."""

ACTIVE_COLUMNS = ("active", "isactive")
ACTIVITY = {"1": True, "1.0": True, "true": True, "yes": True, "0": False, "0.0": False, "false": False, "no": False}
"""Names of a column that says whether a row counts, and its values."""


@dataclass(frozen=True)
class Listing:
    """A list as it is written.

    Attributes:
        path: Path of the file.
        header: The row of names. None without one.
        rows: All other rows that are not empty.
    """

    path: str
    header: Row | None
    rows: list[Row]

    @property
    def titles(self) -> list[str]:
        """Names of the columns without units, in small letters alone."""
        return _titles(self.header) if self.header else []

    def column(self, names: Sequence[str]) -> int | None:
        """Number of the column with the first of some names that there is, in small letters alone."""
        titles = self.titles
        return next((titles.index(name) for name in names if name in titles), None)

    def seconds(self, names: Sequence[str]) -> int | None:
        """Number of a column of times or durations, as of ``column``.

        Raises:
            DataError: If the column's name has a unit other than seconds.
        """
        column = self.column(names)
        unit = UNIT.search(self.header.values[column]) if self.header and column is not None else None
        if unit and not set(re.findall(r"\w+", unit[1].lower()) or [""]) <= WORDS_OF_SECONDS:
            raise DataError(
                f"{self.header}: a column is in {unit[1]!r}, and seconds are needed: convert it, and "
                "write (s) or no unit"
            )
        return column

    def rows_of(self, ifo: str | None, *, has_flags: bool = True) -> list[Row]:
        """Active rows of the only flag, or of the only one of a detector. All active rows if none names either.

        Args:
            ifo: Detector; None for any.
            has_flags: Whether rows of a detector belong to flags, which are not united. Gates do not.

        Raises:
            DataError: With the names of the flags, if there is no such flag or there are several. With file and line,
                if a row is neither active nor inactive.
        """
        parts = (DETECTOR_COLUMNS, FLAG_COLUMNS, VERSION_COLUMNS)
        columns = [column for names in parts if (column := self.column(names)) is not None]
        flags: dict[str, list[Row]] = {}
        for row in self.rows:
            name = ":".join(filter(None, map(row.text, columns)))
            flags.setdefault(name if has_flags else detector(name) or "", []).append(row)
        rows = _only(self.path, list(flags.items()), ifo) if flags else []
        active = self.column(ACTIVE_COLUMNS)
        return rows if active is None else [row for row in rows if _is_active(row, active)]


def _is_active(row: Row, column: int) -> bool:
    activity = ACTIVITY.get(row.text(column).lower())
    if activity is None:
        raise DataError(f"{row} has {row.text(column)!r} in the column of activity: write 1 or 0")
    return activity


def _titles(header: Row) -> list[str]:
    return [re.sub(r"\(.*\)|\[.*\]|[^a-z]", "", name.lower()) for name in header.values]


def read_listing(path: str, ifo: str | None = None) -> Listing:
    """Read the rows of a list.

    Args:
        path: Local or s3 path. The file may be compressed with gzip.
        ifo: Detector of which JSON must have one flag. By default the JSON must have one flag, of any detector.

    Raises:
        DataError: With file and line, if a quote is open or the JSON is none of GWOSC's. With names, if JSON has no or
            several flags of the detector.
        StorageError: If the file does not exist, or is no text.
    """
    text = storage.read_text(path)
    lines = [(number, _plain(line)) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line.strip()]
    first = lines[0][1] if lines else ""
    if first.startswith("<"):
        raise DataError(f"{path} is XML or a page of the web: give a list in text, CSV or JSON")
    if first.startswith(("{", "[")):
        return _from_json(path, text, ifo)
    delimiter = _delimiter(first)
    rows = [Row(f"{path}, line {number}", _values(path, number, line, delimiter)) for number, line in lines]
    return _with_header(path, rows, delimiter == " ")


def _plain(line: str) -> str:
    """A line without comment, and without the brackets of an interval. Times of day have no blanks."""
    bare = COMMENT.sub(r"\1", line).strip(" \r")
    interval = INTERVAL.fullmatch(bare)
    return DAY_AND_TIME.sub(r"\1T\2\3", interval[1].replace("...", ",") if interval else bare)


def read_events(path: str) -> list[tuple[str, float]]:
    """Read names and times of events.

    Without a row of names, a row has the time and perhaps a name, the row's number, or other small numbers.

    Args:
        path: Local or s3 path.

    Returns:
        Name, empty without one, and GPS time in s of each event.

    Raises:
        DataError: With file and line of a row without a time.
        StorageError: If the file does not exist.
    """
    listing = read_listing(path)
    first = listing.header or next(iter(listing.rows), None)
    if first is None:
        return []
    column, name = listing.seconds(TIME_COLUMNS), listing.column(NAME_COLUMNS)
    if listing.header is None:
        column, name = _time_column(first)
    if column is None:
        are_several = listing.header is None and sum(number(value) is not None for value in first.values) > 1
        _refuse(first, "does not say which number is the GPS time" if are_several else "has no GPS time")
    events = []
    for row in listing.rows:
        time = row.time(column)
        if time is None:
            _refuse(row, "has no GPS time")
        events.append((row.text(name), time))
    return events


def _refuse(row: Row, reason: str) -> NoReturn:
    raise DataError(
        f"{row} {reason}: expected a table with a column gps (and name), or a time (and a "
        "name) in each line: GPS seconds with a decimal point, or UTC as 2019-04-29T13:29:25"
    )


def _time_column(row: Row) -> tuple[int | None, int | None]:
    """Columns of time and name of a list without a row of names.

    Of several numbers, the time is the only one that a detector's data can have. Whole seconds with a whole number
    behind them may be a time with a decimal comma, or seconds and nanoseconds.
    """
    values = {column: row.time(column) for column in range(len(row.values))}
    times = [column for column, value in values.items() if value is not None]
    words = [column for column, value in values.items() if value is None and row.values[column]]
    plausible = [column for column in times if is_plausible(values[column] or 0.0)]
    pair = row.values[plausible[0] : plausible[0] + 2] if plausible else ()
    if len(plausible) == 1 and not (len(pair) == 2 and all(value.isdigit() for value in pair)):
        times = plausible
    elif len(times) == 2 and row.values[times[0]] in ("0", "1"):  # a number of the row
        times = times[1:]
    return times[0] if len(times) == 1 else None, words[0] if words else None


def _delimiter(line: str) -> str:
    """Character between the values of a line."""
    bare = re.sub(r'"[^"]*"', "", line)
    delimiter = next((character for character in DELIMITERS if character in bare), " ")
    words = [value.split() for value in bare.split("\t")]  # several numbers between tabs: blanks are borders too
    is_mixed = any(len(part) > 1 and all(number(word) is not None for word in part) for part in words)
    return " " if delimiter == "\t" and is_mixed else delimiter


def _values(path: str, line_number: int, line: str, delimiter: str) -> tuple[str, ...]:
    """Values of a line."""
    if delimiter == "\t" and delimiter not in line:
        delimiter = " "
    text = line.replace("\t", " ").strip() if delimiter == " " else line
    try:
        (values,) = csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True)
    except csv.Error as error:
        raise DataError(f"{path}, line {line_number}: a quote is not closed ({error}): mend the line") from None
    return tuple(value.strip() for value in values)


def _with_header(path: str, rows: list[Row], is_printed: bool = False) -> Listing:
    """A list of rows of which the first may have names. Empty rows are left out.

    Args:
        path: Path of the file.
        rows: All rows.
        is_printed: Whether blanks are between values. The rows may then have an index, as pandas prints tables.
    """
    rows = [row for row in rows if any(row.values)]
    is_header = bool(rows) and all(rows[0].time(column) is None for column in range(len(rows[0].values)))
    words = [value for value in rows[0].values if value[:1].isalpha()] if is_header else []
    if not words:
        return Listing(path, None, rows)
    header, rows = rows[0], rows[1:]
    size = len(header.values) + 1
    named = is_printed and len(rows) > 1 and len(rows[0].values) == 1 < len(rows[1].values) == size
    index, others = (rows[0].values[0], rows[1:]) if named else ("", rows)
    if is_printed and others and all(len(row.values) == size and (named or _is_index(row.values[0])) for row in others):
        header, rows = Row(header.place, (index, *header.values)), others
    nanoseconds = _nanoseconds(header)
    return Listing(path, header, [replace(row, nanoseconds=nanoseconds) for row in rows])


def _nanoseconds(header: Row) -> dict[int, int]:
    """Columns of nanoseconds, by the column that they continue: ``gps_ns`` continues ``gps`` alone.

    Raises:
        DataError: If the column that they continue is missing.
    """
    titles = _titles(header)
    continued = {column: match[1] for column, title in enumerate(titles) if (match := NANOSECONDS.fullmatch(title))}
    for column, title in continued.items():
        if title not in titles and title in ("", *TIME_COLUMNS, *START_COLUMNS, *STOP_COLUMNS):
            raise DataError(
                f"{header}: {header.values[column]!r} continues no column: name it as the column of its seconds, with "
                "_ns behind, or leave it out"
            )
    return {titles.index(title): column for column, title in continued.items() if title in titles}


def _is_index(text: str) -> bool:
    """Whether a text is the number or the name of a row."""
    return INDEX.fullmatch(text) is not None or number(text) is None


def _from_json(path: str, text: str, ifo: str | None) -> Listing:
    """A list in GWOSC's JSON: a timeline's segments, or events by their names or in a row."""
    try:
        content: Any = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}): fetch it again, or write it in rows") from None
    flags = _flags(content)
    if flags:
        content = _only(path, flags, ifo)
    elif isinstance(content, dict):
        content = next((content[name] for name in ("segments", "events", "results") if name in content), None)
    items = list(content.values()) if isinstance(content, dict) else content
    if isinstance(items, list) and all(isinstance(item, dict) for item in items):
        names = tuple(dict.fromkeys(name for item in items for name in item))
        items = [names, *([item.get(name, "") for name in names] for item in items)]
    if not isinstance(items, list) or not all(isinstance(item, (list, tuple)) for item in items):
        raise DataError(f"{path} has no segments and no events, as GWOSC's JSON has: give another list")
    rows = [Row(f"{path}, row {k}", tuple(map(str, item))) for k, item in enumerate(items)]
    return _with_header(path, rows)


def _flags(content: Any, name: str = "") -> list[tuple[str, list[Any]]]:
    """Names and segments of all flags in JSON of GWOSC or DQSegDB."""
    if isinstance(content, dict):
        segments = next((content[key] for key in TIMELINES if isinstance(content.get(key), list)), None)
        if segments is not None:
            own = next((content[key] for key in ("id", "flag", "name") if key in content), name)
            return [(":".join(str(word) for word in (content.get("ifo"), own) if word), segments)]
        parts = list(content.items())
    elif isinstance(content, list):
        rows = [item for item in content if isinstance(item, list) and len(item) > 1]
        is_flag = all(isinstance(value, (int, float)) for row in rows for value in row) and len(rows) == len(content)
        if is_flag and (rows or detector(name)):
            return [(name, content)]
        parts = [("", item) for item in content]
    else:
        return []
    return [flag for key, item in parts for flag in _flags(item, key)]


def _only(path: str, flags: Sequence[tuple[str, list[Any]]], ifo: str | None) -> list[Any]:
    """Segments of the only flag, or of the only one of a detector."""
    chosen = [segments for name, segments in flags if ifo is None or detector(name) in (None, ifo)]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(name or "one without a name" for name, _ in flags)
    lack = f"has several flags{f' of {ifo}' if ifo else ''}" if chosen else f"has no flag of {ifo}"
    raise DataError(f"{path} {lack} ({names}): write the segments of one flag into a file, and give that")
