"""Convert the configuration's vetoes to vetoed time of each detector."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from aframe.errors import DataError
from aframe.events.vetoes import Veto, union
from aframe.settings.sections import Config
from aframe.strain import flags, quality
from aframe.strain.lists import number
from aframe.strain.segments import Segment, coalesce, outside
from aframe.strain.times import check_listed

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


def check_left(vetoes: Sequence[Veto], ifos: Sequence[str], segments: Sequence[Segment]) -> None:
    """Refuse vetoes that leave nothing of the data of a detector.

    Args:
        vetoes: All vetoes.
        ifos: Detectors.
        segments: Time that is searched.

    Raises:
        DataError: With the detector and the sources of its vetoes.
    """
    for ifo, intervals in union(vetoes, ifos, zero_lag=False).items():
        cut = [np.clip(intervals, segment.start, segment.stop) for segment in segments]
        if all(np.diff(part).sum() >= segment.duration for part, segment in zip(cut, segments, strict=True)):
            names = ", ".join(dict.fromkeys(veto.name for veto in vetoes if veto.ifo == ifo))
            raise DataError(f"[luigi_vetoes] leaves no data of {ifo} ({names}): leave one out, or mend its list")


def _listed(config: Config) -> Iterator[tuple[str, str, list[Segment]]]:
    """Name, detector and segments of each list."""
    for ifo, _, segments in _read(config, "gates", lambda path, _: quality.read_gates(path)):
        yield "gate", ifo, segments
    for ifo, path, segments in _read(config, "veto_segments", quality.read_list):
        yield path.rpartition("/")[2], ifo, segments
    good: dict[str, dict[str, list[Segment]]] = {}
    for ifo, path, segments in _read(config, "good_segments", quality.read_list):
        good.setdefault(ifo, {})[path] = segments
    for ifo, lists in good.items():
        name = "not in " + ", ".join(path.rpartition("/")[2] for path in lists)
        yield name, ifo, outside(itertools.chain(*lists.values()), -INFINITY, INFINITY)


def _read(
    config: Config, key: str, reader: Callable[[str, str], list[Segment]]
) -> Iterator[tuple[str, str, list[Segment]]]:
    """Detector, path and segments of each list that a key names."""
    for item in getattr(config.vetoes, key) or ():
        ifo, _, path = item.partition(":")
        segments = reader(config.resolve(path), ifo)
        check_of_data(config, key, path, [(segment.start, segment.stop) for segment in segments])
        yield ifo, path, segments


def check_of_data(config: Config, key: str, path: str, times: Sequence[tuple[float, float]]) -> None:
    """Refuse a list that is not of the time of the data. An empty list is of any time.

    Args:
        config: The configuration.
        key: Key that names the list.
        path: Path of the list.
        times: Start and stop of each item in the list, GPS s.

    Raises:
        DataError: If a time is implausible, or none of them is near the data.
    """
    if times:
        data = (config.data.train_start, config.data.test_stop)
        check_listed(f"{key} = {path}", list(times), data, f"give a list of that time, or leave {key} out")


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
    time = number(item)
    times = [time] if time is not None else quality.read_event_times(config.resolve(item))
    check_of_data(config, "known_events", item, [(time, time) for time in times])
    return times
