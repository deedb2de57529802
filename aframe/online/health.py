"""How the search is: a small record that it writes again and again, and that status, page and metrics read."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import lal
import numpy as np
from jaxtyping import Float
from scipy.special import pdtr, pdtrc

from aframe import storage
from aframe.constants import SOLAR_MASS_SECONDS, SPEED_OF_LIGHT
from aframe.errors import StorageError
from aframe.online.documents import nulled, numbered, to_json
from aframe.types import Array

FILE = "health.json"
"""Name of the record, in the output directory."""

SCHEMA = "aframe-health-1"
"""Name and version of the record's layout."""

RANGE_MASS = 1.4
"""Masses of both neutron stars of the range that all detectors quote, solar masses."""

RANGE_SNR = 8.0
"""SNR at which a binary counts for the range."""

SKY_AVERAGE = 2.2648
"""Ratio of the distance of the best direction and orientation to that of equal volume (arXiv:1003.2480)."""

RARE = 1e-3
"""Probability of a number of events under the expectation, below which the number is called out of line."""


@dataclass(frozen=True)
class DetectorHealth:
    """One detector.

    Attributes:
        state: What becomes of its strain now, in a few words: ``searched``, ``waiting for data``, ….
        last_gps: End of the latest strain, GPS s; NaN before the first.
        range_mpc: Distance at which a binary neutron star has an SNR of 8, averaged over sky and orientation, Mpc; NaN
            if it is not known.
        searched_fraction: Share of the time since the search began in which its strain was searched, 0 to 1.
        gaps: Number of gaps, by reason.
    """

    state: str = "waiting for data"
    last_gps: float = math.nan
    range_mpc: float = math.nan
    searched_fraction: float = 0.0
    gaps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Latency:
    """A part of the time from a merger to its event on disk, over the last events or pieces.

    Attributes:
        median: s.
        high: Time that 95 % do not exceed, s.
    """

    median: float
    high: float


@dataclass(frozen=True)
class Rate:
    """Events above a threshold, against what noise alone gives.

    Attributes:
        far_per_year: False alarm rate of the threshold, events per Julian year.
        seen: Number of events since the search began.
        expected: Number that noise alone gives on average in the searched time.
    """

    far_per_year: float
    seen: int
    expected: float

    @property
    def is_out_of_line(self) -> bool:
        """Whether so many or so few events are improbable of noise alone (Poisson; either side ``RARE`` / 2)."""
        many = pdtrc(self.seen - 1, self.expected) if self.seen else 1.0
        return bool(min(many, pdtr(self.seen, self.expected)) < RARE / 2)


@dataclass(frozen=True, kw_only=True)
class Health:
    """How the search is.

    Attributes:
        written: Unix time at which this was written, s.
        started: Unix time at which the search began, s.
        is_over: Whether the search has ended, as a replay does.
        searched_until: Time up to which all detectors' strain was searched, GPS s; NaN before the first.
        searched: Time that was searched since the search began, s.
        detectors: By name.
        latency: Parts by name, as ``arrived``, ``computed``, ``written``, and ``total``.
        counts: Other numbers that only grow, by name: ``events``, ``revisions``, ``frames``, …
        waiting: Number of events that wait for each sink and for the disk, by name.
        rates: Numbers of events above thresholds, the rarest first.
        background: Where false alarm rates come from, in a few words.
        background_livetime: Live time of that background, s.
        troubles: What is wrong now, a line each.
        versions: Versions of the code, of the model and of the background.
    """

    written: float
    started: float
    is_over: bool = False
    searched_until: float = math.nan
    searched: float = 0.0
    detectors: Mapping[str, DetectorHealth] = field(default_factory=dict)
    latency: Mapping[str, Latency] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)
    rates: tuple[Rate, ...] = ()
    background: str = ""
    background_livetime: float = 0.0
    troubles: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The record as JSON data. A number that is not known is null."""
        return dict(nulled({"schema": SCHEMA} | dataclasses.asdict(self)))

    def write(self, directory: str) -> None:
        """Write the record into an output directory, atomically.

        Args:
            directory: Output directory of the search.

        Raises:
            StorageError: If it cannot be written.
        """
        storage.write_text(storage.join(directory, FILE), to_json(self.document()))

    @classmethod
    def read(cls, directory: str) -> "Health":
        """Read the record of an output directory.

        Args:
            directory: Output directory of a search.

        Raises:
            StorageError: If no search has written there, or the record has another layout.
        """
        path = storage.join(directory, FILE)
        if not storage.exists(path):
            raise StorageError(f"{directory} has no {FILE}: no aframe online has run here yet; mend the directory")
        try:
            document = json.loads(storage.read_text(path))
            if document.pop("schema", None) != SCHEMA:
                raise ValueError(f"its schema is not {SCHEMA}")
            parts = {
                "detectors": {k: DetectorHealth(**numbered(v)) for k, v in document["detectors"].items()},
                "latency": {k: Latency(**numbered(v)) for k, v in document["latency"].items()},
                "rates": tuple(Rate(**each) for each in document["rates"]),
                "troubles": tuple(document["troubles"]),
            }
            return cls(**numbered(document) | parts)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StorageError(f"{path} is of another version ({error}): start aframe online again") from None


def inspiral_range_mpc(psd: Float[Array, " frequencies"], resolution: float, highpass: float) -> float:
    """Distance at which a binary neutron star has an SNR of 8, averaged over sky and orientation.

    The inspiral counts from ``highpass`` to the innermost stable orbit, as in LIGO-T030276: ρ² = 4 ∫ |h|² / S df, with
    |h|² = 5/24 π^(−4/3) (c/D)² (G M/c³)^(5/3) f^(−7/3) and the chirp mass M. Space is Euclidean.

    Args:
        psd: One-sided PSD, 1/Hz, from 0 Hz on.
        resolution: Step of its frequencies, Hz.
        highpass: Lowest frequency that counts, Hz.

    Returns:
        Mpc; NaN if the PSD is zero or not finite in this band.
    """
    orbit = 1 / (6**1.5 * math.pi * 2 * RANGE_MASS * SOLAR_MASS_SECONDS)
    first, last = math.ceil(highpass / resolution), min(math.floor(orbit / resolution), len(psd) - 1)
    band = np.asarray(psd[first : last + 1], dtype=np.float64)
    if not (len(band) > 1 and np.isfinite(band).all() and (band > 0).all()):
        return math.nan
    frequency = resolution * np.arange(first, last + 1)
    chirp_mass = RANGE_MASS * 2**-0.2 * SOLAR_MASS_SECONDS
    squared = 4 * resolution * float((frequency ** (-7 / 3) / band).sum())
    squared *= 5 / 24 * math.pi ** (-4 / 3) * chirp_mass ** (5 / 3)
    return SPEED_OF_LIGHT * math.sqrt(squared) / RANGE_SNR / SKY_AVERAGE / (1e6 * lal.PC_SI)
