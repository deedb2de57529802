"""Stretches of live time of time slides."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from aframe.types import Array


@dataclass(frozen=True, eq=False)
class SlideSpans:
    """Stretches of live time of time slides.

    Slide time t corresponds to the time t + shift[k] in the data of detector k.

    Attributes:
        start: Start of each stretch, slide time, GPS s.
        duration: Live time of each stretch, s.
        shift: Shift of each detector's data, s, shape (stretches, ifos).
    """

    start: Float[Array, " stretches"]
    duration: Float[Array, " stretches"]
    shift: Float[Array, "stretches ifos"]

    @property
    def stop(self) -> Float[Array, " stretches"]:
        """End of each stretch, slide time, GPS s."""
        return np.asarray(self.start + self.duration)

    @property
    def livetime(self) -> float:
        """Live time of all stretches, s."""
        return float(self.duration.sum())
