"""Decide which of the series that files hold are strain."""

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from aframe.errors import ConfigurationError, DataError
from aframe.strain.plausible import LARGEST_STRAIN, flaw_of_start

SITES: Mapping[str, tuple[str, ...]] = {
    "H1": ("H", "HANFORD", "LHO"),
    "L1": ("L", "LIVINGSTON", "LLO"),
    "V1": ("V", "VIRGO"),
    "K1": ("K", "KAGRA"),
    "G1": ("G", "GEO", "GEO600"),
}
"""Names of the observatory of each detector, in capital letters."""

ANY_STRAIN = "*STRAIN*"
"""Pattern of most names of strain: GDS-CALIB_STRAIN_CLEAN, DCS-CALIB_STRAIN_C01, LOSC-STRAIN, DAC-STRAIN_C20."""

STRAIN_NAMES: Mapping[str, tuple[str, ...]] = {
    "H1": (ANY_STRAIN,),
    "L1": (ANY_STRAIN,),
    "V1": (ANY_STRAIN, "Hrec_hoft*", "h_[0-9]*Hz"),
    "K1": (ANY_STRAIN,),
    "G1": (ANY_STRAIN, "DER_DATA_H*"),
}
"""Patterns of each observatory's names of strain, without the detector. Capitals do not matter."""

NO_STRAIN = re.compile(r"[AP]SD|SPECTR|MASK|VECTOR|STATE|QUALITY|FLAG|RANGE|UNCERT|SNR|WHITEN", re.IGNORECASE)
"""Words in names of what is made from strain."""

SUBSYSTEM = re.compile(r"[A-Z]\d:[A-Z]{3,5}-|[GV]1:[A-Z]{3,5}_")
"""Beginning of names of the detectors' channels, such as ``H1:PEM-CS_ACC_…`` or ``V1:ENV_…``."""

GWOSC_MASKS = ("DQMASK", "INJMASK")
"""Ends of the names of the masks in all of GWOSC's frame files, which nobody takes for strain."""

NAMELESS = "names no detector"
"""Flaw of a series if neither its names nor its file's tell the detector."""

NOT_CHOSEN = "is not the chosen channel"
"""Reason to leave out a series of a detector whose channel the user chooses."""

STRAIN_UNITS = ("", "strain", "dimensionless", "1", "none")
"""Units of strain, in small letters."""

TIME_UNIT = re.compile(r"(s(ec(ond)?s?)?|time)?", re.IGNORECASE)
"""Names of the second. Spectra have steps of Hz, hertz or s^-1."""

LEAST_RATE = 1024.0
"""Sample rate of the slowest strain that observatories publish, Hz. Slower series give way to faster ones."""

TOLERANCE = 0.1
"""Largest error of recorded times, in samples."""


@dataclass(frozen=True)
class Recording:
    """Metadata of one detector's strain in one file.

    Attributes:
        path: Path of the file.
        ifo: Detector.
        channel: Dataset of an HDF5 file, or channel of a frame file.
        start: Time of the first sample, GPS s.
        sample_rate: Sampling rate, Hz.
        size: Number of samples.
        first: Number of the first sample in the file's series.
        left_out: Number of samples that the series has beside these.
    """

    path: str
    ifo: str
    channel: str
    start: float
    sample_rate: float
    size: int
    first: int = 0
    left_out: int = 0

    @property
    def stop(self) -> float:
        """Time one sample after the last, GPS s."""
        return self.start + self.size / self.sample_rate

    def between(self, start: float, stop: float) -> "Recording | None":
        """The samples in [start, stop), GPS s. None if there are none."""
        low = max(0, math.ceil((start - self.start) * self.sample_rate - TOLERANCE))
        high = min(self.size, math.ceil((stop - self.start) * self.sample_rate - TOLERANCE))
        if high <= low:
            return None
        begin, left_out = self.start + low / self.sample_rate, self.left_out + self.size - (high - low)
        return replace(self, start=begin, size=high - low, first=self.first + low, left_out=left_out)


