"""Stochastic placement of templates.

Draws of the population join the bank where it is still thin (Harry, Allen & Sathyaprakash, arXiv:0908.2090).
"""

import bisect
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from aframe.bank.matching import Matcher, Spectra, Spectrum
from aframe.errors import DataError
from aframe.machine.parallel import in_slices, one_thread, shared_array
from aframe.types import Array
from aframe.waveforms.source import Columns, Progress, rows
from aframe.waveforms.spectra import newtonian_phase

HOPELESS_DRAWS = 512
"""Number of draws without any template after which the placement fails."""

DRAWS_AT_ONCE = 256
"""Number of draws that are compared at once with a small bank. A large one has as many as it has templates."""

COMPARED_AT_ONCE = 64
"""Number of draws that a process compares at once with the bank."""

TEMPLATES_AT_ONCE = 64
"""Number of templates that a draw is compared with before the next ones."""

REACH = 60.0
"""Largest difference in the leading term of the phase at ``LOWEST`` between a binary and a template that is compared
with it, rad."""

LOWEST = 32.0
"""Frequency of these phases, Hz."""

EVENED_DRAWS = 12
"""Draws of the population for each one that ``even`` keeps."""

EVENED_BINS = 40
"""Bins in the logarithm of the chirp mass by which ``even`` tells common draws from rare ones."""

RECENT_DRAWS, TEMPLATES_PER_RECENT_DRAW = 300, 4
"""Number of draws that decide whether the bank is complete, and templates for each, if these are more. The share of few
draws falls below its limit by chance, in a bank that takes many of them."""

LARGEST_JOINING_SHARE = 0.01
"""Largest share of the recent draws that join a complete bank."""

SAVE_INTERVAL = 30.0
"""Time between two saved states of the placement, s."""


