"""GPS times: their reading, and whether they can be those of a detector's data."""

import re
from datetime import UTC, datetime

from aframe.errors import ConfigurationError, DataError
from aframe.strain.recordings import format_gps

EPOCH = datetime(1980, 1, 6, tzinfo=UTC)
"""GPS second 0."""

FIRST_YEAR = 2000
"""First year of which there are data."""

SECONDS_PER_CALENDAR_YEAR = 31556952.0
"""Mean length of a year, s."""


def gps_of(time: str) -> float:
    """Parse a time as GPS seconds.

    Args:
        time: GPS seconds, or UTC in ISO 8601.

    Raises:
        ConfigurationError: If the text is neither.

    >>> gps_of("1126259462.4"), gps_of("2015-09-14T09:50:45")
    (1126259462.4, 1126259462.0)
    """
    if re.fullmatch(r"\d+(\.\d*)?", time.strip()):
        return float(time)
    try:
        moment = datetime.fromisoformat(time.strip())
    except ValueError:
        raise ConfigurationError(
            f"{time!r} is no time: give GPS seconds, as 1240579783, or UTC, as 2019-04-29 or 2019-04-29T13:29:25"
        ) from None
    import lal

    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return float(lal.UTCToGPS(utc.timetuple())) + utc.microsecond / 1e6


def year_of(gps: float) -> int:
    """Year of a GPS time, also of one that no calendar has.

    >>> year_of(1126259462.4), year_of(1126259462400.0)
    (2015, 37669)
    """
    return int(EPOCH.year + gps / SECONDS_PER_CALENDAR_YEAR)


def is_plausible(gps: float) -> bool:
    """Whether a GPS time lies between the year 2000 and the end of the next year."""
    return FIRST_YEAR <= year_of(gps) <= datetime.now(UTC).year + 1


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
        raise DataError(
            f"{path} has the time {format_gps(wrong[0])}, in the year {year_of(wrong[0])}: give GPS seconds, not "
            "milliseconds, UNIX or Julian time"
        )
    first, last = min(item[0] for item in times), max(item[1] for item in times)
    if last < data[0] or first > data[1]:
        raise DataError(
            f"{path} is of {format_gps(first)} to {format_gps(last)} (GPS s, {_years(first, last)}), the data are of "
            f"{format_gps(data[0])} to {format_gps(data[1])} ({_years(*data)}): {mend}"
        )


def _years(first: float, last: float) -> str:
    """Years of an interval."""
    return "-".join(map(str, dict.fromkeys(map(year_of, (first, last)))))
