"""Read lists of segments, gates and events, in the forms that the field writes.

A list has a row a line: values between commas, semicolons, tabs or blanks, in quotes or not. The first row may have
names, or the last comment before it, and the rows of a printed table their number. ``#``, ``%``, ``!`` and ``//`` begin
a comment, and ``;`` where no row has one. JSON is GWOSC's, GraceDB's or pandas': timelines, or tables of events.
"""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

from aframe import storage
from aframe.errors import DataError
from aframe.strain.channels import detector, detectors
from aframe.strain.columns import (
    CENTRE_COLUMNS,
    END_OF_EVENT,
    KNOWN_COLUMNS,
    NAME_COLUMNS,
    OTHER_UNIT,
    START_COLUMNS,
    STOP_COLUMNS,
    TIME_COLUMNS,
    UNIT,
    Flagged,
    Listing,
    only,
    titles,
)
from aframe.strain.rows import INDEX, Row, number
from aframe.strain.times import ZONES, is_plausible

COMMENT = re.compile(r"""^((?:[^"]|"[^"]*")*?)(?:#|(?:^|(?<=\s))(?://|[%!])).*""")
"""A line with a comment. Its group is what comes before."""

INTERVAL = re.compile(r"[\[(]+([^\[\]()]+)[\])]+,?")
"""An interval as [a, b). Its group is what the brackets enclose."""

DAY_AND_TIME = re.compile(
    r"\b(\d{4}-\d\d-\d\d)[Tt ]+(\d\d:\d\d[^\s,;\"]*)(?:(?<=\d) +([+-]\d\d?(?::?\d\d)?|"
    r"(?i:UTC|GMT|Z)[+-]?[\d:]*|\(?(?:[A-Z]{1,5}|(?i:" + ZONES + r"))\)?|[A-Z][A-Za-z]+(?:/[\w+-]+)+)(?=[\s,;\"]|$))?"
)
"""A time of day, with blanks in it or not. Its groups are the day, the time and what may be a time zone behind it."""

NANOSECONDS = re.compile(r"(.*?)(?:ns|nanosec|nanoseconds?|nsec)")
"""Name of a column with the nanoseconds of another one, in small letters alone. Its group is the other's name."""

LONG_NUMBER = re.compile(r"\d{9}")
"""Digits of a GPS time. No column has such a name."""

DELIMITER_LINE = re.compile(r'"?sep=(.)"?')
"""First line with which Excel is told the character between values. Its group is the character."""

BLANKS = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f"), " ")
"""Blanks that spreadsheets and pages of the web write."""

LONGEST_CELL = 100
"""Largest number of lines in a cell in quotes."""

TABLES = ("segments", "events", "results", "superevents")
"""Keys of the tables in the JSON of GWOSC and of GraceDB."""

TIMELINES = ("segments", "active")
"""Keys of a flag's segments in the JSON of GWOSC and of DQSegDB."""

DELIMITERS = (";", "\t", ",")
"""Characters between values, in the order in which they are looked for. Without any of them, blanks."""


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
    text = storage.read_text(path, may_be_utf_16=True).translate(BLANKS)
    lines, comment = _lines(text.splitlines())
    first = lines[0][1] if lines else ""
    if first.startswith("<"):
        raise DataError(f"{path} is XML or a page of the web: give a list in text, CSV or JSON")
    if first.startswith(("{", "[")):
        return _from_json(path, text, ifo)
    stated = DELIMITER_LINE.fullmatch(first)
    lines = lines[1:] if stated else lines
    delimiter = stated[1] if stated else _delimiter(first)
    rows = [Row(f"{path}, line {number}", _values(path, number, line, delimiter)) for number, line in lines]
    return _with_header(path, rows, delimiter == " ", _names_in(comment))


def _lines(texts: Sequence[str]) -> tuple[list[tuple[int, str]], str]:
    """Numbers and texts of the lines that are not empty, without comments, and the last comment before them.

    A cell in quotes may have several lines.
    """
    is_comment = not any(";" in text for text in texts if not text.startswith(";"))
    lines: list[tuple[int, str]] = []
    comment, k = "", 0
    while k < len(texts):
        first, text = k, "" if is_comment and texts[k].startswith(";") else texts[k]
        bare = _plain(text)
        while bare.count('"') % 2 and k + 1 < len(texts) and k - first < LONGEST_CELL:
            k += 1
            text = f"{text} {texts[k]}"
            bare = _plain(text)
        if bare.count('"') % 2:
            k, bare = first, _plain(texts[first])
        if bare.strip():
            lines.append((first + 1, bare))
        elif not lines:
            comment = texts[first] or comment
        k += 1
    return lines, comment


