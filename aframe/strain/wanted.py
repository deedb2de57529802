"""A stretch of strain that is wanted of some detectors."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Wanted:
    """Strain that is wanted.

    Attributes:
        ifos: Detectors.
        time: GPS s in its middle.
        duration: Length, s.
        sample_rate: Lowest sample rate, Hz.
        event: Name of the event at that time; empty for none.
        page: Address of the event's page; empty if it is not known.
    """

    ifos: tuple[str, ...]
    time: float
    duration: float
    sample_rate: float
    event: str = ""
    page: str = ""

    @property
    def start(self) -> float:
        """GPS s."""
        return self.time - self.duration / 2

    @property
    def stop(self) -> float:
        """GPS s."""
        return self.time + self.duration / 2

    def of(self, ifos: tuple[str, ...]) -> "Wanted":
        """The same strain of other detectors."""
        return replace(self, ifos=ifos)
