"""Columns of lists: what they are called, and which rows are of a detector."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aframe.errors import DataError
from aframe.strain.channels import SITES, detector, detectors
from aframe.strain.rows import Row

UNIT = re.compile(r"(?:[(\[]|\bin )(.*?)(?:[)\]]|$)")
"""Unit in the name of a column, as ``taper (ms)`` and ``taper in ms``. Its group is the unit."""

SECONDS = re.compile(r"(?<=[a-z])[_ ]s(ec|econds?)?$", re.IGNORECASE)
"""Unit behind the name of a column of seconds, as ``gps_s``."""

OTHER_UNIT = re.compile(
    r"[_ ,/<{]+(ms(ec)?|milliseconds?|[uµ]s(ec)?|min(utes?)?|h|hours?|d|days?|m?jd|unix|samples)[}>]?$", re.IGNORECASE
)
"""Unit of another time behind a name, as ``gps_ms``. Columns of such names are not read."""

WORDS_OF_SECONDS = {"s", "sec", "secs", "second", "seconds", "gps", "utc", "gmt", "time", "in"}
"""Words of which the unit of a column of times or durations may consist."""

TIME_COLUMNS = (
    "gps", "gpstime", "gpstimes", "gpss", "time", "timegps", "geocenttime", "tc", "tgps", "eventtime", "triggertime",
    "peaktime", "mergertime", "coalescencetime", "utc", "utctime", "t",
)  # fmt: skip
"""Names of a column of times, in the order of preference, in small letters alone: GraceDB's is ``t_0``."""

END_OF_EVENT = "endtime"
"""Name of the time of an event in LIGO_LW's tables. In a list with starts, it is the end of a segment."""

NAME_COLUMNS = ("commonname", "name", "event", "eventname", "superevent", "supereventid", "id", "label")
"""Names of a column of names, likewise."""

START_COLUMNS = ("start", "gpsstart", "startgps", "starttime", "gpsstarttime", "tstart", "begin", "from")
STOP_COLUMNS = ("stop", "end", "gpsstop", "gpsend", "stopgps", "endgps", "stoptime", END_OF_EVENT, "gpsstoptime",
                "gpsendtime", "tstop", "tend", "to")  # fmt: skip
DURATION_COLUMNS = ("duration", "dur", "length", "dt", "seconds")
"""Names of the columns of a segment's ends and its duration, likewise."""

CENTRE_COLUMNS = (*TIME_COLUMNS, "centre", "center", "gpscentre", "gpscenter")
HALF_WIDTH_COLUMNS = ("halfwidth", "zerohalfwidth", "zerowidth", "half", "zero", "hw")
TAPER_COLUMNS = ("taper", "pad", "padding", "taperlength", "taperwidth", "padhalfwidth")
"""Names of the columns of a list of gates, likewise."""

DETECTOR_COLUMNS = (
    "ifo", "ifos", "detector", "detectors", "observatory", "instrument", "instruments", "interferometer",
    "interferometers", "site", "det", "dets",
)  # fmt: skip
FLAG_COLUMNS = ("flag", "flagname", "name")
VERSION_COLUMNS = ("version", "flagversion")
"""Names of the columns of a segment's detector, and of its flag's name and version, likewise."""

ACTIVE_COLUMNS = ("active", "isactive")
ACTIVITY = {"1": True, "1.0": True, "true": True, "yes": True, "0": False, "0.0": False, "false": False, "no": False}
"""Names of a column that says whether a row counts, and its values."""

STATE_COLUMNS = ("state", "valid", "isvalid")
"""Names of a column that does so if it has no other values."""

ZONE_COLUMNS = ("tz", "timezone", "tzinfo", "utcoffset")
UTC_ZONES = {"", "utc", "gmt", "z", "gps", "0", "+0", "+00", "+0000", "+00:00", "utc+0", "etc/utc"}
"""Names of a column of time zones, and its values, in small letters, that say that times are UTC or GPS seconds."""

