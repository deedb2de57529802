"""Times of lists are those of the data."""

import re

import pytest

from aframe.errors import ConfigurationError, DataError
from aframe.strain.times import check_listed, format_gps, gps_of, is_plausible, unit_of

DATA = (1262304000.0, 1262312192.0)


def test_times_are_gps_or_utc() -> None:
    assert gps_of("1187008882.4") == 1187008882.4
    assert gps_of("2017-08-17T12:41:04") == gps_of("2017-08-17T14:41:04+02:00") == 1187008882
    assert gps_of("2017-08-17T12:41:04Z") == gps_of("2017-08-17 12:41:04 UTC") == 1187008882
    assert gps_of("2017-08-17T04:41:04 -0800") == gps_of("2017-08-17 14:41:04 +02") == 1187008882
    for zone in ("PST", " PST", " CEST", " Europe/Rome", " UTC+2", " PM", " (JST)"):
        with pytest.raises(ConfigurationError, match=rf"ends in {re.escape(zone.strip())}, which is not UTC: give"):
            gps_of(f"2017-08-17 12:41:04{zone}")
    assert gps_of(" 2017-08-17 ") == 1187008882 - 12 * 3600 - 41 * 60 - 4
    for word in ("yesterday", "-5", "2017-13-01", ""):
        with pytest.raises(ConfigurationError, match=r"is no time: give GPS seconds, as .*, or UTC"):
            gps_of(word)


def test_utc_of_no_gps_time_is_refused() -> None:
    for time in (
        "0001-01-01",
        "0001-01-01T00:00:00+14:00",
        "1970-01-01T00:00:00Z",
        "9999-12-31",
        "2060-01-01 00:00:00",
    ):
        with pytest.raises(ConfigurationError, match=rf"^{re.escape(repr(time))} is before 1980 or after 2047: give"):
            gps_of(time)
    assert gps_of("1980-01-06") == 0
    assert gps_of("2046-07-01") > 2.09e9


def test_times_as_text() -> None:
    assert [format_gps(t) for t in (1126259446.0, 1e9 + 0.1)] == ["1126259446", "1000000000.1"]


def test_plausible_times_are_those_of_detectors() -> None:
    assert all(map(is_plausible, (931035615.0, 1126259462.4, 1422118818.0)))
    assert not any(map(is_plausible, (0.0, 1126259.4, 1126259462400.0, 2457279.9, 57279.4)))


def test_lists_of_the_time_of_the_data_pass() -> None:
    check_listed("gates = x.txt", [(1238166018.0, 1238166019.0), (1269363610.0, 1269363618.0)], DATA, "mend it")
    check_listed("gates = x.txt", [(DATA[1], DATA[1] + 1)], DATA, "mend it")
    check_listed("gates = x.txt", [(10.0, 20.0)], (0.0, 100.0), "mend it")


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (
            1262304100500.0,
            "^gates = x.txt has the time 1262304100500, in the year 41980: it seems to be in milliseconds, and GPS",
        ),
        (1578268882000.0, "has the time 1578268882000, in the year 51993: it seems to be in milliseconds"),
        (2458854.5, "has the time 2458854.5, in the year 1980: it seems to be in Julian days"),
        (-5e9, "has the time -5000000000, in the year 1821: give GPS seconds$"),
        (
            940000000.0,
            r"^gates = x.txt is of 940000000 to 940000001 \(GPS s, 2009\), the data are of 1262304000 to 1262",
        ),
    ],
)
def test_lists_of_other_times_are_refused(time: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_listed("gates = x.txt", [(time, time + 1)], DATA, "mend it")


@pytest.mark.parametrize(
    ("time", "unit"),
    [
        (1126259462.4e3, "milliseconds"),
        (1126259462.4e6, "microseconds"),
        (1126259462.4e9, "nanoseconds"),
        (1442224245e3, "milliseconds"),
        (1442224245e9, "nanoseconds"),
        (1767225600.0, "UNIX time"),
        (2457279.9, "Julian days"),
        (57279.4, "modified Julian days"),
        (0.0, ""),
        (1e30, ""),
    ],
)
def test_a_time_in_another_unit_is_recognised(time: float, unit: str) -> None:
    """GW150914, and the first second of 2026."""
    assert not is_plausible(time)
    assert unit_of(time) == unit
