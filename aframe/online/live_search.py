"""Score strain as it arrives."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float32
from torch import Tensor

from aframe.types import Array


@dataclass(frozen=True)
class ScoredPiece:
    """Scores of some windows, and what they came from.

    Attributes:
        start: Start of the first window, GPS s.
        scores: Logits, float32, shape (windows,).
        embeddings: Embedding of each detector, shape (channels, steps), of these windows and no more.
        strain: Whitened strain of each detector, float32, shape (time,), of these windows and no more.
        goes_on: Whether the first window follows the last one of the piece before without a gap.
    """

    start: float
    scores: Float32[Array, " windows"]
    embeddings: Sequence[Tensor]
    strain: Sequence[Tensor]
    goes_on: bool