def _plain(line: str) -> str:
    """A line without comment, and without the brackets of an interval. Times of day have no blanks."""
    bare = COMMENT.sub(r"\1", line).strip(" \r")
    interval = INTERVAL.fullmatch(bare)
    return DAY_AND_TIME.sub(r"\1T\2\3", interval[1].replace("...", ",") if interval else bare)


def _names_in(comment: str) -> tuple[str, ...]:
    """Names of columns in a comment, as numpy and segwizard write it. Empty if it has other words."""
    text = comment.lstrip("#%!/; ")
    delimiter = _delimiter(text)
    names = [name.strip(' "') for name in (_with_units(text.split()) if delimiter == " " else text.split(delimiter))]
    own = titles(OTHER_UNIT.sub("", UNIT.sub("", name)) for name in names)
    is_of_times = any(title in (*CENTRE_COLUMNS, *START_COLUMNS, *STOP_COLUMNS) for title in own)
    return tuple(names) if is_of_times and set(own) <= KNOWN_COLUMNS else ()


def _with_units(words: Sequence[str]) -> tuple[str, ...]:
    """Names of columns between blanks, each with the unit in brackets that stands behind it."""
    text = re.sub(r"\t(?=[(\[])", " ", "\t".join(words))
    return tuple(re.sub(r"[(\[][^)\]]*", lambda unit: unit[0].replace("\t", " "), text).split("\t"))


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
    is_of_segments = listing.column(START_COLUMNS) is not None
    times = TIME_COLUMNS if is_of_segments else (*TIME_COLUMNS, END_OF_EVENT)
    column, name = listing.seconds(times), listing.column(NAME_COLUMNS)
    if listing.header is None:
        column, name = _time_column(first)
    if column is None:
        times_in_first = [k for k in range(len(first.values)) if first.time(k) is not None]
        are_several = listing.header is None and len(times_in_first) > 1
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
    if len(plausible) == 1 and not (len(pair) == 2 and "." not in pair[0] and pair[1].isdigit()):
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


def _with_header(path: str, rows: list[Row], is_printed: bool = False, above: tuple[str, ...] = ()) -> Listing:
    """A list of rows of which the first may have names. Empty rows are left out, and so is an empty last column.

    Args:
        path: Path of the file.
        rows: All rows.
        is_printed: Whether blanks are between values. The rows may then have an index, as pandas prints tables.
        above: Names in a comment above the rows, which are those of the columns if they are as many.
    """
    rows = [row for row in rows if any(row.values)]
    while rows and all(not row.values[-1] for row in rows):
        rows = [replace(row, values=row.values[:-1]) for row in rows]
    is_header = bool(rows) and not any(_has_time(rows[0], column) for column in range(len(rows[0].values)))
    words = [value for value in rows[0].values if value[:1].isalpha()] if is_header else []
    if not words and not _fit(above, rows):
        return Listing(path, None, rows)
    header, rows = (rows[0], rows[1:]) if words else (Row(f"{path}, comment above the rows", above), rows)
    header = replace(header, values=_with_units(header.values)) if is_printed else header
    size = len(header.values) + 1
    named = is_printed and len(rows) > 1 and len(rows[0].values) == 1 < len(rows[1].values) == size
    index, others = (rows[0].values[0], rows[1:]) if named else ("", rows)
    if is_printed and others and all(len(row.values) == size and (named or _is_index(row.values[0])) for row in others):
        header, rows = Row(header.place, (index, *header.values)), others
    nanoseconds = _nanoseconds(header)
    listing = Listing(path, header, [replace(row, nanoseconds=nanoseconds) for row in rows])
    listing.check_zones()
    return listing


def _has_time(row: Row, column: int) -> bool:
    """Whether a value is a number or a time, or has one in it, as in ``gps=1262304000``."""
    return row.time(column) is not None or LONG_NUMBER.search(row.values[column]) is not None


