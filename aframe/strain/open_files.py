"""GWOSC's files of strain in the cache: found by their names, downloaded once, or put there by hand."""

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aframe import storage
from aframe.errors import DataError, ServerError, StorageError
from aframe.storage.cache import alone, cache_directory
from aframe.strain.availability import without_data
from aframe.strain.download import download, is_intact, name_of
from aframe.strain.fetch import OPEN_DATA_RATES
from aframe.strain.gwosc import GwoscServer
from aframe.strain.notes import tell_once
from aframe.strain.observing_runs import RUNS
from aframe.strain.wanted import Wanted

NAME = re.compile(r"[A-Z]-(?P<ifo>[A-Z]\d)_(?P<kind>.+)-(?P<start>\d+)-(?P<duration>\d+)\.(hdf5|h5|hdf|gwf)")
"""Names of files of strain, as LIGO-T050017 describes them."""

RATE = re.compile(r"(?<![A-Z0-9])(4|16)(?=KHZ|_|$)")
"""Sample rate in kHz in the kind of a file, as in GWOSC_4KHZ_R1 or LOSC_4_V2."""

UNCOVERED = 1.0
"""Seconds that a file may lack at either end of the time. GWOSC's files of 32 s begin on a whole second."""

BEFORE_EVENT = 15
"""Whole seconds between the beginning of GWOSC's files of 32 s and the second of their event."""


@dataclass(frozen=True)
class OpenFile:
    """A file of strain, as its name describes it.

    Attributes:
        place: Path or address.
        ifo: Detector.
        kind: What stands between detector and time: data set and version.
        start: GPS s.
        stop: GPS s.
    """

    place: str
    ifo: str
    kind: str
    start: float
    stop: float

    @property
    def sample_rate(self) -> int:
        """Sample rate, Hz: the lowest of GWOSC's if the name has none."""
        rate = RATE.search(self.kind)
        return OPEN_DATA_RATES[-1] if rate and rate[1] == "16" else OPEN_DATA_RATES[0]


def described(places: Iterable[str]) -> list[OpenFile]:
    """Files among paths or addresses whose names say what they hold."""
    files = []
    for place in places:
        name = NAME.fullmatch(name_of(place))
        if name:
            start = float(name["start"])
            files.append(OpenFile(place, name["ifo"], name["kind"], start, start + float(name["duration"])))
    return files


def choose_files(files: Iterable[OpenFile], ifo: str, wanted: Wanted) -> tuple[list[OpenFile], bool]:
    """Choose the fewest seconds of files that cover the wanted time, of one kind and length.

    Args:
        files: Files of any detector.
        ifo: Detector.
        wanted: The strain.

    Returns:
        The files in order of time; empty if none has the middle of the time. Whether they cover all of it.
    """
    sets: dict[tuple[str, float], list[OpenFile]] = {}
    for file in files:
        overlaps = file.start < wanted.stop and file.stop > wanted.start
        if file.ifo == ifo and overlaps and file.sample_rate >= wanted.sample_rate:
            sets.setdefault((file.kind, file.stop - file.start), []).append(file)
    best: tuple[tuple[float, float, float], list[OpenFile]] | None = None
    for chosen in sets.values():
        if not any(file.start <= wanted.time < file.stop for file in chosen):
            continue
        lacking = max(0.0, wanted.duration - _covered(chosen, wanted) - 2 * UNCOVERED)
        size = math.fsum(file.stop - file.start for file in chosen)
        rank = (lacking, float(chosen[0].sample_rate), size)
        if best is None or rank < best[0]:
            best = rank, sorted(chosen, key=lambda file: file.start)
    return (best[1], best[0][0] == 0) if best else ([], False)


def open_files(server: GwoscServer, wanted: Wanted) -> list[str]:
    """Paths of files with open strain of all detectors. What the cache lacks is downloaded.

    Args:
        server: GWOSC.
        wanted: The strain.

    Raises:
        DataError: If a detector has no open strain at the time. The message says which have.
        StorageError: If a file is not to be had. The message says what to fetch by hand, and where to put it.
    """
    if wanted.sample_rate > OPEN_DATA_RATES[-1]:
        raise DataError(f"the model needs {wanted.sample_rate:g} Hz, more than the {OPEN_DATA_RATES[-1]} Hz of GWOSC")
    cache = cache_directory() / server.name
    with alone(cache):
        chosen = {ifo: _files_of(server, ifo, wanted, cache) for ifo in wanted.ifos}
        absent = [ifo for ifo, files in chosen.items() if not files]
        if absent:
            raise DataError(without_data(server, absent, wanted))
        places = [file.place for files in chosen.values() for file in files]
        for place in places:
            if "://" in place:
                _fetch(place, cache)
    return [str(cache / name_of(place)) for place in places]


