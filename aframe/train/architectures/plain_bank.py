"""A plain bank of matched filters, as a network without weights."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from aframe.train.architectures.matched_filter import MatchedFilterNetwork


class PlainBank(MatchedFilterNetwork):
    """Matched filters without weights and corrections: the score of a step is the largest sum of the detectors."""

    fused_tiles = 1

    def step_scores(self, embeddings: Sequence[Tensor]) -> Float[Tensor, "batch steps"]:
        """Score each step: see ``MatchedFilterNetwork.step_scores``."""
        return torch.stack([each[:, : self.templates] for each in embeddings]).sum(0).amax(1)
