"""Draws sorted, in their order: signals that are loud enough, draws that are not, and draws that are no signals."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aframe.errors import ConfigurationError, DataError, strain_of
from aframe.tables import RejectedTable, ResponseTable
from aframe.types import Array
from aframe.waveforms.horizon import HorizonBound, geocentric_snr, inverse_asd, optimal_snr
from aframe.waveforms.priors import draw
from aframe.waveforms.projection import (
    Geometry,
    antenna_patterns,
    detector_geometry,
    greenwich_mean_sidereal_time,
    project,
)
from aframe.waveforms.source import (
    MOST_WAVEFORMS,
    NOT_FINITE,
    TOO_LOUD,
    UNPHYSICAL,
    Columns,
    Progress,
    SignalSource,
    rows,
)

COUNTS = ("num_injections", "num_waveforms", *(f"num_{reason}" for reason in UNPHYSICAL))
"""Attributes of which several sets together have the sum."""

DRAWS = 16384
"""Binaries drawn at once; most need no waveform."""

FEWEST_WAVEFORMS = 64
"""Waveforms made at once, at least."""

BATCH = 64
"""Signals projected at once."""

UNPHYSICAL_SNR = 1e4
"""A louder signal is a fault of the waveform model, not a signal."""

HOPELESS_DRAWS = 100 * DRAWS
"""Draws without a single acceptance after which to give up."""

HOPELESS_FAULTS = 4096
"""Signals louder than ``UNPHYSICAL_SNR``, and not a single acceptance, after which to give up: each took a waveform."""

GEOCENTRIC_TOLERANCE = 0.98
"""The ratio without arrival delays is right to far better than this."""

REJECTED, ACCEPTED = "rejected", "accepted"

Sorted = tuple[ResponseTable, RejectedTable]


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


def accepted_signals(
    source: SignalSource,
    selection: Selection,
    number: int,
    rng: np.random.Generator,
    *,
    gps_times: Array | None = None,
    store_waveforms: bool = True,
    progress: Progress | None = None,
) -> Iterator[Sorted]:
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
        store_waveforms: Whether the tables have the detectors' responses, or parameters alone.
        progress: Called after each batch.

    Yields:
        In batches, at least one, in the order of the draws: the accepted, with the responses of the detectors, and in
        ``num_draws`` the draws that each took: itself, and those rejected since the one before; and the rejected,
        parameters only, with the ``snr`` of those that needed a waveform to be judged and NaN for those that did not.
        Attribute ``num_injections`` counts both, ``num_waveforms`` the draws judged by a waveform, and
        ``num_<reason>`` (``UNPHYSICAL``) the draws of the batch that are in neither.

    Raises:
        ConfigurationError: If there are times and the population is not uniform in right ascension.
        DataError: If draws are never loud enough, or a PSD is not positive in band.
    """
    if gps_times is not None and not source.population.isotropic_in_right_ascension:
        raise ConfigurationError(
            "the prior's ra must be bilby's Uniform over 0 to 2 pi: the Earth turns between injections"
        )
    return _Sieve(source, selection, number, gps_times, store_waveforms).run(rng, progress)


@dataclass
class _Measured:
    """Candidates of which waveforms were made.

    Attributes:
        snr: Network signal-to-noise ratio of each, to within ``GEOCENTRIC_TOLERANCE``; NaN where the model fails.
        loud: Which of them are loud enough, by index.
        ratios: Ratio of each loud one in each detector.
        responses: Their responses; shape (loud, ifos, time).
    """

    snr: Array
    loud: Array
    ratios: Array
    responses: Tensor


