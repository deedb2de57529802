"""Stochastic placement of templates, and matches of signals with them.

The match of a signal of unit norm with a template is the largest |z(t)| of the matched filter over time. It is the
share of the signal's SNR that the template keeps. Draws of the population join the bank where it is still thin (Harry,
Allen & Sathyaprakash, arXiv:0908.2090).
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Complex, Float, Num
from torch import Tensor

from aframe.bank.templates import Templates
from aframe.errors import DataError
from aframe.types import Array
from aframe.waveforms.source import Columns, Progress, rows

Spectrum = Complex[Tensor, " frequency"]
Lowest = Complex[Tensor, " lowest"]
Spectra = Complex[Tensor, "series frequency"]

FINE = 4
"""Factor on the rate of the matched filter about its peak. Between samples, the match is higher by up to 0.05."""

CLOSEST = 8
"""Number of templates, best at half the rate, whose match is computed with the factor ``FINE``."""

HOPELESS_DRAWS = 512
"""Number of draws without any template after which the placement fails."""

LARGEST_LOSS = 0.1
"""Largest loss of a match at half the rate for which ``FINE`` is tried."""

OUTSIDE = 1e-4
"""Largest share of a signal's power above the frequencies that its matches use. Heavy binaries have no high ones."""

DRAWS_AT_ONCE = 256
"""Number of draws whose templates are computed together."""

TEMPLATES_AT_ONCE = 64
"""Number of templates that a draw is compared with before the next ones. Those of similar chirp mass come first."""

EVENED_DRAWS = 12
"""Draws of the population for each one that ``even`` keeps."""

EVENED_BINS = 40
"""Bins in the logarithm of the chirp mass by which ``even`` tells common draws from rare ones."""

RECENT_DRAWS = 300
"""Number of draws that decide whether the bank is complete."""

LARGEST_JOINING_SHARE = 0.01
"""Largest share of the recent draws that join a complete bank."""


def place(
    make: Callable[[Mapping[str, Array]], Templates],
    draw: Callable[[int], Columns],
    size: int,
    minimum_match: float,
    progress: Progress | None = None,
) -> tuple[Templates, Columns]:
    """Place templates at random: a draw joins if its match with all templates is below ``minimum_match``.

    The placement ends with ``size`` templates, or earlier if at most 1 % of the last 300 draws join. Draws whose
    template is not finite do not count.

    Args:
        make: Function that makes the templates of binaries, such as ``TemplateMaker.make``.
        draw: Function that draws a number of binaries, with ``chirp_mass`` among the columns.
        size: Largest number of templates.
        minimum_match: Match from which on a template stands for a binary.
        progress: Function to call with the number of templates and ``size``.

    Returns:
        Templates, and the columns of their binaries, in order of chirp mass.

    Raises:
        DataError: If the first 512 draws have no template.
    """
    placed: list[tuple[Tensor, Columns]] = []
    joined: list[bool] = []
    drawn = 0
    while not _is_complete(joined) and len(placed) < size:
        columns = draw(DRAWS_AT_ONCE)
        templates, drawn = make(columns), drawn + DRAWS_AT_ONCE
        spectra = _spectra(templates)
        if drawn == DRAWS_AT_ONCE:
            bank = spectra[:0]
        for number in np.flatnonzero(torch.isfinite(torch.view_as_real(templates)).all(-1).all(-1).numpy()):
            if _is_complete(joined) or len(placed) == size:
                break
            row = rows(columns, slice(number, number + 1))
            distances = [abs(math.log(row["chirp_mass"].item() / other["chirp_mass"].item())) for _, other in placed]
            order = torch.from_numpy(np.argsort(distances, kind="stable"))
            joined.append(not _is_covered(_occupied(spectra[number] / 2), bank, order, minimum_match))
            if joined[-1]:
                placed.append((templates[number], row))
                bank = torch.cat([bank, spectra[number : number + 1]])
        if not joined and drawn >= HOPELESS_DRAWS:
            raise DataError(
                f"none of {drawn} draws has a template: check the prior against what the approximant allows"
            )
        if progress is not None:
            progress(len(placed), size)
    placed.sort(key=lambda each: each[1]["chirp_mass"].item())
    members = {name: np.concatenate([row[name] for _, row in placed]) for name in placed[0][1]}
    return torch.stack([series for series, _ in placed]), members


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


def matches(bank: Templates, signals: Float[Tensor, "signals time"]) -> Float[Tensor, " signals"]:
    """Best match of each signal with the templates of a bank, over time and phase.

    Args:
        bank: Templates.
        signals: Whitened signals of unit norm, as long as the templates.

    Returns:
        Matches from 0 to 1.
    """
    templates = _spectra(bank)
    return torch.stack([_best(_occupied(spectrum), templates) for spectrum in _spectra(signals)])


def _is_complete(joined: Sequence[bool]) -> bool:
    """Whether few of the recent draws joined."""
    recent = joined[-RECENT_DRAWS:]
    return len(recent) == RECENT_DRAWS and sum(recent) <= LARGEST_JOINING_SHARE * RECENT_DRAWS


def _is_covered(signal: Lowest, bank: Spectra, order: Tensor, minimum_match: float) -> bool:
    """Whether a template has at least a match with a signal. The first templates in ``order`` are the likeliest."""
    for some in order.split(TEMPLATES_AT_ONCE) if len(order) else ():
        products = _products(signal, bank[some, : len(signal)])
        coarse = _peaks(products, 1)
        highest = float(coarse.max())
        if highest < minimum_match and highest > minimum_match - LARGEST_LOSS:
            highest = float(_finest(products, coarse))
        if highest >= minimum_match:
            return True
    return False


def _best(signal: Lowest, templates: Spectra) -> Float[Tensor, ""]:
    """Best match of a signal with templates."""
    products = _products(signal, templates[:, : len(signal)])
    return _finest(products, _peaks(products, 1))


def _products(signal: Spectrum, templates: Spectra) -> Spectra:
    """Spectra of the matched filters, in reverse time. The conjugate of one signal is quicker than of all templates."""
    return signal.conj().resolve_conj() * templates


def _finest(products: Spectra, coarse: Float[Tensor, " series"]) -> Float[Tensor, ""]:
    """Best match at ``FINE`` times the rate, among the closest templates."""
    return _peaks(products[coarse.topk(min(CLOSEST, len(coarse))).indices], 2 * FINE).max()


def _spectra(series: Num[Tensor, "series time"]) -> Spectra:
    """Positive frequencies of series, which zeros extend to a power of two, of unit power for a template."""
    size = 2 ** math.ceil(math.log2(series.shape[-1]))
    return torch.fft.fft(series, n=size, norm="ortho")[:, : size // 2]


def _occupied(spectrum: Spectrum) -> Lowest:
    """Lowest frequencies of a spectrum, a power of two of them, with all but ``OUTSIDE`` of its power."""
    power = spectrum.abs().square().cumsum(0)
    needed = int((power < (1 - OUTSIDE) * power[-1]).sum()) + 1
    return spectrum[: 2 ** math.ceil(math.log2(needed))]


def _peaks(products: Spectra, factor: int) -> Float[Tensor, " series"]:
    """Largest absolute values of series with these spectra, at ``factor`` times the rate of their frequencies."""
    series = torch.fft.ifft(products, n=factor * products.shape[-1], norm="forward")
    return (series.real.square() + series.imag.square()).amax(-1).sqrt()
