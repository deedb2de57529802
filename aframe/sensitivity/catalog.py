"""Published sensitive volumes of the pipelines that searched LIGO's and Virgo's third observing run.

GWTC-3 (arXiv:2111.03606, table of sensitive hypervolumes) gives V T in Gpc³ yr for log-normal populations of width 0.1
about pairs of masses, where an injection is found if its probability of astrophysical origin exceeds one half; the
populations are those of arXiv:2111.03634. Divided by the time of observation they become volumes.
"""

from collections.abc import Mapping
from typing import Final

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
