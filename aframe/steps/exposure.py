"""Live time that each draw of a run stands for."""

import sys
from collections.abc import Iterable

import numpy as np

from aframe.errors import DataError
from aframe.runs.artifacts import Artifacts
from aframe.sensitivity.exposure import SegmentTimes, rejected_with_exposure, with_exposure
from aframe.steps.planning import time_slides
from aframe.strain.files import parse_background_path
from aframe.tables import InjectionTable, RecoveredTable, RejectedTable, Table

PLACES = ("injection_time", "shift", "num_draws")
"""Columns that tell the segment and the draws of an injection."""


def segment_times(run: Artifacts) -> SegmentTimes | None:
    """Segments of a run and their live time outside vetoed time; None if there is one segment, or no strain any more.

    Raises:
        DataError: If an earlier version removed the vetoed time.
    """
    segments = sorted(parse_background_path(path) for path in run.background_files("test"))
    if len(segments) < 2:
        return None
    start, duration = np.array(segments).T
    grid = time_slides(run)
    unshifted = [grid.slide(index, length, 0) for index, (_, length) in enumerate(segments)]
    if not run.config.vetoes.given:
        return SegmentTimes(start, start + duration, np.array([grid.livetime([slide]) for slide in unshifted]))
    live = Table.read(run.clean("live"))
    live = live.rows((live["shift"] == 0).all(axis=1))
    if not len(live):
        raise DataError(
            f"{run.clean('live')} lists no unshifted time, as an earlier version wrote it: delete the directory and "
            "run again"
        )
    index = np.searchsorted(start, live["start"], side="right") - 1
    return SegmentTimes(start, start + duration, np.bincount(index, live["duration"], len(start)))


def recovered_injections(run: Artifacts) -> RecoveredTable:
    """Accepted injections outside vetoed time, the events that recovered them, and the live time that each stands for.

    Raises:
        DataError: If the injections lack the column ``num_draws``.
    """
    table, segments = RecoveredTable.read(run.clean("foreground")), segment_times(run)
    if not run.background_files("test"):
        print(
            f"warning: {run.directories.test_data} has no strain any more, so volumes are means over draws, not over "
            "the live time of segments",
            file=sys.stderr,
        )
    if segments is None or not len(table):
        return table
    if "num_draws" not in table.parameters:
        raise DataError(
            f"{run.clean('foreground')} lacks the column num_draws, which tells how many draws a segment has: an "
            "earlier version wrote the injections; generate them again"
        )
    return with_exposure(table, segments, segments.exposure(table))


def with_live_time(run: Artifacts, rejected: Iterable[RejectedTable], kept: RecoveredTable) -> Iterable[RejectedTable]:
    """Rejected draws with the live time that each stands for.

    Args:
        run: The run.
        rejected: All rejected draws of the run, in order.
        kept: Injections outside vetoed time.
    """
    segments = segment_times(run)
    if segments is None or not len(kept):
        return rejected
    injections = InjectionTable.read(run.injections, list(PLACES))
    return rejected_with_exposure(rejected, injections, segments, segments.exposure(kept))