@dataclass(frozen=True)
class Series:
    """A series of numbers in a file, and what tells whether it is strain.

    Attributes:
        recording: The series as if it were strain. Its detector is empty if nothing names one.
        names: Names of the series; the first one is shown to users.
        unit: Unit of the values.
        flaw: Why it cannot be strain; empty if it can.
    """

    recording: Recording
    names: tuple[str, ...]
    unit: str = ""
    flaw: str = ""

    @property
    def is_named_strain(self) -> bool:
        """Whether one of its names is that of strain."""
        patterns = STRAIN_NAMES.get(self.recording.ifo, (ANY_STRAIN,))
        return any(is_strain_name(name, patterns) for name in self.names)

    @property
    def doubt(self) -> str:
        """Why it is probably not strain; empty without a reason."""
        if any(NO_STRAIN.search(name) for name in self.names):
            return "is made from strain or tells about it"
        if self.is_named_strain:
            return f"is in {self.unit}" if "hz" in self.unit.lower() else ""
        if self.unit.lower() not in STRAIN_UNITS:
            return f"is in {self.unit}"
        return "is no known name of strain" if any(SUBSYSTEM.match(name) for name in self.names) else ""

    def is_called(self, name: str) -> bool:
        """Whether a user's name for a channel, without the detector, is one of this series."""
        return any(name in (each, each.partition(":")[2]) for each in self.names)


