"""Sets of simulated signals: to train with, to validate with, and to measure the search with."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from aframe.errors import ConfigurationError, DataError
from aframe.tables import InjectionTable, PolarizationTable, RejectedTable, ResponseTable
from aframe.types import Array
from aframe.waveforms.horizon import HorizonBound, geocentric_snr, inverse_asd, optimal_snr
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import Population, draw
from aframe.waveforms.projection import (
    Geometry,
    antenna_patterns,
    detector_geometry,
    greenwich_mean_sidereal_time,
    project,
)

Progress = Callable[[int, int], None]
"""Called with what is done and what is wanted."""

Columns = dict[str, Array]

DRAWS = 16384
"""Binaries drawn at once; most need no waveform."""

MOST_WAVEFORMS, FEWEST_WAVEFORMS = 1024, 64
"""Waveforms made at once."""

BATCH = 64
"""Signals projected at once."""

UNPHYSICAL_SNR = 1e4
"""A louder signal is a fault of the waveform model, not a signal."""

HOPELESS_DRAWS = 100 * DRAWS
"""Draws without a single acceptance after which to give up."""

GEOCENTRIC_TOLERANCE = 0.98
"""The ratio without arrival delays is right to far better than this."""


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
    def attributes(self) -> dict[str, float]:
        """What a table of its waveforms says about them."""
        made = self.generator
        return {"sample_rate": made.sample_rate, "duration": made.duration, "right_pad": made.right_pad}


@dataclass(frozen=True, eq=False)
class Selection:
    """Which signals are loud enough.

    Attributes:
        ifos: Detectors, by LAL's two-letter names.
        psds: Shape (ifos, frequency), 1/Hz, on the grid of ``aframe.spectral.power_spectral_density``.
        highpass: Hz, where the signal-to-noise ratio's integral begins.
        lowpass: Hz, where it ends; None for the Nyquist frequency.
        snr_threshold: Smallest network signal-to-noise ratio.
    """

    ifos: tuple[str, ...]
    psds: Tensor
    highpass: float
    lowpass: float | None
    snr_threshold: float


@dataclass(frozen=True)
class Placement:
    """Where the injections of one segment and time slide may lie.

    Attributes:
        start: GPS s.
        stop: GPS s.
        spacing: Seconds from one to the next.
        buffer: Seconds kept free at both ends.
        jitter: Largest random offset, in seconds, from the regular spacing.
        shift: Seconds by which each detector's data are shifted.
    """

    start: float
    stop: float
    spacing: float
    buffer: float
    jitter: float
    shift: tuple[float, ...]

    @property
    def capacity(self) -> int:
        """How many injections fit."""
        room = self.stop - self.start - 2 * (self.buffer + self.jitter)
        return 0 if room < 0 else int(np.floor(room / self.spacing + 1e-9)) + 1


def polarization_set(
    source: SignalSource, number: int, rng: np.random.Generator, *, progress: Progress | None = None
) -> PolarizationTable:
    """Signals to train with, before any detector sees them.

    Args:
        source: Population and waveforms.
        number: How many; a waveform that is not finite, or zero throughout, is dropped and another one drawn.
        rng: Everything random comes from here.
        progress: Called after each batch.

    Returns:
        ``number`` signals; attribute ``num_dropped`` counts the dropped ones.

    Raises:
        DataError: If a whole batch must be dropped.
    """
    shape = (number, source.generator.size)
    waveforms = {name: np.empty(shape, dtype=np.float32) for name in ("plus", "cross")}
    kept: list[Columns] = []
    done = dropped = 0
    while done < number:
        columns = draw(source.population, min(MOST_WAVEFORMS, number - done), rng)
        plus, cross = source.generator.generate(columns, source.workers)
        good = np.flatnonzero(np.isfinite(plus[:, -1]) & ((plus != 0) | (cross != 0)).any(axis=-1))
        if len(good) == 0:
            raise DataError(
                f"{source.generator.approximant} makes no finite waveform of {len(plus)} draws: "
                "check the prior's masses and spins against what the approximant allows"
            )
        waveforms["plus"][done : done + len(good)] = plus[good]
        waveforms["cross"][done : done + len(good)] = cross[good]
        kept.append(_rows(columns, good))
        done, dropped = done + len(good), dropped + len(plus) - len(good)
        if progress is not None:
            progress(done, number)
    return PolarizationTable(_stack(kept, source), waveforms, {**source.attributes, "num_dropped": dropped})


def accepted_signals(
    source: SignalSource,
    selection: Selection,
    number: int,
    rng: np.random.Generator,
    *,
    gps_times: Array | None = None,
    progress: Progress | None = None,
) -> tuple[ResponseTable, RejectedTable]:
    """Draw until exactly ``number`` signals are loud enough.

    Draws that cannot be loud enough (``HorizonBound``) get no waveform. Draws after the last acceptance that is needed
    count in neither table. With ``gps_times``, a draw's ``ra`` is its angle from Greenwich until it is accepted and
    placed, and right ascension from then on: the same distribution where ``ra`` is uniform over the circle.

    Args:
        source: Population and waveforms.
        selection: Detectors, their noise, and the threshold.
        number: Signals wanted.
        rng: Everything random comes from here.
        gps_times: GPS s at the geocentre of each signal, shape (number,). None leaves ``ra`` the angle from Greenwich.
        progress: Called after each batch.

    Returns:
        The accepted, with the responses of the detectors; and the rejected, parameters only. Attributes
        ``num_injections`` counts both; ``num_unphysical`` counts the draws that are in neither because their waveform
        is not finite or louder than 10⁴.

    Raises:
        ConfigurationError: If there are times and the population is not uniform in right ascension.
        DataError: If draws are never loud enough, or a PSD is not positive in band.
    """
    if gps_times is not None and not source.population.isotropic_in_right_ascension:
        raise ConfigurationError(
            "the prior's ra must be bilby's Uniform over 0 to 2 pi: the Earth turns between injections"
        )
    sieve = _Sieve(source, selection, number)
    while sieve.done < number:
        sieve.sift(draw(source.population, DRAWS, rng), progress)
    return sieve.tables(gps_times)


def injection_times(placement: Placement, rng: np.random.Generator) -> Array:
    """Regularly spaced times with a random offset each, in GPS s; as many as fit.

    Args:
        placement: Where they may lie; both ends' buffer stays free whatever the offsets.
        rng: Source of the offsets.

    Raises:
        ConfigurationError: If offsets could make injections change places.
    """
    p = placement
    if not 0 <= 2 * p.jitter < p.spacing:
        raise ConfigurationError(f"jitter = {p.jitter} s must be less than half of spacing = {p.spacing} s")
    room = p.stop - p.start - 2 * (p.buffer + p.jitter)
    number = 0 if room < 0 else int(np.floor(room / p.spacing + 1e-9)) + 1
    regular = p.start + p.buffer + p.jitter + p.spacing * np.arange(number)
    return np.asarray(regular + rng.uniform(-p.jitter, p.jitter, number))


def injection_set(
    source: SignalSource,
    selection: Selection,
    placement: Placement,
    number: int,
    rng: np.random.Generator,
    *,
    progress: Progress | None = None,
) -> tuple[InjectionTable, RejectedTable]:
    """Signals for one segment and time slide, loud enough in the segment's own noise.

    Args:
        source: Population and waveforms.
        selection: Detectors, the segment's PSDs, and the threshold.
        placement: Where they may lie; where more fit than are wanted, places are chosen at random.
        number: How many.
        rng: Everything random comes from here.
        progress: Called after each batch.

    Returns:
        Accepted signals, coalescing at the geocentre ``right_pad`` before their waveforms' ends, at
        ``injection_time``; and the rejected draws.

    Raises:
        DataError: If fewer fit.
    """
    p = placement
    times = injection_times(p, rng)
    if number > len(times):
        raise DataError(
            f"{number} injections do not fit between GPS {p.start} and {p.stop} at spacing = {p.spacing} s: "
            f"{len(times)} do; ask for fewer, or lessen spacing"
        )
    times = times[np.sort(rng.choice(len(times), number, replace=False))]
    accepted, rejected = accepted_signals(source, selection, number, rng, gps_times=times, progress=progress)
    shift = np.tile(np.asarray(p.shift, dtype=np.float64), (number, 1))
    columns = {**accepted.parameters, "injection_time": times, "shift": shift}
    return InjectionTable(columns, accepted.waveforms, accepted.attributes), rejected


@dataclass
class _Sieve:
    """Sorts draws into accepted, rejected and unphysical, in their order, until enough are accepted."""

    source: SignalSource
    selection: Selection
    number: int
    done: int = 0
    drawn: int = 0
    unphysical: int = 0
    made: int = 0
    accepted: list[Columns] = field(default_factory=list)
    rejected: list[Columns] = field(default_factory=list)

    def __post_init__(self) -> None:
        chosen, made = self.selection, self.source.generator
        self.geometry: Geometry = detector_geometry(chosen.ifos)
        self.bound = HorizonBound.build(made, chosen.psds, chosen.highpass, chosen.lowpass)
        self.weights = inverse_asd(chosen.psds, made.size, made.sample_rate, chosen.highpass, chosen.lowpass)
        shape = (self.number, made.size)
        self.waveforms = {ifo.lower(): np.empty(shape, dtype=np.float32) for ifo in chosen.ifos}

    def sift(self, columns: Columns, progress: Progress | None) -> None:
        """Sort a batch of draws, or as much of it as is needed."""
        draws = len(columns["ra"])
        rejected = np.ones(draws, dtype=bool)
        candidates, last = self._candidates(columns), draws - 1
        while len(candidates) and self.done < self.number:
            part, candidates = np.split(candidates, [self._next_size()])
            good, loud, found = self._measure(_rows(columns, part))
            loud, ratios = self._keep(loud, found)
            if self.done == self.number:
                last = int(part[loud[-1]])
            self.made += len(part)
            rejected[part[loud]] = False
            rejected[part[~good]] = False
            self.unphysical += int((part[~good] <= last).sum())
            self.accepted.append(_rows(columns, part[loud]) | ratios)
            if progress is not None:
                progress(self.done, self.number)
        self.drawn += last + 1
        self.rejected.append(_rows(columns, np.flatnonzero(rejected[: last + 1])))
        if self.done == 0 and self.drawn >= HOPELESS_DRAWS:
            raise DataError(
                f"none of {self.drawn} draws has a network SNR of {self.selection.snr_threshold}: "
                "check the PSDs (1/Hz), the prior's distances, and snr_threshold"
            )

    def tables(self, gps_times: Array | None) -> tuple[ResponseTable, RejectedTable]:
        """What was sorted, as tables; the accepted placed at their times."""
        columns = _stack(self.accepted, self.source)
        columns.setdefault("snr", np.empty(0))
        columns.setdefault("ifo_snrs", np.empty((0, len(self.selection.ifos))))
        if gps_times is not None:
            columns["ra"] = (columns["ra"] + greenwich_mean_sidereal_time(gps_times)) % (2 * np.pi)
        rejected = _stack(self.rejected, self.source)
        attributes = {
            **self.source.attributes,
            "ifos": list(self.selection.ifos),
            "snr_threshold": self.selection.snr_threshold,
            "num_injections": self.drawn - self.unphysical,
            "num_unphysical": self.unphysical,
        }
        return ResponseTable(columns, self.waveforms, attributes), RejectedTable(rejected, {}, dict(attributes))

    def _candidates(self, columns: Columns) -> Array:
        f_plus, f_cross = antenna_patterns(self.geometry, *_angles(columns))
        power = (f_plus.square() + f_cross.square()).double().numpy()
        largest = self.bound(columns["mass_1"], columns["mass_2"], columns["luminosity_distance"], power)
        return np.flatnonzero(largest >= self.selection.snr_threshold)

    def _next_size(self) -> int:
        """Waveforms to make next: about as many as are still needed, judging by the share accepted so far."""
        share = (self.done + 1) / (self.made + 5)
        return int(np.clip(1.2 * (self.number - self.done) / share, FEWEST_WAVEFORMS, MOST_WAVEFORMS))

    def _measure(self, columns: Columns) -> tuple[Array, Array, tuple[Tensor, Tensor]]:
        """Of some candidates: which are physical, which are loud enough, and the latter's responses and ratios."""
        plus, cross = map(torch.from_numpy, self.source.generator.generate(columns, self.source.workers))
        ra, dec, psi = _angles(columns)
        chosen, rate = self.selection, self.source.generator.sample_rate
        f_plus, f_cross = antenna_patterns(self.geometry, ra, dec, psi)
        rough = torch.zeros(len(plus))
        for b in _batches(len(plus)):
            rough[b] = geocentric_snr(plus[b], cross[b], (f_plus[b], f_cross[b]), self.weights).norm(dim=-1)
        good = torch.isfinite(rough) & (rough <= UNPHYSICAL_SNR)
        maybe = torch.nonzero(good & (rough >= GEOCENTRIC_TOLERANCE * chosen.snr_threshold)).flatten()
        loud = [maybe[:0]]
        responses, ratios = [torch.empty(0, len(chosen.ifos), plus.shape[-1])], [torch.empty(0, len(chosen.ifos))]
        for index in torch.split(maybe, BATCH) if len(maybe) > 0 else ():
            wave = plus[index], cross[index]
            response = project(*wave, self.geometry, ra[index], dec[index], psi[index], rate)
            ratio = optimal_snr(response, chosen.psds, rate, chosen.highpass, chosen.lowpass)
            enough = ratio.norm(dim=-1) >= chosen.snr_threshold
            loud.append(index[enough])
            responses.append(response[enough])
            ratios.append(ratio[enough])
        return good.numpy(), torch.cat(loud).numpy(), (torch.cat(responses), torch.cat(ratios))

    def _keep(self, loud: Array, found: tuple[Tensor, Tensor]) -> tuple[Array, Columns]:
        """Store the responses of the loud ones, as many as are still wanted; return these and their ratios."""
        count = min(len(loud), self.number - self.done)
        responses, ratios = (values[:count] for values in found)
        for d, channel in enumerate(self.waveforms.values()):
            channel[self.done : self.done + count] = responses[:, d].numpy()
        self.done += count
        each = ratios.double().numpy()
        return loud[:count], {"snr": np.linalg.norm(each, axis=-1), "ifo_snrs": each}


def _angles(columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
    ra, dec, psi = (torch.tensor(columns[name], dtype=torch.float32) for name in ("ra", "dec", "psi"))
    return ra, dec, psi


def _batches(number: int) -> list[slice]:
    return [slice(start, start + BATCH) for start in range(0, number, BATCH)]


def _rows(columns: Columns, index: Array) -> Columns:
    return {name: column[index] for name, column in columns.items()}


def _stack(parts: list[Columns], source: SignalSource) -> Columns:
    """Columns below each other; where there are none, empty columns of the population's names."""
    if not parts:
        parts = [draw(source.population, 1, np.random.default_rng(0))]
        return {name: column[:0] for name, column in parts[0].items()}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
