"""JSON documents: numbers that JSON does not have are null in them."""

import json
import math
from collections.abc import Mapping
from typing import Any


def to_json(data: Mapping[str, Any]) -> str:
    r"""Text of a document.

    >>> to_json({"snr": float("nan")})
    '{\n "snr": null\n}\n'
    """
    return json.dumps(nulled(data), indent=1, allow_nan=False) + "\n"


def nulled(value: Any) -> Any:
    """The same data with null in place of numbers that are not finite."""
    if isinstance(value, Mapping):
        return {name: nulled(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [nulled(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def numbered(values: Mapping[str, Any]) -> dict[str, Any]:
    """The way back: the same values with NaN in place of null."""
    return {name: math.nan if value is None else value for name, value in values.items()}
