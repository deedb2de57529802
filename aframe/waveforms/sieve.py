"""Sort draws in order into accepted signals, rejected draws below the SNR threshold, and unphysical draws."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aframe.errors import ConfigurationError, DataError, strain_of
from aframe.tables import RejectedTable, ResponseTable
from aframe.types import Array
from aframe.waveforms.horizon import HorizonBound, geocentric_snr, inverse_asd, optimal_snr
from aframe.waveforms.population import draw
from aframe.waveforms.projection import (
    Geometry,
    antenna_patterns,
    detector_geometry,
    greenwich_mean_sidereal_time,
    project,
)
from aframe.waveforms.source import (
    BELOW_BAND,
    NOT_FINITE,
    TOO_LOUD,
    UNPHYSICAL,
    Columns,
    Progress,
    SignalSource,
    rows,
)

COUNTS = ("num_injections", "num_waveforms", *(f"num_{reason}" for reason in (*UNPHYSICAL, BELOW_BAND)))
"""Attributes to sum in a merge of tables."""

DRAWS = 16384
"""Number of binaries in one draw from the population. Most of them need no waveform."""

FEWEST_WAVEFORMS = 64
"""Smallest number of waveforms in a batch."""

BATCH = 64
"""Number of signals in one projection."""

UNPHYSICAL_SNR = 1e4
"""Largest physical network SNR. A louder signal is a fault of the waveform model."""

HOPELESS_DRAWS = 100 * DRAWS
"""Number of draws without any acceptance after which the sieve fails."""

HOPELESS_FAULTS = 4096
"""Number of signals above ``UNPHYSICAL_SNR`` without any acceptance after which the sieve fails.

Each of these signals requires a waveform.
"""

GEOCENTRIC_TOLERANCE = 0.98
"""Factor on the threshold for the SNR without arrival delays. This SNR is far more accurate than the factor."""

REJECTED, ACCEPTED = "rejected", "accepted"

Sorted = tuple[ResponseTable, RejectedTable]


@dataclass(frozen=True, eq=False)
class Selection:
    """Criterion for accepted signals.

    Attributes:
        ifos: Detectors, by LAL's two-letter names.
        psds: PSDs in 1/Hz, shape (ifos, frequency), on the grid of ``aframe.whitening.power_spectral_density``.
        highpass: Lower limit of the integral of the signal-to-noise ratio, Hz.
        lowpass: Upper limit of the integral, Hz; None for the Nyquist frequency.
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
    """Draw until exactly ``number`` signals are above the threshold.

    Draws with a bound below the threshold (``HorizonBound``) get no waveform. Neither table includes draws after the
    last acceptance. With ``gps_times``, the ``ra`` of a draw is the angle from Greenwich. Accepted draws get times, and
    their ``ra`` becomes right ascension. The distribution does not change if ``ra`` is uniform over the circle.

    Args:
        source: Population and waveforms.
        selection: Detectors, their noise, and the threshold.
        number: Number of accepted signals.
        rng: Source of all randomness.
        gps_times: Time of each signal at the geocentre, GPS s, shape (number,). None keeps ``ra`` as the angle from
            Greenwich.
        store_waveforms: Whether the tables include the detectors' responses. Otherwise they hold parameters alone.
        progress: Function to call after each batch.

    Yields:
        One or more batches of accepted and rejected draws, in the order of drawing. Accepted signals have responses,
        and ``num_draws``: the number of draws since the previous acceptance, including their own. Rejected draws have
        parameters alone; their ``snr`` is NaN without a waveform. Binaries that ring down below the minimum frequency
        are among them. Attribute ``num_injections`` counts the rows of both tables, ``num_waveforms`` the draws with a
        waveform, and ``num_<reason>`` (``UNPHYSICAL``) the draws in neither.

    Raises:
        ConfigurationError: If there are times but the population is not uniform in right ascension.
        DataError: If no draws are above the threshold, or a PSD is not positive in band.
    """
    if gps_times is not None and not source.population.isotropic_in_right_ascension:
        raise ConfigurationError(
            "the prior's ra must be bilby's Uniform over 0 to 2 pi: the Earth turns between injections"
        )
    return _Sieve(source, selection, number, gps_times, store_waveforms).run(rng, progress)


@dataclass
class _Measured:
    """Signal-to-noise ratios of draws from their waveforms.

    Attributes:
        snr: Network signal-to-noise ratio of each draw, to within ``GEOCENTRIC_TOLERANCE``, shape (draws,); NaN if the
            model fails.
        loud: Indices of draws above the threshold, shape (loud,).
        ratios: Ratio of these draws in each detector, shape (loud, ifos).
        responses: Responses of these draws, shape (loud, ifos, time).
    """

    snr: Array
    loud: Array
    ratios: Array
    responses: Tensor


