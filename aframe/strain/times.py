"""GPS times: how they are read and written, and whether they can be those of a detector's data."""

import re
from datetime import UTC, datetime

from aframe.errors import ConfigurationError, DataError

EPOCH = datetime(1980, 1, 6, tzinfo=UTC)
"""GPS second 0."""

LAST_OF_LAL = 2.1e9
"""Seconds from GPS second 0 that LAL can convert: it counts them in 32 bits."""

UTC_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.*")
"""A day and a time of day. A day alone may be a part of a time."""

NAMED_ZONE = re.compile(r"(?<=\d)\s*(\(?(?![Tt]\d)[A-Za-z][\w+:./-]*\)?)$")
"""A word behind a time, such as PST. Its group is the word."""

ZONES = (
    r"[acehmp][sd]t|ak[sd]t|a[cew][sd]t|nz[sd]t|[cew]et|cest|eest|bst|hkt|ist|jst|kst|msk|sast|sgt|local|pacific|"
    r"mountain|central|eastern|[ap]\.?m\.?"
)
"""Pattern of the names of time zones, and of half days, that are known in small letters too."""

FIRST_YEAR = 2000
"""First year of which there are data."""

SECONDS_PER_CALENDAR_YEAR = 31556952.0
"""Mean length of a year, s."""

SECONDS_PER_DAY = 86400.0

NANOSECONDS_PER_SECOND = 1e9

PARTS = {"milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": NANOSECONDS_PER_SECOND}
"""Units of time, and how many are in a second."""

EPOCHS = {"Julian days": 2444244.5, "modified Julian days": 44244.0}
"""GPS second 0 in days of astronomers."""


def gps_of(time: str) -> float:
    """Parse a time as GPS seconds.

    Args:
        time: GPS seconds, or UTC in ISO 8601, or another zone's time with its offset, as -0800.

    Raises:
        ConfigurationError: If the text is neither, or is UTC of which LAL knows no GPS time.

    >>> gps_of("1126259462.4"), gps_of("2015-09-14T09:50:45")
    (1126259462.4, 1126259462.0)
    """
    if re.fullmatch(r"\d+(\.\d*)?", time.strip()):
        return float(time)
    text = re.sub(r"\s+(?=[+-][\d:]+$)|\s*(UTC|GMT|Z)$", "", time.strip(), flags=re.IGNORECASE)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        zone = NAMED_ZONE.search(text)
        if zone and UTC_TIME.fullmatch(text):
            raise ConfigurationError(
                f"{time!r} ends in {zone[1]}, which is not UTC: give the time in UTC, or an offset in hours, as -08:00"
            ) from None
        raise ConfigurationError(
            f"{time!r} is no time: give GPS seconds, as 1240579783, or UTC, as 2019-04-29 or 2019-04-29T13:29:25"
        ) from None
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if not 0 <= (utc - EPOCH).total_seconds() < LAST_OF_LAL:
        raise ConfigurationError(f"{time!r} is before 1980 or after 2047: give a time of data")
    import lal

    utc = utc.astimezone(UTC)
    return float(lal.UTCToGPS(utc.timetuple())) + utc.microsecond / 1e6


def format_gps(time: float) -> str:
    """Format seconds without loss of precision. Whole seconds have no fraction.

    >>> format_gps(1126259446.0), format_gps(1126259446.25)
    ('1126259446', '1126259446.25')
    """
    return f"{time:.0f}" if float(time).is_integer() else repr(float(time))


def year_of(gps: float) -> int:
    """Year of a GPS time, also of one that no calendar has.

    >>> year_of(1126259462.4), year_of(1126259462400.0)
    (2015, 37669)
    """
    return int(EPOCH.year + gps / SECONDS_PER_CALENDAR_YEAR)


def is_plausible(gps: float) -> bool:
    """Whether a GPS time lies between the year 2000 and the end of the next year."""
    return FIRST_YEAR <= year_of(gps) <= datetime.now(UTC).year + 1


def scale_of(time: float) -> str:
    """Unit that makes a number a plausible GPS or UNIX time, such as ``milliseconds``. Empty if none does."""
    return next((unit for unit, part in PARTS.items() if is_plausible(time / part) or _is_unix(time / part)), "")


def unit_of(time: float) -> str:
    """What a number seems to be that is no plausible GPS time in seconds. Empty for such a time, and without a guess.

    >>> unit_of(1126259462400.0), unit_of(1767225600.0), unit_of(57279.4)
    ('milliseconds', 'UNIX time', 'modified Julian days')
    """
    if is_plausible(time):
        return ""
    days = (name for name, epoch in EPOCHS.items() if is_plausible((time - epoch) * SECONDS_PER_DAY))
    return scale_of(time) or ("UNIX time" if _is_unix(time) else next(days, ""))


def _is_unix(time: float) -> bool:
    """Whether a number can be a UNIX time in seconds."""
    return is_plausible(time - EPOCH.timestamp())


def check_listed(path: str, times: list[tuple[float, float]], data: tuple[float, float], mend: str) -> None:
    """Refuse a list whose times are not those of the data.

    Args:
        path: Path of the list, for error messages.
        times: Start and stop of each item, GPS s.
        data: Start and stop of the data, GPS s. Data of simulated time may have any.
        mend: Advice if the list is of another time.

    Raises:
        DataError: If a time is implausible, although the data's are not, or if the list ends before the data or begins
            after them.
    """
    wrong = [time for item in times for time in item if not is_plausible(time)]
    if wrong and all(map(is_plausible, data)):
        unit = unit_of(wrong[0])
        guess = f"it seems to be in {unit}, and GPS seconds are needed" if unit else "give GPS seconds"
        raise DataError(f"{path} has the time {format_gps(wrong[0])}, in the year {year_of(wrong[0])}: {guess}")
    first, last = min(item[0] for item in times), max(item[1] for item in times)
    if last < data[0] or first > data[1]:
        raise DataError(
            f"{path} is of {format_gps(first)} to {format_gps(last)} (GPS s, {_years(first, last)}), the data are of "
            f"{format_gps(data[0])} to {format_gps(data[1])} ({_years(*data)}): {mend}"
        )


def _years(first: float, last: float) -> str:
    """Years of an interval."""
    return "-".join(map(str, dict.fromkeys(map(year_of, (first, last)))))
