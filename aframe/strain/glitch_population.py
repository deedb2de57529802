"""Populations of glitches: rates and distributions of each class in each detector."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib import resources

import numpy as np
from scipy import stats

from aframe import storage
from aframe.errors import DataError
from aframe.strain.glitch_models import MODELS, Range
from aframe.tables import GlitchTable
from aframe.types import Array

SHIPPED = {"o3": "glitches_o3.csv"}
"""Tables of populations that the package has, by the value of the key ``glitches``."""

LOWEST_SNR = 7.5
"""Smallest SNR of a glitch. Gravity Spy classifies triggers above it."""

HIGHEST_SNR = 3000.0
"""Largest SNR of a glitch."""

LARGEST_SHARE = 0.1
"""Share of the time that glitches may fill before a run prints a warning."""


@dataclass(frozen=True)
class ClassDistribution:
    """Rate and distribution of a class of glitches in a detector. The fields are the columns of a table of them.

    The excess of the logarithm of the frequency over that of its smallest value has a Weibull distribution. The same
    holds for width and SNR. A Gaussian copula correlates them. With a power of 1, the tail of the SNR is a power law.

    Attributes:
        glitch_class: Class, a key of ``MODELS``.
        ifo: Detector.
        rate_per_hour: Glitches per hour.
        frequency_scale: Scale of ln(frequency / smallest).
        frequency_power: Power of the Weibull distribution.
        width_scale: Scale of ln(gamma / smallest), of arches and whistles ln(duration / smallest).
        width_power: Its power.
        snr_scale: Scale of ln(SNR / 7.5).
        snr_power: Its power.
        frequency_width: Correlation of frequency and width.
        frequency_snr: Correlation of frequency and SNR.
        width_snr: Correlation of width and SNR.
        phase: Mean phase, rad, up to half a turn. Both signs are equally frequent.
        phase_spread: Standard deviation of the phase, rad. Above 1, all phases are nearly equally frequent.
    """

    glitch_class: str
    ifo: str
    rate_per_hour: float
    frequency_scale: float
    frequency_power: float
    width_scale: float
    width_power: float
    snr_scale: float
    snr_power: float
    frequency_width: float
    frequency_snr: float
    width_snr: float
    phase: float
    phase_spread: float

    @property
    def correlation(self) -> Array:
        """Correlations of the copula: frequency, width, SNR."""
        a, b, c = self.frequency_width, self.frequency_snr, self.width_snr
        return np.array([[1.0, a, b], [a, 1.0, c], [b, c, 1.0]])

    def draw(self, number: int, rng: np.random.Generator) -> GlitchTable:
        """Draw glitches of this class. Their times are not a number.

        Args:
            number: Number of glitches.
            rng: Random generator.
        """
        model = MODELS[self.glitch_class]
        normal = rng.standard_normal((number, 3)) @ np.linalg.cholesky(self.correlation).T
        share = stats.norm.cdf(normal)
        width = _weibull(share[:, 1], self.width_scale, self.width_power, model.width)
        phase = self.phase + self.phase_spread * rng.standard_normal(number) + np.pi * rng.integers(0, 2, number)
        unknown = np.full(number, np.nan)
        return GlitchTable(
            {
                "glitch_time": unknown,
                "ifo": np.full(number, self.ifo),
                "glitch_class": np.full(number, self.glitch_class),
                "snr": _weibull(share[:, 2], self.snr_scale, self.snr_power, Range(LOWEST_SNR, HIGHEST_SNR)),
                "frequency": _weibull(share[:, 0], self.frequency_scale, self.frequency_power, model.frequency),
                "gamma": width if model.width_name == "gamma" else unknown,
                "duration": width if model.width_name == "duration" else unknown,
                "phase": np.mod(phase, 2 * np.pi),
            }
        )

    @property
    def longest_duration(self) -> float:
        """Longest duration of a glitch, s."""
        model = MODELS[self.glitch_class]
        return model.width.highest if model.width_name == "duration" else 2.5 / model.frequency.lowest


def _weibull(share: Array, scale: float, power: float, within: Range) -> Array:
    """Values at shares of the distribution whose logarithm exceeds that of the smallest by a Weibull variable."""
    most = -np.expm1(-((np.log(within.highest / within.lowest) / scale) ** power))
    return within.lowest * np.exp(scale * (-np.log1p(-share * most)) ** (1 / power))


COLUMNS = tuple(field.name for field in fields(ClassDistribution))
"""Columns of a table of distributions."""


@dataclass(frozen=True)
class GlitchPopulation:
    """Distributions of all classes of glitches.

    Attributes:
        distributions: One for each class and detector.
    """

    distributions: tuple[ClassDistribution, ...]

    def of(self, ifo: str) -> list[ClassDistribution]:
        """Distributions of a detector.

        Raises:
            DataError: If it has none.
        """
        own = [each for each in self.distributions if each.ifo == ifo]
        if not own:
            ifos = ", ".join(sorted({each.ifo for each in self.distributions}))
            raise DataError(f"glitches have rows of {ifos}, not of {ifo}: give a table with rows of {ifo}")
        return own

    def filled_share(self, ifo: str) -> float:
        """Share of the time that a detector's glitches fill at most."""
        return sum(each.rate_per_hour / 3600 * each.longest_duration for each in self.of(ifo))

    def draw(self, ifo: str, number: int, rng: np.random.Generator, classes: Sequence[str] = ()) -> GlitchTable:
        """Draw glitches of a detector, each class in proportion to its rate. Their times are not a number.

        Args:
            ifo: Detector.
            number: Number of glitches.
            rng: Random generator.
            classes: Classes; all by default.

        Raises:
            DataError: If the detector has no glitches of these classes.
        """
        own = [each for each in self.of(ifo) if each.glitch_class in (classes or MODELS)]
        rates = np.array([each.rate_per_hour for each in own])
        if not rates.sum() > 0:
            raise DataError(f"{ifo} has no glitches of {', '.join(classes) or 'any class'}: give others, or a rate")
        counts = rng.multinomial(number, rates / rates.sum())
        drawn = [each.draw(int(count), rng) for each, count in zip(own, counts, strict=True)]
        return GlitchTable.concatenate(drawn).rows(rng.permutation(number))


