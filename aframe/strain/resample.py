"""Resample strain to the search's sample rate. Gaps stay gaps, and samples keep their times."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from aframe.errors import DataError
from aframe.types import Array

EDGE_DURATION = 0.125
"""Strain lost at each edge, s: half the impulse response of the anti-alias filter."""

STOPBAND_ATTENUATION = 100.0
"""Attenuation of the anti-alias filter in its stop band, dB."""

LARGEST_FACTOR = 2048
"""Largest numerator and denominator of a ratio of sample rates. Larger numbers would need excessively long filters."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """One detector's strain without gaps. The time of sample k is ``start + k / sample_rate``.

    Attributes:
        ifo: Detector.
        start: Time of the first sample, GPS s.
        sample_rate: Sampling rate, Hz.
        data: Strain, shape (time,).
    """

    ifo: str
    start: float
    sample_rate: float
    data: Array

    @property
    def stop(self) -> float:
        """Time one sample after the last, GPS s."""
        return self.start + len(self.data) / self.sample_rate


def resample(stretch: Stretch, sample_rate: float) -> Stretch | None:
    """Lower the sample rate with a zero-phase anti-alias filter.

    The filter is a Kaiser-windowed sinc of length 2 ``EDGE_DURATION``. It is the same function of time at any recorded
    rate, and flat up to 26 Hz below the new Nyquist frequency. At each edge the filter would reach beyond the data, so
    ``EDGE_DURATION`` of strain is cut off. If the old samples lie on GPS multiples of the old sampling interval, the
    new samples lie on GPS multiples of the new interval. Pieces between gaps thus stay on one grid.

    Args:
        stretch: Contiguous, finite strain.
        sample_rate: New sampling rate, Hz.

    Returns:
        Strain at the new rate; None if the stretch is not longer than the filter; the stretch itself for equal rates.

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
        delay = (len(taps) - 1) // 2  # the output drops whole samples, so the filter is padded to a multiple of them
        pad = -delay % down
        filtered = signal.upfirdn(np.concatenate([np.zeros(pad), taps * up]), source, up, down)
        filtered = filtered[(delay + pad) // down :]
    data = np.ascontiguousarray(filtered[first : first + count])
    start = stretch.start + skip / stretch.sample_rate + first / sample_rate
    return Stretch(stretch.ifo, start, sample_rate, data)


def ratio_of_rates(ifo: str, start: float, recorded_rate: float, sample_rate: float) -> Fraction:
    """Ratio of the new sample rate to the recorded rate.

    Args:
        ifo: Detector, for error messages.
        start: Start of the strain, GPS s, for error messages.
        recorded_rate: Recorded sampling rate, Hz.
        sample_rate: New sampling rate, Hz.

    Raises:
        DataError: If the new rate is higher, or the ratio of the two is no simple fraction.
    """
    ratio = Fraction(sample_rate / recorded_rate).limit_denominator(2 * LARGEST_FACTOR)
    where = f"strain of {ifo} at {start:.0f} has {recorded_rate:g} Hz"
    if sample_rate > recorded_rate:
        raise DataError(
            f"{where}, less than sample_rate = {sample_rate:g} Hz of the search: give strain of a higher rate"
        )
    is_exact = abs(float(ratio) * recorded_rate - sample_rate) < 1e-9 * sample_rate
    if not is_exact or max(ratio.numerator, ratio.denominator) > LARGEST_FACTOR:
        raise DataError(
            f"{where}, which cannot be brought to sample_rate = {sample_rate:g} Hz of the search: give strain of a "
            "multiple of it, or of a ratio of two small whole numbers"
        )
    return ratio


def _anti_alias(sample_rate: float, filter_rate: float) -> Array:
    """Anti-alias filter with a stop band above half of ``sample_rate``: an odd number of symmetric taps, unit gain."""
    from scipy import signal

    half = int(np.floor(EDGE_DURATION * filter_rate))
    width = (STOPBAND_ATTENUATION - 7.95) / (2.285 * 2 * np.pi) / (2 * half / filter_rate)  # Kaiser's formula, Hz
    window = ("kaiser", signal.kaiser_beta(STOPBAND_ATTENUATION))
    return signal.firwin(2 * half + 1, sample_rate / 2 - width / 2, window=window, fs=filter_rate)
