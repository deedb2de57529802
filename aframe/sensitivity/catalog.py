"""Published sensitive volumes of the pipelines that searched LIGO's and Virgo's third observing run.

GWTC-3 (arXiv:2111.03606, table of sensitive hypervolumes) gives V T in Gpc³ yr for log-normal populations of width 0.1
about pairs of masses, where an injection is found if its probability of astrophysical origin exceeds one half; the
populations are those of arXiv:2111.03634. Divided by the time of observation they become volumes.
"""

from collections.abc import Mapping
from typing import Final

from aframe.constants import SECONDS_PER_DAY

OBSERVING_DAYS: Final = 149.3747
"""Days over which the published volumes times time were accumulated."""

DAYS_PER_PUBLISHED_YEAR: Final = 365.0
"""The publication's year; every rate per year in this project is per Julian year."""

PAIRS: Final = ("35-35", "35-20", "20-20", "20-10")

VOLUME_TIME_GPC3_YR: Final[Mapping[str, tuple[float, ...]]] = {
    "GstLAL": (4.1, 2.3, 1.34, 0.6),
    "PyCBC-BBH": (4.3, 2.5, 1.42, 0.65),
    "cWB": (2.6, 1.35, 0.56, 0.24),
    "MBTA": (3.3, 1.8, 1.1, 0.51),
}
"""Published V T of each pipeline for ``PAIRS``, in Gpc³ yr."""

SAME_LIVETIME: Final = 0.05
"""Relative difference up to which two live times are called the same."""

SOURCE: Final = "GWTC-3, arXiv:2111.03606 and arXiv:2111.03634; found: p_astro > 0.5"


def published_volumes(pair: str) -> dict[str, float]:
    """Sensitive volume in Gpc³ of each pipeline for a mass pair; empty where none was published.

    >>> round(published_volumes("35-35")["GstLAL"], 2)
    10.02
    """
    if pair not in PAIRS:
        return {}
    scale = DAYS_PER_PUBLISHED_YEAR / OBSERVING_DAYS
    return {name: scale * values[PAIRS.index(pair)] for name, values in VOLUME_TIME_GPC3_YR.items()}


def comparison_remarks(simulated: bool, livetime: float) -> list[str]:
    """What a reader must know who compares volumes with the published ones: sentences.

    Args:
        simulated: Whether the search ran on simulated noise.
        livetime: Seconds of unshifted data that were searched.
    """
    days = livetime / SECONDS_PER_DAY
    told = [
        f"Broken lines: what the pipelines of O3 saw in real noise ({SOURCE}).",
        "They are not measured at a false alarm rate, so a line says nothing about where on the axis it holds.",
    ]
    unlike = []
    if simulated:
        unlike.append("this search ran on simulated Gaussian noise, without glitches and with another sensitivity")
    if abs(days / OBSERVING_DAYS - 1) > SAME_LIVETIME:
        unlike.append(
            f"its volumes are averages over {days:.3g} days of data, the published ones over {OBSERVING_DAYS:.1f} days "
            "in which the detectors' sensitivity varied"
        )
    if unlike:
        told.append(f"The comparison is not like for like, and for orientation only: {'; '.join(unlike)}.")
    return [*told, "Detectors may differ as well: some published searches used three."]
