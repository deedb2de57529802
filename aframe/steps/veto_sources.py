"""Convert the configuration's vetoes to vetoed time of each detector."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from aframe.errors import DataError
from aframe.events.vetoes import Veto, union
from aframe.settings.sections import Config
from aframe.strain import flags, quality
from aframe.strain.rows import Row
from aframe.strain.segments import Segment, coalesce, outside
from aframe.strain.times import check_listed
from aframe.types import Array

INFINITY = float("inf")

READERS: Mapping[str, Callable[[str, str], list[Segment]]] = {
    "gates": quality.read_gates,
    "veto_segments": quality.read_list,
    "good_segments": quality.read_list,
}
"""Readers of lists by their key. They take the path and the detector."""

MOST_NAMED = 5
"""Largest number of sources in a note."""


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


def notes(config: Config, vetoes: Sequence[Veto], segments: Sequence[Segment]) -> Iterator[str]:
    """Say which lists are empty, and how much of each detector's time the vetoes take.

    Args:
        config: The configuration.
        vetoes: Its vetoes.
        segments: Time that is searched.

    Yields:
        A sentence about each empty list, and one about each detector.
    """
    for key in ("gates", "veto_segments"):
        for item in getattr(config.vetoes, key) or ():
            ifo, _, path = item.partition(":")
            if not READERS[key](config.resolve(path), ifo):
                yield f"{key} = {item} is empty: it vetoes nothing"
    for item in config.vetoes.known_events or ():
        if not _event_times(config, item):
            yield f"known_events = {item} is empty: it vetoes nothing"
    spans = np.array([(segment.start, segment.stop) for segment in coalesce(segments)])
    total = float(np.diff(spans).sum())
    for ifo in config.search.ifos:
        names = dict.fromkeys(veto.name for veto in vetoes if veto.ifo == ifo)
        taken = {name: _overlap([veto for veto in vetoes if veto.name == name], ifo, spans) for name in names}
        largest = sorted(taken, key=lambda name: -taken[name])[:MOST_NAMED]
        sources = ", ".join(f"{name} {taken[name] / total:.2%}" for name in largest)
        if names:
            share = _overlap(vetoes, ifo, spans)
            yield f"vetoes take {share:.6g} of {total:g} s of {ifo}, {share / total:.2%} ({sources})"


def _overlap(vetoes: Sequence[Veto], ifo: str, spans: Float[Array, "n 2"]) -> float:
    """Vetoed time of a detector within disjoint spans, s."""
    intervals = union(vetoes, [ifo], zero_lag=False)[ifo]
    return float(sum(np.diff(np.clip(intervals, *span)).sum() for span in spans))


def _listed(config: Config) -> Iterator[tuple[str, str, list[Segment]]]:
    """Name, detector and segments of each list."""
    for ifo, _, segments in _read(config, "gates"):
        yield "gate", ifo, segments
    for ifo, path, segments in _read(config, "veto_segments"):
        yield path.rpartition("/")[2], ifo, segments
    good: dict[str, dict[str, list[Segment]]] = {}
    for ifo, path, segments in _read(config, "good_segments"):
        good.setdefault(ifo, {})[path] = segments
    for ifo, lists in good.items():
        name = "not in " + ", ".join(path.rpartition("/")[2] for path in lists)
        yield name, ifo, outside(itertools.chain(*lists.values()), -INFINITY, INFINITY)


def _read(config: Config, key: str) -> Iterator[tuple[str, str, list[Segment]]]:
    """Detector, path and segments of each list that a key names."""
    for item in getattr(config.vetoes, key) or ():
        ifo, _, path = item.partition(":")
        segments = READERS[key](config.resolve(path), ifo)
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
    time = Row(item, (item,)).time(0)
    times = [time] if time is not None else quality.read_event_times(config.resolve(item))
    check_of_data(config, "known_events", item, [(time, time) for time in times])
    return times
