"""Whether a detector can have recorded what a file holds: its time and its values."""

from collections.abc import Sequence

import numpy as np

from aframe.strain.times import FIRST_YEAR, format_gps, is_plausible, unit_of, year_of
from aframe.types import Array

LARGEST_STRAIN = 1e-10
"""Values that are usual in strain are smaller."""

SMALLEST_STRAIN = 1e-30
"""Values that are usual in strain are larger. Those of power spectral densities are 1e-40."""

USUAL_STRAIN = 1e-21
"""A value that is usual in strain."""

PYCBC_FACTOR = 5.9e20
"""Factor with which PyCBC scales strain, its DYN_RANGE_FAC."""

RANGE_OF_STRAIN = 1e-23, 1e-17
"""Range of values that are usual in strain."""

LEAST_WHITE = 0.5
"""Typical step from a sample to the next, in typical values, from which on noise is white. Strain has red noise."""


def flaw_of_start(start: float) -> str:
    """Why strain cannot begin at a time. Empty if it can: simulated strain may begin at any positive time.

    Args:
        start: GPS s.
    """
    if start < 0:
        return f"begins at {format_gps(start)} s, before the first GPS second: write GPS seconds"
    unit = "" if _is_before(start) else unit_of(start)
    begin = f"begins at {format_gps(start)}, in the year {year_of(start)}"
    return f"{begin}: it seems to be in {unit}, and GPS seconds are needed" if unit else ""


def note_of_start(start: float) -> str:
    """What is unusual about a time at which strain begins, GPS s. Empty for the time of real data."""
    if is_plausible(start):
        return ""
    when = "before 2000" if _is_before(start) else f"in the year {year_of(start)}"
    return f"begins at GPS {format_gps(start)}, {when}: it is taken for simulated strain"


def _is_before(gps: float) -> bool:
    """Whether a time is before all real data, GPS s."""
    return year_of(gps) < FIRST_YEAR


def flaw_of_values(parts: Sequence[Array]) -> str:
    """Why samples cannot be strain. Empty if they can, or if a part may be no more than a gap.

    Args:
        parts: Samples of several times, each of shape (time,).
    """
    levels = [_level(part) for part in parts]
    measured = [(level, part) for level, part in zip(levels, parts, strict=True) if level > 0]
    if not measured:
        return ""
    level, part = min(measured, key=lambda each: each[0])
    highest = max(level for level, _ in measured)
    if highest < SMALLEST_STRAIN:
        return f"has values of {highest:.0e}, and strain has about {USUAL_STRAIN:.0e}: give strain"
    if level <= LARGEST_STRAIN:
        return ""
    if _level(np.diff(part)) > LEAST_WHITE * level:
        guess = "it seems to be whitened: give strain that is not"
    elif RANGE_OF_STRAIN[0] < level / PYCBC_FACTOR < RANGE_OF_STRAIN[1]:
        guess = "it seems to be scaled, perhaps by 5.9e20 as PyCBC does (DYN_RANGE_FAC): divide it by the factor"
    else:
        guess = f"it seems to be scaled, by about {level / USUAL_STRAIN:.0e}: divide it by the factor"
    return f"has values of {level:.0e}, and strain has about {USUAL_STRAIN:.0e}: {guess}"


def _level(part: Array) -> float:
    """Typical absolute value of samples. 0 if they are no more than a fill value."""
    values = part[np.isfinite(part)]
    return float(np.median(np.abs(values))) if len(values) > 1 and np.ptp(values) > 0 else 0.0
