import pytest

from aframe.constants import SECONDS_PER_YEAR
from aframe.report.inputs import rates_to_show
from aframe.report.text import duration, number, rate


@pytest.mark.parametrize(
    ("value", "text"), [(0.012345, "0.0123"), (12.0, "12"), (1234567.8, "1\u202f234\u202f568"), (float("inf"), "–")]
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 seconds"), (60.0, "1 minute"), (7200.0, "2 hours"), (SECONDS_PER_YEAR, "1 year")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("far", "is_limit", "text"),
    [
        (1.0, False, "1 per year"),
        (0.1, True, "< 1 per 10 years"),
        (0.2, False, "1 per 5 years"),
        (365.25, False, "1 per day"),
        (3652.5, False, "10 per day"),
        (3652.5, True, "< 10 per day"),
    ],
)
def test_rate(far: float, is_limit: bool, text: str) -> None:
    assert rate(far, is_limit) == text


@pytest.mark.parametrize(("lowest", "rates"), [(0.01, [1.0, 12.0, 365.25]), (10.0, [10.0, 365.25]), (7000.0, [7000.0])])
def test_rates_to_show_are_measurable_and_apart(lowest: float, rates: list[float]) -> None:
    assert rates_to_show(lowest, 1e6) == rates
