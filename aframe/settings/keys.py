"""Convert the text of a ``.cfg`` to the typed fields of a section, and find mistakes in it."""

import dataclasses
import difflib
import math
import os
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

LIST_BRACKETS = re.compile(r"^[\[(](.*)[\])]$", re.DOTALL)
"""Optional brackets around a list of values."""

LIST_BORDER = re.compile(r"[\s,]+(?![^()]*\))")
"""Border between values of a list. A comma in the parentheses of a call is no border."""

QUOTED = re.compile(r"""(?<![^\s,:=(\[])("[^"\n]*"|'[^'\n]*')(?![^\s,)\]])""")
"""Text in quotes, as a word or as the rest of ``H1:"…"``. An apostrophe in a word is no quote."""

UNQUOTED = re.compile(r"""((?:\w+:)?)(["'])((?:(?!\2).)*)\2""")
"""A value in quotes, after a detector or not. Its third group is what they enclose."""

SPECIAL = "#;, \t"
"""Characters that mean themselves in quotes."""

HIDDEN = str.maketrans({character: chr(0xE000 + number) for number, character in enumerate(SPECIAL)})
"""Characters of no meaning in place of these."""

PLAIN = {ord(hidden): chr(character) for character, hidden in HIDDEN.items()}
"""The way back."""


class Lines(tuple[str, ...]):
    """Value of several lines. Nothing in them is expanded, split or unquoted."""


@dataclass(frozen=True)
class Mistake:
    """A mistake in the ``.cfg``.

    Attributes:
        section: Section, without ``luigi_``. For an unknown section, the most similar one.
        key: Key. For an unknown key, the most similar one. Empty for a mistake in the section's name.
        text: Description and remedy, with the names of section and key.
        written: Name of the key or section in the file, if it differs.
    """

    section: str
    key: str
    text: str
    written: str = ""


@dataclass(frozen=True)
class Limit:
    """Range of a key's numbers.

    Attributes:
        holds: Whether a number lies in the range.
        message: End of the error about another number, after the key and its value.
    """

    holds: Callable[[float], bool]
    message: str


POSITIVE = Limit(lambda number: number > 0, "must be positive")
NOT_NEGATIVE = Limit(lambda number: number >= 0, "must not be negative")


def at_least(least: float) -> Limit:
    """Range of numbers not smaller than ``least``."""
    return Limit(lambda number: number >= least, f"must not be less than {least:g}")


def key(
    description: str,
    unit: str = "",
    default: Any = dataclasses.MISSING,
    *,
    limit: Limit | None = None,
    choices: Collection[str] = (),
) -> Any:
    """Declare a configuration key.

    Args:
        description: What the key sets.
        unit: Its unit. Empty without one.
        default: Its default. Physics choices have none.
        limit: Range of its numbers. None for all.
        choices: Valid words. Empty for any.
    """
    return field(
        default=default, metadata={"description": description, "unit": unit, "limit": limit, "choices": choices}
    )


class UnknownValueError(Exception):
    """A value is missing or wrong in the file. Another error reports this to the user."""


def partial(kind: Any, values: Mapping[str, Any]) -> Any:
    """Create a dataclass with some of its values. Access to another value raises ``UnknownValueError``.

    Args:
        kind: The dataclass.
        values: Available values, by name.
    """

    def refusal(name: str) -> property:
        def refuse(_: Any) -> Any:
            raise UnknownValueError(f"{kind.__name__}.{name}")

        return property(refuse)

    missing = {field.name for field in dataclasses.fields(kind)} - values.keys()
    section: Any = object.__new__(type(kind.__name__, (kind,), {name: refusal(name) for name in missing}))
    for name, value in values.items():
        object.__setattr__(section, name, value)
    return section


