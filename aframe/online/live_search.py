"""Score strain of several detectors as it arrives."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from aframe.errors import DataError
from aframe.inference.scorers import Scorer
from aframe.online.arrivals import Arrival
from aframe.online.assembly import Account, Line
from aframe.online.live_stretch import LiveStretch, ScoredPiece
from aframe.strain.channels import TOLERANCE
from aframe.strain.resample import Stretch
from aframe.tensors import Psd
from aframe.whitening import smooth_psd

__all__ = ["LiveSearch", "ScoredPiece"]

SLACK = 1.0
"""Seconds of strain that a detector may hold back to resample it, and more."""


class LiveSearch:
    """Scores strain as it arrives, as a search of the same strain in files would.

    Strain of all detectors is cut to the time that they share. Where a detector has a gap, a new stretch begins. What
    is kept does not grow.

    Args:
        scorer: Scores windows. It has the model's preprocessing.
        patience: Seconds of newer strain until strain that is missing is given up.
        begin: Time before which strain is left out, GPS s.
        anchor: Start (GPS s) of an earlier stretch whose grid of blocks goes on, after a restart; None for a new grid.
        adapts: Whether a network with templates adapts them to the PSDs before the first block.

    Attributes:
        latest: End of the newest strain, GPS s.
        psds: PSD of each detector that the network is adapted to; None if it is not.
    """

    def __init__(
        self,
        scorer: Scorer,
        patience: float,
        begin: float = -math.inf,
        anchor: float | None = None,
        adapts: bool = False,
    ) -> None:
        self.scorer, self._anchor = scorer, anchor
        self._patience, self._adapts = patience, adapts and scorer.network.needs_bank
        rate = scorer.preprocessing.whitening.sample_rate
        self._lines = {ifo: Line(ifo, rate, patience, begin) for ifo in scorer.preprocessing.ifos}
        self._queues: dict[str, list[Stretch]] = {ifo: [] for ifo in self._lines}
        self._stretch: LiveStretch | None = None
        self._at = begin
        self._flaws: list[str] = []
        self.latest = -math.inf
        self.psds: Psd | None = None

    @property
    def accounts(self) -> dict[str, Account]:
        """What became of each detector's strain."""
        return {ifo: line.account for ifo, line in self._lines.items()}

    @property
    def reaches(self) -> dict[str, float]:
        """Time up to which each detector's strain has come or is given up, GPS s."""
        return {ifo: line.reach for ifo, line in self._lines.items()}

    @property
    def stretch(self) -> LiveStretch | None:
        """The stretch that grows; None at a gap."""
        return self._stretch

    def add(self, arrivals: Sequence[Arrival]) -> list[ScoredPiece]:
        """Take strain, and score the windows that are complete.

        Args:
            arrivals: Strain in any order. That of other detectors is left out.

        Raises:
            DataError: If a sample rate is below the model's, or detectors have samples at other times.
        """
        for arrival in arrivals:
            if arrival.ifo in self._lines and len(arrival.strain):
                self._lines[arrival.ifo].add(arrival)
                self.latest = max(self.latest, arrival.stop)
        return self._advance(self.latest)

    def take_flaws(self) -> list[str]:
        """Sentences about strain that could not be searched, since they were taken last."""
        flaws, self._flaws = self._flaws, []
        return flaws

    def reset(self) -> None:
        """Begin anew with what arrives next."""
        self._end()
        for ifo, line in self._lines.items():
            line.reset()
            self._queues[ifo].clear()

    def flush(self) -> list[ScoredPiece]:
        """Score what is left: nothing more will come."""
        pieces = self._advance(math.inf)
        self._end()
        return pieces

    def _advance(self, latest: float) -> list[ScoredPiece]:
        for ifo, line in self._lines.items():
            self._queues[ifo] += line.take(latest)
        pieces = []
        while self._align():
            piece = self._take()
            pieces += [] if piece is None else [piece]
        self._forget()
        return pieces

    def _align(self) -> bool:
        """Bring the heads of all queues to one time, and return whether all detectors have strain from there on."""
        tolerance = TOLERANCE / self.scorer.preprocessing.whitening.sample_rate
        while all(self._queues.values()):
            begin = max([self._at, *(queue[0].start for queue in self._queues.values())])
            if begin > self._at + tolerance:
                self._end()
            self._at = begin
            for queue in self._queues.values():
                _cut(queue, begin)
            if all(queue and queue[0].start <= begin + tolerance for queue in self._queues.values()):
                return True
        return False

    def _take(self) -> ScoredPiece | None:
        """Move the strain that all detectors share from the heads of the queues to the stretch, and score it."""
        heads = {ifo: queue[0] for ifo, queue in self._queues.items()}
        rate = self.scorer.preprocessing.whitening.sample_rate
        _check_grid(list(heads.values()), rate)
        size = min(len(head.data) for head in heads.values())
        start = max(head.start for head in heads.values())
        if self._stretch is None:
            self._stretch = LiveStretch(self.scorer, start, self._anchor, self._adapt)
        for queue in self._queues.values():
            _cut(queue, queue[0].start + size / rate)
        self._at = start + size / rate
        try:
            piece = self._stretch.add({ifo: head.data[:size] for ifo, head in heads.items()})
            if piece is not None and not np.isfinite(piece.scores).all():
                raise DataError("a score is not finite")
        except DataError as error:
            self._flaws.append(f"strain from GPS {start:.3f} is not searched: {error}")
            self._end()
            return None
        return piece

    def _adapt(self, psds: Psd) -> None:
        """Whiten the templates by the first PSDs that there are."""
        if self._adapts:
            self.adapt(smooth_psd(psds, self.scorer.preprocessing.whitening.sample_rate))

    def adapt(self, psds: Psd) -> None:
        """Whiten the templates of the network by PSDs: see ``aframe.inference.adaptation``.

        Args:
            psds: Smooth PSD of each detector, 1/Hz, shape (ifos, frequency), evenly from 0 Hz to the Nyquist frequency.
        """
        with torch.no_grad():
            self.scorer.network.adapt(psds)
        self.psds, self._adapts = psds, False

    def _end(self) -> None:
        """End the stretch. The next one has its own grid of blocks."""
        if self._stretch is not None:
            self._stretch, self._anchor = None, None

    def _forget(self) -> None:
        """Drop strain that waits for a detector whose strain of that time is given up, and end a stretch that does."""
        if all(self._queues.values()):
            return
        for queue in self._queues.values():
            _cut(queue, self.latest - self._patience - SLACK)
        if self.latest - self._at >= self._patience + SLACK:
            self._end()


def _cut(queue: list[Stretch], time: float) -> None:
    """Drop the strain before a time (GPS s) from a queue."""
    while queue:
        head = queue[0]
        first = round((time - head.start) * head.sample_rate) if time > head.start else 0
        if first < len(head.data):
            if first:
                start = head.start + first / head.sample_rate
                queue[0] = Stretch(head.ifo, start, head.sample_rate, head.data[first:])
            return
        del queue[0]


def _check_grid(heads: Sequence[Stretch], sample_rate: float) -> None:
    """Refuse detectors whose samples were not taken at the same times.

    Raises:
        DataError: With the detectors and the time.
    """
    offsets = [(head.start - heads[0].start) * sample_rate for head in heads]
    if any(abs(offset - round(offset)) > TOLERANCE for offset in offsets):
        raise DataError(
            f"samples of {', '.join(head.ifo for head in heads)} at {heads[0].start:.3f} were not taken at the same "
            "times: give strain whose samples are a whole number apart"
        )
