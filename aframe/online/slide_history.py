"""The last hours of embeddings and whitened strain, on disk and in the memory of the process that slides them."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from aframe import storage
from aframe.errors import StorageError
from aframe.inference.embeddings import read_embedding, write_embedding
from aframe.online.live_search import ScoredPiece
from aframe.strain.times import format_gps
from aframe.train.model import Model

LARGEST_HALF = 6e4
"""Largest embedding that is written in half precision, whose largest number is 65 504."""

NAME = re.compile(r"embeddings-(\d+(?:\.\d+)?)-(\d+)\.hdf5$")
"""Name of a file: GPS s of its first window's start, and its number of windows."""


@dataclass(frozen=True)
class Geometry:
    """Sizes of windows in embeddings and in strain.

    Attributes:
        sampling_rate: Windows per second, Hz.
        hop: Steps of an embedding from one window to the next.
        window_steps: Steps of a window.
        stride_size: Samples from one window to the next.
        kernel_size: Samples of a window.
    """

    sampling_rate: float
    hop: int
    window_steps: int
    stride_size: int
    kernel_size: int

    @classmethod
    def of(cls, model: Model) -> "Geometry":
        """Geometry of a model's windows."""
        preprocessing, network = model.preprocessing, model.network
        stride, hop = preprocessing.stride_size, network.hop(preprocessing.stride_size)
        rate = preprocessing.inference_sampling_rate
        return cls(rate, hop, network.window_steps, stride, preprocessing.kernel_size)

    @property
    def step_size(self) -> int:
        """Samples from one step to the next."""
        return self.stride_size // self.hop

    @property
    def step_rate(self) -> float:
        """Steps per second, Hz."""
        return self.sampling_rate * self.hop

    def joined(self, pieces: Sequence[ScoredPiece]) -> ScoredPiece:
        """Join pieces that follow each other without a gap.

        Args:
            pieces: At least one, in order of time.
        """
        embeddings, strain = [], []
        for k in range(len(pieces[0].embeddings)):
            before = [(p.embeddings[k], p.strain[k], len(p.scores)) for p in pieces[:-1]]
            last = pieces[-1].embeddings[k], pieces[-1].strain[k]
            embeddings.append(torch.cat([*(e[:, : n * self.hop] for e, _, n in before), last[0]], dim=1))
            strain.append(torch.cat([*(s[: n * self.stride_size] for _, s, n in before), last[1]]))
        scores = np.concatenate([piece.scores for piece in pieces])
        return ScoredPiece(pieces[0].start, scores, embeddings, strain, pieces[0].goes_on)


@dataclass(frozen=True)
class PieceStore:
    """A directory of pieces.

    Attributes:
        directory: Local or s3 path.
        made_by: Model, preprocessing and settings of all pieces.
    """

    directory: str
    made_by: storage.Parameters

    def write(self, piece: ScoredPiece, ifos: Sequence[str]) -> None:
        """Write a piece. Its embeddings get half precision, in which the statistics of slides move by 0.01 or less.

        Args:
            piece: The piece.
            ifos: Its detectors.

        Raises:
            StorageError: If it cannot be written.
        """
        name = f"embeddings-{format_gps(piece.start)}-{len(piece.scores)}.hdf5"
        with storage.create_hdf5(storage.join(self.directory, name), self.made_by) as file:
            for ifo, embedding, strain in zip(ifos, piece.embeddings, piece.strain, strict=True):
                write_embedding(file, f"{ifo}/embedding", _halved(embedding))
                write_embedding(file, f"{ifo}/strain", strain[None])
            file.create_dataset("scores", data=piece.scores)
            file.attrs["start"], file.attrs["goes_on"] = piece.start, piece.goes_on

    def read(self, path: str, ifos: Sequence[str]) -> ScoredPiece:
        """Read a piece.

        Raises:
            StorageError: If the file is missing or damaged.
        """
        with storage.open_hdf5(path) as file:
            embeddings = [read_embedding(file[f"{ifo}/embedding"]) for ifo in ifos]
            strain = [read_embedding(file[f"{ifo}/strain"])[0] for ifo in ifos]
            start, goes_on = float(file.attrs["start"]), bool(file.attrs["goes_on"])
            return ScoredPiece(start, np.asarray(file["scores"]), embeddings, strain, goes_on)

    def paths(self) -> dict[str, float]:
        """Paths of all pieces with the starts of their first windows (GPS s), in order of time."""
        names = ((path, NAME.search(path)) for path in storage.glob(self.directory, "embeddings-*.hdf5"))
        starts = {path: float(match[1]) for path, match in names if match}
        return dict(sorted(starts.items(), key=lambda each: each[1]))

    def newest(self, sampling_rate: float) -> float:
        """Start of the window that would follow the newest piece, GPS s; −inf without any.

        Args:
            sampling_rate: Windows per second, Hz.
        """
        names = [NAME.search(path) for path in self.paths()]
        return max((float(match[1]) + int(match[2]) / sampling_rate for match in names if match), default=-np.inf)

    def remove_before(self, time: float) -> None:
        """Remove pieces that start before a time, GPS s."""
        for path, start in self.paths().items():
            if start < time:
                storage.remove(path)


