"""Search the segments of a file of strain, each by itself."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from aframe.errors import DataError
from aframe.events.cluster import Clustering
from aframe.inference.recorded import search_recorded, shortest_duration
from aframe.inference.scorers import Scorer
from aframe.strain.channels import Recording
from aframe.strain.resample import EDGE_DURATION
from aframe.strain.segments import Segment
from aframe.tables import EventTable

ROUNDING = 1e-3
"""Largest difference between the times of a segment and of its recording, s."""


def search_segments(
    scorer: Scorer,
    recordings: Mapping[str, Sequence[Recording]],
    segments: Sequence[Segment],
    clustering: Clustering,
    progress: Callable[[float, float], None] | None = None,
) -> EventTable:
    """Search segments for events. The noise may change from one to the next, so none has a PSD of another one.

    Args:
        scorer: Scores windows. It has the model's preprocessing.
        recordings: Recordings of each detector, one for each segment.
        segments: Segments, in order of time. Those that are too short to search are left out.
        clustering: Settings that turn scores into events.
        progress: Called with the seconds of strain that are done, and with the total.

    Returns:
        Events. ``Tb`` is the searched time, s.

    Raises:
        DataError: If no segment is long enough.
        StorageError: If a file is damaged.
    """
    least = shortest_duration(scorer.model, clustering) + 2 * EDGE_DURATION
    long_enough = [segment for segment in segments if segment.duration >= least]
    if not long_enough:
        raise DataError(
            f"no segment is {least:g} s long, which this model needs: the longest has "
            f"{max((segment.duration for segment in segments), default=0.0):g} s; give longer ones"
        )
    total, done = sum(segment.duration for segment in long_enough), 0.0
    tables = []
    for segment in long_enough:
        of_segment = {
            ifo: [each for each in parts if abs(each.start - segment.start) < ROUNDING]
            for ifo, parts in recordings.items()
        }

        def tell(seconds: float, _: float, before: float = done) -> None:
            if progress is not None:
                progress(before + seconds, total)

        tables.append(search_recorded(scorer, of_segment, clustering, tell).events)
        done += segment.duration
    events = EventTable.concatenate(tables)
    events.attributes["Tb"] = float(np.sum([table.livetime for table in tables]))
    return events
