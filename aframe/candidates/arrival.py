"""When a candidate reached each detector, as far as the strain itself says."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.signal import hilbert

from aframe.constants import SPEED_OF_LIGHT
from aframe.types import Array
from aframe.waveforms.projection import detector_geometry

SEARCH = 0.3
"""Seconds on either side of an event's time in which its power is looked for."""

SMOOTHING = 0.008
"""Standard deviation, s, over which power is averaged before its maximum is taken."""

CORRELATED = 0.02
"""Standard deviation, s, of the stretch about the maximum that is compared between detectors."""


def arrival_times(
    whitened: Float[Array, "ifos time"], sample_rate: float, start: float, ifos: Sequence[str], time: float
) -> Float[Array, " ifos"]:
    """GPS s of the largest whitened power in each detector, near an event.

    A search that sees all detectors at once gives one time. Here the detector with the largest peak of power (the
    squared envelope of whitened strain, smoothed over 8 ms) is compared with each other one: of the delays that light
    allows, the one with the largest correlation of the analytic signals, whatever their relative phase. The common time
    is that of the largest sum of all detectors' powers, so aligned. It is the time of most whitened power, not of
    coalescence, which for binary black holes is some 10 ms later; a delay between detectors is better known than the
    time (docs/results.md).

    Args:
        whitened: Whitened strain of each detector, on one time axis that reaches ``SEARCH`` and a tenth of a second
            beyond the event, or is cut there.
        sample_rate: Hz.
        start: GPS s of its first sample.
        ifos: Detectors, by LAL's two-letter names.
        time: GPS s of the event.
    """
    signal = hilbert(np.asarray(whitened, dtype=np.float64), axis=-1)
    power = gaussian_filter1d(np.abs(signal) ** 2, SMOOTHING * sample_rate, axis=-1)
    size = power.shape[-1]
    low, high = (int(np.clip(round((time + s * SEARCH - start) * sample_rate), 0, size - 1)) for s in (-1, 1))
    peaks = power[:, low : high + 1].max(axis=-1)
    first = int(peaks.argmax())
    centre = low + int(power[first, low : high + 1].argmax())
    weight = np.exp(-0.5 * ((np.arange(size) - centre) / (CORRELATED * sample_rate)) ** 2)
    location = detector_geometry(ifos).location.double().numpy()
    light = np.linalg.norm(location - location[first], axis=-1) / SPEED_OF_LIGHT
    delay = np.array(
        [_delay(np.conj(signal[first]) * weight, other, int(np.ceil(t * sample_rate)))
         for other, t in zip(signal, light, strict=True)]
    )  # fmt: skip
    together = sum(np.roll(row, -d) for row, d in zip(power, delay, strict=True))
    common = low + int(np.asarray(together)[low : high + 1].argmax())
    return np.asarray(start + (common + delay) / sample_rate)


def _delay(reference: Array, other: Array, most: int) -> int:
    """Samples by which ``other`` is later than ``reference``, at most ``most``, from the largest correlation."""
    delays = np.arange(-most, most + 1)
    return int(delays[np.argmax([abs(reference @ np.roll(other, -d)) for d in delays])])