@dataclass
class _Sieve:
    """Sorts draws until enough are accepted."""

    source: SignalSource
    selection: Selection
    number: int
    gps_times: Array | None
    store_waveforms: bool
    done: int = 0
    drawn: int = 0
    made: int = 0
    waiting: int = 0
    too_loud: int = 0

    def __post_init__(self) -> None:
        chosen, made = self.selection, self.source.generator
        self.geometry: Geometry = detector_geometry(chosen.ifos)
        weights = []
        for ifo, psd in zip(chosen.ifos, chosen.psds, strict=True):
            with strain_of(ifo):
                weights.append(inverse_asd(psd[None], made.size, made.sample_rate, chosen.highpass, chosen.lowpass))
        self.weights = torch.cat(weights)
        self.bound = HorizonBound.build(made, chosen.psds, chosen.highpass, chosen.lowpass)

    def run(self, rng: np.random.Generator, progress: Progress | None) -> Iterator[Sorted]:
        """Draw and sort."""
        if self.number == 0:
            yield from self._sift(rows(draw(self.source.population, 1, rng), slice(0)))
        while self.done < self.number:
            for tables in self._sift(draw(self.source.population, DRAWS, rng)):
                yield tables
                if progress is not None:
                    progress(self.done, self.number)
                if self.done == 0 and self.too_loud >= HOPELESS_FAULTS:
                    raise DataError(
                        f"{self.too_loud} of {self.drawn} draws have a network SNR above {UNPHYSICAL_SNR:g}, which no "
                        "source has, and none is a signal: check the PSDs (1/Hz) and the prior's distances"
                    )
            if self.done == 0 and self.drawn >= HOPELESS_DRAWS:
                raise DataError(
                    f"none of {self.drawn} draws has a network SNR of {self.selection.snr_threshold}: "
                    "check the PSDs (1/Hz), the prior's distances, and snr_threshold"
                )

    def _sift(self, columns: Columns) -> Iterator[Sorted]:
        """Sort a set of draws, or as much of it as is needed."""
        draws = len(columns["ra"])
        verdict = np.full(draws, REJECTED, dtype=object)
        for reason, which in self.source.unphysical(columns).items():
            verdict[which] = reason
        columns["snr"], begin, end = np.full(draws, np.nan), 0, -1
        candidates = np.flatnonzero(self._may_be_loud(columns) & (verdict == REJECTED))
        while end < draws:
            part, candidates = np.split(candidates, [self._next_size()])
            found = self._measure(rows(columns, part))
            columns["snr"][part] = found.snr
            verdict[part[~np.isfinite(found.snr)]] = NOT_FINITE
            verdict[part[found.snr > UNPHYSICAL_SNR]] = TOO_LOUD
            self.too_loud += int((found.snr > UNPHYSICAL_SNR).sum())
            verdict[part[found.loud]] = ACCEPTED
            end = int(part[-1]) + 1 if len(candidates) else draws
            if len(found.loud) and self.done + len(found.loud) == self.number:
                end = int(part[found.loud[-1]]) + 1
            self.made += len(part)
            yield self._tables(rows(columns, slice(begin, end)), verdict[begin:end], found, int((part < end).sum()))
            begin = end
            if self.done == self.number:
                return

    def _tables(self, columns: Columns, verdict: Array, found: _Measured, judged: int) -> Sorted:
        """Tables of some sorted draws, ``judged`` of them by a waveform, the accepted placed at their times."""
        attributes = {
            **self.source.attributes,
            "ifos": list(self.selection.ifos),
            "snr_threshold": self.selection.snr_threshold,
            "num_injections": int(np.isin(verdict, (ACCEPTED, REJECTED)).sum()),
            "num_waveforms": judged,
            **{f"num_{reason}": int((verdict == reason).sum()) for reason in UNPHYSICAL},
        }
        accepted, rejected = (rows(columns, verdict == kind) for kind in (ACCEPTED, REJECTED))
        before = self.waiting + np.cumsum(verdict == REJECTED)
        at = before[verdict == ACCEPTED]
        self.waiting = int(before.max(initial=self.waiting) - at.max(initial=0))
        accepted |= {"snr": np.linalg.norm(found.ratios, axis=-1), "ifo_snrs": found.ratios}
        accepted["num_draws"] = np.diff(at, prepend=0) + 1
        span = slice(self.done, self.done + len(found.loud))
        if self.gps_times is not None:
            accepted["ra"] = (accepted["ra"] + greenwich_mean_sidereal_time(self.gps_times[span])) % (2 * np.pi)
        waveforms = {}
        if self.store_waveforms:
            waveforms = {ifo.lower(): found.responses[:, d].numpy() for d, ifo in enumerate(self.selection.ifos)}
        self.done, self.drawn = span.stop, self.drawn + len(verdict)
        return ResponseTable(accepted, waveforms, attributes), RejectedTable(rejected, {}, dict(attributes))

    def _may_be_loud(self, columns: Columns) -> Array:
        """Which draws need a waveform to be judged."""
        f_plus, f_cross = antenna_patterns(self.geometry, *angles(columns))
        power = (f_plus.square() + f_cross.square()).double().numpy()
        largest = self.bound(columns["mass_1"], columns["mass_2"], columns["luminosity_distance"], power, columns)
        return np.asarray(largest >= self.selection.snr_threshold)

    def _next_size(self) -> int:
        """Waveforms to make next: about as many as are still needed, judging by the share accepted so far."""
        share = (self.done + 1) / (self.made + 5)
        return int(np.clip(1.2 * (self.number - self.done) / share, FEWEST_WAVEFORMS, MOST_WAVEFORMS))

    def _measure(self, columns: Columns) -> _Measured:
        """Make the waveforms of some candidates; keep the responses of the loud ones, no more than are still wanted."""
        plus, cross = map(torch.from_numpy, self.source.generator.generate(columns, self.source.workers))
        ra, dec, psi = angles(columns)
        chosen, rate = self.selection, self.source.generator.sample_rate
        f_plus, f_cross = antenna_patterns(self.geometry, ra, dec, psi)
        rough = torch.zeros(len(plus))
        for b in batches(len(plus)):
            rough[b] = geocentric_snr(plus[b], cross[b], (f_plus[b], f_cross[b]), self.weights).norm(dim=-1)
        physical = torch.isfinite(rough) & (rough <= UNPHYSICAL_SNR)
        maybe = torch.nonzero(physical & (rough >= GEOCENTRIC_TOLERANCE * chosen.snr_threshold)).flatten()
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
        wanted = slice(self.number - self.done)
        kept = [torch.cat(parts)[wanted] for parts in (loud, ratios, responses)]
        return _Measured(rough.double().numpy(), kept[0].numpy(), kept[1].double().numpy(), kept[2])


def angles(columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
    """Angle from Greenwich (or right ascension), declination and polarization angle, in single precision."""
    ra, dec, psi = (torch.tensor(columns[name], dtype=torch.float32) for name in ("ra", "dec", "psi"))
    return ra, dec, psi


def batches(number: int) -> list[slice]:
    """Signals that are projected together."""
    return [slice(start, start + BATCH) for start in range(0, number, BATCH)]
