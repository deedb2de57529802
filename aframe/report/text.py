"""Numbers, durations and rates as text."""

import math
from collections.abc import Sequence

from aframe.constants import SECONDS_PER_DAY, SECONDS_PER_YEAR

SCALES = ((SECONDS_PER_YEAR, "year"), (SECONDS_PER_DAY, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))


def number(value: float | int, digits: int = 3) -> str:
    """Text of a number, with thin spaces between thousands.

    Args:
        value: The number.
        digits: Significant digits, unless the number is whole.

    >>> number(0.012345), number(1234567)
    ('0.0123', '1\u202f234\u202f567')
    """
    if not math.isfinite(value):
        return "–"
    if value == round(value) and abs(value) < 1e15:
        return f"{round(value):,}".replace(",", "\u202f")
    if abs(value) >= 10**digits:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """Text of a duration, in the largest unit that it is not shorter than.

    >>> duration(7200.0), duration(40 * 31557600.0)
    ('2 hours', '40 years')
    """
    scale, name = next(((s, n) for s, n in SCALES if seconds >= s), SCALES[-1])
    text = number(seconds / scale)
    return f"{text} {name}{'' if text == '1' else 's'}"


def rate(far_per_year: float, is_upper_limit: bool = False) -> str:
    """Text of a false alarm rate.

    Args:
        far_per_year: Events per Julian year.
        is_upper_limit: Whether the rate is an upper limit.

    >>> rate(0.5), rate(0.5, is_upper_limit=True), rate(730.5)
    ('1 per 2 years', '< 1 per 2 years', '2 per day')
    """
    limit = "< " if is_upper_limit else ""
    if far_per_year > 365.25:
        return f"{limit}{number(far_per_year * SECONDS_PER_DAY / SECONDS_PER_YEAR)} per day"
    text = duration(SECONDS_PER_YEAR / far_per_year)
    return f"{limit}1 per {text.removeprefix('1 ') if text.startswith('1 ') else text}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table for a terminal, with columns one below the other.

    Args:
        rows: Cells of each row, the header first. All rows have equally many.

    >>> aligned([("search", "V"), ("a", "12.5")])
    ['search  V', 'a       12.5']
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