def _halved(embedding: Tensor) -> Tensor:
    is_small = embedding.dtype == torch.float32 and float(embedding.abs().max()) < LARGEST_HALF
    return embedding.half() if is_small else embedding


class Stretch:
    """Pieces that follow each other without a gap.

    Args:
        geometry: Sizes of windows.
        pieces: At least one piece, in order of time.
    """

    def __init__(self, geometry: Geometry, pieces: list[ScoredPiece]) -> None:
        self.geometry, self.pieces = geometry, pieces

    @property
    def start(self) -> float:
        """Start of the first window, GPS s."""
        return self.pieces[0].start

    @property
    def windows(self) -> int:
        """Number of windows."""
        return sum(len(piece.scores) for piece in self.pieces)

    @property
    def steps(self) -> int:
        """Number of steps of an embedding."""
        return (self.windows - 1) * self.geometry.hop + self.geometry.window_steps

    @property
    def stop(self) -> float:
        """Start of the window that would follow the last one, GPS s."""
        return self.start + self.windows / self.geometry.sampling_rate

    def embedding(self, ifo: int, first: int, stop: int, precision: torch.dtype) -> Float[Tensor, "channels steps"]:
        """Embedding of a detector between two steps.

        Args:
            ifo: Number of the detector.
            first: First step.
            stop: Step after the last one.
            precision: Type of the result.
        """
        lengths = [len(piece.scores) * self.geometry.hop for piece in self.pieces]
        return _between([piece.embeddings[ifo] for piece in self.pieces], lengths, first, stop).to(precision)

    def strain(self, ifo: int, first: int, stop: int) -> Float[Tensor, " time"]:
        """Whitened strain of a detector between two samples."""
        lengths = [len(piece.scores) * self.geometry.stride_size for piece in self.pieces]
        return _between([piece.strain[ifo] for piece in self.pieces], lengths, first, stop)


def _between(parts: Sequence[Tensor], lengths: Sequence[int], first: int, stop: int) -> Tensor:
    """Part of what parts make together. Each but the last counts up to its length, where the next one begins."""
    cut, at = [], 0
    for part, length in zip(parts, [*lengths[:-1], parts[-1].shape[-1]], strict=True):
        low, high = max(first - at, 0), min(stop - at, length)
        if high > low:
            cut.append(part[..., low:high])
        at += length
    return torch.cat(cut, dim=-1)


class History:
    """The stretches that a store holds, in memory.

    Args:
        store: Directory of pieces. Another process writes and removes them.
        geometry: Sizes of windows.
        ifos: Detectors.
    """

    def __init__(self, store: PieceStore, geometry: Geometry, ifos: Sequence[str]) -> None:
        self.store, self.geometry, self.ifos = store, geometry, ifos
        self.stretches: list[Stretch] = []
        self._newest = -np.inf

    @property
    def newest(self) -> float:
        """Start of the window that would follow the newest one, GPS s; −inf without any."""
        return self.stretches[-1].stop if self.stretches else -np.inf

    def update(self) -> None:
        """Read new pieces, and forget those that the store no longer has."""
        paths = self.store.paths()
        oldest = min(paths.values(), default=np.inf)
        for stretch in self.stretches:
            stretch.pieces = [piece for piece in stretch.pieces if piece.start >= oldest]
        self.stretches = [stretch for stretch in self.stretches if stretch.pieces]
        for path, start in paths.items():
            if start > self._newest:
                self._newest = start
                try:
                    self._add(self.store.read(path, self.ifos))
                except StorageError as error:  # removed meanwhile, or damaged: slides have a gap
                    print(f"note: {error}", file=sys.stderr)

    def _add(self, piece: ScoredPiece) -> None:
        half_a_window = 0.5 / self.geometry.sampling_rate
        if piece.goes_on and abs(piece.start - self.newest) < half_a_window:
            self.stretches[-1].pieces.append(piece)
        else:
            self.stretches.append(Stretch(self.geometry, [piece]))


def bytes_per_second(piece: ScoredPiece, geometry: Geometry) -> float:
    """Size of embeddings and strain on disk and in memory, of all detectors, in bytes per second of data."""
    size = sum(_halved(e).nbytes for e in piece.embeddings) + sum(s.nbytes for s in piece.strain)
    return size * geometry.sampling_rate / len(piece.scores)
