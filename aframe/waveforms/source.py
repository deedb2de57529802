"""Where signals come from: a population, a waveform model, and what of their draws is no signal."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from aframe.errors import ConfigurationError, DataError
from aframe.tables import PolarizationTable
from aframe.types import Array
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import Population, draw
from aframe.waveforms.ringdown import ringdown_frequency

Progress = Callable[[int, int], None]
"""Called with what is done and what is wanted."""

Columns = dict[str, Array]

NOT_FINITE, BELOW_BAND, TOO_LOUD = "not_finite", "below_minimum_frequency", "too_loud"
UNPHYSICAL = (NOT_FINITE, BELOW_BAND, TOO_LOUD)
"""Why a draw is no signal: LAL refuses it or makes it not finite; its ringdown lies below the minimum frequency; its
SNR is one that no source has. A table counts each in its attribute ``num_<reason>``."""

PROBES = 4096
"""Draws by which it is judged whether the waveform model refuses some of the population."""

MOST_WAVEFORMS = 1024
"""Waveforms made at once."""

HOPELESS_DRAWS = 512
"""Draws of which the model makes none, after which to give up."""


@dataclass(frozen=True)
class SignalSource:
    """Where signals come from.

    Attributes:
        population: What binaries there are.
        generator: How their waveforms are made.
        workers: Processes that make them, all cores when None; the signals do not depend on it.
    """

    population: Population
    generator: WaveformGenerator
    workers: int | None = None

    @property
    def attributes(self) -> dict[str, Any]:
        """What a table says about the waveforms of its rows; enough to make them anew (``waveform_generator``)."""
        made = self.generator
        return {
            "approximant": made.approximant,
            "sample_rate": made.sample_rate,
            "duration": made.duration,
            "right_pad": made.right_pad,
            "minimum_frequency": made.minimum_frequency,
            "reference_frequency": made.reference_frequency,
            "prior_mass_frame": self.population.mass_frame,
        }

    @functools.cached_property
    def refused_share(self) -> float:
        """Share of ``PROBES`` draws that the waveform model refuses: where there are any, each draw must be tried.

        Raises:
            ConfigurationError: If the population has spins that the model has not.
        """
        probes = draw(self.population, PROBES, np.random.default_rng(0))
        self.generator.check_spins(probes)
        return float(self.generator.refuses(probes, self.workers).mean())

    def check(self) -> None:
        """Refuse a population of which there can be no waveforms.

        Raises:
            ConfigurationError: If the waveform model refuses all of ``PROBES`` draws, or lacks the population's spins.
        """
        if self.refused_share == 1:
            raise ConfigurationError(
                f"approximant = {self.generator.approximant} makes none of {PROBES} binaries of the prior: its masses "
                "and spins are not what the model is made for; choose another approximant or prior"
            )

    def unphysical(self, columns: Columns) -> dict[str, Array]:
        """Which draws can be told to be no signals without making their waveforms.

        A draw that is too far away to be loud needs no waveform, so that a failure of the model would go unnoticed
        there, and be counted as a missed signal, while it is left out nearby. Where a model fails on less than one
        draw in thousands this cannot matter, and the draws are not tried.

        Args:
            columns: Draws, shape (n,) each.

        Returns:
            By reason, booleans of shape (n,); at most one is true for a draw.
        """
        spins = (columns[f"a_{i}"] * np.cos(columns[f"tilt_{i}"]) for i in (1, 2))
        highest = ringdown_frequency(columns["mass_1"], columns["mass_2"], *spins)
        below = highest < self.generator.minimum_frequency
        refused = np.zeros_like(below)
        if self.refused_share > 0:
            refused = self.generator.refuses(columns, self.workers)
        return {NOT_FINITE: refused & ~below, BELOW_BAND: below}


def waveform_generator(attributes: dict[str, Any], path: str) -> WaveformGenerator:
    """The generator of a table's waveforms, from the table's attributes.

    Raises:
        DataError: If they do not say how the waveforms were made.
    """
    names = ("approximant", "sample_rate", "duration", "right_pad", "minimum_frequency", "reference_frequency")
    missing = [name for name in names if name not in attributes]
    if missing:
        raise DataError(
            f"{path} has neither waveforms nor the attributes {', '.join(missing)} to make them anew: "
            "make the table again, with store_waveforms = true or by this version"
        )
    return WaveformGenerator(*(attributes[name] for name in names))


def polarization_batches(
    source: SignalSource, number: int, rng: np.random.Generator, *, progress: Progress | None = None
) -> Iterator[PolarizationTable]:
    """Signals to train with, before any detector sees them.

    Args:
        source: Population and waveforms.
        number: How many; a draw that is no signal is dropped and another one drawn.
        rng: Everything random comes from here.
        progress: Called after each batch.

    Yields:
        ``number`` signals in all, ``MOST_WAVEFORMS`` at most at once, at least one batch; attributes
        ``num_<reason>`` count the draws that were dropped in the batch.

    Raises:
        DataError: If the first ``HOPELESS_DRAWS`` must all be dropped.
    """
    done = drawn = 0
    while True:
        columns = draw(source.population, min(MOST_WAVEFORMS, number - done), rng)
        dropped = source.unphysical(columns)
        tried = np.flatnonzero(~np.any(list(dropped.values()), axis=0))
        plus, cross = source.generator.generate(rows(columns, tried), source.workers)
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
            rows(columns, tried[finite]),
            {"plus": plus[finite], "cross": cross[finite]},
            source.attributes | {f"num_{reason}": count for reason, count in counts.items()},
        )
        if progress is not None:
            progress(done, number)
        if done == number:
            return


def rows(columns: Columns, selection: Array | slice) -> Columns:
    """Some rows of some columns."""
    return {name: column[selection] for name, column in columns.items()}
