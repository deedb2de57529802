"""Strain as it arrives, and where it comes from."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float64

from aframe.types import Array


@dataclass(frozen=True, eq=False)
class Arrival:
    """Contiguous strain of one detector as it arrived.

    Attributes:
        ifo: Detector.
        start: Time of the first sample, GPS s.
        sample_rate: Sampling rate as recorded, Hz.
        strain: Strain, dimensionless, shape (time,). NaN where a sample is missing, or is not to be searched.
        received: When it was read, unix s.
    """

    ifo: str
    start: float
    sample_rate: float
    strain: Float64[Array, " time"]
    received: float

    @property
    def stop(self) -> float:
        """Time one sample after the last, GPS s."""
        return self.start + len(self.strain) / self.sample_rate


@runtime_checkable
@runtime_checkable
class Source(Protocol):
    """Where strain comes from."""

    def check(self) -> None:
        """Look at the source before the search begins.

        Raises:
            ConfigurationError: If it cannot give strain of the detectors.
            DataError: If what it gives cannot be searched.
        """

    def arrivals(self, timeout: float) -> list[Arrival]:
        """What has arrived, in any order.

        Args:
            timeout: Longest wait, s.

        Returns:
            Empty if nothing arrives within ``timeout``.
        """

    @property
    def is_over(self) -> bool:
        """Whether nothing more will ever come: of a replay that has ended."""

    def close(self) -> None:
        """Let go of what the source holds."""