def _files_of(server: GwoscServer, ifo: str, wanted: Wanted, cache: Path) -> list[OpenFile]:
    """Files of a detector: those in the cache if they cover the time, else the server's.

    Raises:
        StorageError: If the server does not answer, and the cache has none.
    """
    stored, is_whole = choose_files(_intact(cache, ifo, wanted), ifo, wanted)
    if is_whole:
        return stored
    try:
        offered = _offered(server, ifo, wanted)
    except ServerError as error:
        if not stored:
            raise StorageError(f"{error}; or {by_hand(server, wanted, cache)}") from error
        tell_once(f"{stored[0].place} does not cover all of the time that was asked for, and {error}")
        return stored
    best = offered if _covered(offered, wanted) > _covered(stored, wanted) else stored
    lacking = wanted.duration - 2 * UNCOVERED - _covered(best, wanted)
    if best and lacking > 0:
        tell_once(f"{server.name} has {_covered(best, wanted):.6g} of {wanted.duration:.6g} s of {ifo} about the time")
    return best


def _intact(cache: Path, ifo: str, wanted: Wanted) -> list[OpenFile]:
    """Files in the cache. Those that changed since they were downloaded are deleted."""
    files = described(str(path) for path in sorted(cache.iterdir()) if path.is_file())
    for file in choose_files(files, ifo, wanted)[0]:
        if not is_intact(file.place):
            tell_once(f"{file.place} is not as it was downloaded, and is downloaded again")
            os.remove(file.place)
    return [file for file in files if os.path.exists(file.place)]


def _offered(server: GwoscServer, ifo: str, wanted: Wanted) -> list[OpenFile]:
    """Files of the server: those about the event if they cover the time, else those of its observing run."""
    rate = next(rate for rate in OPEN_DATA_RATES if rate >= wanted.sample_rate)
    addresses = server.files_of_event(wanted.event, ifo, rate) if wanted.event else []
    chosen, is_whole = choose_files(described(addresses), ifo, wanted)
    if not is_whole:
        addresses += server.files_between(ifo, wanted.start + UNCOVERED, wanted.stop - UNCOVERED, rate)
        chosen, _ = choose_files(described(dict.fromkeys(addresses)), ifo, wanted)
    return chosen


def _covered(files: Sequence[OpenFile], wanted: Wanted) -> float:
    """Seconds of the wanted time that files cover."""
    return math.fsum(min(file.stop, wanted.stop) - max(file.start, wanted.start) for file in files)


def _fetch(address: str, cache: Path) -> None:
    """Download a file.

    Raises:
        StorageError: With what to do by hand.
    """
    path = cache / name_of(address)
    try:
        download(address, path)
        with storage.open_hdf5(str(path)):
            pass
    except StorageError as error:
        path.unlink(missing_ok=True)
        raise StorageError(
            f"{error}: run the same command again, which goes on where it stopped, or download it by hand into {cache}"
        ) from error


def by_hand(server: GwoscServer, wanted: Wanted, cache: Path) -> str:
    """What to download without this program, and where to put it.

    Args:
        server: GWOSC.
        wanted: The strain.
        cache: Directory of the files.
    """
    if wanted.page:
        start = math.floor(wanted.time) - BEFORE_EVENT
        names = [f"{ifo[0]}-{ifo}_GWOSC_4KHZ_R1-{start}-32.hdf5" for ifo in wanted.ifos]
        return f"download {' and '.join(names)} by hand from {wanted.page} into {cache}"
    run = next((run for run in RUNS if any(s.start <= wanted.time < s.stop for s in run.spans.values())), None)
    place = f"{server.address}/data"
    if run is not None:
        data_set = run.name if run.name == "O1" else f"{run.name}_4KHZ_R1"
        times = f"{math.floor(wanted.start)}/{math.ceil(wanted.stop)}"
        links = [f"{server.address}/archive/links/{data_set}/{ifo}/{times}/simple/" for ifo in wanted.ifos]
        place = " and ".join(links)
    return f"download the HDF5 files by hand that {place} lists into {cache}"