OTHER_COLUMNS = (
    "seg", "segment", "number", "index", "row", "width", "fullwidth", "snr", "far", "category", "frequency", "channel",
    "startpad", "endpad", "mass", "asd", "psd",
)  # fmt: skip
"""Names of other columns that lists have."""

KNOWN_COLUMNS = {
    *CENTRE_COLUMNS, *NAME_COLUMNS, *START_COLUMNS, *STOP_COLUMNS, *DURATION_COLUMNS, *HALF_WIDTH_COLUMNS,
    *TAPER_COLUMNS, *DETECTOR_COLUMNS, *FLAG_COLUMNS, *VERSION_COLUMNS, *ACTIVE_COLUMNS, *OTHER_COLUMNS,
}  # fmt: skip
"""All names of columns. A comment of nothing else names the columns below it."""

SAME_TIME = 1.0
"""Largest difference between the times in two columns of one name, s: one of them may be rounded to a second."""

LETTERS = re.compile(r"[HLVKG]+", re.IGNORECASE)
"""Letters of observatories, which may also mean high, low and good."""


@dataclass(frozen=True)
class Flagged:
    """Segments of a flag, as they are written.

    Attributes:
        label: Name for error messages.
        flag: What tells the flag from the others of its detectors.
        ifos: Detectors. Empty if none is named.
        segments: The segments.
    """

    label: str
    flag: str
    ifos: tuple[str, ...]
    segments: list[Any]


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
        return titles(self.header.values) if self.header else []

    def column(self, names: Sequence[str]) -> int | None:
        """Number of the column with the first of some names that there is, in small letters alone.

        Raises:
            DataError: If several columns have that name, and do not say the same.
        """
        own = self.titles
        columns = next(
            (columns for name in names if (columns := [k for k, each in enumerate(own) if each == name])), []
        )
        for other in columns[1:]:
            if self.header and not all(_is_same(row, columns[0], other) for row in self.rows):
                one, two = (self.header.values[k] for k in (columns[0], other))
                raise DataError(
                    f"{self.header}: the columns {columns[0] + 1} ({one!r}) and {other + 1} ({two!r}) have one name, "
                    "and different values: leave one out, or name it otherwise"
                )
        return columns[0] if columns else None

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
                if a row is neither active nor inactive, or its detector cannot be read.
        """
        name, version = self.column(FLAG_COLUMNS), self.column(VERSION_COLUMNS)
        columns = [column for column in (name, version) if column is not None]
        flags: dict[tuple[tuple[str, ...], str], list[Row]] = {}
        for row, ifos in zip(self.rows, self._detectors(columns), strict=True):
            flags.setdefault((ifos, ":".join(filter(None, map(row.text, columns)))), []).append(row)
        flagged = []
        for (ifos, flag), rows in flags.items():
            of_flag = detector(flag)
            label = ":".join(filter(None, ("".join(ifos), flag)))
            if of_flag and ifos and of_flag not in ifos:
                raise DataError(f"{rows[0]} names {''.join(ifos)} and {of_flag}: mend the detector or the flag")
            named = ifos or ((of_flag,) if of_flag else ())
            flagged.append(Flagged(label, flag if has_flags else "", named, rows))
        chosen = only(self.path, flagged, ifo) if flagged else []
        active, state = self.column(ACTIVE_COLUMNS), self.column(STATE_COLUMNS)
        if active is None and all(row.text(state).lower() in ACTIVITY for row in self.rows):
            active = state
        return chosen if active is None else [row for row in chosen if _is_active(row, active)]

    def check_zones(self) -> None:
        """Check that a column of time zones has UTC alone.

        Raises:
            DataError: With the first row of another zone.
        """
        column = self.column(ZONE_COLUMNS)
        other = next((row for row in self.rows if row.text(column).lower() not in UTC_ZONES), None)
        if other:
            raise DataError(
                f"{other} has the time zone {other.text(column)!r}: give times in UTC, and leave the column out"
            )

    def _detectors(self, flags: Sequence[int]) -> list[tuple[str, ...]]:
        """Detectors that each row names in its columns, except in those of flags.

        Raises:
            DataError: If two columns of a row contradict each other.
        """
        result: list[tuple[str, ...]] = [()] * len(self.rows)
        for column in (k for k in range(len(self.titles)) if k not in flags):
            cells = self._detectors_of_cells(column)
            for k, row in enumerate(self.rows) if cells else ():
                before, new = result[k], cells.get(row.text(column), ())
                result[k] = tuple(ifo for ifo in before if ifo in new) if before and new else before or new
                if not result[k] and before:
                    raise DataError(f"{row} names {''.join(before)} and {''.join(new)}: leave one of the columns out")
        return result

    def _detectors_of_cells(self, column: int) -> Mapping[str, tuple[str, ...]]:
        """Detectors by the texts in a column. Empty if the column is no detector's.

        Raises:
            DataError: If some of the texts are detectors and others are not, or may mean something else.
        """
        first = {row.text(column): row for row in reversed(self.rows)}
        ifos = {text: detectors(text) for text in first if text[:1].isalpha() or text[:1] == "["}
        title = self.header.values[column] if self.header else ""
        if self.titles[column] not in DETECTOR_COLUMNS:
            if ifos and all(LETTERS.fullmatch(text) for text in first if text):
                raise DataError(
                    f"{self.rows[0]}: {title!r} may be a column of detectors: name it ifo if it is, and "
                    "leave it out otherwise"
                )
            ifos = {text: each for text, each in ifos.items() if ":" in text or (set(each) <= set(SITES))}
            ifos = {text: each for text, each in ifos.items() if not LETTERS.fullmatch(text)}
        read = {text: each for text, each in ifos.items() if each}
        unread = [row for text, row in first.items() if text not in read]
        if unread and (read or (self.titles[column] in DETECTOR_COLUMNS and len(first) > 1)):
            raise DataError(
                f"{unread[0]} has {unread[0].text(column)!r} in the column {title!r}, in which a row has a detector: "
                "write one in each row, as H1, or leave the column out"
            )
        return read


def only(path: str, flags: Sequence[Flagged], ifo: str | None) -> list[Any]:
    """Segments of the only flag, or of the only one of a detector.

    Raises:
        DataError: With the names of the flags, if there is none or several.
    """
    chosen = [each for each in flags if ifo is None or not each.ifos or ifo in each.ifos]
    is_of_ifo = ifo is not None and all(each.ifos for each in chosen)
    if len({(each.flag, () if is_of_ifo else each.ifos) for each in chosen}) == 1:
        return [segment for each in chosen for segment in each.segments]
    names = ", ".join(each.label or "one without a name" for each in flags)
    lack = f"has several flags{f' of {ifo}' if ifo else ''}" if chosen else f"has no flag of {ifo}"
    raise DataError(f"{path} {lack} ({names}): write the segments of one flag into a file, and give that")


def titles(names: Iterable[str]) -> list[str]:
    """Names of columns without units, in small letters alone."""
    return [re.sub(r"[^a-z]", "", SECONDS.sub("", UNIT.sub("", name)).lower()) for name in names]


def _is_same(row: Row, one: int, other: int) -> bool:
    """Whether two columns of a row say the same: one text, or times within a second."""
    times = row.time(one), row.time(other)
    is_close = times[0] is not None and times[1] is not None and abs(times[0] - times[1]) < SAME_TIME
    return is_close or row.text(one) == row.text(other)


def _is_active(row: Row, column: int) -> bool:
    activity = ACTIVITY.get(row.text(column).lower())
    if activity is None:
        raise DataError(f"{row} has {row.text(column)!r} in the column of activity: write 1 or 0")
    return activity
