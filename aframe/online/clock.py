"""GPS time and the machine's clock."""

import time

from aframe.strain.times import EPOCH

LEAP_SECONDS = 18
"""Seconds by which GPS time is ahead of UTC, since 2017. A new leap second would change it."""


def unix_of(gps: float) -> float:
    """Unix time (s) of a GPS time (s)."""
    return gps + EPOCH.timestamp() - LEAP_SECONDS


def gps_now() -> float:
    """GPS time of the machine's clock, s."""
    return time.time() - EPOCH.timestamp() + LEAP_SECONDS
