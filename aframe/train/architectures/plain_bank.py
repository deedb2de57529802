"""A plain bank of matched filters, as a network without weights."""

import functools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from aframe.train.architectures.matched_filter import MatchedFilterNetwork


class PlainBank(MatchedFilterNetwork):
    """Matched filters without weights and corrections: the score of a step is the largest sum of the detectors.

    A quiet step has a bound instead: the largest sum of a group's maxima in the detectors, at most ``quiet``.
    """

    fused_tiles = 1

    def step_scores(self, embeddings: Sequence[Tensor]) -> Float[Tensor, "batch steps"]:
        """Score each step: see ``MatchedFilterNetwork.step_scores``."""
        bound = functools.reduce(torch.add, [each[:, self.templates :] for each in embeddings]).amax(1)
        rows, steps = (bound > self.quiet).nonzero(as_tuple=True)
        sums = functools.reduce(torch.add, [each[rows, : self.templates, steps] for each in embeddings])
        return bound.index_put((rows, steps), sums.amax(1))
