"""Observing runs with open data, and their times and detectors."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from aframe.errors import ConfigurationError, DataError
from aframe.settings.keys import nearest
from aframe.strain.segments import Segment, intersect, open_data_segments

OPTIONAL_QUERY_TIMEOUT = 5.0
"""Time limit of an optional query to GWOSC, s."""


@dataclass(frozen=True)
class ObservingRun:
    """An observing run with open data.

    Attributes:
        name: Name at GWOSC.
        spans: First and last GPS second of each detector.
    """

    name: str
    spans: dict[str, Segment]

    @property
    def whole(self) -> Segment:
        """From the first GPS second of any detector to the last."""
        spans = self.spans.values()
        return Segment(min(span.start for span in spans), max(span.stop for span in spans))

    def span(self, ifos: Sequence[str]) -> Segment | None:
        """Common time of all detectors in the run; None without common time."""
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
"""Observing runs from gwosc.org/data. Virgo joined O2 on 1 August 2017."""


def observing_run(name: str, option: str = "--observing-run") -> ObservingRun:
    """Find an observing run by its name. The case of letters does not matter.

    Args:
        name: Name of the run.
        option: The user's option, for the error.

    Raises:
        ConfigurationError: If no run has this name. The message contains the most similar name.
    """
    runs = {run.name.lower(): run for run in RUNS}
    if name.lower() not in runs:
        names = [run.name for run in RUNS]
        raise ConfigurationError(f"{option} {name}: no such run{nearest(name, names)}; there are {', '.join(names)}")
    return runs[name.lower()]


def check_open_data(ifos: Sequence[str], start: float, stop: float) -> list[str]:
    """Find the observing runs that contain the start and the end of a stretch of time.

    Args:
        ifos: Detectors.
        start: Start of the stretch, GPS s.
        stop: End of the stretch, GPS s.

    Returns:
        Names of the runs.

    Raises:
        ConfigurationError: If the detectors have no open data at the start or end. The message lists times with open
            data.
    """
    spans = {run.name: span for run in RUNS if (span := run.span(ifos)) is not None}
    if not spans:
        available = sorted({ifo for run in RUNS for ifo in run.spans})
        unavailable = [ifo for ifo in ifos if ifo not in available]
        reason = "not in one run"
        if unavailable:
            reason = f"there are open data of {', '.join(available)}, not of {', '.join(unavailable)}"
            reason += nearest(unavailable[0], available)
        raise ConfigurationError(f"--ifos {','.join(ifos)}: {reason}")
    inside = [[name for name, span in spans.items() if span.start <= time <= span.stop] for time in (start, stop)]
    if not all(inside):
        times = ", ".join(f"{name} from {span.start:.0f} to {span.stop:.0f}" for name, span in spans.items())
        raise ConfigurationError(
            f"--start and --stop: there are no open data of {', '.join(ifos)} from {start:.0f} to {stop:.0f} (GPS s): "
            f"there are in {times}"
        )
    return list(dict.fromkeys(name for names in inside for name in names))


def coincident_share(ifos: Sequence[str], start: float, stop: float) -> float | None:
    """Query the share of a stretch of time with open data of all detectors.

    Args:
        ifos: Detectors.
        start: Start of the stretch, GPS s.
        stop: End of the stretch, GPS s.

    Returns:
        Share between 0 and 1; None if GWOSC does not answer within ``OPTIONAL_QUERY_TIMEOUT``.
    """
    shares: list[float] = []

    def ask() -> None:
        try:
            segments = open_data_segments(ifos, start, stop)
        except DataError:
            return
        shares.append(sum(segment.duration for segment in segments) / (stop - start))

    query = threading.Thread(target=ask, daemon=True)
    query.start()
    query.join(OPTIONAL_QUERY_TIMEOUT)
    return shares[0] if shares else None