@dataclass
class Choice:
    """Strain in a file, and what else is there.

    Attributes:
        recordings: The strain, one channel per detector and time.
        left_out: Names of other series, each with the reason.
    """

    recordings: list[Recording] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def is_strain_name(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name, with or without its detector, matches one of some patterns. Capitals do not matter."""
    short = name.partition(":")[2] or name
    return not NO_STRAIN.search(short) and any(fnmatchcase(short.upper(), pattern.upper()) for pattern in patterns)


def parse_channels(words: Iterable[str], where: str) -> dict[str, str]:
    """Parse channels that a user chooses, such as ``H1:GDS-CALIB_STRAIN_CLEAN``.

    Args:
        words: One channel of each detector, at most. A word may have several with commas between them.
        where: Name of the option or key, for error messages.

    Returns:
        Names without the detector, by detector.

    Raises:
        ConfigurationError: If a word names no detector, or two words name the same one.
    """
    channels: dict[str, str] = {}
    for word in (part.strip() for each in words for part in each.split(",")):
        ifo, _, name = word.partition(":")
        ifo = ifo.upper()
        if not re.fullmatch(r"[A-Z]\d", ifo) or not name:
            raise ConfigurationError(f"{where} {word}: give DETECTOR:NAME, as H1:GDS-CALIB_STRAIN_CLEAN")
        if ifo in channels:
            raise ConfigurationError(f"{where}: {ifo} has two channels, {channels[ifo]} and {name}: leave one out")
        channels[ifo] = name
    return channels


def choose(series: Sequence[Series], channels: Mapping[str, str], typical: Callable[[Recording], float]) -> Choice:
    """Choose the strain of a file, by the user's names, else by names, units, rates and values.

    Args:
        series: All series of the file.
        channels: Channels that the user chooses, by detector. Other detectors have none.
        typical: Returns a value that is usual in a series. It is called only if nothing else decides.

    Raises:
        DataError: If two channels of a detector may be strain, at the same time. The message says how to choose.
    """
    choice = Choice()
    for ifo in dict.fromkeys(each.recording.ifo for each in series):
        of_ifo = [each for each in series if each.recording.ifo == ifo]
        fit = [each for each in of_ifo if not _objection(each, channels)]
        for criterion in (
            lambda each: each.is_named_strain,
            lambda each: each.recording.sample_rate >= LEAST_RATE,
            lambda each: 0 < typical(each.recording) < LARGEST_STRAIN,
        ):
            if ifo not in channels and _overlap(fit):
                fit = [each for each in fit if criterion(each)] or fit
        names = _overlap(fit)
        if names:
            raise DataError(
                f"{fit[0].recording.path} has two channels of {ifo} that may be strain, {names[0]} and {names[1]}: "
                f"choose with --channel {_option(ifo, names[0])}, in a .cfg with channel = {_option(ifo, names[0])} in "
                "[luigi_data]"
            )
        choice.recordings += [each.recording for each in fit]
        choice.left_out |= {
            each.names[0]: _objection(each, channels) or f"gives way to {fit[0].names[0]}"
            for each in of_ifo
            if each not in fit
        }
    return choice


def _objection(series: Series, channels: Mapping[str, str]) -> str:
    """Why a series is left out, whatever else the file holds; empty if it may be strain."""
    name = channels.get(series.recording.ifo)
    if name is not None and not series.is_called(name):
        return f"{NOT_CHOSEN} of {series.recording.ifo}"
    return series.flaw or flaw_of_start(series.recording.start) or ("" if name is not None else series.doubt)


def _overlap(series: Sequence[Series]) -> tuple[str, str] | None:
    """Names of two series that cover the same time; None if all are apart."""
    ordered = sorted(series, key=lambda each: each.recording.start)
    reach, last = -math.inf, None
    for each in ordered:
        if last is not None and each.recording.start < reach - 0.1 / each.recording.sample_rate:
            return last.names[0], each.names[0]
        if each.recording.stop > reach:
            reach, last = each.recording.stop, each
    return None


def _option(ifo: str, name: str) -> str:
    return name if name.startswith(f"{ifo}:") else f"{ifo}:{name}"


def detector(*texts: str, file: str = "") -> str | None:
    """Detector that names of channels and groups begin with, or else the name of their file.

    Capital letters (H1:GDS-…, H1) count first, then small ones and observatories (h1_strain, Hanford). A small v1 is
    usually a version, and counts last.

    Args:
        *texts: Names of the channel and its groups. The first that names a detector counts.
        file: Name of the file, such as H-H1_LOSC-….hdf5 or H-STRAIN-….gwf.
    """
    plain = [text for text in texts if not text.startswith("v1")]
    inside, beside = (*map(_named, texts), *map(_observatory, plain)), (_named(file), _observatory(file))
    return next(filter(None, (*inside, *beside, *map(_observatory, texts))), None)


def detectors(text: str) -> tuple[str, ...]:
    """Detectors of which a text consists, or before the colon of a channel's name. Empty if it has other words.

    >>> detectors("H1L1"), detectors("Hanford, V1"), detectors("H1:PEM-EX"), detectors("H1 lost lock")
    (('H1', 'L1'), ('H1', 'V1'), ('H1',), ())
    """
    words = re.findall(r"[A-Za-z0-9]+", text.partition(":")[0])
    of_words = [_of_word(word) for word in words]
    return tuple(sorted({ifo for ifos in of_words for ifo in ifos})) if all(of_words) else ()


def _of_word(word: str) -> list[str]:
    """Detectors that a word names, such as H1, H1L1, HL, LHO or Hanford."""
    names = (ifo for ifo, sites in SITES.items() if word.upper() in (ifo, *sites))
    one = next(names, None)
    if one:
        return [one]
    letters = [next((ifo for ifo in SITES if ifo[0] == letter), "") for letter in word]
    return re.findall(r"[A-Z]\d", word) if re.fullmatch(r"([A-Z]\d)+", word) else letters if all(letters) else []


def _named(text: str) -> str | None:
    """Detector that a text names in capital letters."""
    head = text[2:] if len(text) > 4 and text[1] == "-" else text
    boundary = head[2:3] in ("", ":", "_", "-", ".")
    return head[:2] if boundary and head[:1].isupper() and head[1:2].isdigit() else None


def _observatory(text: str) -> str | None:
    """Detector that a text names in any letters, or by its observatory. Behind a single letter, there is a dash."""
    word, *others = re.split(r"[^A-Za-z0-9]", text.strip(), maxsplit=1)
    if len(word) == 1 and others and text.strip()[1] != "-":
        return None
    return next((ifo for ifo, names in SITES.items() if word.upper() in (ifo, *names)), None)


def units_per_second(unit: str) -> float | None:
    """Number of units of time in a second; None if a unit is not of time.

    >>> units_per_second("second"), units_per_second("ms"), units_per_second("Hz")
    (1.0, 1000.0, None)
    """
    if TIME_UNIT.fullmatch(unit):
        return 1.0
    from astropy import units

    for spelling in (unit, unit.rstrip("s"), unit.removesuffix("ec")):
        with contextlib.suppress(ValueError, TypeError):  # no unit, or one of something else
            return rate_of(units.Unit(spelling).to(units.s))
    return None


def rate_of(step: float) -> float:
    """Sample rate in Hz of a sampling interval in s, rounded if it is a whole number up to rounding errors."""
    rate = 1.0 / step
    return float(round(rate)) if abs(rate - round(rate)) < 1e-6 * rate else rate
