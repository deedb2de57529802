"""Where strain comes from."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class StrainSource:
    """A source of strain, and what a search asks of it.

    Attributes:
        kind: ``gwosc`` (open data), ``local`` (files) or ``simulated`` (Gaussian noise, and glitches).
        ifos: Detectors.
        sample_rate: Hz.
        min_duration: Shortest segment that is used, s.
        max_duration: Longest segment, s; longer ones are cut.
        segments: Segwizard file of analysable time, instead of the source's own; None for that.
        frames: Directory of local files; None for any other kind.
        channels: Chosen channels of measured strain, by detector. Other detectors have their usual strain.
        asd: Noise curves of simulated strain: files, directories, patterns, or names in bilby's collection; empty for
            any other kind.
        drift: Time scale on which simulated noise changes, s; None for one curve in each segment.
        glitches: Population of glitches in simulated strain: its name or a file; None for no glitches.
        band: Frequencies between which the noise curve is needed, Hz.
        seed: Of simulated noise.
    """

    kind: str
    ifos: tuple[str, ...]
    sample_rate: float
    min_duration: float
    max_duration: float
    segments: str | None
    frames: str | None
    channels: Mapping[str, str]
    asd: tuple[str, ...]
    drift: float | None
    glitches: str | None
    band: tuple[float, float]
    seed: int
