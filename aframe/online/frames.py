"""Strain from directories in which short frames appear, as in shared memory at the observatories."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from aframe.errors import AframeError, ConfigurationError, DataError, StorageError
from aframe.online.arrivals import Arrival
from aframe.online.clock import gps_now
from aframe.settings.keys import nearest
from aframe.strain.channels import choose
from aframe.strain.frame_files import is_whole_frame_file, series_in
from aframe.strain.live_frames import LiveFrameReader, LivePart, SlowReadError
from aframe.strain.resample import ratio_of_rates
from aframe.strain.samples import typical
from aframe.strain.state_vectors import has_bits
from aframe.types import Array

FRAME_NAME = re.compile(r"(?P<kind>.+)-(?P<start>\d+)-(?P<duration>\d+)\.gwf")
"""Names of frame files: observatory, description, start (GPS s) and duration (s). LIGO-T010150."""

POLL = 0.05
"""Seconds between two looks at the directories."""

FILES_AT_ONCE = 32
"""Number of files that are read before the search goes on."""

AHEAD = 5.0
"""Seconds by which a frame may lie in the future, for clocks that differ. Others are read when their time comes."""

MOST_READS = 2
"""Number of times that a frame is read whose reading takes too long. It is a gap then."""

LATE = 600.0
"""Seconds by which a frame may be older than the newest that was read. Older ones are no longer looked at."""

Stamp = tuple[int, int]
"""Time of the last change (ns) and size (bytes) of a file."""


@dataclass(frozen=True)
class FrameChannels:
    """What is read of frames.

    Attributes:
        directories: Directories, by detector, or one for all with an empty name.
        ifos: Detectors of the search.
        sample_rate: Sampling rate of the search, Hz.
        channels: Channels of strain that the user chooses, without the detector, by detector.
        states: Channels of state vectors, without the detector, by detector; empty for none.
        bits: Numbers of the bits of a state vector that must be set.
    """

    directories: Mapping[str, str]
    ifos: tuple[str, ...]
    sample_rate: float
    channels: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    bits: tuple[int, ...] = ()

    def directory(self, ifo: str) -> str:
        """Directory of a detector's frames."""
        return self.directories.get(ifo) or self.directories[""]