@dataclass
class _Sieve:
    """Sort draws until ``number`` signals are accepted."""

    source: SignalSource
    selection: Selection
    number: int
    gps_times: Array | None
    store_waveforms: bool
    done: int = 0
    drawn: int = 0
    waveforms: int = 0
    waiting: int = 0
    too_loud: int = 0

    def __post_init__(self) -> None:
        selection, generator = self.selection, self.source.generator
        size, rate = generator.size, generator.sample_rate
        self.geometry: Geometry = detector_geometry(selection.ifos)
        weights = []
        for ifo, psd in zip(selection.ifos, selection.psds, strict=True):
            with strain_of(ifo):
                weights.append(inverse_asd(psd[None], size, rate, selection.highpass, selection.lowpass))
        self.weights = torch.cat(weights)
        self.bounds = {
            name: HorizonBound.build(
                replace(generator, approximant=name), selection.psds, selection.highpass, selection.lowpass
            )
            for name in generator.names
        }

    def run(self, rng: np.random.Generator, progress: Progress | None) -> Iterator[Sorted]:
        """Draw and sort until ``number`` signals are accepted."""
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
        """Sort draws in order, until ``number`` signals are accepted."""
        draws = len(columns["ra"])
        verdict = np.full(draws, REJECTED, dtype=object)
        unheard = self.source.without_waveform(columns)
        verdict[unheard[NOT_FINITE]] = NOT_FINITE
        columns["snr"], begin, end = np.full(draws, np.nan), 0, -1
        candidates = np.flatnonzero(self._may_be_loud(columns) & (verdict == REJECTED) & ~unheard[BELOW_BAND])
        while end < draws:
            part, candidates = np.split(candidates, [self._next_size()])
            measured = self._measure(rows(columns, part))
            columns["snr"][part] = measured.snr
            verdict[part[~np.isfinite(measured.snr)]] = NOT_FINITE
            verdict[part[measured.snr > UNPHYSICAL_SNR]] = TOO_LOUD
            self.too_loud += int((measured.snr > UNPHYSICAL_SNR).sum())
            verdict[part[measured.loud]] = ACCEPTED
            end = int(part[-1]) + 1 if len(candidates) else draws
            if len(measured.loud) and self.done + len(measured.loud) == self.number:
                end = int(part[measured.loud[-1]]) + 1
            self.waveforms += len(part)
            yield self._tables(rows(columns, slice(begin, end)), verdict[begin:end], measured, int((part < end).sum()))
            begin = end
            if self.done == self.number:
                return

    def _tables(self, columns: Columns, verdict: Array, measured: _Measured, judged: int) -> Sorted:
        """Tables of sorted draws, with times of accepted signals; ``judged`` is the number of draws with a waveform."""
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
        accepted |= {"snr": np.linalg.norm(measured.ratios, axis=-1), "ifo_snrs": measured.ratios}
        accepted["num_draws"] = np.diff(at, prepend=0) + 1
        span = slice(self.done, self.done + len(measured.loud))
        if self.gps_times is not None:
            accepted["ra"] = (accepted["ra"] + greenwich_mean_sidereal_time(self.gps_times[span])) % (2 * np.pi)
        waveforms = {}
        if self.store_waveforms:
            waveforms = {ifo.lower(): measured.responses[:, d].numpy() for d, ifo in enumerate(self.selection.ifos)}
        self.done, self.drawn = span.stop, self.drawn + len(verdict)
        return ResponseTable(accepted, waveforms, attributes), RejectedTable(rejected, {}, dict(attributes))

    def _may_be_loud(self, columns: Columns) -> Array:
        """Whether the bound of each draw reaches the threshold, so that it needs a waveform."""
        f_plus, f_cross = antenna_patterns(self.geometry, *angles(columns))
        power = (f_plus.square() + f_cross.square()).double().numpy()
        largest = np.empty(len(power))
        for generator, chosen in self.source.generator.by_component(columns):
            some = rows(columns, chosen)
            largest[chosen] = self.bounds[generator.approximant](
                some["mass_1"], some["mass_2"], some["luminosity_distance"], power[chosen], some
            )
        return np.asarray(largest >= self.selection.snr_threshold)

    def _next_size(self) -> int:
        """Number of waveforms in the next batch, from the remaining signals and the share of acceptances so far."""
        share = (self.done + 1) / (self.waveforms + 5)
        wanted = np.clip(1.2 * (self.number - self.done) / share, FEWEST_WAVEFORMS, self.source.most_waveforms)
        return int(wanted)

    def _measure(self, columns: Columns) -> _Measured:
        """Compute waveforms of draws, and keep at most the remaining number of responses above the threshold."""
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
        remaining = slice(self.number - self.done)
        kept = [torch.cat(parts)[remaining] for parts in (loud, ratios, responses)]
        return _Measured(rough.double().numpy(), kept[0].numpy(), kept[1].double().numpy(), kept[2])


def angles(columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
    """Angle from Greenwich (or right ascension), declination and polarization angle in rad, single precision."""
    ra, dec, psi = (torch.tensor(columns[name], dtype=torch.float32) for name in ("ra", "dec", "psi"))
    return ra, dec, psi


def batches(number: int) -> list[slice]:
    """Slices of at most ``BATCH`` signals."""
    return [slice(start, start + BATCH) for start in range(0, number, BATCH)]
