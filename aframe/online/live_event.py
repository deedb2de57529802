"""An event of the search as it runs, and its file."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aframe import storage
from aframe.candidates.table import utc
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import StorageError
from aframe.online.documents import nulled, to_json

SCHEMA = "aframe-live-event-1"
"""Name and version of the layout of an event's document. A change of a key's meaning gets another number."""

TEMPLATE_MASSES = ("mass_1", "mass_2", "total_mass", "chirp_mass")
"""Parameters of a template that are masses. In documents, their names end in ``_detector_frame_msun``."""

MASS_UNIT = "_detector_frame_msun"
"""Ending of the names of masses in a document: redshifted, in solar masses."""


@dataclass(frozen=True)
class DetectorView:
    """A signal as one detector saw it.

    Attributes:
        snr: Matched-filter SNR of the best template; NaN if the network has no templates.
        time: Coalescence at the detector, GPS s.
        phase: Phase of the complex SNR, rad; NaN if it is not known.
    """

    snr: float
    time: float
    phase: float


@dataclass(frozen=True)
class LiveEvent:
    """One event of the search, a revision of it.

    Attributes:
        identifier: Name of the signal: ``identifier_of`` its first maximum. It is the same in all revisions, and after
            a restart.
        revision: 0 for the first maximum, and one more for each louder maximum of the same signal.
        time: Coalescence, GPS s.
        statistic: Detection statistic.
        far_per_year: False alarm rate, events per Julian year.
        far_is_upper_limit: Whether no event of the background is as loud.
        detectors: What each detector saw, by its name.
        template: Parameters of the best template, masses in the detector's frame (solar masses); empty if the network
            has no templates.
        p_astro: Probability of each class, with ``Terrestrial``. The sum is 1. Empty without populations.
        latency: Parts of the time from the merger to the event on disk, s: ``arrived`` (merger to last sample read),
            ``computed`` and ``written``.
        versions: Versions of the code, of the model and of the background.
    """

    identifier: str
    revision: int
    time: float
    statistic: float
    far_per_year: float
    far_is_upper_limit: bool
    detectors: Mapping[str, DetectorView]
    template: Mapping[str, float]
    p_astro: Mapping[str, float]
    latency: Mapping[str, float]
    versions: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name of this revision: identifier and revision, as in the name of its file."""
        return f"{self.identifier}-{self.revision}"

    def document(self) -> dict[str, object]:
        """The event as JSON data, with units in the names. A number that is not known is null."""
        detectors = {
            ifo: {"snr": view.snr, "time_gps_s": view.time, "phase_rad": view.phase}
            for ifo, view in self.detectors.items()
        }
        document: dict[str, object] = {
            "schema": SCHEMA,
            "identifier": self.identifier,
            "revision": self.revision,
            "time_gps_s": self.time,
            "time_utc": utc(self.time),
            "statistic": self.statistic,
            "far_per_year": self.far_per_year,
            "far_hz": self.far_per_year / SECONDS_PER_YEAR,
            "far_is_upper_limit": self.far_is_upper_limit,
            "detectors": detectors,
            "template": {_written(name): value for name, value in self.template.items()},
            "p_astro": dict(self.p_astro),
            "latency_s": dict(self.latency),
            "versions": dict(self.versions),
        }
        return dict(nulled(document))

    def text(self) -> str:
        """The document as text, which ``read`` reads."""
        return to_json(self.document())

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "LiveEvent":
        """The event of a document.

        Args:
            document: What ``document`` gave.

        Raises:
            StorageError: If it has another layout.
        """
        if document.get("schema") != SCHEMA:
            raise StorageError(f"no event of this version (schema {document.get('schema')!r}, not {SCHEMA!r})")
        try:
            return cls(
                identifier=str(document["identifier"]),
                revision=int(document["revision"]),
                time=_number(document["time_gps_s"]),
                statistic=_number(document["statistic"]),
                far_per_year=_number(document["far_per_year"]),
                far_is_upper_limit=bool(document["far_is_upper_limit"]),
                detectors={
                    ifo: DetectorView(*(_number(view[name]) for name in ("snr", "time_gps_s", "phase_rad")))
                    for ifo, view in document["detectors"].items()
                },
                template=_numbers({name.removesuffix(MASS_UNIT): v for name, v in document["template"].items()}),
                p_astro=_numbers(document["p_astro"]),
                latency=_numbers(document["latency_s"]),
                versions=dict(document["versions"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(f"an event without {error}" if isinstance(error, KeyError) else str(error)) from None

    @classmethod
    def read(cls, path: str) -> "LiveEvent":
        """Read an event's file.

        Args:
            path: Local or remote path.

        Raises:
            StorageError: If the file is missing, damaged, or of another kind.
        """
        text = storage.read_text(path)
        try:
            content = json.loads(text)
            if not isinstance(content, dict):
                raise StorageError("it is no JSON object")
            return cls.of(content)
        except (StorageError, ValueError, AttributeError) as error:
            raise StorageError(f"{path} is no event of aframe online: {error}") from None


def identifier_of(time: float) -> str:
    """Name of the signal whose first maximum is at a time.

    Args:
        time: GPS s.

    >>> identifier_of(1126259462.4208)
    'G1126259462421'
    """
    return f"G{round(time * 1000)}"


def first_time(identifier: str) -> float:
    """Time of the first maximum that an identifier names, GPS s, to the millisecond."""
    return int(identifier.removeprefix("G")) / 1000


def _written(name: str) -> str:
    return f"{name}{MASS_UNIT}" if name in TEMPLATE_MASSES else name


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: _number(value) for name, value in values.items()}
