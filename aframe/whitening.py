"""Power spectral densities and whitening, for training, validation and inference.

Whitening convolves with a finite impulse response of zero or minimum phase. For a fixed PSD it is linear and local in
time. Whitening of a stream in blocks, and the later addition of a whitened signal, are therefore exact.

A filter of zero phase is symmetric, and needs half of its length after each sample. One of minimum phase needs none.
``Whitening.before_size`` and ``after_size`` say what each needs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aframe.errors import DataError
from aframe.preprocessing import MINIMUM_PHASE, Whitening, to_samples
from aframe.tensors import Psd, Strain, Taps

SMOOTHED = 8.0
"""Width of the running median of a smooth PSD, Hz. Lines are narrower, and what differs between detectors is wider."""

ROLL_OFF = 8
"""Power of the frequency with which a filter of minimum phase falls outside its band. Its logarithm must be finite. A
steeper fall delays the band's lowest frequencies more, and a flatter one lets more noise through."""

CEPSTRUM_LENGTHS = 8
"""Length of a cepstrum, in lengths of the filter or of the PSD's segments. A short one wraps around."""

FRAME_FILTER_LENGTHS = 4
"""Length of an overlap-save frame, in filter lengths."""


def power_spectral_density(strain: Strain, sample_rate: float, fftlength: float) -> Psd:
    """Estimate the one-sided PSD by the median Welch method, with a Hann window and 50 % overlap.

    Args:
        strain: Strain of any real type, shape (..., time). The computation is in double precision.
        sample_rate: Sampling rate, Hz.
        fftlength: Length of each Welch segment, s.

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
    """Median over the second to last axis. For an even number it is the mean of the two central values."""
    count = power.shape[-2]
    low, high = (count - 1) // 2, count // 2
    if power.device.type == "cpu":  # torch only sorts, which takes fifteen times as long
        ordered = torch.from_numpy(np.partition(power.numpy(), (low, high), axis=-2))
    else:
        ordered = power.sort(dim=-2).values
    return (ordered[..., low, :] + ordered[..., high, :]) / 2.0


def smooth_psd(psd: Psd, sample_rate: float) -> Psd:
    """Smooth PSDs over ``SMOOTHED`` Hz. Lines vanish, and so does the error of an estimate from little strain.

    The logarithm is first replaced by its running median, then averaged.

    Args:
        psd: PSD in 1/Hz, shape (ifos, frequency), evenly from 0 Hz to the Nyquist frequency.
        sample_rate: Sampling rate, Hz.
    """
    reach = max(1, round(SMOOTHED * (psd.shape[-1] - 1) / sample_rate))
    logarithm = psd.double().clamp_min(torch.finfo(torch.float64).tiny).log()
    widened = torch.nn.functional.pad(logarithm, (reach, reach), mode="replicate")
    middle = widened.unfold(-1, 2 * reach + 1, 1).median(dim=-1).values
    widened = torch.nn.functional.pad(middle, (reach // 2, reach // 2), mode="replicate")
    return widened.unfold(-1, 2 * (reach // 2) + 1, 1).mean(-1).exp()


def whitening_filter(psd: Psd, whitening: Whitening) -> Taps:
    """Design a whitening filter: the inverse ASD, truncated to ``fduration`` by a Hann window.

    The window of a filter of zero phase has its middle at the filter's middle, and that of one of minimum phase at the
    filter's first tap.

    Truncation fills a notch from its neighbours. Consider a PSD and a filter of equal resolution (fftlength =
    fduration), both with Hann windows. An isolated line would then pass with 9/4 of the power of the noise around it.
    The filter therefore widens notches before truncation, which reduces the line to (1 + sqrt 2)^2 / 4 = 1.46. If the
    PSD has a finer resolution than the filter, lines leak.

    Args:
        psd: PSD in 1/Hz, shape (..., frequency), on the grid of ``power_spectral_density``.
        whitening: Band, filter length and phase.

    Returns:
        Taps in double precision, shape (..., filter_size). Tap ``after_size`` multiplies the present sample. In band,
        filtered noise has the PSD of white noise of unit variance. The sum of squares of a filtered signal is thus its
        squared optimal signal-to-noise ratio.

    Raises:
        DataError: If the PSD is not positive in band, as for constant or missing strain.
    """
    rate, size = whitening.sample_rate, whitening.filter_size
    frequencies = torch.linspace(0.0, rate / 2, psd.shape[-1], dtype=torch.float64, device=psd.device)
    band = _in_band(frequencies, whitening)
    if not bool((psd[..., band] > 0).all()) or not bool(torch.isfinite(psd).all()):
        raise DataError(
            "the PSD is zero or not finite in band: the strain is constant or has missing samples; "
            "leave this stretch out of the segments"
        )
    smooth = _widen_lines(psd.double()).clamp_min(torch.finfo(torch.float64).tiny)
    if whitening.phase == MINIMUM_PHASE:
        return _minimum_phase_taps(-0.5 * (smooth * (rate / 2)).log(), whitening)
    inverse = torch.where(band, (smooth * (rate / 2)).rsqrt(), 0.0)
    impulse = torch.fft.fftshift(torch.fft.irfft(inverse, n=2 * (psd.shape[-1] - 1)), dim=-1)
    centre = impulse.shape[-1] // 2
    if impulse.shape[-1] < size:
        pad = (size - impulse.shape[-1]) // 2
        impulse = torch.nn.functional.pad(impulse, (pad, pad))
        centre += pad
    taps = impulse[..., centre - size // 2 : centre + size // 2]
    return taps * torch.hann_window(size, dtype=torch.float64, device=psd.device)


def _in_band(frequencies: Tensor, whitening: Whitening) -> Tensor:
    """Whether frequencies (Hz) are in the band."""
    band = frequencies >= whitening.highpass
    return band if whitening.lowpass is None else band & (frequencies <= whitening.lowpass)


def _minimum_phase_taps(gain: Tensor, whitening: Whitening) -> Taps:
    """Taps of minimum phase from the logarithm of the inverse ASD, on the grid of the PSD.

    Outside the band the gain is at most that of the band's border, and falls with the power ``ROLL_OFF``.
    """
    rate, size = whitening.sample_rate, whitening.filter_size
    length = CEPSTRUM_LENGTHS * max(size, 2 * (gain.shape[-1] - 1))
    fine = _interpolated(torch.cat([gain[..., 1:2], gain[..., 1:]], dim=-1), length // 2 + 1)
    frequencies = torch.linspace(0.0, rate / 2, length // 2 + 1, dtype=torch.float64, device=gain.device)
    inside = _in_band(frequencies, whitening).nonzero()[:, 0]
    first, last = int(inside[0]), int(inside[-1])
    low, high = frequencies[:first].clamp_min(frequencies[1]), frequencies[last + 1 :]
    parts = (
        torch.minimum(fine[..., :first], fine[..., first, None]) + ROLL_OFF * (low / frequencies[first]).log(),
        fine[..., first : last + 1],
        torch.minimum(fine[..., last + 1 :], fine[..., last, None]) + ROLL_OFF * (frequencies[last] / high).log(),
    )
    impulse = torch.fft.irfft(minimum_phase(torch.cat(parts, dim=-1)), n=length)[..., :size]
    return impulse * torch.hann_window(2 * size, dtype=torch.float64, device=gain.device)[size:]


def minimum_phase(gain: Tensor) -> Tensor:
    """Frequency response of minimum phase: exp(gain + iφ), with the phase φ that the gain at all frequencies implies.

    The cepstrum of such a response is zero before time 0 (Oppenheim & Schafer, Discrete-Time Signal Processing,
    chapter "Cepstrum Analysis and Homomorphic Deconvolution"). It is thus twice the even part there, which is the
    transform of the gain. Zero-latency whitening has these filters from Tsukada et al., arXiv:1708.04125.

    Args:
        gain: Logarithm of the amplitude, double precision, shape (..., frequency), evenly from 0 Hz to the Nyquist
            frequency.

    Returns:
        Complex, of the same shape.
    """
    size = 2 * (gain.shape[-1] - 1)
    cepstrum = torch.fft.irfft(gain.to(torch.complex128), n=size)
    fold = torch.zeros(size, dtype=torch.float64, device=gain.device)
    fold[1 : size // 2] = 2.0
    fold[0] = fold[size // 2] = 1.0
    return torch.fft.rfft(cepstrum * fold).exp()


def _interpolated(values: Tensor, size: int) -> Tensor:
    """Values on a finer grid with the same ends, by linear interpolation along the last axis."""
    rows = values.reshape(-1, 1, values.shape[-1])
    finer = torch.nn.functional.interpolate(rows, size, mode="linear", align_corners=True)
    return finer.reshape(*values.shape[:-1], size)


def _widen_lines(psd: Psd) -> Psd:
    """Raise each bin to at least half of either neighbour.

    This affects lines alone, because smooth spectra do not halve within a bin.
    """
    result = psd.clone()
    result[..., 1:] = torch.maximum(result[..., 1:], psd[..., :-1] / 2)
    result[..., :-1] = torch.maximum(result[..., :-1], psd[..., 1:] / 2)
    return result


def apply_filter(strain: Strain, taps: Taps, precision: torch.dtype = torch.float64) -> Tensor:
    """Filter strain, and drop a filter length at its edges: ``before_size`` at the start, ``after_size`` at the end.

    Long strain is filtered in overlapping frames of a few filter lengths (overlap-save). Frames fit a processor's cache
    and avoid transforms of the filter at the length of the strain.

    Args:
        strain: Strain, shape (..., time).
        taps: Taps from ``whitening_filter``, shape (..., taps). Leading axes broadcast.
        precision: Precision of the computation. Noise needs double precision, because its lowest frequencies are a
            hundred thousand times louder than the noise in band.

    Returns:
        Filtered strain in ``precision``, shape (..., time - taps). Sample 0 corresponds to sample ``before_size`` of
        ``strain``.

    Raises:
        DataError: If the strain is not longer than the filter.
    """
    size, length = strain.shape[-1], taps.shape[-1]
    if size <= length:
        raise DataError(f"{size} samples of strain are no more than the whitening filter's {length}")
    # circular convolution affects only samples that are dropped
    frame = min(_fast_size(size), FRAME_FILTER_LENGTHS * _fast_size(length))
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
    """One detector's whitened strain with the filters of its blocks.

    Attributes:
        data: Whitened strain, float32, shape (time,). Sample 0 is ``offset`` samples after the first sample of strain.
        taps: Filter of each block, double precision, shape (blocks, taps).
        offset: Number of samples of strain before the first whitened sample.
        block_size: Number of samples in a block. A block has one filter.
        after: Number of samples of strain that the filters need after each sample.
    """

    data: Tensor
    taps: Tensor
    offset: int
    block_size: int
    after: int

    def whiten_signal(self, signal: Strain, start: int) -> Tensor:
        """Whiten a signal with the filters of the blocks that it overlaps.

        Args:
            signal: Signal, shape (time,).
            start: Sample of the whitened stream at the signal's first sample; may be negative.

        Returns:
            Whitened signal, float32, shape (time + taps,), to add to ``data`` from sample ``start - after``. Samples
            outside the stream are zero.
        """
        return whiten_signals([self], signal[None], [start])[0]

    def blocks(self, first: int, size: int) -> list[tuple[int, int, int]]:
        """Find the blocks that overlap a range of samples.

        Args:
            first: First sample of the range; may be negative.
            size: Number of samples in the range.

        Returns:
            For each block its number, and its first and last (exclusive) sample relative to ``first``.
        """
        begin, end = max(first, 0), min(first + size, self.data.shape[-1])
        edges = range(begin // self.block_size, -(-end // self.block_size) if end > begin else 0)
        return [
            (k, max(begin, k * self.block_size) - first, min(end, (k + 1) * self.block_size) - first) for k in edges
        ]


def whiten_signals(streams: Sequence[WhitenedStream], signals: Strain, starts: Sequence[int]) -> Tensor:
    """Whiten the signals of several detectors (see ``WhitenedStream.whiten_signal``).

    Args:
        streams: Whitened stream of each detector.
        signals: Signals, shape (ifos, time), on the device of the streams.
        starts: Sample of each stream at its signal's first sample; may be negative.

    Returns:
        Whitened signals, float32, shape (ifos, time + taps).
    """
    length = streams[0].taps.shape[-1]
    size = signals.shape[-1] + length
    # single precision suffices, because signals have no loud low frequencies
    padded = torch.nn.functional.pad(signals.to(torch.float32), (length, length))
    places = [stream.blocks(start - stream.after, size) for stream, start in zip(streams, starts, strict=True)]
    if all(len(place) == 1 and place[0][1:] == (0, size) for place in places):
        taps = torch.stack([stream.taps[place[0][0]] for stream, place in zip(streams, places, strict=True)])
        # one call for all detectors takes little more time than for one
        return apply_filter(padded, taps, torch.float32)
    result = torch.zeros((len(streams), size), dtype=torch.float32, device=signals.device)
    for row, (stream, place) in enumerate(zip(streams, places, strict=True)):
        for block, low, high in place:
            cut = padded[row, low : high + length]
            result[row, low:high] = apply_filter(cut, stream.taps[block], torch.float32)
    return result


def whiten_stream(strain: Strain, whitening: Whitening) -> WhitenedStream:
    """Whiten a continuous stretch of one detector's strain in blocks.

    The filter of each block of ``block_length`` seconds follows from the PSD of the ``psd_length`` seconds before it.
    The output starts ``psd_length`` after the start of the stretch, and ends ``after_length`` before its end.

    Args:
        strain: Strain, shape (time,).
        whitening: Lengths of PSD, filter and block.

    Raises:
        DataError: If the stretch is no longer than ``psd_length + after_length``.
    """
    start, block = whitening.psd_size, whitening.block_size
    before, after = whitening.before_size, whitening.after_size
    end = strain.shape[-1] - after
    if end <= start:
        needed = "psd_length + fduration / 2" if after else "psd_length"
        raise DataError(
            f"{strain.shape[-1] / whitening.sample_rate:.3f} s of strain are too short to whiten: more than "
            f"{needed} = {whitening.psd_length + whitening.after_length} s are needed"
        )
    pieces, filters = [], []
    for low in range(start, end, block):
        psd = power_spectral_density(strain[low - start : low], whitening.sample_rate, whitening.fftlength)
        filters.append(whitening_filter(psd, whitening))
        high = min(low + block, end)
        pieces.append(apply_filter(strain[low - before : high + after], filters[-1]).float())
    return WhitenedStream(torch.cat(pieces), torch.stack(filters), start, block, after)


def whiten_whole(strain: Strain, whitening: Whitening) -> WhitenedStream:
    """Whiten a short stretch with the PSD of the stretch itself, if it is too short to lose ``psd_length``.

    The median limits the bias of the PSD from a short transient. The output lacks what the filter loses at each edge.

    Args:
        strain: Strain, shape (time,).
        whitening: Lengths of Welch segment and filter.
    """
    psd = power_spectral_density(strain, whitening.sample_rate, whitening.fftlength)
    taps = whitening_filter(psd, whitening)
    data = apply_filter(strain, taps).float()
    return WhitenedStream(data, taps[None], whitening.before_size, data.shape[-1], whitening.after_size)
