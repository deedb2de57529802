"""Convert the configuration's vetoes to vetoed time of each detector."""

from collections.abc import Iterator, Sequence

from aframe.events.vetoes import Veto
from aframe.settings.sections import Config
from aframe.strain import flags, quality
from aframe.strain.segments import Segment, coalesce, outside

INFINITY = float("inf")


def asks_the_network(config: Config) -> bool:
    """Whether any vetoes come from a server."""
    timelines = config.vetoes.dq_bits is not None and _bit_files(config) is None
    return timelines or flags.is_server(config.vetoes.flag_segments or "")


def load_vetoes(config: Config, needed: Sequence[Segment]) -> list[Veto]:
    """Load all vetoes of the configuration.

    Args:
        config: The configuration. Its sections vetoes, search and data are used.
        needed: Time that is searched.

    Raises:
        DataError: If a file is malformed, or lacks data.
        StorageError: If a file is missing.
    """
    keys, ifos, needed = config.vetoes, config.search.ifos, coalesce(needed)
    sources = [(name, ifo, segments, keys.veto_margin, True) for name, ifo, segments in _listed(config)]
    if keys.veto_definer is not None:
        sources += [(*flag, keys.veto_margin, True) for flag in _defined(config, needed)]
    if keys.dq_bits is not None:
        directory = _bit_files(config)
        unset = (
            quality.unset_in_timeline(keys.dq_bits, ifos, needed)
            if directory is None
            else quality.unset_in_files(directory, keys.dq_bits, ifos, needed)
        )
        sources += [(f"not {bit}", ifo, segments, keys.veto_margin, True) for (ifo, bit), segments in unset.items()]
    half_width = keys.known_event_window or 0.0
    times = [time for item in keys.known_events or () for time in _event_times(config, item)]
    windows = [Segment(time - half_width, time + half_width) for time in times]
    sources += [("known event", ifo, windows, 0.0, keys.known_event_scope == "all") for ifo in ifos if windows]
    return [Veto.of(*source) for source in sources]


def _listed(config: Config) -> Iterator[tuple[str, str, list[Segment]]]:
    """Name, detector and segments of each list."""
    keys = config.vetoes
    for item in keys.gates or ():
        ifo, _, path = item.partition(":")
        yield "gate", ifo, quality.read_gates(config.resolve(path))
    for item in keys.veto_segments or ():
        ifo, _, path = item.partition(":")
        yield path.rpartition("/")[2], ifo, quality.read_list(config.resolve(path), ifo)
    good: dict[str, list[str]] = {}
    for item in keys.good_segments or ():
        ifo, _, path = item.partition(":")
        good.setdefault(ifo, []).append(path)
    for ifo, paths in good.items():
        segments = [segment for path in paths for segment in quality.read_list(config.resolve(path), ifo)]
        name = "not in " + ", ".join(path.rpartition("/")[2] for path in paths)
        yield name, ifo, outside(segments, -INFINITY, INFINITY)


def _defined(config: Config, needed: Sequence[Segment]) -> Iterator[tuple[str, str, list[Segment]]]:
    """Name, detector and segments of each of the definer's flags in the search's detectors, categories and time."""
    keys = config.vetoes
    rows = [
        row
        for row in flags.read_definer(config.resolve(keys.veto_definer or ""))
        if row.category in (keys.veto_categories or ()) and row.flag.ifo in config.search.ifos
    ]
    pad = keys.veto_margin + max((abs(p) for row in rows for p in (row.start_pad, row.end_pad)), default=0.0)
    start, stop = min(s.start for s in needed) - pad, max(s.stop for s in needed) + pad
    rows = [row for row in rows if row.start < stop and row.stop > start]
    source = keys.flag_segments or ""
    source = source if flags.is_server(source) else config.resolve(source)
    active = flags.active_segments(sorted({row.flag for row in rows}), source, start, stop)
    for row in rows:
        yield f"{row.flag.name} (category {row.category})", row.flag.ifo, row.applied(active[row.flag])


def _bit_files(config: Config) -> str | None:
    """Directory of the files with GWOSC's bits. None for GWOSC's timelines."""
    frames = config.data.frames if config.data.source == "local" else None
    directory = config.vetoes.dq_files or frames
    return None if directory is None else config.resolve(directory)


def _event_times(config: Config, item: str) -> list[float]:
    try:
        return [float(item)]
    except ValueError:
        return quality.read_event_times(config.resolve(item))
