"""Power spectral densities and whitening: the same functions in training, validation and inference.

Whitening multiplies by a zero-phase finite impulse response, so it is linear for a given PSD and local
in time: a stream may be whitened in blocks, and a signal added to it afterwards, without any approximation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aframe.errors import DataError
from aframe.preprocessing import Whitening, to_samples
from aframe.tensors import Psd, Strain, Taps

FRAME = 4
"""Filters' lengths in which long strain is filtered at once."""


def power_spectral_density(strain: Strain, sample_rate: float, fftlength: float) -> Psd:
    """One-sided PSD by the median Welch method, Hann window, 50 % overlap.

    Args:
        strain: Shape (..., time), any real type; computed in double precision.
        sample_rate: Hz.
        fftlength: Seconds of each Welch segment.

    Returns:
        Shape (..., fftlength * sample_rate / 2 + 1), in 1/Hz, corrected for the bias of the median
        (Allen et al., arXiv:gr-qc/0509116, eq. B12).

    Raises:
        DataError: If the strain is shorter than one Welch segment.
    """
    size = to_samples(fftlength, sample_rate, "fftlength")
    if strain.shape[-1] < size:
        raise DataError(
            f"{strain.shape[-1] / sample_rate:.3f} s of strain are too short for a PSD with fftlength = {fftlength} s"
        )
    window = torch.hann_window(size, dtype=torch.float64, device=strain.device)
    segments = strain.double().unfold(-1, size, size // 2)
    segments = segments - segments.mean(-1, keepdim=True)
    spectra = torch.fft.rfft(segments * window)
    power = spectra.real.square() + spectra.imag.square()
    count = power.shape[-2]
    bias = sum((-1.0) ** (k + 1) / k for k in range(1, count + (count % 2)))
    psd = _median(power) / bias * (2.0 / (sample_rate * window.square().sum()))
    psd[..., 0] /= 2.0
    if size % 2 == 0:
        psd[..., -1] /= 2.0
    return psd


def _median(power: Tensor) -> Tensor:
    """Median over the last axis but one, the mean of the two central values where their number is even."""
    count = power.shape[-2]
    low, high = (count - 1) // 2, count // 2
    if power.device.type == "cpu":  # torch can only sort, which takes fifteen times as long
        ordered = torch.from_numpy(np.partition(power.numpy(), (low, high), axis=-2))
    else:
        ordered = power.sort(dim=-2).values
    return (ordered[..., low, :] + ordered[..., high, :]) / 2.0


def whitening_filter(psd: Psd, whitening: Whitening) -> Taps:
    """Zero-phase whitening filter: the inverse ASD, truncated to ``fduration`` by a Hann window.

    Truncation fills a notch from its neighbours. Where PSD and filter have one resolution (fftlength = fduration), Hann
    windows on both would let an isolated line through at 9/4 of the noise around it; the notches are therefore
    widened first, which leaves it at (1 + sqrt 2)^2 / 4 = 1.46. A PSD resolved more finely than the filter leaks lines.

    Args:
        psd: Shape (..., frequency), 1/Hz, on the grid of ``power_spectral_density``.
        whitening: Band and filter length.

    Returns:
        Shape (..., filter_size), double precision, centred on index filter_size // 2. Filtered noise has
        in band the PSD of unit-variance white noise, so the sum of squares of a filtered signal is its
        squared optimal signal-to-noise ratio.

    Raises:
        DataError: If the PSD is not positive in band: constant or missing strain.
    """
    rate, size = whitening.sample_rate, whitening.filter_size
    frequencies = torch.linspace(0.0, rate / 2, psd.shape[-1], dtype=torch.float64, device=psd.device)
    band = frequencies >= whitening.highpass
    if whitening.lowpass is not None:
        band &= frequencies <= whitening.lowpass
    if not bool((psd[..., band] > 0).all()) or not bool(torch.isfinite(psd).all()):
        raise DataError(
            "the PSD is zero or not finite in band: the strain is constant or has missing samples; "
            "leave this stretch out of the segments"
        )
    smooth = _widen_lines(psd.double()).clamp_min(torch.finfo(torch.float64).tiny)
    inverse = torch.where(band, (smooth * (rate / 2)).rsqrt(), 0.0)
    impulse = torch.fft.fftshift(torch.fft.irfft(inverse, n=2 * (psd.shape[-1] - 1)), dim=-1)
    centre = impulse.shape[-1] // 2
    if impulse.shape[-1] < size:
        pad = (size - impulse.shape[-1]) // 2
        impulse = torch.nn.functional.pad(impulse, (pad, pad))
        centre += pad
    taps = impulse[..., centre - size // 2 : centre + size // 2]
    return taps * torch.hann_window(size, dtype=torch.float64, device=psd.device)


def _widen_lines(psd: Psd) -> Psd:
    """Raise each bin to at least half of either neighbour: lines only, since no smooth spectrum halves within a bin."""
    result = psd.clone()
    result[..., 1:] = torch.maximum(result[..., 1:], psd[..., :-1] / 2)
    result[..., :-1] = torch.maximum(result[..., :-1], psd[..., 1:] / 2)
    return result


def apply_filter(strain: Strain, taps: Taps, precision: torch.dtype = torch.float64) -> Tensor:
    """Filter strain and drop half a filter's length at each edge.

    Long strain is filtered in overlapping frames of a few filters' length (overlap-save), which fit a processor's
    cache and spare the transform of a filter as long as the strain.

    Args:
        strain: Shape (..., time).
        taps: Shape (..., taps), as from ``whitening_filter``; leading axes broadcast.
        precision: In which it is computed: noise needs double precision, since its lowest frequencies are a hundred
            thousand times as loud as what is wanted of it.

    Returns:
        Shape (..., time - taps), of that precision; sample 0 is the input's sample taps / 2.

    Raises:
        DataError: If the strain is not longer than the filter.
    """
    size, length = strain.shape[-1], taps.shape[-1]
    if size <= length:
        raise DataError(f"{size} samples of strain are no more than the whitening filter's {length}")
    frame = min(_fast_size(size), FRAME * _fast_size(length))  # what wraps around falls into samples that are dropped
    step = frame - length
    frames = -(-(size - length) // step)
    padded = torch.nn.functional.pad(strain.to(precision), (0, frames * step + length - size))
    spectrum = torch.fft.rfft(taps.to(precision), n=frame).unsqueeze(-2)
    product = torch.fft.rfft(padded.unfold(-1, frame, step)) * spectrum
    return torch.fft.irfft(product, n=frame)[..., length:].flatten(-2)[..., : size - length]


def _fast_size(size: int) -> int:
    """Smallest 2^a 3^b >= size with b <= 2."""
    return min(3**b * 2 ** max(0, math.ceil(math.log2(size / 3**b))) for b in range(3))


@dataclass(frozen=True)
class WhitenedStream:
    """One detector's strain, whitened once, with the filters that did it.

    Attributes:
        data: Whitened strain, float32, shape (time,); sample 0 is ``offset`` samples after the strain's first.
        taps: The blocks' filters, double precision, shape (blocks, taps).
        offset: Samples of strain before the first whitened one.
        block_size: Samples that share one filter.
    """

    data: Tensor
    taps: Tensor
    offset: int
    block_size: int

    def whiten_signal(self, signal: Strain, start: int) -> Tensor:
        """Whiten a signal with the filters of the blocks it falls in.

        Args:
            signal: Shape (time,).
            start: Sample of the whitened stream at which the signal's first sample lies (may be negative).

        Returns:
            float32, shape (time + taps,): what to add to ``data`` from sample ``start - taps / 2`` on. Samples
            outside the stream are zero.
        """
        return whiten_signals([self], signal[None], [start])[0]

    def blocks(self, first: int, size: int) -> list[tuple[int, int, int]]:
        """Number of each block that ``size`` samples from ``first`` on lie in, and between which of them it does."""
        begin, end = max(first, 0), min(first + size, self.data.shape[-1])
        edges = range(begin // self.block_size, -(-end // self.block_size) if end > begin else 0)
        return [
            (k, max(begin, k * self.block_size) - first, min(end, (k + 1) * self.block_size) - first) for k in edges
        ]


def whiten_signals(streams: Sequence[WhitenedStream], signals: Strain, starts: Sequence[int]) -> Tensor:
    """Whiten the signals of several detectors: see ``WhitenedStream.whiten_signal``.

    Args:
        streams: Of each detector.
        signals: Shape (ifos, time), on the streams' device.
        starts: Sample of each stream at which its signal's first sample lies (may be negative).

    Returns:
        float32, shape (ifos, time + taps).
    """
    half = streams[0].taps.shape[-1] // 2
    size = signals.shape[-1] + 2 * half
    # a signal has no loud lowest frequencies, so that single precision is enough
    padded = torch.nn.functional.pad(signals.to(torch.float32), (2 * half, 2 * half))
    places = [stream.blocks(start - half, size) for stream, start in zip(streams, starts, strict=True)]
    if all(len(place) == 1 and place[0][1:] == (0, size) for place in places):
        taps = torch.stack([stream.taps[place[0][0]] for stream, place in zip(streams, places, strict=True)])
        return apply_filter(padded, taps, torch.float32)  # together, which takes little more than one
    result = torch.zeros((len(streams), size), dtype=torch.float32, device=signals.device)
    for row, (stream, place) in enumerate(zip(streams, places, strict=True)):
        for block, low, high in place:
            cut = padded[row, low : high + 2 * half]
            result[row, low:high] = apply_filter(cut, stream.taps[block], torch.float32)
    return result


def whiten_stream(strain: Strain, whitening: Whitening) -> WhitenedStream:
    """Whiten a continuous stretch of one detector's strain, block by block.

    Each block of ``block_length`` seconds is filtered with the PSD of the ``psd_length`` seconds just before it.
    Output starts ``psd_length`` after the stretch's start and ends ``fduration / 2`` before its end.

    Args:
        strain: Shape (time,).
        whitening: PSD, filter and block lengths.

    Raises:
        DataError: If the stretch is no longer than ``psd_length + fduration / 2``.
    """
    start, half, block = whitening.psd_size, whitening.crop_size, whitening.block_size
    end = strain.shape[-1] - half
    if end <= start:
        raise DataError(
            f"{strain.shape[-1] / whitening.sample_rate:.3f} s of strain are too short to whiten: more than "
            f"psd_length + fduration / 2 = {whitening.psd_length + whitening.fduration / 2} s are needed"
        )
    pieces, filters = [], []
    for low in range(start, end, block):
        psd = power_spectral_density(strain[low - start : low], whitening.sample_rate, whitening.fftlength)
        filters.append(whitening_filter(psd, whitening))
        high = min(low + block, end)
        pieces.append(apply_filter(strain[low - half : high + half], filters[-1]).float())
    return WhitenedStream(torch.cat(pieces), torch.stack(filters), start, block)


def whiten_whole(strain: Strain, whitening: Whitening) -> WhitenedStream:
    """Whiten a short stretch with the PSD of the stretch itself, for data too short to give ``psd_length`` away.

    The median keeps a short transient from biasing the PSD. Output is ``fduration / 2`` shorter at each edge.
    """
    psd = power_spectral_density(strain, whitening.sample_rate, whitening.fftlength)
    taps = whitening_filter(psd, whitening)
    data = apply_filter(strain, taps).float()
    return WhitenedStream(data, taps[None], whitening.crop_size, data.shape[-1])
