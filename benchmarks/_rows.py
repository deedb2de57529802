"""Rows of the benchmarks' table: each is a line of JSON, and only here is it decided whether it reaches its target."""

import json
import os
from dataclasses import dataclass
from typing import TypeVar

QUICK = os.environ.get("AFRAME_BENCHMARKS") == "quick"
"""Whether amounts of work are small, as ``python benchmarks --quick`` asks for."""

AT_LEAST, AT_MOST = "at least", "at most"

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """What a value should reach.

    Attributes:
        value: The least or the largest value that does.
        direction: ``AT_LEAST`` or ``AT_MOST``.
        of_full_amount: Whether it is that of the full amount of work, which says nothing of a smaller one.
    """

    value: float
    direction: str
    of_full_amount: bool = False

    def is_reached(self, value: float) -> bool:
        """Whether a value reaches the target; one that is not a number does not."""
        return value >= self.value if self.direction == AT_LEAST else value <= self.value


def at_least(value: float, of_full_amount: bool = False) -> Target:
    """The target of a speed, or of anything else of which more is better."""
    return Target(value, AT_LEAST, of_full_amount)


def at_most(value: float, of_full_amount: bool = False) -> Target:
    """The target of a cost."""
    return Target(value, AT_MOST, of_full_amount)


def sized(full: T, quick: T) -> T:
    """An amount of work: the full one, or the one that ``--quick`` does."""
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
        benchmark: What was measured.
        value: What came of it; None where it could not be measured here, which ``note`` explains.
        unit: Of value, target and error.
        target: None where there is none: nobody judges the value then.
        error: Scatter of the value over repetitions.
        note: What a reader of the row should know.
    """
    if QUICK and target is not None and target.of_full_amount:
        target, note = None, note or "quick: not judged"
    row: dict[str, object] = {"benchmark": benchmark, "value": value, "error": error, "unit": unit}
    row |= {"target": target and target.value, "direction": target and target.direction}
    row["ok"] = None if target is None or value is None else bool(target.is_reached(value))
    print(json.dumps(row | {"note": note}), flush=True)
