"""Published sensitive volumes of searches of LIGO's and Virgo's third observing run.

GWTC-3 (arXiv:2111.03606, table of sensitive hypervolumes) lists V T in Gpc³ yr for log-normal populations of width 0.1
around pairs of masses. A recovered injection there has a probability of astrophysical origin above one half. The
populations are those of arXiv:2111.03634. Division by the observing time gives volumes.
"""

from collections.abc import Mapping
from typing import Final

from aframe.constants import SECONDS_PER_DAY

OBSERVING_DAYS: Final = 12_905_976 / SECONDS_PER_DAY
"""Time of the published V T, in days: 149.3747, from the start to the end of the injections of O3b.

The name of the set, endo3_mixture-LIGO-T2100113-v12-1256655642-12905976.hdf5, has both (doi:10.5281/zenodo.7890437).
The first version of aframe divides by this time (its `catalog_results`). It includes time without data, so the volumes
are lower than those of the time in which the detectors observed.
"""

DAYS_PER_PUBLISHED_YEAR: Final = 365.0
"""Days in a year of the publication. Rates per year in this project use the Julian year."""

PAIRS: Final = ("35-35", "35-20", "20-20", "20-10")
"""Published pairs of masses, in solar masses."""

VOLUME_TIME_GPC3_YR: Final[Mapping[str, tuple[float, ...]]] = {
    "GstLAL": (4.1, 2.3, 1.34, 0.6),
    "PyCBC-BBH": (4.3, 2.5, 1.42, 0.65),
    "cWB": (2.6, 1.35, 0.56, 0.24),
    "MBTA": (3.3, 1.8, 1.1, 0.51),
}
"""Published V T of each pipeline for ``PAIRS``, in Gpc³ yr."""

LIVETIME_TOLERANCE: Final = 0.05
"""Largest relative difference between comparable live times."""

SOURCE: Final = "GWTC-3, arXiv:2111.03606 and arXiv:2111.03634; found: p_astro > 0.5"


def published_volumes(pair: str) -> dict[str, float]:
    """Published sensitive volume in Gpc³ of each pipeline for a mass pair. It is empty for unpublished pairs.

    >>> round(published_volumes("35-35")["GstLAL"], 2)
    10.02
    """
    if pair not in PAIRS:
        return {}
    scale = DAYS_PER_PUBLISHED_YEAR / OBSERVING_DAYS
    return {name: scale * values[PAIRS.index(pair)] for name, values in VOLUME_TIME_GPC3_YR.items()}


def comparison_remarks(simulated: bool, livetime: float) -> list[str]:
    """State the caveats of a comparison with the published volumes.

    Args:
        simulated: Whether the search ran on simulated noise.
        livetime: Observing time of the search, s.

    Returns:
        One sentence per caveat.
    """
    days = livetime / SECONDS_PER_DAY
    caveats = [
        f"Broken lines: what the pipelines of O3 saw in real noise ({SOURCE}).",
        "They are not measured at a false alarm rate, so a line says nothing about where on the axis it holds.",
        "They are means over the whole of O3b, time without data included.",
    ]
    differences = []
    if simulated:
        differences.append(
            "this search ran on simulated Gaussian noise, with simulated glitches or none, and another sensitivity"
        )
    if abs(days / OBSERVING_DAYS - 1) > LIVETIME_TOLERANCE:
        differences.append(
            f"its volumes are averages over {days:.3g} days of data, the published ones over {OBSERVING_DAYS:.1f} days "
            "in which the detectors' sensitivity varied"
        )
    if differences:
        caveats.append(f"The comparison is not like for like, and for orientation only: {'; '.join(differences)}.")
    return [*caveats, "Detectors may differ as well: some published searches used three."]
