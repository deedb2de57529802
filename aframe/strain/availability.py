"""Which detectors have strain at a time, and the nearest time at which all have it."""

from collections.abc import Mapping, Sequence

from aframe.errors import ServerError
from aframe.progress.lines import in_words
from aframe.strain.gwosc import GwoscServer
from aframe.strain.observing_runs import RUNS
from aframe.strain.segments import Segment, intersect
from aframe.strain.wanted import Wanted

REACHES = (86400.0, 30 * 86400.0)
"""How far around a time GWOSC is asked for data, s: the second if the first finds none."""


def without_data(server: GwoscServer, absent: Sequence[str], wanted: Wanted) -> str:
    """What to tell about a time at which GWOSC has no strain of some detectors.

    Args:
        server: GWOSC.
        absent: Detectors without strain.
        wanted: The strain that was wanted.
    """
    others = {ifo for run in RUNS for ifo, span in run.spans.items() if span.start <= wanted.time < span.stop}
    covered: dict[str, list[Segment]] = {}
    try:
        for reach in REACHES:
            for ifo in sorted({*wanted.ifos, *others}):
                rows = server.segments(f"{ifo}_DATA", wanted.time - reach, wanted.time + reach)
                covered[ifo] = [Segment(start, stop) for start, stop in rows if stop > start]
            if nearest_time(covered, wanted) is not None:
                break
    except ServerError:
        covered = {}
    if nearest_time(covered, wanted) is None:  # then from the dates of the runs
        runs = {ifo: [run.spans[ifo] for run in RUNS if ifo in run.spans] for ifo in wanted.ifos}
        return lacking(absent, wanted, covered, runs)
    return lacking(absent, wanted, covered, covered)


def lacking(
    absent: Sequence[str],
    wanted: Wanted,
    covered: Mapping[str, Sequence[Segment]],
    usable: Mapping[str, Sequence[Segment]],
) -> str:
    """A sentence about a time without strain.

    Args:
        absent: Detectors without strain.
        wanted: The strain that was wanted.
        covered: Time with strain of each detector.
        usable: Time from which the nearest is taken, of each detector.
    """
    present = [
        ifo
        for ifo, segments in covered.items()
        if ifo not in absent and any(segment.start <= wanted.time < segment.stop for segment in segments)
    ]
    nearest = nearest_time(usable, wanted)
    text = f"no strain of {', '.join(absent)} at GPS {wanted.time:.13g}, which the model searches: "
    text += f"{', '.join(present)} {'has' if len(present) == 1 else 'have'} it; " if present else "no detector has it; "
    if nearest is None:
        return f"{text}{', '.join(wanted.ifos)} have no time in common: give another model or other data"
    away = abs(nearest - wanted.time)
    if not away:
        return f"{text}GWOSC lists data then, and has no file of them: give files of your own with --frames"
    return f"{text}the nearest time with {', '.join(wanted.ifos)} is GPS {nearest:.13g}, {in_words(away)} away"


def nearest_time(covered: Mapping[str, Sequence[Segment]], wanted: Wanted) -> float | None:
    """The nearest time (GPS s) in the middle of strain of all detectors. None if there is none.

    Args:
        covered: Time with strain of each detector.
        wanted: The strain that was wanted.
    """
    if not covered or not all(covered.get(ifo) for ifo in wanted.ifos):
        return None
    half = wanted.duration / 2
    common = intersect(*(covered[ifo] for ifo in wanted.ifos))
    inner = [(each.start + half, each.stop - half) for each in common if each.duration >= wanted.duration]
    times = [min(max(wanted.time, start), stop) for start, stop in inner]
    return min(times, key=lambda time: abs(time - wanted.time), default=None)
