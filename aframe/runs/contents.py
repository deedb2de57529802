"""Contents of the files that a configuration names. The same path can hold something else tomorrow."""

import functools
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from aframe import storage
from aframe.errors import DataError
from aframe.settings.keys import parse
from aframe.settings.sections import Config
from aframe.storage.provenance import CONTENT
from aframe.strain.recordings import SUFFIXES

END_BYTES = 4096
"""Bytes at the start and at the end of a file of strain that count. They hold its headers and checksums."""

TIMES = re.compile(r"-(\d+)-(\d+)\.\w+$")
"""Start (GPS s) and duration (s) in the name of a file of strain (LIGO-T010150)."""

LISTS = ("gates", "veto_segments", "good_segments")
"""Keys of vetoes with a detector before each path."""


def strain_contents(config: Config, start: float, stop: float) -> dict[str, str]:
    """Hashes of the files that decide the strain of a time.

    Noise curves and lists are read whole. Of local strain, names, sizes, times of change, and the first and last 4 kB
    count, as recordings are too large to be read each time. Files whose names tell of another time do not count.

    Args:
        config: The configuration.
        start: GPS s.
        stop: GPS s.
    """
    data = config.data
    lists = ("segments", "glitches")
    hashes = {f"data.{key}": _whole(config, [path]) for key in lists if (path := getattr(data, key))}
    if data.asd:
        hashes["data.asd"] = _curves(config, data.asd)
    if data.source == "local" and data.frames:
        hashes["data.frames"] = listing(config.resolve(data.frames), SUFFIXES, start, stop)
    return _named(hashes)


def veto_contents(config: Config) -> dict[str, str]:
    """Hashes of the files that decide the vetoed time. Of a directory, names, sizes, times and ends of files count."""
    vetoes = config.vetoes
    hashes = {f"vetoes.{key}": _whole(config, _paths_of(getattr(vetoes, key) or ())) for key in LISTS}
    hashes["vetoes.known_events"] = _whole(config, [item for item in vetoes.known_events or () if not _is_time(item)])
    hashes["vetoes.veto_definer"] = _whole(config, [vetoes.veto_definer] if vetoes.veto_definer else [])
    for key in ("flag_segments", "dq_files"):
        place = getattr(vetoes, key)
        if place is not None and storage.files_in(config.resolve(place), ("",)):
            interval = config.data.train_start, config.data.test_stop
            hashes[f"vetoes.{key}"] = listing(config.resolve(place), ("",), *interval)
    return _named(hashes)


def catalogue_contents(config: Config) -> dict[str, str]:
    """Hash of the catalogue of known events."""
    catalogue = config.candidates.catalogue
    return _named({"candidates.catalogue": _whole(config, [catalogue] if catalogue else [])})


def release_contents(config: Config) -> dict[str, str]:
    """Size, time of change and ends of the released injections, which are too large to be read each time."""
    path = config.sensitivity.release
    place = config.resolve(path) if path else ""
    return _named({"sensitivity.release": _ends(place) if path and storage.exists(place) else ""})


@functools.cache
def listing(place: str, suffixes: tuple[str, ...], start: float, stop: float) -> str:
    """Hash of names, sizes, times of change, and ends of the files of a directory or pattern.

    A process makes it once, as there may be many files.

    Args:
        place: File, directory or pattern.
        suffixes: Suffixes of the files that count.
        start: GPS s. A file whose name tells of an earlier time does not count.
        stop: GPS s. Neither does one of a later time.
    """
    total = hashlib.sha256()
    for path in storage.files_in(place, suffixes):
        times = TIMES.search(path)
        if times is None or (float(times[1]) < stop and float(times[1]) + float(times[2]) > start):
            total.update(f"{Path(path).name} {_ends(path)}\n".encode())
    return total.hexdigest()


def _ends(path: str) -> str:
    """Size, time of change, and hash of the first and last bytes of a file; the store's own of a remote one."""
    if storage.is_remote(path):
        return storage.fingerprint(path)
    status = os.stat(path)
    with open(path, "rb") as stream:
        content = stream.read(END_BYTES)
        stream.seek(max(0, status.st_size - END_BYTES))
        content += stream.read()
    return f"{status.st_size} {status.st_mtime_ns} {hashlib.sha256(content).hexdigest()}"


def _is_time(item: str) -> bool:
    return re.fullmatch(r"[\d.]+", item) is not None


def _paths_of(items: Sequence[str]) -> Iterator[str]:
    for item in items:
        yield item.partition(":")[2]


def _whole(config: Config, paths: Iterator[str] | Sequence[str]) -> str:
    """Hash of the contents of files; empty unless all exist. The name of a curve in bilby's collection is no file."""
    resolved = [config.resolve(path) for path in paths]
    if not all(storage.exists(path) and not Path(path).is_dir() for path in resolved):
        return ""
    hashes = [storage.sha256(path) for path in resolved]
    return hashlib.sha256("".join(hashes).encode()).hexdigest() if len(hashes) > 1 else "".join(hashes)


def _curves(config: Config, asd: str) -> str:
    """Hash of the contents of noise curves: files, directories and patterns. Names of curves are no files."""
    from aframe.strain.curve_pool import curve_files

    places = (asd,) if storage.exists(config.resolve(asd)) else parse(asd, tuple[str, ...])
    resolved = [config.resolve(place) for place in places]
    try:
        return _whole(config, [path for place in resolved for path in curve_files(place)])
    except DataError:  # no curve is there: the checks of the run say so
        return ""


def _named(hashes: dict[str, str]) -> dict[str, str]:
    return {f"{key}{CONTENT}": value for key, value in hashes.items() if value}