def _fit(names: tuple[str, ...], rows: list[Row]) -> bool:
    """Whether names in a comment are those of the columns: as many, and no other column than theirs has the times."""
    if not names or not rows or any(len(row.values) != len(names) for row in rows):
        return False
    are_times = [is_plausible(rows[0].time(column) or 0.0) for column in range(len(names))]
    named = [column for column, title in enumerate(titles(names)) if title in (*CENTRE_COLUMNS, *START_COLUMNS)]
    return not any(are_times) or all(are_times[column] for column in named)


def _nanoseconds(header: Row) -> dict[int, int]:
    """Columns of nanoseconds, by the column that they continue: ``gps_ns`` continues ``gps`` alone.

    Raises:
        DataError: If the column that they continue is missing.
    """
    own = titles(header.values)
    continued = {column: match[1] for column, title in enumerate(own) if (match := NANOSECONDS.fullmatch(title))}
    for column, title in continued.items():
        if title not in own and title in ("", *TIME_COLUMNS, *START_COLUMNS, *STOP_COLUMNS):
            raise DataError(
                f"{header}: {header.values[column]!r} continues no column: name it as the column of its seconds, with "
                "_ns behind, or leave it out"
            )
    return {own.index(title): column for column, title in continued.items() if title in own}


def _is_index(text: str) -> bool:
    """Whether a text is the number or the name of a row."""
    return INDEX.fullmatch(text) is not None or number(text) is None


def _from_json(path: str, text: str, ifo: str | None) -> Listing:
    """A list in GWOSC's JSON: a timeline's segments, or events by their names or in a row."""
    try:
        content: Any = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}): fetch it again, or write it in rows") from None
    flags = [] if (columns := _columns(content)) else _flags(content)
    if flags:
        content = only(path, flags, ifo)
    elif columns:
        content = columns
    elif isinstance(content, dict):
        content = next((content[name] for name in TABLES if name in content), None)
    items = list(content.values()) if isinstance(content, dict) else content
    if isinstance(items, list) and all(isinstance(item, dict) for item in items):
        names = tuple(dict.fromkeys(name for item in items for name in item))
        items = [names, *([item.get(name, "") for name in names] for item in items)]
    if not isinstance(items, list) or not all(isinstance(item, (list, tuple)) for item in items):
        raise DataError(f"{path} has no segments and no events, as GWOSC's JSON has: give another list")
    rows = [Row(f"{path}, row {k}", tuple(map(str, item))) for k, item in enumerate(items)]
    return _with_header(path, rows)


def _columns(content: Any) -> list[Any] | None:
    """Names and rows of a table that is written by columns, or apart from its names, as pandas does; None otherwise."""
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
        return [content["columns"], *content["data"]]
    columns = [list(each.values()) if isinstance(each, dict) else each for each in content.values()]
    are_columns = all(isinstance(each, list) and not any(isinstance(x, (list, dict)) for x in each) for each in columns)
    is_named = any(title in (*TIME_COLUMNS, *START_COLUMNS, *STOP_COLUMNS) for title in titles(list(content)))
    if not are_columns or not is_named or len({len(each) for each in columns}) != 1:
        return None
    return [list(content), *zip(*columns, strict=True)]


def _flags(content: Any, name: str = "") -> list[Flagged]:
    """All flags in JSON of GWOSC or DQSegDB."""
    if isinstance(content, dict):
        segments = next((content[key] for key in TIMELINES if isinstance(content.get(key), list)), None)
        if segments is not None:
            own = next((content[key] for key in ("id", "flag", "name") if key in content), name)
            return [_flag(":".join(str(word) for word in (content.get("ifo"), own) if word), segments)]
        parts = list(content.items())
    elif isinstance(content, list):
        rows = [item for item in content if isinstance(item, list) and len(item) > 1]
        is_flag = all(isinstance(value, (int, float)) for row in rows for value in row) and len(rows) == len(content)
        if is_flag and (rows or detector(name)):
            return [_flag(name, content)]
        parts = [("", item) for item in content]
    else:
        return []
    return [flag for key, item in parts for flag in _flags(item, key)]


def _flag(name: str, segments: list[Any]) -> Flagged:
    """A flag, which is united with no other."""
    ifo = detector(name)
    return Flagged(name, str(id(segments)), detectors(name) or ((ifo,) if ifo else ()), segments)
