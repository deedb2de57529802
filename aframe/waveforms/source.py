"""Sources of signals: a population and a waveform model, with a filter for unphysical draws."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from aframe.errors import ConfigurationError, DataError
from aframe.tables import PolarizationTable
from aframe.types import Array
from aframe.waveforms.mixtures import AnyPopulation, parts
from aframe.waveforms.parametrisations import LIMITS, unit_hint
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.population import draw
from aframe.waveforms.ringdown import ringdown_frequency

Progress = Callable[[int, int], None]
"""Function of the number of completed signals and the total number."""

Columns = dict[str, Array]

NOT_FINITE, BELOW_BAND, TOO_LOUD = "not_finite", "below_minimum_frequency", "too_loud"
UNPHYSICAL = (NOT_FINITE, TOO_LOUD)
"""Reasons to drop a draw as unphysical.

LAL fails or its waveform is not finite; the SNR exceeds that of any source.

A binary whose ringdown lies below the minimum frequency exists, and every search misses it: it has no waveform to train
with, but it is a rejected injection. The attribute ``num_<reason>`` of a table counts the dropped draws of each reason.
"""

PROBES = 4096
"""Number of draws in the test whether the waveform model refuses part of the population."""

MOST_WAVEFORMS = 1024
"""Largest number of waveforms in a batch."""

MOST_SAMPLES = 2**25
"""Largest number of samples of a polarization of all waveforms in a batch. They take 0.13 GB."""

HOPELESS_DRAWS = 512
"""Number of draws without any waveform after which the generation fails."""


def check_draws(columns: Columns) -> None:
    """Refuse draws that no binary has, such as declinations in degrees.

    Args:
        columns: Draws, columns of shape (n,).

    Raises:
        ConfigurationError: The message names the parameter and a value.
    """
    for name, values in columns.items():
        low, high = LIMITS.get(name, (-np.inf, np.inf))
        is_wrong = ~(np.isfinite(values) & (values >= low) & (values <= high))
        if is_wrong.any():
            value = values[is_wrong][0]
            must = f"from {low:.5g} to {high:.5g}" if np.isfinite(value) else "finite"
            raise ConfigurationError(
                f"the prior draws {name} = {value:.5g}, and it must be {must}: mend the prior{unit_hint(name)}"
            )


@dataclass(frozen=True)
class SignalSource:
    """Source of signals: population and waveform model.

    Attributes:
        population: Population of the binaries.
        generator: Generator of their waveforms.
        workers: Number of processes; None for all cores. The signals do not depend on it.

    Raises:
        ConfigurationError: If the generator has several models, and the population has another number of components.
    """

    population: AnyPopulation
    generator: WaveformGenerator
    workers: int | None = None

    def __post_init__(self) -> None:
        models, populations = len(self.generator.names), len(parts(self.population))
        if models not in (1, populations):
            raise ConfigurationError(
                f"approximant = {self.generator.approximant} names {models} models, and the prior has {populations} "
                f"population{'s' if populations > 1 else ''}: give one model for all, or one for each population"
            )

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of tables of signals. ``waveform_generator`` can compute waveforms from them."""
        generator = self.generator
        return {
            "approximant": generator.approximant,
            "sample_rate": generator.sample_rate,
            "duration": generator.duration,
            "right_pad": generator.right_pad,
            "minimum_frequency": generator.minimum_frequency,
            "reference_frequency": generator.reference_frequency,
            "prior_mass_frame": self.population.mass_frame,
        }

    @property
    def most_waveforms(self) -> int:
        """Largest number of waveforms in a batch. Long waveforms come in small batches."""
        return max(1, min(MOST_WAVEFORMS, MOST_SAMPLES // self.generator.size))

    @functools.cached_property
    def refused_share(self) -> float:
        """Share of ``PROBES`` draws that the waveform model refuses. If it is positive, each draw is tested.

        Raises:
            ConfigurationError: If a draw is impossible, or the model does not support the population's spins.
        """
        with np.errstate(all="ignore"):  # the check says what numpy would
            probes = draw(self.population, PROBES, np.random.default_rng(0))
        check_draws(probes)
        self.generator.check_spins(probes)
        return float(self.generator.refuses(probes, self.workers).mean())

    def check(self) -> None:
        """Check that the waveform model supports the population.

        Raises:
            ConfigurationError: If the model refuses all of ``PROBES`` draws, or does not support the spins.
        """
        if self.refused_share == 1:
            raise ConfigurationError(
                f"approximant = {self.generator.approximant} makes none of {PROBES} binaries of the prior: its masses "
                "and spins are not what the model is made for; choose another approximant or prior"
            )

    def without_waveform(self, columns: Columns) -> dict[str, Array]:
        """Find draws without a waveform: the model refuses them, or their signal ends below the minimum frequency.

        Distant draws get no waveform, so a failure of the model would remain hidden: the draw would count as a missed
        signal. A nearby draw with the same failure would be dropped. This test therefore treats all draws alike. If the
        model fails for less than one draw in thousands, the difference is negligible, and the test is skipped.

        Args:
            columns: Draws, columns of shape (n,).

        Returns:
            Booleans of shape (n,) for each reason. At most one reason applies to a draw.
        """
        spins = (columns[f"a_{i}"] * np.cos(columns[f"tilt_{i}"]) for i in (1, 2))
        highest = ringdown_frequency(columns["mass_1"], columns["mass_2"], *spins)
        below = highest < self.generator.minimum_frequency
        refused = np.zeros_like(below)
        if self.refused_share > 0:
            refused = self.generator.refuses(columns, self.workers)
        return {NOT_FINITE: refused & ~below, BELOW_BAND: below}


def waveform_generator(attributes: dict[str, Any], path: str) -> WaveformGenerator:
    """Create the generator of a table's waveforms.

    Args:
        attributes: Attributes of the table (see ``SignalSource.attributes``).
        path: Path of the table, for error messages.

    Raises:
        DataError: If attributes of the generator are missing.
    """
    names = ("approximant", "sample_rate", "duration", "right_pad", "minimum_frequency", "reference_frequency")
    missing = [name for name in names if name not in attributes]
    if missing:
        raise DataError(
            f"{path} has neither waveforms nor the attributes {', '.join(missing)} to compute them: "
            "make the table again, with store_waveforms = true or by this version"
        )
    return WaveformGenerator(*(attributes[name] for name in names))


def polarization_batches(
    source: SignalSource, number: int, rng: np.random.Generator, *, progress: Progress | None = None
) -> Iterator[PolarizationTable]:
    """Generate polarizations of signals for training.

    Args:
        source: Population and waveforms.
        number: Number of signals. New draws replace unphysical ones.
        rng: Source of all randomness.
        progress: Function to call after each batch.

    Yields:
        One or more batches of at most ``most_waveforms`` signals, ``number`` signals in total. Attributes
        ``num_<reason>`` count the dropped draws of a batch.

    Raises:
        DataError: If the first ``HOPELESS_DRAWS`` draws are all unphysical.
    """
    done = drawn = 0
    while True:
        columns = draw(source.population, min(source.most_waveforms, number - done), rng)
        dropped = source.without_waveform(columns)
        kept = np.flatnonzero(~np.any(list(dropped.values()), axis=0))
        plus, cross = source.generator.generate(rows(columns, kept), source.workers)
        finite = np.isfinite(plus[:, -1]) & ((plus != 0) | (cross != 0)).any(axis=-1)
        counts = {reason: int(which.sum()) for reason, which in dropped.items()}
        counts[NOT_FINITE] += int((~finite).sum())
        done, drawn = done + int(finite.sum()), drawn + len(columns["ra"])
        if done == 0 and drawn >= HOPELESS_DRAWS:
            raise DataError(
                f"{source.generator.approximant} makes no waveform of {drawn} draws "
                f"(the last {', '.join(f'{name}: {count}' for name, count in counts.items())}): "
                "check the prior's masses and spins against what the approximant allows"
            )
        yield PolarizationTable(
            rows(columns, kept[finite]),
            {"plus": plus[finite], "cross": cross[finite]},
            source.attributes | {f"num_{reason}": count for reason, count in counts.items()},
        )
        if progress is not None:
            progress(done, number)
        if done == number:
            return


def rows(columns: Columns, selection: Array | slice) -> Columns:
    """Select rows of all columns.

    Args:
        columns: Columns by name, of shape (n,) or (n, ifos).
        selection: Rows to select.
    """
    return {name: column[selection] for name, column in columns.items()}