class FrameSource:
    """Reads frames as they appear. They may come late, twice, out of order, damaged, bit by bit, or never.

    Args:
        wanted: What is read.
        begin: Time (GPS s) of the first strain that is needed; None for ``lead`` before the newest frame.
        lead: Seconds of older frames to begin with.
        tell: Called with a sentence about each flaw of the source.

    Attributes:
        flaws: Number of flaws, by kind.
    """

    def __init__(self, wanted: FrameChannels, begin: float | None, lead: float, tell: Callable[[str], object]) -> None:
        self.wanted, self._begin, self._lead, self._tell = wanted, begin, lead, tell
        self._reader = LiveFrameReader()
        self._done: dict[str, Stamp] = {}
        self._known: dict[str, dict[str, str]] = {}  # channels by kind of frames and detector
        self._said: set[str] = set()
        self._early: set[str] = set()  # frames of the future
        self._slow: Counter[str] = Counter()  # number of reads that took too long
        self._reached = 0.0  # start of the newest frame that was read, GPS s
        self.flaws: Counter[str] = Counter()

    def check(self) -> None:
        """Look at the newest frame of each directory: see ``Source.check``.

        Raises:
            ConfigurationError: If a directory does not exist, or a channel is in no frame of it.
            DataError: If a sample rate is below the search's.
        """
        for ifo in self.wanted.ifos:
            if not os.path.isdir(self.wanted.directory(ifo)):
                raise ConfigurationError(
                    f"{self.wanted.directory(ifo)} is no directory: mend live_frames in [luigi_online], or make it"
                )
        for directory, ifos in self._directories().items():
            newest = {_kind(path): path for path in self._listed(directory) if _is_whole(path)}
            for path in newest.values():
                try:
                    self._look_into(path, ifos)
                    parts = self._parts(path)
                except StorageError as error:
                    self._tell(f"{error}: the search waits for the next frame")
                    continue
                for ifo, start, rate, *_ in parts:
                    ratio_of_rates(ifo, start, rate, self.wanted.sample_rate)
            there = {ifo for path in newest.values() for ifo in self._known.get(_kind(path), ())}
            for ifo in (each for each in ifos if each not in there):
                self._tell(f"{directory} has no strain of {ifo} yet: the search waits for it")

    def _parts(self, path: str) -> list[LivePart]:
        """Strain of a frame from before the search begins.

        Raises:
            ConfigurationError: If the frame lacks a channel.
            StorageError: If it is damaged.
        """
        try:
            return self._read(path)
        except DataError as error:
            raise ConfigurationError(f"{error}: mend channel or state_channel") from None

    @property
    def is_over(self) -> bool:
        """Frames never end."""
        return False

    def arrivals(self, timeout: float) -> list[Arrival]:
        """Strain of frames that are new: see ``Source.arrivals``."""
        end = time.monotonic() + timeout
        while True:
            arrivals = self._new()
            left = end - time.monotonic()
            if arrivals or left <= 0:
                return arrivals
            time.sleep(min(POLL, left))

    def close(self) -> None:
        """End the process that reads frames."""
        self._reader.close()

    def _directories(self) -> dict[str, list[str]]:
        """Detectors of each directory."""
        directories: dict[str, list[str]] = {}
        for ifo in self.wanted.ifos:
            directories.setdefault(self.wanted.directory(ifo), []).append(ifo)
        return directories

    def _listed(self, directory: str) -> dict[str, float]:
        """Paths of the frames of a directory and their starts (GPS s), in order. It also sets the begin."""
        try:
            names = os.listdir(directory)
        except OSError as error:
            self._say("directory", f"{directory} cannot be listed ({error.strerror}): the search waits for it")
            return {}
        matches = [match for match in map(FRAME_NAME.fullmatch, names) if match]
        starts = sorted((float(match["start"]), float(match["duration"]), match[0]) for match in matches)
        latest = gps_now() + AHEAD  # a name of the far future must not set the begin
        newest = max((start for start, *_ in starts if start <= latest), default=None)
        if self._begin is None and newest is not None:
            self._begin = newest - self._lead
        begin = self._begin or 0.0
        begin = max(begin, self._reached - LATE)
        return {os.path.join(directory, name): start for start, length, name in starts if start + length > begin}

    def _new(self) -> list[Arrival]:
        """Strain of some new frames, the oldest first, whatever their directories.

        Were one directory read before another, strain of the other would be given up as late.
        """
        arrivals: list[Arrival] = []
        directories = self._directories().items()
        listed = {path: (start, ifos) for each, ifos in directories for path, start in self._listed(each).items()}
        for path, (start, ifos) in sorted(listed.items(), key=lambda item: item[1][0]):
            if len(arrivals) >= FILES_AT_ONCE:
                break
            stamp = _stamp(path)
            if stamp is None or self._done.get(path) == stamp:
                continue
            if start > gps_now() + AHEAD:
                self._say_once(path, "future", f"{path} lies in the future: it is read when its time comes")
            elif _is_whole(path):
                try:
                    arrivals += self._strain(path, ifos)
                except SlowReadError as error:
                    self._slow[path] += 1
                    self._say("slow", str(error))
                    if self._slow[path] < MOST_READS:
                        break  # it is read again before those that follow it
                self._done[path] = stamp
                self._reached = max(self._reached, start)
        for path in self._done.keys() - listed.keys():
            del self._done[path]
        for path in self._slow.keys() - listed.keys():
            del self._slow[path]
        self._early &= listed.keys()
        return arrivals

    def _strain(self, path: str, ifos: Sequence[str]) -> list[Arrival]:
        """Strain of a frame. A flaw is counted and said; it does not end the search.

        Raises:
            SlowReadError: If reading takes too long.
        """
        try:
            self._look_into(path, ifos)
            parts = self._read(path)
        except SlowReadError:
            raise
        except (AframeError, OSError) as error:
            self._say("damaged" if isinstance(error, StorageError) else "channel", str(error))
            return []
        received, latest = time.time(), gps_now() + AHEAD
        if any(start > latest for _, start, *_ in parts):
            self._say("future", f"{path} has strain of the future, whatever its name: it is left out")
            return []
        return [
            Arrival(ifo, start, rate, _masked(strain, rate, state, self.wanted.bits), received)
            for ifo, start, rate, strain, state in parts
        ]

    def _read(self, path: str) -> list[LivePart]:
        channels = self._known[_kind(path)]
        states = {ifo: f"{ifo}:{name}" for ifo, name in self.wanted.states.items() if ifo in channels}
        return self._reader.read(path, channels, states) if channels else []

    def _look_into(self, path: str, ifos: Sequence[str]) -> None:
        """Choose the channels of a kind of frames by one of them, as a search of files does.

        Args:
            path: The frame.
            ifos: Detectors whose strain it may have.

        Raises:
            ConfigurationError: If it lacks a channel that the user chooses, or another kind has the same detector.
            DataError: If several channels of a detector may be strain.
        """
        kind = _kind(path)
        if kind in self._known:
            return
        series = series_in([path], self.wanted.channels)[path]
        chosen = choose(series, self.wanted.channels, typical)
        names = {each.ifo: each.channel for each in chosen.recordings if each.ifo in ifos}
        for ifo in {each.recording.ifo for each in series} & set(ifos) & self.wanted.channels.keys() - names.keys():
            name, others = self.wanted.channels[ifo], [each.names[0].removeprefix(f"{ifo}:") for each in series]
            raise ConfigurationError(f"{path} has no channel {ifo}:{name}{nearest(name, others)}: mend channel")
        for other, known in self._known.items():
            for ifo in names.keys() & known.keys():
                self._known[kind] = {}  # to look into each of its frames would take longer than a frame
                raise ConfigurationError(
                    f"{other} and {kind} both have strain of {ifo}: give one directory to each, or choose a channel"
                )
        self._known[kind] = names

    def _say_once(self, path: str, kind: str, text: str) -> None:
        """Count and say a flaw of a frame that is looked at again and again."""
        if path not in self._early:
            self._early.add(path)
            self._say(kind, text)

    def _say(self, kind: str, text: str) -> None:
        """Count a flaw, and say it unless one like it was said."""
        self.flaws[kind] += bool(kind)
        if kind not in self._said or not kind:
            self._said.add(kind)
            self._tell(text)


