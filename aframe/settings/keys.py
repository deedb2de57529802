"""From the words of a ``.cfg`` to the typed fields of a section, and what is wrong with them."""

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
"""Around a list of values, where a user puts some."""

LIST_BORDER = re.compile(r"[\s,]+(?![^()]*\))")
"""Between the values of a list: a comma in the parentheses of a call is none."""


class Lines(tuple[str, ...]):
    """A key of several lines, each as it stands: nothing in them is expanded, split or unquoted."""


@dataclass(frozen=True)
class Mistake:
    """What is wrong with a key of the ``.cfg``.

    Attributes:
        section: Its section, without ``luigi_``; where there is no such section, the one that is meant.
        key: Its name; where there is no such key, the one that is meant; empty where it is the section that is wrong.
        text: What is wrong, and the mend, with the names of both.
        written: What the file calls the key, or the section, where that is another name.
    """

    section: str
    key: str
    text: str
    written: str = ""


@dataclass(frozen=True)
class Limit:
    """The numbers that a key may have.

    Attributes:
        holds: Whether a number is one of them.
        message: What an error says of any other, after the key and its value.
    """

    holds: Callable[[float], bool]
    message: str


POSITIVE = Limit(lambda number: number > 0, "must be positive")
NOT_NEGATIVE = Limit(lambda number: number >= 0, "must not be negative")


def at_least(least: float) -> Limit:
    """Numbers from a least one on."""
    return Limit(lambda number: number >= least, f"must not be less than {least:g}")


def key(
    description: str,
    unit: str = "",
    default: Any = dataclasses.MISSING,
    *,
    limit: Limit | None = None,
    choices: Collection[str] = (),
) -> Any:
    """A configuration key.

    Args:
        description: What it is.
        unit: Its unit; empty where it has none.
        default: Its default, where it is no physics choice.
        limit: The numbers that it may have; None for all.
        choices: The words that it may be; empty for any.
    """
    return field(
        default=default, metadata={"description": description, "unit": unit, "limit": limit, "choices": choices}
    )


class UnknownValueError(Exception):
    """A value was needed that is missing in the file, or wrong there: the user learns of that already."""


def partial(kind: Any, values: Mapping[str, Any]) -> Any:
    """A dataclass with some of its values; asking for another one raises ``UnknownValueError``.

    Args:
        kind: The dataclass.
        values: The values that are known, by name.
    """

    def refuse(section: Any, name: str) -> Any:
        raise UnknownValueError(f"{kind.__name__}.{name}")

    section: Any = object.__new__(type(kind.__name__, (kind,), {"__getattr__": refuse}))
    for name, value in values.items():
        object.__setattr__(section, name, value)
    return section


def fields_of(
    name: str, kind: Any, values: Mapping[str, str], mistakes: list[Mistake], is_renamed: bool = False
) -> Any:
    """A section's dataclass, filled with its values; where some are missing or wrong, it knows the others alone.

    Args:
        name: Of the section, without ``luigi_``.
        kind: The dataclass; ``key`` made its fields.
        values: What the file says.
        mistakes: A list to which unknown and missing keys and wrong values are added. A key that is missing because it
            is misspelled is added once.
        is_renamed: Whether the file has the section under a wrong name, which is told elsewhere.
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
            value = _parse(values[field_name], hints[field_name])
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
    """Why a key may not have a value; empty if it may."""
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
    """A key's value, as one would write it in the file, with its unit.

    Args:
        value: The value.
        spec: The key's field of its section.
    """
    unit = spec.metadata["unit"]
    return shown(value) if unit in ("", "path") else f"{shown(value)} {unit}"


def shown(value: Any) -> str:
    """A key's value, as one would write it in the file.

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
    """A question after the valid name that is most like a wrong one, if any is."""
    close = closest(name, valid)
    return f" (did you mean {close!r}?)" if close else ""


def closest(name: str, valid: Collection[str]) -> str:
    """The valid name that is most like a wrong one; empty if none is."""
    return next(iter(difflib.get_close_matches(name, sorted(valid), n=1)), "")


def _parse(text: str, kind: Any) -> Any:
    text = text.strip()
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _alternative(text, *arguments)
    if origin is tuple:
        items = [item for item in LIST_BORDER.split(LIST_BRACKETS.sub(r"\1", text)) if item]
        if not items:
            raise ValueError("is empty: give at least one value")
        if typing.get_origin(arguments[0]) is tuple:
            return tuple(_pair(item) for item in items)
        return tuple(_parse(item, arguments[0]) for item in items)
    if kind is Lines:
        return Lines(line.strip() for line in text.splitlines() if line.strip())
    return _value(text, kind)


def _value(text: str, kind: Any) -> Any:
    if kind is str:
        return os.path.expandvars(text.strip("\"'"))
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
    """A value of a kind; or else nothing, or one of some words."""
    words, given = typing.get_args(other), text.lower()
    if words:
        return given if given in words else _parse(text, kind)
    return None if given in ("", "none") else _parse(text, kind)


def _pair(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split("-"))
    except ValueError:
        raise ValueError(f"has {text!r}, which is no pair of masses such as 35-20") from None
    return max(first, second), min(first, second)
