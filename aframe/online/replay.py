"""Strain of files, as if it arrived now: to try a configuration."""

import time
from collections.abc import Iterator, Mapping, Sequence

from aframe.online.arrivals import Arrival
from aframe.strain.channels import Recording
from aframe.strain.recordings import check_recordings, read
from aframe.strain.resample import Stretch
from aframe.strain.state_vectors import StateVectors

PIECE_LENGTH = 1.0
"""Length of strain that arrives at once, s: that of a short frame."""

READ_LENGTH = 64.0
"""Seconds of strain that are read at once."""

PIECES_AT_ONCE = 16
"""Number of pieces of each detector that arrive together, if strain is to come as fast as it is searched."""


class Replay:
    """Gives the strain of files piece by piece.

    Args:
        recordings: Recordings of each detector.
        sample_rate: Sampling rate of the search, Hz.
        speed: Seconds of strain in a second; 0 for as fast as it is searched.
        begin: Time before which strain is left out, GPS s; None for the first recording.
        states: State vectors in the files that say what is searched; None for all strain.
    """

    def __init__(
        self,
        recordings: Mapping[str, Sequence[Recording]],
        sample_rate: float,
        speed: float,
        begin: float | None = None,
        states: StateVectors | None = None,
    ) -> None:
        self._recordings, self._sample_rate, self._speed, self._states = recordings, sample_rate, speed, states
        every = [recording for parts in recordings.values() for recording in parts]
        self._start = max(min(recording.start for recording in every), begin or 0.0)
        self._stop = max(recording.stop for recording in every)
        self._pieces = self._cut()
        self._next: list[Arrival] | None = None
        self._begun: float | None = None
        self._is_over = False

    def check(self) -> None:
        """Check sample rates, state vectors, and that recordings of one time are the same: see ``Source.check``."""
        every = [recording for parts in self._recordings.values() for recording in parts]
        check_recordings(every, list(self._recordings), self._sample_rate, "--replay", "give files of them")
        if self._states is not None:
            self._states.check(every)

    @property
    def is_over(self) -> bool:
        """Whether all strain was given."""
        return self._is_over

    def due(self, gps: float) -> float:
        """Unix time (s) at which strain of a GPS time (s) is measured, in the replay's own time."""
        begun = time.time() if self._begun is None else self._begun
        return begun + (gps - self._start) / self._speed if self._speed else time.time()

    def arrivals(self, timeout: float) -> list[Arrival]:
        """Pieces that are due: see ``Source.arrivals``."""
        if self._begun is None:
            self._begun = time.time()
        end, arrivals, count = time.monotonic() + timeout, list[Arrival](), 0
        while count < PIECES_AT_ONCE:
            if self._next is None:
                self._next = next(self._pieces, None)
            if self._next is None:
                self._is_over = True
                break
            stop = max(arrival.stop for arrival in self._next)
            wait = self.due(stop) - time.time() if self._speed else 0.0
            if wait > 0:
                if not arrivals:
                    time.sleep(min(wait, max(0.0, end - time.monotonic())))
                if arrivals or self.due(stop) > time.time():
                    break
            received = time.time()
            arrivals += [Arrival(a.ifo, a.start, a.sample_rate, a.strain, received) for a in self._next]
            self._next, count = None, count + 1
        return arrivals

    def close(self) -> None:
        """There is nothing to let go of."""

    def _cut(self) -> Iterator[list[Arrival]]:
        """Strain of all detectors, piece by piece. Times without any strain are left out."""
        low = self._start
        while low < self._stop:
            high = low // READ_LENGTH * READ_LENGTH + READ_LENGTH
            stretches = [
                self._read(recording, low, high)
                for parts in self._recordings.values()
                for recording in sorted(parts, key=lambda each: each.start)
                if recording.start < high and recording.stop > low
            ]
            second = low
            while second < high:
                following = second // PIECE_LENGTH * PIECE_LENGTH + PIECE_LENGTH
                piece = [arrival for stretch in stretches for arrival in _between(stretch, second, following)]
                if piece:
                    yield piece
                second = following
            low = high

    def _read(self, recording: Recording, low: float, high: float) -> Stretch:
        stretch = read(recording, low, high)
        return stretch if self._states is None else self._states.masked(stretch, recording.path)


def _between(stretch: Stretch, low: float, high: float) -> Iterator[Arrival]:
    first, last = (round((time - stretch.start) * stretch.sample_rate) for time in (low, high))
    first, last = max(0, first), min(len(stretch.data), last)
    if last > first:
        start = stretch.start + first / stretch.sample_rate
        yield Arrival(stretch.ifo, start, stretch.sample_rate, stretch.data[first:last], 0.0)
