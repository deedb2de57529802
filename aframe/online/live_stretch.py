"""Whiten, encode and score a stretch of strain without gaps, while it grows."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor

from aframe.inference.engine import Engine
from aframe.inference.scorers import Scorer
from aframe.inference.slides import Grid, Slide
from aframe.tensors import Psd, Taps
from aframe.types import Array
from aframe.whitening import WhitenedStream, apply_filter, power_spectral_density, whitening_filter

OLDEST_BEGINNING = 2.0
"""Seconds of strain that may be left out for a grid of blocks that goes on after a restart."""


@dataclass(frozen=True)
class ScoredPiece:
    """Scores of some windows, and what they came from.

    Attributes:
        start: Start of the first window, GPS s.
        scores: Logits, float32, shape (windows,).
        embeddings: Embedding of each detector, shape (channels, steps), of these windows and no more. Of steps that
            the piece before has as well, these are right: its last ones may lack samples, which its windows need not.
        strain: Whitened strain of each detector, float32, shape (time,), of these windows and no more.
        goes_on: Whether the first window follows the last one of the piece before without a gap.
    """

    start: float
    scores: Float32[Array, " windows"]
    embeddings: Sequence[Tensor]
    strain: Sequence[Tensor]
    goes_on: bool


class LiveStretch:
    """Strain of all detectors without gaps. Blocks, windows and scores are those of a search of the whole stretch.

    What is kept does not grow with the stretch.

    Args:
        scorer: Scores windows. It has the model's preprocessing.
        start: Time of the first sample, GPS s.
        anchor: Start of an earlier stretch whose grid of blocks goes on; None for this one's own.
        on_psds: Called with the PSD of each detector, shape (ifos, frequency), before a block is whitened by them.

    Attributes:
        psds: PSD of each detector before the latest block, 1/Hz, shape (ifos, frequency); None before the first.
        anchor: Start (GPS s) of the stretch whose grid of blocks this is.
    """

    def __init__(self, scorer: Scorer, start: float, anchor: float | None, on_psds: Callable[[Psd], object]) -> None:
        self.scorer, self.start, self._on_psds = scorer, start, on_psds
        preprocessing = scorer.preprocessing
        self._whitening, self._ifos = preprocessing.whitening, preprocessing.ifos
        rate, block = self._whitening.sample_rate, self._whitening.block_length
        lost = 0.0 if anchor is None else (anchor - start) % block
        is_new = anchor is None or lost > OLDEST_BEGINNING
        self.anchor = start if is_new or anchor is None else anchor
        self.psds: Psd | None = None
        self._skipped = 0 if is_new else round(lost * rate)
        self._origin = self._skipped + self._whitening.psd_size
        self._strain = torch.empty((len(self._ifos), 0), dtype=torch.float64)
        self._strain_first, self._whitened_to = 0, self._origin
        self._taps: Taps | None = None
        self._white, self._white_first = torch.empty((len(self._ifos), 0), device=scorer.device), 0
        self._embeddings: Tensor | None = None
        self._step_first, self._whole_steps = 0, 0
        self.windows = 0

    @property
    def size(self) -> int:
        """Number of samples of strain so far."""
        return self._strain_first + int(self._strain.shape[-1])

    @property
    def next_window(self) -> float:
        """Start of the next window to score, GPS s."""
        stride = self.scorer.preprocessing.stride_size
        return self.start + (self._origin + self.windows * stride) / self._whitening.sample_rate

    def resumed_from(self, window: float) -> float:
        """Time (GPS s) from which strain is needed to score windows from a time on after a restart, by the same blocks.

        Args:
            window: Start of the first window, GPS s.
        """
        block = math.floor((window - self.anchor - self._whitening.psd_length) / self._whitening.block_length)
        return self.anchor + max(0, block) * self._whitening.block_length

    def add(self, strain: Mapping[str, Array]) -> ScoredPiece | None:
        """Take the strain that follows, and score the windows that are complete.

        Args:
            strain: Strain of each detector at the model's sample rate, double precision, shape (time,).

        Returns:
            None if no window is complete.

        Raises:
            DataError: If the strain cannot be whitened.
        """
        new = torch.stack([torch.from_numpy(strain[ifo]) for ifo in self._ifos])
        self._strain = torch.cat([self._strain, new], dim=-1)
        self._whiten()
        piece = self._score()
        self._drop()
        return piece

    def _whiten(self) -> None:
        """Whiten what can be: see ``whiten_stream``, which has the same blocks."""
        whitening = self._whitening
        before, end = whitening.before_size, self.size - whitening.after_size
        while self._whitened_to < end:
            block = (self._whitened_to - self._origin) // whitening.block_size
            low, high = self._whitened_to, min(self._origin + (block + 1) * whitening.block_size, end)
            if self._taps is None or low == self._origin + block * whitening.block_size:
                recent = self._between(low - whitening.psd_size, low)
                self.psds = power_spectral_density(recent, whitening.sample_rate, whitening.fftlength)
                self._taps = whitening_filter(self.psds, whitening)
                self._on_psds(self.psds)
            white = apply_filter(self._between(low - before, high + whitening.after_size), self._taps).float()
            self._white = torch.cat([self._white, white.to(self._white.device)], dim=-1)
            self._whitened_to = high

    def _between(self, low: int, high: int) -> Tensor:
        return self._strain[:, low - self._strain_first : high - self._strain_first]

    def _score(self) -> ScoredPiece | None:
        preprocessing, network = self.scorer.preprocessing, self.scorer.network
        stride, kernel, hop = preprocessing.stride_size, preprocessing.kernel_size, self.scorer.hop
        size = self._white_first + int(self._white.shape[-1])
        windows = (size - kernel) // stride + 1 if size >= kernel else 0
        if windows <= self.windows:
            return None
        first, number = self.windows, windows - self.windows
        self._encode(windows)
        assert self._embeddings is not None
        begin = first * hop - self._step_first
        embeddings = self._embeddings[:, :, begin : begin + (number - 1) * hop + network.window_steps].unbind(0)
        low = first * stride - self._white_first
        strain = self._white[:, low : low + (number - 1) * stride + kernel].unbind(0)
        taps = torch.empty(0)  # no signal needs the filters
        streams = [WhitenedStream(each, taps, 0, len(each), 0) for each in strain]
        grid = Grid(preprocessing, (0.0,) * len(self._ifos))
        engine = Engine(self.scorer, lambda: streams, grid, embeddings)
        scores = engine.scores(Slide(0, 0, grid.shifts, number))
        piece = ScoredPiece(self.next_window, scores, embeddings, strain, goes_on=first > 0)
        self.windows = windows
        return piece

    def _encode(self, windows: int) -> None:
        """Encode the stream up to a number of windows.

        Steps of which the samples are not all there yet are encoded again with those that follow. So are steps that
        are known, if there are too few new ones for a window.
        """
        network, preprocessing = self.scorer.network, self.scorer.preprocessing
        stop = (windows - 1) * preprocessing.stride_size + preprocessing.kernel_size
        steps = (windows - 1) * self.scorer.hop + network.window_steps
        first = min(self._whole_steps, (windows - 1) * self.scorer.hop)
        stream = self._white[None, :, first * network.step_size - self._white_first : stop - self._white_first]
        new = next(self.scorer.encode_each(iter([stream])))[0][..., self._whole_steps - first : steps - first]
        if self._embeddings is not None:
            new = torch.cat([self._embeddings[..., : self._whole_steps - self._step_first], new], dim=-1)
        self._embeddings = new
        self._whole_steps = max(0, (stop - network.receptive_field) // network.step_size + 1)

    def _drop(self) -> None:
        """Forget what no later window and no later block needs."""
        whitening = self._whitening
        blocks = -(-(self._whitened_to - self._origin) // whitening.block_size)
        following = self._origin + blocks * whitening.block_size
        keep = max(0, min(following - whitening.psd_size, self._whitened_to - whitening.before_size))
        self._strain, self._strain_first = self._strain[:, keep - self._strain_first :].clone(), keep
        keep = min(self.windows * self.scorer.hop, self._whole_steps) * self.scorer.network.step_size
        self._white, self._white_first = self._white[:, keep - self._white_first :].clone(), keep
        if self._embeddings is not None:
            keep = min(self.windows * self.scorer.hop, self._whole_steps)
            self._embeddings = self._embeddings[:, :, keep - self._step_first :].clone()
            self._step_first = keep