def read_population(name_or_path: str) -> GlitchPopulation:
    """Read a table of distributions.

    Args:
        name_or_path: ``o3``, or a CSV file with the columns ``COLUMNS``. Lines that begin with # are comments.

    Raises:
        DataError: If a column is missing, a class is unknown, or a value is no distribution's.
        StorageError: If the file does not exist.
    """
    shipped = SHIPPED.get(name_or_path)
    path = str(resources.files("aframe.strain") / shipped) if shipped else name_or_path
    lines = [line for line in storage.read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(lines, skipinitialspace=True)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise DataError(f"{path} lacks the column {', '.join(missing)}: begin with a copy of glitches_o3.csv")
    rows = tuple(_distribution(row, f"{path}, row {number}") for number, row in enumerate(reader, 1))
    if not rows:
        raise DataError(f"{path} has no rows: give one for each class and detector, or leave glitches out")
    return GlitchPopulation(rows)


def _distribution(row: dict[str, str], place: str) -> ClassDistribution:
    """Distribution of a row."""
    try:
        numbers = {name: float(row[name]) for name in COLUMNS[2:]}
    except (TypeError, ValueError):
        wrong = next(name for name in COLUMNS[2:] if not _is_number(row[name]))
        raise DataError(f"{place}: {wrong} = {row[wrong]!r} is no number: mend it") from None
    result = ClassDistribution(row["glitch_class"], row["ifo"], **numbers)
    if result.glitch_class not in MODELS:
        raise DataError(f"{place}: the class {result.glitch_class!r} is none of {', '.join(MODELS)}: mend it")
    positive = {name: value for name, value in numbers.items() if name.endswith(("_scale", "_power"))}
    if not (np.isfinite(list(numbers.values())).all() and min(positive.values()) > 0 and result.rate_per_hour >= 0):
        raise DataError(f"{place}: scales and powers must be positive, the rate not negative, all finite: mend them")
    if not (np.linalg.eigvalsh(result.correlation) > 0).all():
        raise DataError(f"{place}: no three quantities have these correlations: bring them closer to 0")
    return result


def _is_number(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True
