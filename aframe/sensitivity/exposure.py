"""Weigh draws by the live time that each of them stands for.

In each segment draws go on until enough are accepted, so a less sensitive segment has more draws. A plain share of
draws would be the harmonic mean of the segments' volumes. A draw therefore counts for the live time of its segment over
the draws of its segment, and a volume is the mean over time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int

from aframe.errors import DataError
from aframe.tables import RejectedTable, Table
from aframe.types import Array

EXPOSURE = "exposure"
"""Column of a table of draws: relative live time that a draw stands for. Its mean over all draws is one."""

AnyTable = TypeVar("AnyTable", bound=Table)


@dataclass(frozen=True, eq=False)
class SegmentTimes:
    """Segments with injections, in order of time. All arrays have shape (segments,).

    Attributes:
        start: GPS s.
        stop: GPS s.
        livetime: Live time of unshifted data in each segment, s.
    """

    start: Float[Array, " segments"]
    stop: Float[Array, " segments"]
    livetime: Float[Array, " segments"]

    def index(self, injections: Table) -> Int[Array, " injections"]:
        """Segment of each injection: that which the detector with the smallest shift sees at its time.

        Args:
            injections: Table with the columns ``injection_time`` and ``shift``.

        Raises:
            DataError: If an injection is in no segment.
        """
        time = injections["injection_time"] + injections["shift"].min(axis=1)
        index = np.searchsorted(self.start, time, side="right") - 1
        outside = (index < 0) | (time >= self.stop[index])
        if outside.any():
            raise DataError(
                f"an injection at GPS {time[outside.argmax()]:.3f} is in no segment of the strain: restore the "
                "missing files of the background, or generate injections and results again"
            )
        return np.asarray(index)

    def exposure(self, injections: Table) -> Float[Array, " segments"]:
        """Relative live time of a draw of each segment: (T_s / D_s) / (Σ T / Σ D), over segments with draws.

        >>> two = SegmentTimes(np.array([0.0, 100.0]), np.array([50.0, 150.0]), np.array([40.0, 40.0]))
        >>> times, draws = np.array([10.0, 120.0]), np.array([1, 3])
        >>> table = Table({"injection_time": times, "shift": np.zeros((2, 2)), "num_draws": draws})
        >>> two.exposure(table).round(3).tolist()
        [2.0, 0.667]

        Args:
            injections: Accepted injections, with the columns of ``index`` and ``num_draws``.
        """
        draws = np.bincount(self.index(injections), injections["num_draws"], len(self.start))
        each = np.divide(self.livetime, draws, out=np.zeros(len(draws)), where=draws > 0)
        total = self.livetime[draws > 0].sum()
        return np.asarray(each * draws.sum() / total if total > 0 else np.ones(len(draws)))


def with_exposure(table: AnyTable, segments: SegmentTimes, exposure: Float[Array, " segments"]) -> AnyTable:
    """Add the column ``exposure`` to accepted injections."""
    return replace(table, parameters={**table.parameters, EXPOSURE: exposure[segments.index(table)]})


def rejected_with_exposure(
    rejected: Iterable[RejectedTable],
    injections: Table,
    segments: SegmentTimes,
    exposure: Float[Array, " segments"],
) -> Iterator[RejectedTable]:
    """Add the column ``exposure`` to rejected draws. A rejected draw belongs to the injection for which it was drawn.

    Args:
        rejected: All rejected draws in pieces, in the order of drawing.
        injections: Columns ``injection_time``, ``shift`` and ``num_draws`` of all injections, in the same order.
        segments: Segments.
        exposure: Relative live time of a draw of each segment.

    Raises:
        DataError: If the draws do not belong to the injections.
    """
    of_draws = np.repeat(exposure[segments.index(injections)], injections["num_draws"] - 1)
    row = 0
    for piece in rejected:
        part = of_draws[row : row + len(piece)]
        row += len(piece)
        if len(part) < len(piece):
            break
        yield replace(piece, parameters={**piece.parameters, EXPOSURE: part})
    if row != len(of_draws):
        raise DataError(
            f"the rejected draws are not the {len(of_draws)} that belong to the injections: the two files come from "
            "different sets of injections; generate both again"
        )
