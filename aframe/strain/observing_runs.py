"""Observing runs with open data: when, and of which detectors."""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aframe.errors import ConfigurationError, DataError
from aframe.settings.keys import nearest
from aframe.strain.segments import Segment, intersect, open_data_segments

PATIENCE = 5.0
"""Seconds that GWOSC has to answer a question that need not be answered."""


@dataclass(frozen=True)
class ObservingRun:
    """A stretch of time of which open data exist.

    Attributes:
        name: What GWOSC calls it.
        spans: Of each detector, first and last GPS second.
    """

    name: str
    spans: dict[str, Segment]

    def span(self, ifos: Sequence[str]) -> Segment | None:
        """The time in which all detectors were in the run; None where there is none."""
        if not set(ifos) <= self.spans.keys():
            return None
        return next(iter(intersect(*([self.spans[ifo]] for ifo in ifos))), None)


def _run(name: str, start: int, stop: int, ifos: str, **others: tuple[int, int]) -> ObservingRun:
    spans = dict.fromkeys(ifos.split(), (start, stop)) | others
    return ObservingRun(name, {ifo: Segment(float(first), float(last)) for ifo, (first, last) in spans.items()})


RUNS = (
    _run("O1", 1126051217, 1137254417, "H1 L1"),
    _run("O2", 1164556817, 1187733618, "H1 L1", V1=(1185580818, 1187733618)),
    _run("O3a", 1238166018, 1253977218, "H1 L1 V1"),
    _run("O3b", 1256655618, 1269363618, "H1 L1 V1"),
    _run("O3GK", 1270281618, 1271462418, "G1 K1"),
    _run("O4a", 1368975618, 1389456018, "H1 L1"),
    _run("O4b", 1396796418, 1422118818, "H1 L1 V1"),
)
"""Those of gwosc.org/data; Virgo joined O2 on 1 August 2017."""


def observing_run(name: str) -> ObservingRun:
    """The run of a name, in whatever case.

    Raises:
        ConfigurationError: If there is none, with the nearest one.
    """
    known = {run.name.lower(): run for run in RUNS}
    if name.lower() not in known:
        names = [run.name for run in RUNS]
        raise ConfigurationError(
            f"--observing-run {name}: no such run{nearest(name, names)}; there are {', '.join(names)}"
        )
    return known[name.lower()]


def gps_of(time: str) -> float:
    """GPS seconds of a time.

    Args:
        time: GPS seconds, or UTC as ISO 8601 has it.

    Raises:
        ConfigurationError: If it is neither.

    >>> gps_of("1126259462.4"), gps_of("2015-09-14T09:50:45")
    (1126259462.4, 1126259462.0)
    """
    if re.fullmatch(r"\d+(\.\d*)?", time.strip()):
        return float(time)
    try:
        moment = datetime.fromisoformat(time.strip())
    except ValueError:
        raise ConfigurationError(
            f"{time!r} is no time: give GPS seconds, as 1240579783, or UTC, as 2019-04-29 or 2019-04-29T13:29:25"
        ) from None
    import lal

    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return float(lal.UTCToGPS(utc.timetuple())) + utc.microsecond / 1e6


def check_open_data(ifos: Sequence[str], start: float, stop: float) -> list[str]:
    """Names of the runs that a stretch of time begins and ends in.

    Args:
        ifos: Detectors.
        start: GPS seconds.
        stop: GPS seconds.

    Raises:
        ConfigurationError: If the detectors have no open data at its start or end; says when they have.
    """
    spans = {run.name: span for run in RUNS if (span := run.span(ifos)) is not None}
    if not spans:
        known = sorted({ifo for run in RUNS for ifo in run.spans})
        wrong = [ifo for ifo in ifos if ifo not in known]
        told = f"there are open data of {', '.join(known)}, not of {', '.join(wrong)}" if wrong else "not in one run"
        raise ConfigurationError(f"--ifos {','.join(ifos)}: {told}{nearest(wrong[0], known) if wrong else ''}")
    inside = [[name for name, span in spans.items() if span.start <= time <= span.stop] for time in (start, stop)]
    if not all(inside):
        there = ", ".join(f"{name} from {span.start:.0f} to {span.stop:.0f}" for name, span in spans.items())
        raise ConfigurationError(
            f"--start and --stop: there are no open data of {', '.join(ifos)} from {start:.0f} to {stop:.0f} (GPS s): "
            f"there are in {there}"
        )
    return list(dict.fromkeys(name for names in inside for name in names))


def coincident_share(ifos: Sequence[str], start: float, stop: float) -> float | None:
    """Part of a stretch of time in which GWOSC has data of all detectors; None where it does not answer at once.

    Args:
        ifos: Detectors.
        start: GPS seconds.
        stop: GPS seconds.
    """
    found: list[float] = []

    def ask() -> None:
        try:
            segments = open_data_segments(ifos, start, stop)
        except DataError:
            return
        found.append(sum(segment.duration for segment in segments) / (stop - start))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return found[0] if found else None
