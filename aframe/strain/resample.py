"""From the detectors' sample rate to the search's, around gaps, without moving a sample in time."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from aframe.errors import DataError
from aframe.types import Array

EDGE_DURATION = 0.125
"""Seconds that the anti-alias filter spoils at each edge, which are cut off: half its impulse response."""

STOPBAND_ATTENUATION = 100.0
"""dB by which the anti-alias filter damps what would fold into the band."""

LARGEST_FACTOR = 2048
"""Largest numerator and denominator of a ratio of sample rates; others would need excessive filters."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """One detector's strain without gaps: sample k was taken at ``start + k / sample_rate``.

    Attributes:
        ifo: Detector.
        start: GPS seconds.
        sample_rate: Hz.
        data: Strain, shape (time,).
    """

    ifo: str
    start: float
    sample_rate: float
    data: Array

    @property
    def stop(self) -> float:
        """GPS seconds, one sample after the last."""
        return self.start + len(self.data) / self.sample_rate


def split_at_gaps(stretch: Stretch) -> list[Stretch]:
    """The contiguous pieces between samples that are not finite."""
    good = np.concatenate([[False], np.isfinite(stretch.data), [False]])
    edges = np.flatnonzero(good[1:] != good[:-1])
    return [
        Stretch(stretch.ifo, stretch.start + low / stretch.sample_rate, stretch.sample_rate, stretch.data[low:high])
        for low, high in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]


def resample(stretch: Stretch, sample_rate: float) -> Stretch | None:
    """Lower the sample rate with a zero-phase anti-alias filter.

    The filter is a Kaiser-windowed sinc of 2 ``EDGE_DURATION``, the same function of time whatever the sample rate
    that it is applied at: flat up to 26 Hz below the new Nyquist frequency. ``EDGE_DURATION`` at each edge, where it
    would reach beyond the data, is cut off; nothing is invented there. The new samples lie on GPS multiples of the
    new sampling interval (where the old ones do), so that pieces between gaps stay on one grid.

    Args:
        stretch: Contiguous, finite strain.
        sample_rate: Hz.

    Returns:
        The strain at the new rate, or None if the stretch is no longer than the filter. Equal rates
        give the strain itself.

    Raises:
        DataError: If the new rate is higher, or the ratio of the two is no simple fraction.
    """
    from scipy import signal

    if stretch.sample_rate == sample_rate:
        return stretch
    ratio = ratio_of_rates(stretch.ifo, stretch.start, stretch.sample_rate, sample_rate)
    up, down = ratio.numerator, ratio.denominator
    skip = -round(stretch.start % 1.0 * stretch.sample_rate) % down
    source = stretch.data[skip:]
    first = int(np.ceil(EDGE_DURATION * sample_rate - 1e-9))
    count = (len(source) - 1) * up // down + 1 - 2 * first
    if count < 1:
        return None
    taps = _anti_alias(sample_rate, stretch.sample_rate * up)
    if up == 1:
        filtered = signal.oaconvolve(source, taps, mode="same")[::down]
    else:
        delay = (len(taps) - 1) // 2  # whole output samples are dropped, so pad the filter to a multiple of them
        pad = -delay % down
        filtered = signal.upfirdn(np.concatenate([np.zeros(pad), taps * up]), source, up, down)
        filtered = filtered[(delay + pad) // down :]
    data = np.ascontiguousarray(filtered[first : first + count])
    start = stretch.start + skip / stretch.sample_rate + first / sample_rate
    return Stretch(stretch.ifo, start, sample_rate, data)


def ratio_of_rates(ifo: str, start: float, recorded_rate: float, sample_rate: float) -> Fraction:
    """The new sample rate over the recorded one.

    Args:
        ifo: Detector, for the error.
        start: GPS seconds, for the error.
        recorded_rate: Hz.
        sample_rate: Hz.

    Raises:
        DataError: If the new rate is higher, or the ratio of the two is no simple fraction.
    """
    ratio = Fraction(sample_rate / recorded_rate).limit_denominator(2 * LARGEST_FACTOR)
    where = f"strain of {ifo} at {start:.0f} has {recorded_rate:g} Hz"
    if sample_rate > recorded_rate:
        raise DataError(
            f"{where}, less than sample_rate = {sample_rate:g} Hz: give strain of a higher rate, or lower it"
        )
    exact = abs(float(ratio) * recorded_rate - sample_rate) < 1e-9 * sample_rate
    if not exact or max(ratio.numerator, ratio.denominator) > LARGEST_FACTOR:
        raise DataError(
            f"{where}, which cannot be brought to sample_rate = {sample_rate:g} Hz: choose a rate that divides it, "
            "or stands to it as two small whole numbers"
        )
    return ratio


def _anti_alias(sample_rate: float, filter_rate: float) -> Array:
    """Odd, symmetric taps at ``filter_rate`` whose stop band starts at half of ``sample_rate``; unit gain at 0 Hz."""
    from scipy import signal

    half = int(np.floor(EDGE_DURATION * filter_rate))
    width = (STOPBAND_ATTENUATION - 7.95) / (2.285 * 2 * np.pi) / (2 * half / filter_rate)  # Kaiser's formula, Hz
    window = ("kaiser", signal.kaiser_beta(STOPBAND_ATTENUATION))
    return signal.firwin(2 * half + 1, sample_rate / 2 - width / 2, window=window, fs=filter_rate)
