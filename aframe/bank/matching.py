"""Matches of signals with templates: on spectra at chosen frequencies, or on whole series.

The match of a signal of unit norm with a template is the largest |z(t)| of the matched filter over time. It is the
share of the signal's SNR that the template keeps.

Spectra of two binaries with a high match differ by a smooth phase. So some hundred frequencies hold what a match
needs, and Fourier transforms of whole series are not needed (multibanding; Vinciguerra et al., arXiv:1703.02062). LAL
must give the model's spectrum at any frequencies. Other models are compared by Fourier transforms.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Complex, Float, Num
from torch import Tensor

from aframe.bank.templates import TemplateMaker, face_on
from aframe.constants import SOLAR_MASS_SECONDS
from aframe.machine.parallel import in_slices, shared_array
from aframe.types import Array
from aframe.waveforms.spectra import ages, has_spectra, spectra

Spectrum = Complex[Tensor, " frequency"]
Spectra = Complex[Tensor, "series frequency"]

NODES = 400
"""Number of frequencies of compressed spectra. Matches above 0.9 are the same with 200."""

OUTLINE = 50
"""Number of these that a first look uses, if there are many templates."""

OUTLINE_LOSS = 0.1
"""Largest loss of a match in a first look, for which the template is still compared."""

LOOKED_AT = 64
"""Number of templates that need no first look, and that a first look leaves if the match's value counts."""

FINEST = 1 / 32
"""Spacing of the frequencies at which the whitening filter is averaged, Hz."""

SLOPE = -7 / 3
"""Power of the frequency with which the power of an inspiral falls."""

OUTSIDE = 1e-4
"""Largest share of a signal's power that its matches leave out: below or above the frequencies that they use."""

DELAY_STEP = 1e-3
"""Step of the delays at which compressed spectra are first compared, s."""

LONGEST_DELAY, DELAY_MASSES = 10e-3, 70
"""Longest delay between a signal and a template of a high match: so many s, and so many times G M/c³ of the total mass.
Pairs with a match above 0.9 have up to half of it."""

FINE = 4
"""Factor on the rate of the matched filter about its peak. Between samples, the match is higher by up to 0.05."""

FINE_DELAYS = 8
"""Steps of the delays about the best one, in each ``DELAY_STEP``. A parabola finds the peak between them."""

CLOSEST = 8
"""Number of templates, best at first, whose match is computed more finely."""

LARGEST_LOSS = 0.1
"""Largest loss of a first match for which a finer one is tried."""

CHUNK = 64
"""Number of binaries whose spectra a process makes at once."""


@runtime_checkable
class Matcher(Protocol):
    """Makes spectra of templates and signals of unit norm, and their matches."""

    @property
    def most_draws(self) -> int:
        """Largest number of draws whose spectra are held beside those of the bank."""
        ...

    def templates(self, parameters: Mapping[str, Array]) -> Spectra:
        """Spectra of templates, as of ``TemplateMaker.make``. They are NaN where there is none."""
        ...

    def signals(self, parameters: Mapping[str, Array]) -> Spectra:
        """Spectra of signals, as of ``TemplateMaker.signals``. They are NaN where there is none."""
        ...

    def likely(
        self, signal: Spectrum, total_mass: float, templates: Spectra, near: Array, enough: float | None
    ) -> Array:
        """Templates that may have the best match, the likeliest first.

        Args:
            signal: Spectrum of a signal or template.
            total_mass: Its total mass in the detector frame, solar masses.
            templates: Spectra of all templates.
            near: Numbers of those in question, the nearest first.
            enough: See ``best``.
        """
        ...

    def best(self, signal: Spectrum, total_mass: float, templates: Spectra, enough: float | None) -> float:
        """Best match of a signal with templates.

        Args:
            signal: Spectrum of a signal or template.
            total_mass: Its total mass in the detector frame, solar masses.
            templates: Spectra of templates.
            enough: Match on whose side the best one lies is all that counts; None: its value counts.
        """
        ...


def matcher_of(maker: TemplateMaker, workers: int | None = None) -> Matcher:
    """Choose how templates are compared.

    Args:
        maker: Maker of the templates.
        workers: Number of processes; None for all cores. Matches do not depend on it.
    """
    return CompressedMatcher(maker, workers) if has_spectra(maker.generator) else SeriesMatcher(maker, workers)