def parse_directories(words: Sequence[str], ifos: Sequence[str]) -> dict[str, str]:
    """Read ``live_frames`` of ``[luigi_online]``: one directory, or H1:DIRECTORY, L1:DIRECTORY.

    Args:
        words: Value of the key.
        ifos: Detectors of the search.

    Raises:
        ConfigurationError: If a detector has two directories or none, or two directories have no detectors.
    """
    directories: dict[str, str] = {}
    for word in words:
        ifo, colon, path = word.partition(":")
        if not (colon and re.fullmatch(r"[A-Z]\d", ifo)):
            ifo, path = "", word
        if ifo in directories:
            whose = f"{ifo} has" if ifo else "detectors without a name have"
            raise ConfigurationError(
                f"live_frames in [luigi_online]: {whose} two directories, {directories[ifo]} and {path}: leave one out"
            )
        directories[ifo] = path
    lacking = [ifo for ifo in ifos if ifo not in directories and "" not in directories]
    if lacking:
        raise ConfigurationError(
            f"live_frames in [luigi_online] has no directory of {', '.join(lacking)}: add {lacking[0]}:DIRECTORY"
        )
    return directories


def _kind(path: str) -> str:
    """Path of a frame without its time: all frames of a kind have the same channels."""
    directory, name = os.path.split(path)
    match = FRAME_NAME.fullmatch(name)
    assert match is not None
    return os.path.join(directory, match["kind"])


def _masked(strain: Array, rate: float, state: tuple[float, Array] | None, bits: Sequence[int]) -> Array:
    """Strain with NaN where its state vector lacks a bit."""
    if state is None or not bits:
        return strain
    state_rate, values = state
    return np.where(has_bits(values, state_rate / rate, bits, range(len(strain))), strain, np.nan)


def _stamp(path: str) -> Stamp | None:
    """Change of a file; None if it has gone."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _is_whole(path: str) -> bool:
    try:
        return is_whole_frame_file(path)
    except OSError:
        return False
