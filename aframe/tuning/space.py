"""Search space of a study: the keys that change, and the values that each can have."""

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from aframe.settings.keys import nearest

RANGES = ("uniform", "log_uniform", "int", "log_int")
"""Kinds of parameters with a lowest and a highest value."""

FRACTIONS = ("uniform", "log_uniform")
"""Those of them whose values need not be whole."""

CHOICE = "choice"
"""Kind of a parameter with a list of values."""

KINDS = (*RANGES, CHOICE)
"""All kinds of parameters."""


@dataclass(frozen=True)
class Parameter:
    """A key that changes from trial to trial.

    Attributes:
        key: Dotted key of the training YAML, or ``bank.<key>`` of the ``.cfg``.
        kind: How its values are given, one of ``KINDS``.
        values: Lowest and highest value, or all values.
        default: Its value without a study, which the first trial has.
    """

    key: str
    kind: str
    values: tuple[Any, ...]
    default: Any

    @property
    def distribution(self) -> BaseDistribution:
        """Optuna's description of the values."""
        if self.kind == CHOICE:
            return CategoricalDistribution([label(value) for value in self.values])
        low, high = self.values
        if self.kind in ("int", "log_int"):
            return IntDistribution(low, high, log=self.kind == "log_int")
        return FloatDistribution(low, high, log=self.kind == "log_uniform")

    def encoded(self, value: Any) -> Any:
        """A value as Optuna knows it. Of a choice, its text."""
        return label(value) if self.kind == CHOICE else value

    def decoded(self, value: Any) -> Any:
        """The value of the key behind a value of Optuna's."""
        if self.kind != CHOICE:
            return value
        return next(each for each in self.values if label(each) == value)


def label(value: Any) -> str:
    """Text of a value, different for all different values.

    >>> label([3, 3]), label("auto"), label(True)
    ('[3, 3]', 'auto', 'true')
    """
    return value if isinstance(value, str) else json.dumps(value)


def plain(value: Any) -> Any:
    """A value of a YAML, in which numbers such as ``1e-4``, words to YAML 1.1, are numbers.

    >>> plain("1e-4"), plain("auto"), plain([1, 2])
    (0.0001, 'auto', [1, 2])
    """
    if isinstance(value, str) and "e" in value.lower():
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def parse_parameter(key: str, content: Any, default: Any) -> Parameter:
    """Read a parameter of a search space, as ``{log_uniform: [1.0e-4, 1.0e-2]}``.

    Args:
        key: Its key.
        content: What the YAML of the study says about it.
        default: The key's value without a study.

    Raises:
        ValueError: If there are no such values, or the default is not among them. The message is the end of a sentence.
    """
    if not isinstance(content, Mapping) or len(content) != 1:
        raise ValueError(f"must say one of {', '.join(KINDS)}, as {{log_uniform: [1.0e-4, 1.0e-2]}}")
    [(kind, values)] = content.items()
    if kind not in KINDS:
        raise ValueError(f"has no kind {kind!r}{nearest(str(kind), KINDS)}: give one of {', '.join(KINDS)}")
    if not isinstance(values, list):
        raise ValueError(f"{kind} = {values!r} must be a list")
    values = [plain(value) for value in values]
    for value in values:
        try:
            label(value)
        except TypeError:  # a date, or a list of some
            raise ValueError(f"{kind} = {values!r} has {value!r}, which no key can have: put it in quotes") from None
    read = _choices if kind == CHOICE else _range
    parameter = Parameter(key, kind, tuple(read(kind, values)), default)
    if not _holds(parameter, default):
        raise ValueError(
            f"{kind} = {values!r} does not hold {default!r}, the value without a study, which the first trial has: "
            "widen it, or change that value"
        )
    return parameter


def _range(kind: str, values: Sequence[Any]) -> Sequence[float]:
    is_whole = kind in ("int", "log_int")
    number = int if is_whole else (int, float)
    if len(values) != 2 or not all(isinstance(value, number) and not isinstance(value, bool) for value in values):
        raise ValueError(f"{kind} = {values!r} must be two {'whole ' if is_whole else ''}numbers, the lowest first")
    if not all(map(math.isfinite, values)):
        raise ValueError(f"{kind} = {values!r} is not finite: give two numbers")
    low, high = values
    if not low < high:
        raise ValueError(f"{kind} = {values!r} is empty: the first number must be the smaller one")
    if kind.startswith("log") and low <= 0:
        raise ValueError(f"{kind} = {values!r} must be above zero, as equal steps are equal ratios")
    return values if is_whole else [float(low), float(high)]


def _choices(kind: str, values: Sequence[Any]) -> Sequence[Any]:
    labels = list(map(label, values))
    if len(labels) < 2:
        raise ValueError(f"{kind} = {values!r} must have two values or more")
    repeated = [text for text in labels if labels.count(text) > 1]
    if repeated:
        raise ValueError(f"{kind} = {values!r} has {repeated[0]} twice: keep one of the two")
    return values


def _holds(parameter: Parameter, value: Any) -> bool:
    """Whether a value is among those of a parameter."""
    if parameter.kind == CHOICE:
        return label(value) in map(label, parameter.values)
    low, high = parameter.values
    return isinstance(value, (int, float)) and bool(low <= value <= high)