@dataclass
class Placement:
    """Templates so far, from which a placement goes on.

    Attributes:
        columns: Columns of the templates' binaries, with ``chirp_mass`` among them, in the order in which they joined;
            empty without templates.
        joined: Number of each one among the draws that have a template.
        drawn: Number of draws that have a template.
        batches: Number of batches of draws.
    """

    columns: Columns = field(default_factory=dict)
    joined: list[int] = field(default_factory=list)
    drawn: int = 0
    batches: int = 0

    @property
    def size(self) -> int:
        """Number of templates."""
        return len(self.joined)

    @property
    def recent(self) -> int:
        """Number of draws that decide whether the bank is complete. A larger bank needs more of them."""
        return max(RECENT_DRAWS, self.size // TEMPLATES_PER_RECENT_DRAW)

    @property
    def joining_share(self) -> float:
        """Share of the recent draws that joined."""
        return (self.size - bisect.bisect_left(self.joined, self.drawn - self.recent)) / self.recent

    @property
    def is_complete(self) -> bool:
        """Whether few of the recent draws joined."""
        return self.drawn >= self.recent and self.joining_share <= LARGEST_JOINING_SHARE

    def count(self, has_joined: bool) -> None:
        """Count a draw.

        Args:
            has_joined: Whether it joined.
        """
        if has_joined:
            self.joined.append(self.drawn)
        self.drawn += 1


def place(  # noqa: PLR0917 - what to place, how dense, and whom to inform
    matcher: Matcher,
    draw: Callable[[int, int], Columns],
    size: int,
    minimum_match: float,
    begun: Placement | None = None,
    save: Callable[[Placement], None] | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> "tuple[Placement, Bank]":
    """Place templates at random: a draw joins if its match with all templates is below ``minimum_match``.

    The placement ends with ``size`` templates, or earlier if at most 1 % of the recent draws join. Draws without a
    template do not count. A batch of draws is compared with the bank on all cores. Those that may join are then
    compared with each other, in their order. So the result depends on the draws alone.

    Args:
        matcher: Makes and compares spectra.
        draw: Function of a number and of a batch's number. It draws so many binaries, always the same for a batch.
        size: Largest number of templates.
        minimum_match: Match from which on a template stands for a binary.
        begun: An interrupted placement, to go on.
        save: Receives the placement every ``SAVE_INTERVAL`` seconds.
        progress: Function to call with the number of templates and ``size``.
        workers: Number of processes; None for all cores.

    Returns:
        The placement, in order of chirp mass, and the spectra of its templates, in the order in which they joined.

    Raises:
        DataError: If the first 512 draws have no template.
    """
    state, saved = begun or Placement(), time.monotonic()
    bank = Bank(matcher, size, state.columns)
    while not state.is_complete and state.size < size:
        columns = draw(min(matcher.most_draws, max(DRAWS_AT_ONCE, state.size)), state.batches)
        _take(bank, state, columns, minimum_match, workers)
        state.batches += 1
        if not state.drawn and state.batches * DRAWS_AT_ONCE >= HOPELESS_DRAWS:
            raise DataError(
                f"none of {state.batches * DRAWS_AT_ONCE} draws has a template: check the prior against what the "
                "approximant allows"
            )
        if save is not None and time.monotonic() - saved >= SAVE_INTERVAL:
            save(state)
            saved = time.monotonic()
        if progress is not None:
            progress(state.size, size)
    columns = rows(state.columns, np.argsort(state.columns["chirp_mass"], kind="stable"))
    return replace(state, columns=columns), bank


class Bank:
    """Spectra of templates, which others join.

    Args:
        matcher: Makes and compares spectra.
        most: Largest number of templates.
        columns: Columns of the first templates; may be empty.
    """

    def __init__(self, matcher: Matcher, most: int, columns: Columns) -> None:
        self.matcher, self.most, self.size = matcher, most, 0
        self._phases = np.empty(most)
        self._spectra: Spectra | None = None
        if columns:
            for spectrum, row in zip(matcher.templates(columns), _each(columns), strict=True):
                self.add(spectrum, row["phase"])

    @property
    def spectra(self) -> Spectra:
        """Spectra in the order in which they joined."""
        assert self._spectra is not None
        return self._spectra[: self.size]

    def add(self, spectrum: Spectrum, phase: float) -> None:
        """Add a template.

        Args:
            spectrum: Its spectrum.
            phase: Leading term of its phase at ``LOWEST``, rad.
        """
        if self._spectra is None:  # pages that nothing has been written to take no memory
            self._spectra = torch.empty((self.most, len(spectrum)), dtype=torch.complex64)
        self._spectra[self.size] = spectrum
        self._phases[self.size] = phase
        self.size += 1

    def best(self, signal: Spectrum, row: Mapping[str, float], enough: float | None, first: int = 0) -> float:
        """Best match of a signal with the templates, with those in reach alone if ``enough`` is given; 0 without any.

        Args:
            signal: Spectrum of the signal.
            row: Its total mass, and the leading term of its phase.
            enough: Match that ends the search: see ``Matcher.best``.
            first: Number of templates to leave out, the first ones.
        """
        distances = np.abs(self._phases[first : self.size] - row["phase"])
        near = np.flatnonzero(distances <= (np.inf if enough is None else REACH))
        if not len(near):
            return 0.0
        near, total_mass, best = first + near[np.argsort(distances[near])], row["total_mass"], 0.0
        near = self.matcher.likely(signal, total_mass, self.spectra, near, enough)
        for start in range(0, len(near), TEMPLATES_AT_ONCE):
            some = self.spectra[torch.from_numpy(near[start : start + TEMPLATES_AT_ONCE])]
            best = max(best, self.matcher.best(signal, total_mass, some, enough))
            if enough is not None and best >= enough:
                break
        return best


def matches(bank: Bank, columns: Columns, signals: Spectra, workers: int | None = None) -> Array:
    """Best match of each signal with the templates of a bank, over time and phase.

    Args:
        bank: The templates.
        columns: Parameters of the signals.
        signals: Their spectra: see ``Matcher.signals``.
        workers: Number of processes; None for all cores.

    Returns:
        Matches from 0 to 1, shape (signals,).
    """
    return _best(bank, columns, signals, None, workers)


def even(columns: Columns, number: int, rng: np.random.Generator) -> Columns:
    """Choose draws so that rare chirp masses become more common: by the inverse root of the density in its logarithm.

    A bank of the population's own draws has gaps where binaries are rare, and a loud signal there would be lost. Light
    binaries are both rare and need the most templates.

    Args:
        columns: Draws, with ``chirp_mass`` among the columns.
        number: Number of draws to choose; all if there are no more.
        rng: Random generator.
    """
    logarithm = np.log(columns["chirp_mass"])
    counts, edges = np.histogram(logarithm, EVENED_BINS)
    weights = counts[np.clip(np.digitize(logarithm, edges) - 1, 0, EVENED_BINS - 1)] ** -0.5
    chosen = rng.choice(len(weights), min(number, len(weights)), replace=False, p=weights / weights.sum())
    return rows(columns, chosen)


def _take(bank: Bank, state: Placement, columns: Columns, minimum_match: float, workers: int | None) -> None:
    """Let draws join the bank, in their order, until it is complete or full."""
    spectra = bank.matcher.templates(columns)
    finite = np.flatnonzero(torch.isfinite(torch.view_as_real(spectra)).all(-1).all(-1).numpy())
    columns, spectra, before = rows(columns, finite), spectra[torch.from_numpy(finite)], bank.size
    covered = _best(bank, columns, spectra, minimum_match, workers) >= minimum_match
    joined = []
    for number, row in enumerate(_each(columns)):
        if state.is_complete or bank.size == bank.most:
            break
        has_joined = not covered[number] and bank.best(spectra[number], row, minimum_match, before) < minimum_match
        if has_joined:
            bank.add(spectra[number], row["phase"])
            joined.append(number)
        state.count(has_joined)
    new = rows(columns, np.array(joined, dtype=int))
    state.columns = {
        name: np.concatenate([state.columns[name], values]) if state.columns else values for name, values in new.items()
    }


def _best(bank: Bank, columns: Columns, signals: Spectra, enough: float | None, workers: int | None) -> Array:
    """Best match of each signal with a bank, as far as ``enough`` asks, on all cores."""
    result = shared_array((len(signals),))
    row = list(_each(columns))

    def run(some: slice) -> None:
        result[some] = [bank.best(signal, each, enough) for signal, each in zip(signals[some], row[some], strict=True)]

    if bank.size:
        with one_thread():
            in_slices(run, len(signals), COMPARED_AT_ONCE, workers)
    return result


def _each(columns: Columns) -> Iterator[dict[str, float]]:
    """Total mass, solar masses, and leading term of the phase at ``LOWEST``, rad, of each binary."""
    masses, phases = columns["mass_1"] + columns["mass_2"], newtonian_phase(columns["chirp_mass"], LOWEST)
    for total_mass, phase in zip(masses.tolist(), phases.tolist(), strict=True):
        yield {"total_mass": total_mass, "phase": phase}