def fields_of(
    name: str, kind: Any, values: Mapping[str, str], mistakes: list[Mistake], is_renamed: bool = False
) -> Any:
    """Fill a section's dataclass with its values. It lacks the missing and the wrong ones.

    Args:
        name: Name of the section, without ``luigi_``.
        kind: The dataclass, with fields from ``key``.
        values: Values in the file.
        mistakes: List of mistakes. Unknown keys, missing keys and wrong values are appended, a misspelled key once.
        is_renamed: Whether the section's name in the file is wrong. Another mistake reports this.
    """
    fields = {f.name: f for f in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    where = f"[luigi_{name}]"
    meant = {k: closest(k, fields.keys() - values.keys()) or k for k in values if k not in fields}
    mistakes += [Mistake(name, meant[k], f"unknown key {k!r} in {where}{nearest(k, list(fields))}", k) for k in meant]
    parsed: dict[str, Any] = {}
    for field_name, spec in fields.items():
        if field_name not in values:
            if spec.default is not dataclasses.MISSING:
                parsed[field_name] = spec.default
            elif field_name not in meant.values() and not is_renamed:
                unit = f", {spec.metadata['unit']}" if spec.metadata["unit"] else ""
                text = f"missing key {field_name!r} in {where} ({spec.metadata['description']}{unit})"
                mistakes.append(Mistake(name, field_name, text))
            continue
        try:
            value = parse(values[field_name], hints[field_name])
        except ValueError as error:
            text = f"{field_name} = {values[field_name]!r} in {where} {error}"
            mistakes.append(Mistake(name, field_name, text))
            continue
        refusal = _refusal(value, spec)
        if refusal:
            text = f"{field_name} = {with_unit(value, spec)} in {where} {refusal}"
            mistakes.append(Mistake(name, field_name, text))
        else:
            parsed[field_name] = value
    return kind(**parsed) if parsed.keys() == fields.keys() else partial(kind, parsed)


def _refusal(value: Any, spec: "dataclasses.Field[Any]") -> str:
    """Why a key cannot have a value. Empty if it can."""
    choices, limit = spec.metadata["choices"], spec.metadata["limit"]
    if choices and value not in choices:
        return f"is none of {', '.join(choices)}"
    if limit is not None and not all(map(limit.holds, _numbers(value))):
        return str(limit.message)
    return ""


def _numbers(value: Any) -> list[int | float]:
    """All numbers of a value."""
    if isinstance(value, tuple):
        return [number for item in value for number in _numbers(item)]
    return [] if value is None or isinstance(value, str) else [value]


def with_unit(value: Any, spec: "dataclasses.Field[Any]") -> str:
    """Format a key's value as in the file, with its unit.

    Args:
        value: The value.
        spec: Field of the key in its section.
    """
    unit = spec.metadata["unit"]
    return shown(value) if unit in ("", "path") else f"{shown(value)} {unit}"


def shown(value: Any) -> str:
    """Format a key's value as in the file.

    >>> shown(2048.0), shown(((35.0, 20.0), (20.0, 10.0))), shown(("H1", "L1")), shown("jax")
    ('2048', '35-20, 20-10', 'H1, L1', "'jax'")
    """
    if isinstance(value, tuple):
        return ", ".join("-".join(map(shown, item)) if isinstance(item, tuple) else shown(item).strip("'")
                         for item in value)  # fmt: skip
    if isinstance(value, str):
        return repr(value)
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def nearest(name: str, valid: Collection[str]) -> str:
    """Ask whether the most similar valid name is meant.

    Args:
        name: A wrong name.
        valid: All valid names.

    Returns:
        The question in parentheses. Empty without a similar name.
    """
    close = closest(name, valid)
    return f" (did you mean {close!r}?)" if close else ""


def closest(name: str, valid: Collection[str]) -> str:
    """Find the most similar valid name.

    Args:
        name: A wrong name.
        valid: All valid names.

    Returns:
        The valid name. Empty without a similar name.
    """
    return next(iter(difflib.get_close_matches(name, sorted(valid), n=1)), "")


def hidden(text: str) -> str:
    """Replace the special characters in quotes by characters of no meaning. ``plain`` brings them back."""
    return QUOTED.sub(lambda match: match[0].translate(HIDDEN), text)


def plain(text: str) -> str:
    """Bring back the characters that ``hidden`` replaced."""
    return text.translate(PLAIN)


def parse(text: str, kind: Any) -> Any:
    """Convert the text of a value to its type.

    >>> parse('"O3 #2"', str), parse('H1:"my gates.txt", L1:gates.txt', tuple[str, ...])
    ('O3 #2', ('H1:my gates.txt', 'L1:gates.txt'))

    Raises:
        ValueError: If it has another type. The message is the end of a sentence.
    """
    text = text.strip()
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _alternative(text, *arguments)
    if origin is tuple:
        items = [plain(item) for item in LIST_BORDER.split(hidden(LIST_BRACKETS.sub(r"\1", text))) if item]
        if not items:
            raise ValueError("is empty: give at least one value")
        if typing.get_origin(arguments[0]) is tuple:
            return tuple(_pair(item) for item in items)
        return tuple(parse(item, arguments[0]) for item in items)
    if kind is Lines:
        return Lines(line.strip() for line in text.splitlines() if line.strip())
    return _value(text, kind)


def _value(text: str, kind: Any) -> Any:
    if kind is str:
        return os.path.expandvars(UNQUOTED.sub(r"\1\3", text) if UNQUOTED.fullmatch(text) else text)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("is neither true nor false")
        return text.lower() == "true"
    try:
        number = kind(text)
    except ValueError:
        raise ValueError(f"is no {'whole number' if kind is int else 'number'}") from None
    if not math.isfinite(number):
        raise ValueError("is not finite: give a number")
    return number


def _alternative(text: str, kind: Any, other: Any) -> Any:
    """Parse a value of a type, or else nothing or one of several words."""
    words, word = typing.get_args(other), text.lower()
    if words:
        return word if word in words else parse(text, kind)
    return None if word in ("", "none") else parse(text, kind)


def _pair(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split("-"))
    except ValueError:
        raise ValueError(f"has {text!r}, which is no pair of masses such as 35-20") from None
    return max(first, second), min(first, second)
