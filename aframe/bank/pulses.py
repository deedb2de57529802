"""Templates of the glitches that look like binaries: whitened pulses, and filters for octaves."""

import itertools
import math

import numpy as np
import torch

from aframe.bank.templates import Templates
from aframe.strain.glitch_models import MODELS, band
from aframe.tensors import Psd, Taps

DURATION = 0.25
"""Length of a pulse, s. Its middle is that of the series."""

FREQUENCIES, WIDTHS = 16, 8
"""Numbers of frequencies f₀ and of widths γ on a grid, both spaced evenly in their logarithms."""

MINIMUM_MATCH = 0.97
"""Match from which on a pulse stands for another one."""

GRID_STEP = 1.0
"""Spacing of the frequencies at which a pulse is computed, Hz."""


def pulses(psd: Psd, sample_rate: float, highpass: float, taps: Taps | None = None) -> Templates:
    """Make templates of blips, low-frequency blips, tomtes and koi fish: Bondarescu et al. 2023, arXiv:2309.06594.

    Their spectra are exp(-γ/2 ln²(f / f₀)), with f₀ and γ in the ranges of measured glitches. Of a grid of both, those
    remain that no other one stands for.

    Args:
        psd: Smooth PSD, 1/Hz, shape (frequency,), evenly from 0 Hz to the Nyquist frequency.
        sample_rate: Sampling rate, Hz.
        highpass: Frequency below which whitened strain is empty, Hz.
        taps: Whitening filter of minimum phase, shape (taps,). Pulses get its phase; without it, zero phase.

    Returns:
        Complex series without negative frequencies, each of unit norm per quadrature.
    """
    grid = np.arange(0.0, sample_rate / 2 + GRID_STEP / 2, GRID_STEP)
    asd = np.interp(grid, np.linspace(0, sample_rate / 2, len(psd)), psd.double().sqrt().numpy())
    weight = np.where(grid >= highpass, band(grid, sample_rate) / asd, 0.0)
    model = MODELS["blip"]
    frequencies = np.geomspace(model.frequency.lowest, model.frequency.highest, FREQUENCIES)
    widths = np.geomspace(model.width.lowest, model.width.highest, WIDTHS)
    distance = np.log(np.maximum(grid, GRID_STEP)) - np.log(frequencies)[:, None, None]
    spectra = torch.from_numpy(np.exp(-0.5 * widths[:, None] * distance**2) * weight).flatten(0, 1)
    size, whole = round(DURATION * sample_rate), 2 * (len(grid) - 1)
    if taps is not None:
        finer = -(-len(taps) // whole)
        spectra = spectra * torch.fft.rfft(taps, n=finer * whole)[::finer].sgn()
    series = torch.fft.fftshift(torch.fft.ifft(spectra, n=whole), dim=-1)
    series = series[:, whole // 2 - size // 2 : whole // 2 - size // 2 + size]
    series = series * torch.hann_window(size, periodic=False, dtype=torch.float64).sqrt()
    series = series / (series.abs().square().sum(1, keepdim=True) / 2).sqrt()
    return series[_distinct(series)].to(torch.complex64)


def _distinct(series: Templates) -> list[int]:
    """Numbers of the series that have a smaller match than ``MINIMUM_MATCH`` with all before them."""
    spectra = torch.fft.fft(series, n=2 * series.shape[1])
    kept = [0]
    for number, one in enumerate(spectra):
        others = torch.fft.ifft(spectra[kept].conj() * one).abs() / 2
        if float(others.max()) < MINIMUM_MATCH:
            kept.append(number)
    return kept


def octaves(sample_rate: float, highpass: float) -> Templates:
    """Make filters for the octaves of whitened strain, from its lowest frequency up.

    Args:
        sample_rate: Sampling rate, Hz.
        highpass: Frequency below which whitened strain is empty, Hz.

    Returns:
        Complex series without negative frequencies, of unit norm per quadrature, and as long as pulses.
    """
    size = round(DURATION * sample_rate)
    edges = highpass * 2.0 ** np.arange(max(1, math.ceil(math.log2(sample_rate / 2 / highpass))) + 1)
    time = (torch.arange(size, dtype=torch.float64) - size // 2) / sample_rate
    window = torch.hann_window(size, periodic=False, dtype=torch.float64)
    series = []
    for low, high in itertools.pairwise(np.minimum(edges, sample_rate / 2).tolist()):
        envelope = window * torch.sinc((high - low) * time)
        one = torch.polar(envelope, torch.pi * (low + high) * time)
        series.append(one / (one.abs().square().sum() / 2).sqrt())
    return torch.stack(series).to(torch.complex64)
