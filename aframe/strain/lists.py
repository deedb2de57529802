"""Read lists of segments, gates and events, in the forms that the field writes.

A list has a row a line: values between commas, semicolons, tabs or blanks, in quotes or not. The first row may have
names. ``#`` begins a comment. JSON is GWOSC's: timelines, or tables of events.
"""

import csv
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from aframe import storage
from aframe.errors import ConfigurationError, DataError
from aframe.strain.times import gps_of

COMMENT = re.compile(r'^((?:[^"#]|"[^"]*")*)#.*')
"""A line with a comment. Its group is what comes before."""

DELIMITERS = (";", "\t", ",")
"""Characters between values, in the order in which they are looked for. Without any of them, blanks."""

UTC_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
"""A day and a time of day. A day alone may be a part of a time."""

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
"""Names of the columns of a segment's ends, likewise."""


@dataclass(frozen=True)
class Row:
    """A row of a list.

    Attributes:
        place: File and line, for error messages.
        values: Texts.
    """

    place: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.place}: {' '.join(self.values)[:60]!r}"

    def time(self, column: int) -> float | None:
        """Time in a column: GPS s, or UTC as 2019-04-29T13:29:25. None without one."""
        text = self.values[column] if column < len(self.values) else ""
        if UTC_TIME.fullmatch(text):
            try:
                return gps_of(text.removesuffix("UTC"))
            except ConfigurationError:
                return None
        return number(text)


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

    def column(self, names: Sequence[str]) -> int | None:
        """Number of the column with the first of some names that there is, in small letters alone."""
        written = (
            [re.sub(r"\(.*\)|\[.*\]|[^a-z]", "", name.lower()) for name in self.header.values] if self.header else []
        )
        return next((written.index(name) for name in names if name in written), None)


def number(text: str) -> float | None:
    """Parse a finite number. None for other texts."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_listing(path: str) -> Listing:
    """Read the rows of a list.

    Args:
        path: Local or s3 path.

    Raises:
        DataError: With file and line, if a quote is open or the JSON is none of GWOSC's.
        StorageError: If the file does not exist, or is no text.
    """
    text = storage.read_text(path)
    if text.lstrip().startswith(("{", "[")):
        return _from_json(path, text)
    lines = [(number, COMMENT.sub(r"\1", line).strip(" \r")) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line.strip()]
    delimiter = _delimiter(lines[0][1]) if lines else " "
    rows = [Row(f"{path}, line {number}", _values(path, number, line, delimiter)) for number, line in lines]
    return _with_header(path, rows)


def read_events(path: str) -> list[tuple[str, float]]:
    """Read names and times of events.

    Without a row of names, a row has the time and perhaps a name, or a number of the row.

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
    column, name = listing.column(TIME_COLUMNS), listing.column(NAME_COLUMNS)
    if listing.header is None:
        column, name = _time_column(first)
    if column is None:
        _refuse(first)
    events = []
    for row in listing.rows:
        time = row.time(column)
        if time is None:
            _refuse(row)
        events.append((row.values[name] if name is not None and name < len(row.values) else "", time))
    return events


def _refuse(row: Row) -> NoReturn:
    raise DataError(
        f"{row} has no GPS time: expected a table with a column gps (and name), or a time (and a name) in each line: "
        "GPS seconds with a decimal point, or UTC as 2019-04-29T13:29:25"
    )


def _time_column(row: Row) -> tuple[int | None, int | None]:
    """Columns of time and name of a list without a row of names."""
    times = [column for column in range(len(row.values)) if row.time(column) is not None]
    words = [column for column in range(len(row.values)) if row.time(column) is None and row.values[column]]
    if len(times) == 2 and row.values[times[0]] in ("0", "1"):  # a number of the row
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


def _with_header(path: str, rows: list[Row]) -> Listing:
    """A list of rows of which the first may have names. Empty rows are left out."""
    rows = [row for row in rows if any(row.values)]
    is_header = bool(rows) and all(rows[0].time(column) is None for column in range(len(rows[0].values)))
    words = [value for value in rows[0].values if value[:1].isalpha()] if is_header else []
    return Listing(path, rows[0], rows[1:]) if words else Listing(path, None, rows)


def _from_json(path: str, text: str) -> Listing:
    """A list in GWOSC's JSON: a timeline's segments, or events by their names or in a row."""
    try:
        content: Any = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}): fetch it again") from None
    if isinstance(content, dict):
        content = next((content[name] for name in ("segments", "active", "events", "results") if name in content), None)
    items = list(content.values()) if isinstance(content, dict) else content
    if isinstance(items, list) and all(isinstance(item, dict) for item in items):
        names = tuple(dict.fromkeys(name for item in items for name in item))
        items = [names, *([item.get(name, "") for name in names] for item in items)]
    if not isinstance(items, list) or not all(isinstance(item, (list, tuple)) for item in items):
        raise DataError(f"{path} has no segments and no events, as GWOSC's JSON has: give another list")
    rows = [Row(f"{path}, row {k}", tuple(map(str, item))) for k, item in enumerate(items)]
    return _with_header(path, rows)
