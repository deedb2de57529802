"""Measure a candidate's arrival time in each detector from the strain."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.signal import hilbert

from aframe.constants import SPEED_OF_LIGHT
from aframe.types import Array
from aframe.waveforms.projection import detector_geometry

ARRIVAL_WINDOW = 0.3
"""Half width, s, of the search for maximum power around an event's time."""

POWER_SMOOTHING = 0.008
"""Standard deviation, s, of the Gaussian that smooths power before the search for its maximum."""

CORRELATION_WIDTH = 0.02
"""Standard deviation, s, of the Gaussian window of the correlation between detectors."""


def arrival_times(
    whitened: Float[Array, "ifos time"], sample_rate: float, start: float, ifos: Sequence[str], time: float
) -> Float[Array, " ifos"]:
    """Measure the time of the largest whitened power in each detector near an event.

    The search itself gives one time for all detectors. Power is the squared envelope of whitened strain, smoothed over
    8 ms. The detector with the largest peak of power is the reference. The delay of each other detector maximises the
    correlation of the analytic signals, for any relative phase, within the light travel time. The common time maximises
    the sum of all detectors' powers after alignment. It is the time of the largest whitened power. Coalescence of
    binary black holes is some 10 ms later. Delays between detectors are more accurate than the time (docs/results.md).

    Args:
        whitened: Whitened strain, shape (ifos, samples), on one time axis. It extends ``ARRIVAL_WINDOW`` plus 0.1 s on
            both sides of the event, or less at the border of the data.
        sample_rate: Sampling rate, Hz.
        start: Time of the first sample, GPS s.
        ifos: Detectors, by LAL's two-letter names.
        time: Time of the event, GPS s.

    Returns:
        Arrival time in each detector, GPS s, shape (ifos,).
    """
    signal = hilbert(np.asarray(whitened, dtype=np.float64), axis=-1)
    power = gaussian_filter1d(np.abs(signal) ** 2, POWER_SMOOTHING * sample_rate, axis=-1)
    size = power.shape[-1]
    low, high = (int(np.clip(round((time + s * ARRIVAL_WINDOW - start) * sample_rate), 0, size - 1)) for s in (-1, 1))
    peaks = power[:, low : high + 1].max(axis=-1)
    first = int(peaks.argmax())
    centre = low + int(power[first, low : high + 1].argmax())
    weight = np.exp(-0.5 * ((np.arange(size) - centre) / (CORRELATION_WIDTH * sample_rate)) ** 2)
    location = detector_geometry(ifos).location.double().numpy()
    light = np.linalg.norm(location - location[first], axis=-1) / SPEED_OF_LIGHT
    delay = np.array(
        [_delay(np.conj(signal[first]) * weight, other, int(np.ceil(t * sample_rate)))
         for other, t in zip(signal, light, strict=True)]
    )  # fmt: skip
    total_power = sum(np.roll(row, -d) for row, d in zip(power, delay, strict=True))
    common = low + int(np.asarray(total_power)[low : high + 1].argmax())
    return np.asarray(start + (common + delay) / sample_rate)


def _delay(reference: Array, other: Array, maximum: int) -> int:
    """Delay of ``other`` after ``reference`` with the largest correlation, in samples, at most ``maximum``."""
    delays = np.arange(-maximum, maximum + 1)
    return int(delays[np.argmax([abs(reference @ np.roll(other, -d)) for d in delays])])