@dataclass(frozen=True)
class CompressedMatcher:
    """Compares spectra at ``NODES`` frequencies. Those of the outline come first, and the others in their order.

    Attributes:
        maker: Maker of the templates. LAL gives its model's spectrum at any frequencies.
        workers: Number of processes; None for all cores.
    """

    maker: TemplateMaker
    workers: int | None = None
    most_draws: int = 8192

    def templates(self, parameters: Mapping[str, Array]) -> Spectra:
        """Spectra of templates: see ``Matcher``."""
        return self.signals(face_on(parameters))

    def signals(self, parameters: Mapping[str, Array]) -> Spectra:
        """Spectra of signals: see ``Matcher``."""
        frequencies, amplitudes, outline = self._nodes
        order = np.argsort(~outline, kind="stable")
        number = len(parameters["mass_1"])
        result = shared_array((number, 2 * len(frequencies)))

        def run(some: slice) -> None:
            columns = {name: np.asarray(values)[some] for name, values in parameters.items()}
            with np.errstate(invalid="ignore", divide="ignore"):  # what LAL refuses stays NaN
                values = spectra(self.maker.generator, columns, frequencies) * amplitudes
                values *= self._kept(columns)
                values /= np.linalg.norm(values, axis=1, keepdims=True)
            result[some] = np.ascontiguousarray(values[:, order], np.complex64).view(np.float32)

        in_slices(run, number, CHUNK, self.workers)
        return torch.view_as_complex(torch.from_numpy(result).unflatten(-1, (-1, 2)))

    def likely(
        self, signal: Spectrum, total_mass: float, templates: Spectra, near: Array, enough: float | None
    ) -> Array:
        """Templates that may have the best match: see ``Matcher``."""
        if len(near) <= LOOKED_AT:
            return near
        looked = templates[:, :OUTLINE][torch.from_numpy(near)]
        counts, turns = self._outline_counts, self._turns(2 * _delays(total_mass), DELAY_STEP / 2)[:OUTLINE]
        first = signal[:OUTLINE].conj() * counts
        power = (looked.abs().square() @ counts) * (first.abs() @ signal[:OUTLINE].abs())
        seen = ((looked @ (first[:, None] * turns)).abs().amax(1) * power.clamp_min(1e-6).rsqrt()).numpy()
        order = np.argsort(-seen)
        if enough is None:
            return near[order[:LOOKED_AT]]
        return near[order[: int((seen >= enough - OUTLINE_LOSS).sum())]]

    def best(self, signal: Spectrum, total_mass: float, templates: Spectra, enough: float | None) -> float:
        """Best match of a signal with templates: see ``Matcher``."""
        delays = _delays(total_mass)
        conjugate = signal.conj().resolve_conj()[:, None]
        first = (templates @ (conjugate * self._turns(delays, DELAY_STEP))).abs()
        highest, at = first.max(1)
        best = float(highest.max())
        if not _is_close(best, enough):
            return best
        fine = self._turns(FINE_DELAYS, DELAY_STEP / FINE_DELAYS)
        for number in highest.topk(min(CLOSEST, len(highest))).indices.tolist():
            turned = conjugate * self._turns(delays, DELAY_STEP)[:, at[number], None] * fine
            best = max(best, _peak((templates[number] @ turned).abs()))
        return min(best, 1.0)

    @functools.cached_property
    def _outline_counts(self) -> Float[Tensor, " outline"]:
        """Power of an inspiral about each frequency of the outline, over that at it."""
        frequencies, amplitudes, _ = self._nodes
        power = np.array_split(amplitudes**2 * frequencies**SLOPE, OUTLINE)
        return torch.tensor([float(block.sum() / block.max()) for block in power])

    @functools.cached_property
    def _nodes(self) -> tuple[Array, Array, Array]:
        """Frequencies in Hz, the root of the filter's power about each, and whether each is one of the outline.

        Each is the centre of a cell, by the power of an inspiral there. Half of the cells are evenly spaced, because
        delays turn all frequencies, and half evenly in the logarithm, because binaries differ most at low ones.
        """
        rate, taps = self.maker.generator.sample_rate, self.maker.taps.numpy()
        size = 2 ** math.ceil(math.log2(max(rate / FINEST, len(taps))))
        frequencies = np.arange(1, size // 2 + 1) * rate / size
        power = np.abs(np.fft.rfft(taps, size)[1:]) ** 2
        inspiral = np.cumsum(power * frequencies**SLOPE)
        used = (inspiral > OUTSIDE / 10 * inspiral[-1]) & (np.cumsum(power[::-1])[::-1] > 0)
        frequencies, power = frequencies[used], power[used]
        density = 1 / frequencies / (1 / frequencies).sum() + 1 / len(frequencies)
        cells = np.minimum((np.cumsum(density) * NODES / 2).astype(int), NODES - 1)
        weights = power * frequencies**SLOPE
        sums = [np.bincount(cells, each, NODES) for each in (weights * frequencies, weights, power)]
        held = sums[1] > 0
        frequencies, power = sums[0][held] / sums[1][held], sums[2][held] * rate / size
        outline = np.zeros(len(power), dtype=bool)
        for block in np.array_split(np.arange(len(power)), OUTLINE):
            outline[block[np.argmax(power[block] * frequencies[block] ** SLOPE)]] = True
        return frequencies, np.sqrt(power), outline

    def _kept(self, columns: Mapping[str, Array]) -> Array:
        """Share of the amplitude that the template's length keeps at each frequency, shape (binaries, frequency)."""
        frequencies = self._nodes[0]
        before, rise = self.maker.length - self.maker.after, self.maker.rise
        result = np.ones((len(columns["mass_1"]), len(frequencies)), np.float32)
        age = ages(columns, frequencies[:1])[:, 0]
        long = np.flatnonzero(age > before - rise)
        if len(long):
            some = {name: values[long] for name, values in columns.items()}
            rising = np.clip((before - ages(some, frequencies)) / rise, 0, 1)
            result[long] = np.sin(np.pi / 2 * rising) ** 2
        return result

    def _turns(self, number: int, step: float) -> Spectra:
        """Phases of delays from −number to number steps, at all frequencies."""
        known = self._known_turns
        if (number, step) not in known:
            delays = step * np.arange(-number, number + 1)
            frequencies, _, outline = self._nodes
            frequencies = frequencies[np.argsort(~outline, kind="stable")]
            turns = np.exp(2j * np.pi * frequencies[:, None] * delays)
            known[number, step] = torch.from_numpy(turns.astype(np.complex64))
        return known[number, step]

    @functools.cached_property
    def _known_turns(self) -> dict[tuple[int, float], Spectra]:
        return {}


@dataclass(frozen=True)
class SeriesMatcher:
    """Compares whole series, by Fourier transforms.

    Attributes:
        maker: Maker of the templates.
        workers: Number of processes; None for all cores.
    """

    maker: TemplateMaker
    workers: int | None = None
    most_draws: int = 256

    def templates(self, parameters: Mapping[str, Array]) -> Spectra:
        """Spectra of templates: see ``Matcher``."""
        return _spectra(self.maker.make(parameters, self.workers)) / 2**0.5

    def signals(self, parameters: Mapping[str, Array]) -> Spectra:
        """Spectra of signals: see ``Matcher``."""
        return _spectra(self.maker.signals(parameters, self.workers)) * 2**0.5

    def likely(
        self, signal: Spectrum, total_mass: float, templates: Spectra, near: Array, enough: float | None
    ) -> Array:
        """Templates that may have the best match, all of them: see ``Matcher``."""
        return near

    def best(self, signal: Spectrum, total_mass: float, templates: Spectra, enough: float | None) -> float:
        """Best match of a signal with templates: see ``Matcher``."""
        signal = _occupied(signal)
        products = signal.conj().resolve_conj() * templates[:, : len(signal)]  # in reverse time
        first = _peaks(products, 1)
        best = float(first.max())
        if not _is_close(best, enough):
            return best
        return float(_peaks(products[first.topk(min(CLOSEST, len(first))).indices], 2 * FINE).max())


def _delays(total_mass: float) -> int:
    """Steps in the longest delay of a binary of some total mass, solar masses."""
    return math.ceil((LONGEST_DELAY + DELAY_MASSES * SOLAR_MASS_SECONDS * total_mass) / DELAY_STEP)


def _is_close(best: float, enough: float | None) -> bool:
    """Whether a finer match than the first one matters."""
    return enough is None or enough - LARGEST_LOSS < best < enough


def _peak(values: Float[Tensor, " delays"]) -> float:
    """Largest of evenly spaced values, between them too: the top of a parabola."""
    at = int(values.argmax())
    if at in (0, len(values) - 1):
        return float(values[at])
    before, middle, after = values[at - 1 : at + 2].tolist()
    bend = 2 * middle - before - after
    return middle + ((after - before) ** 2 / (8 * bend) if bend > 0 else 0.0)


def _spectra(series: Num[Tensor, "series time"]) -> Spectra:
    """Positive frequencies of series, which zeros extend to a power of two, of unit power for a template."""
    size = 2 ** math.ceil(math.log2(series.shape[-1]))
    return torch.fft.fft(series, n=size, norm="ortho")[:, : size // 2]


def _occupied(spectrum: Spectrum) -> Complex[Tensor, " lowest"]:
    """Lowest frequencies of a spectrum, a power of two of them, with all but ``OUTSIDE`` of its power."""
    power = spectrum.abs().square().cumsum(0)
    needed = int((power < (1 - OUTSIDE) * power[-1]).sum()) + 1
    return spectrum[: 2 ** math.ceil(math.log2(needed))]


def _peaks(products: Spectra, factor: int) -> Float[Tensor, " series"]:
    """Largest absolute values of series with these spectra, at ``factor`` times the rate of their frequencies."""
    series = torch.fft.ifft(products, n=factor * products.shape[-1], norm="forward")
    return (series.real.square() + series.imag.square()).amax(-1).sqrt()
