"""Rows of the table of benchmarks, one line of JSON each.

Only this module decides whether a value reaches its target.
"""

import json
import os
from dataclasses import dataclass
from typing import TypeVar

QUICK = os.environ.get("AFRAME_BENCHMARKS") == "quick"
"""Whether amounts of work are small, as with ``python benchmarks --quick``."""

AT_LEAST, AT_MOST = "at least", "at most"
"""Directions of a target."""

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """Target of a value.

    Attributes:
        value: Smallest or largest value that reaches the target.
        direction: ``AT_LEAST`` or ``AT_MOST``.
        of_full_amount: Whether the target applies only to the full amount of work.
    """

    value: float
    direction: str
    of_full_amount: bool = False

    def is_reached(self, value: float) -> bool:
        """Whether a value reaches the target. NaN does not."""
        return value >= self.value if self.direction == AT_LEAST else value <= self.value


def at_least(value: float, of_full_amount: bool = False) -> Target:
    """Target of a speed, or of another quantity for which larger values are better.

    Args:
        value: Smallest value that reaches the target.
        of_full_amount: Whether the target applies only to the full amount of work.
    """
    return Target(value, AT_LEAST, of_full_amount)


def at_most(value: float, of_full_amount: bool = False) -> Target:
    """Target of a cost, for which smaller values are better.

    Args:
        value: Largest value that reaches the target.
        of_full_amount: Whether the target applies only to the full amount of work.
    """
    return Target(value, AT_MOST, of_full_amount)


def sized(full: T, quick: T) -> T:
    """Choose an amount of work.

    Args:
        full: Full amount.
        quick: Amount with ``--quick``.
    """
    return quick if QUICK else full


def tell(
    benchmark: str,
    value: float | None,
    unit: str,
    target: Target | None = None,
    error: float | None = None,
    *,
    note: str = "",
) -> None:
    """Print a row.

    Args:
        benchmark: Name of the measured quantity.
        value: Measured value; None if it cannot be measured here. ``note`` then explains why.
        unit: Unit of value, target and error.
        target: Target of the value; None if it is not judged.
        error: Scatter of the value over repetitions.
        note: Remark for the reader of the row.
    """
    if QUICK and target is not None and target.of_full_amount:
        target, note = None, note or "quick: not judged"
    row: dict[str, object] = {"benchmark": benchmark, "value": value, "error": error, "unit": unit}
    row |= {"target": target and target.value, "direction": target and target.direction}
    row["ok"] = None if target is None or value is None else bool(target.is_reached(value))
    print(json.dumps(row | {"note": note}), flush=True)
