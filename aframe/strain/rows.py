"""Rows of lists, and the numbers and times in them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from aframe.errors import ConfigurationError, DataError
from aframe.strain.times import NAMED_ZONE, NANOSECONDS_PER_SECOND, UTC_TIME, gps_of, is_plausible, unit_of

ROUNDED = re.compile(r"\d+(?:\.(\d*))?e\+?(\d+)", re.IGNORECASE)
"""A number with an exponent. Its groups are decimals and exponent."""

INDEX = re.compile(r"\d{1,6}")
"""Number of a row."""


@dataclass(frozen=True)
class Row:
    """A row of a list.

    Attributes:
        place: File and line, for error messages.
        values: Texts.
        nanoseconds: Columns of nanoseconds, by the column of seconds that they continue.
        index: Number of the row before the values. Empty without one.
    """

    place: str
    values: tuple[str, ...]
    nanoseconds: Mapping[int, int] = field(default_factory=dict)
    index: str = ""

    def __str__(self) -> str:
        units = ((value, unit_of(number(value) or 0.0)) for value in self.values)
        guess = next((f" ({value} seems to be in {unit})" for value, unit in units if unit), "")
        text = " ".join((self.index, *self.values) if self.index else self.values)
        return f"{self.place}: {text[:60]!r}{guess}"

    def text(self, column: int | None) -> str:
        """Value in a column. Empty without one."""
        return self.values[column] if column is not None and column < len(self.values) else ""

    def time(self, column: int) -> float | None:
        """Time in a column, and in that of its nanoseconds: GPS s, or UTC as 2019-04-29T13:29:25. None without one.

        Raises:
            DataError: If the time is rounded, as in tables that pandas prints, has a time zone's name, or its
                nanoseconds do not continue it.
        """
        seconds, rest = self._seconds(self.text(column)), self.nanoseconds.get(column)
        fraction = 0.0 if rest is None else number(self.text(rest))
        if seconds is None or fraction is None:
            return None
        if not 0 <= fraction < NANOSECONDS_PER_SECOND or (fraction and not seconds.is_integer()):
            raise DataError(
                f"{self}: {self.text(rest)} ns do not continue {self.text(column)} s: give whole seconds and fewer "
                "than 10^9 ns, or leave the column of nanoseconds out"
            )
        return seconds + fraction / NANOSECONDS_PER_SECOND

    def _seconds(self, text: str) -> float | None:
        digits = ROUNDED.fullmatch(text)
        lost = int(digits[2]) - len(digits[1] or "") if digits else 0
        if lost > 0 and is_plausible(float(text)):
            raise DataError(f"{self}: {text} is rounded to {10**lost} s: write all digits of the time")
        if UTC_TIME.fullmatch(text):
            try:
                return gps_of(text)
            except ConfigurationError as error:
                if NAMED_ZONE.search(text):
                    raise DataError(f"{self}: {error}") from None
                return None
        return number(text)

    def without_index(self) -> "Row":
        """The row without a whole number before a GPS time, as pandas numbers rows."""
        has_index = INDEX.fullmatch(self.values[0]) and is_plausible(self.time(1) or 0.0)
        return Row(self.place, self.values[1:], index=self.values[0]) if has_index else self


def number(text: str) -> float | None:
    """Parse a finite number. None for other texts."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
