"""A run's segments and strain."""

from typing import TYPE_CHECKING

from aframe import storage
from aframe.runs.artifacts import Artifacts
from aframe.runs.paths import Stage
from aframe.strain.fetch import strain_for_segment
from aframe.strain.files import background_path, write_background
from aframe.strain.segments import Segment, analysable, read_segments, write_segments

if TYPE_CHECKING:
    pass


def find_segments(run: Artifacts, stage: Stage) -> None:
    """List the segments of a stage."""
    start, stop = run.interval(stage)
    segments = analysable(run.config.data, run.config.search, start, stop, run.config.resolve)
    write_segments(run.segments(stage), segments, run.made_strain(stage))


def segments_of(run: Artifacts, stage: Stage) -> list[Segment]:
    """The segments of a stage, once they are listed."""
    return read_segments(run.segments(stage))


def fetch_strain(run: Artifacts, stage: Stage, segment: Segment) -> None:
    """Write the strain of a segment, and last of all the list of its files."""
    search = run.config.search
    pieces = strain_for_segment(run.config.data, search, segment.start, segment.stop, run.config.resolve)
    names = []
    for piece in pieces:
        path = background_path(run.data_directory(stage), piece.start, piece.duration)
        names.append(path.rpartition("/")[2])
        strain = {ifo: piece.strain[ifo] for ifo in search.ifos}
        write_background(path, strain, piece.start, search.sample_rate, run.made_strain(stage))
    storage.sign(run.strain_index(stage, segment), run.made_strain(stage))
    storage.write_text(run.strain_index(stage, segment), "\n".join(names) + "\n")
