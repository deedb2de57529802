"""Find a run's segments and fetch its strain."""

import sys
from collections.abc import Mapping, Sequence

from aframe import storage
from aframe.errors import DataError
from aframe.runs.artifacts import Artifacts
from aframe.runs.paths import Stage
from aframe.settings.keys import parse
from aframe.settings.sections import Config
from aframe.strain.channels import parse_channels
from aframe.strain.curve_pool import read_pools
from aframe.strain.fetch import strain_for_segment
from aframe.strain.files import background_path, write_background
from aframe.strain.gaps import Gap, described
from aframe.strain.glitch_population import SHIPPED
from aframe.strain.noise import SimulatedNoise
from aframe.strain.noise_curves import NoiseCurve
from aframe.strain.segments import Segment, analysable, read_segments, write_segments
from aframe.strain.source import StrainSource

DEFAULT_NOISE_CURVE = "aLIGO_O4_high_asd.txt"
"""Noise curve of estimates for strain that is not simulated."""

MAX_PRINTED_GAPS = 10
"""Maximum number of printed gaps of a segment."""


def strain_source(config: Config) -> StrainSource:
    """Source of strain that the configuration names."""
    data, search = config.data, config.search

    def resolve(path: str | None) -> str | None:
        return None if path is None else config.resolve(path)

    return StrainSource(
        kind=data.source,
        ifos=search.ifos,
        sample_rate=search.sample_rate,
        min_duration=data.min_duration,
        max_duration=data.max_duration,
        segments=resolve(data.segments),
        frames=resolve(data.frames),
        channels=parse_channels(data.channel or (), "channel"),
        asd=() if data.asd is None else curve_places(config, data.asd),
        drift=data.drift,
        glitches=None if data.glitches is None else glitches_path(config, data.glitches),
        band=(search.highpass, search.lowpass or search.sample_rate / 2),
        seed=search.seed,
    )


def noise_curves(config: Config) -> Mapping[str, NoiseCurve]:
    """Noise curve of each detector: that of simulated strain, or else one of the fourth observing run.

    Args:
        config: The configuration.
    """
    source = strain_source(config)
    places = source.asd if source.kind == "simulated" else (DEFAULT_NOISE_CURVE,)
    return {ifo: pool.mean for ifo, pool in read_pools(places, source.ifos, source.band).items()}


def curve_places(config: Config, asd: str) -> tuple[str, ...]:
    """Files, directories and patterns next to the configuration, or else names in bilby's collection.

    Args:
        config: The configuration.
        asd: Value of the key ``asd``: a path, or several, separated as other lists are.
    """
    places = (asd,) if storage.exists(config.resolve(asd)) else parse(asd, tuple[str, ...])
    paths = {place: config.resolve(place) for place in places}
    return tuple(path if storage.exists(path) or set(path) & set("*?[") else place for place, path in paths.items())


def glitches_path(config: Config, glitches: str) -> str:
    """Path of a table of glitches, or the name of one that the package has.

    Args:
        config: The configuration.
        glitches: Value of the key ``glitches``.
    """
    return glitches if glitches in SHIPPED else config.resolve(glitches)


def find_segments(run: Artifacts, stage: Stage) -> None:
    """Write the list of segments of a stage, after the table of the glitches in them.

    Args:
        run: The run.
        stage: Training or testing.
    """
    start, stop = run.interval(stage)
    source = strain_source(run.config)
    segments = analysable(source, start, stop)
    if source.glitches is not None:
        SimulatedNoise.of(source).glitches(segments).write(run.glitches(stage), run.strain_parameters(stage))
    write_segments(run.segments(stage), segments, run.strain_parameters(stage))


def segments_of(run: Artifacts, stage: Stage) -> list[Segment]:
    """Read the list of segments of a stage.

    Args:
        run: The run.
        stage: Training or testing.
    """
    return read_segments(run.segments(stage))


def fetch_strain(run: Artifacts, stage: Stage, segment: Segment) -> None:
    """Write the strain of a segment, then the list of its files. A segment whose gaps leave nothing has none.

    Args:
        run: The run.
        stage: Training or testing.
        segment: The segment.

    Raises:
        DataError: If the source does not give strain, or the gaps of all segments leave none.
    """
    search = run.config.search
    gaps: list[Gap] = []
    try:
        pieces = strain_for_segment(strain_source(run.config), segment.start, segment.stop, gaps.append)
    finally:
        for gap in gaps[:MAX_PRINTED_GAPS]:
            print(f"note: samples are missing: {gap}", file=sys.stderr, flush=True)
        if len(gaps) > MAX_PRINTED_GAPS:
            print(f"note: and {len(gaps) - MAX_PRINTED_GAPS} more gaps in this segment", file=sys.stderr, flush=True)
    if not pieces:
        _leave_out(run, stage, segment, gaps)
    names = []
    for piece in pieces:
        path = background_path(run.data_directory(stage), piece.start, piece.duration)
        names.append(path.rpartition("/")[2])
        strain = {ifo: piece.strain[ifo] for ifo in search.ifos}
        write_background(path, strain, piece.start, search.sample_rate, run.strain_parameters(stage))
    storage.sign(run.strain_index(stage, segment), run.strain_parameters(stage))
    storage.write_text(run.strain_index(stage, segment), "\n".join(names) + "\n")


def _leave_out(run: Artifacts, stage: Stage, segment: Segment, gaps: Sequence[Gap]) -> None:
    """Tell that a segment is left out.

    Args:
        run: The run.
        stage: Training or testing.
        segment: The segment.
        gaps: Its gaps.

    Raises:
        DataError: If all other segments of the stage are left out too.
    """
    reason = (
        f"strain of {','.join(run.config.search.ifos)} from {segment.start:.0f} to {segment.stop:.0f} has gaps "
        f"({described(gaps) or 'between files'}) that leave no piece of min_duration = "
        f"{run.config.data.min_duration:g} s"
    )
    others = [run.strain_index(stage, other) for other in segments_of(run, stage) if other != segment]
    if all(storage.exists(path) and not storage.read_text(path).split() for path in others):
        raise DataError(f"{reason}, and no other segment is left to {stage}: lower min_duration, or give other data")
    print(f"note: {reason}: this segment is left out", file=sys.stderr, flush=True)
