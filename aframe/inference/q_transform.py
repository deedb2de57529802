"""The Q transform: power of whitened strain over time and frequency.

Chatterji et al., arXiv:gr-qc/0412119. Each row is a band around one frequency. The bandwidth is a fixed fraction of the
frequency.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from aframe.errors import DataError
from aframe.types import Array


@dataclass(frozen=True)
class QTransform:
    """Energies of one detector's whitened strain.

    Attributes:
        time: GPS s of each column.
        frequency: Hz of each row.
        energy: Energy of each tile, in units of its mean over stationary Gaussian noise, dimensionless. In noise it is
            exponentially distributed with mean 1. The best tile of a signal of SNR ρ has about ρ² / 2.
        q: Centre frequency over bandwidth.
    """

    time: Float[Array, " columns"]
    frequency: Float[Array, " rows"]
    energy: Float[Array, "rows columns"]
    q: float


def q_transform(  # noqa: PLR0917 - a series with its axis, and the axes of the result
    whitened: Float[Array, " time"],
    sample_rate: float,
    start: float,
    q: float,
    frequency: Float[Array, " rows"],
    time_step: float,
) -> QTransform:
    """Compute the Q transform of whitened strain.

    Windows are bisquare in frequency, with half width f √11 / Q. Each row is divided by its median over time over ln 2.
    The strain should therefore be longer than a signal in it. The transform takes the strain to be periodic, so the
    caller should cut both ends.

    Args:
        whitened: Whitened strain.
        sample_rate: Sample rate, Hz.
        start: GPS s of the first sample.
        q: Centre frequency over bandwidth, at least √11.
        frequency: Frequency of each row, Hz, at most ``highest_frequency``.
        time_step: Seconds from one column to the next. The strain is cut to a whole number of steps.

    Raises:
        DataError: If a frequency's band does not fit between 0 and the Nyquist frequency.
    """
    outside = frequency[(frequency <= 0) | (frequency > highest_frequency(sample_rate, q) * (1 + 1e-9))]
    if len(outside) or q < np.sqrt(11):
        raise DataError(
            f"a Q transform at {sample_rate} Hz with Q = {q} has no band about {outside[:1]} Hz: "
            f"take Q ≥ √11 and frequencies up to {highest_frequency(sample_rate, q):.4g} Hz"
        )
    columns = int(len(whitened) / sample_rate / time_step + 1e-9)
    size = round(columns * time_step * sample_rate)
    duration = size / sample_rate
    spectrum = np.fft.rfft(np.asarray(whitened[:size], dtype=np.float64))
    energy = np.empty((len(frequency), columns))
    for row, centre in enumerate(frequency):
        half = centre * np.sqrt(11) / q
        bins = np.arange(np.ceil((centre - half) * duration), np.floor((centre + half) * duration) + 1).astype(np.int64)
        bins = bins[(bins >= 0) & (bins < len(spectrum))]
        window = (1 - ((bins / duration - centre) / half) ** 2) ** 2
        folded = np.zeros(columns, dtype=np.complex128)
        np.add.at(folded, bins % columns, spectrum[bins] * window)  # sampling in time aliases frequencies
        power = np.abs(np.fft.ifft(folded)) ** 2
        energy[row] = power * np.log(2) / max(float(np.median(power)), np.finfo(np.float64).tiny)
    return QTransform(start + np.arange(columns) * time_step, frequency, energy, q)


def highest_frequency(sample_rate: float, q: float) -> float:
    """Highest frequency (Hz) whose band lies below the Nyquist frequency.

    Args:
        sample_rate: Sample rate, Hz.
        q: Centre frequency over bandwidth.
    """
    return float(sample_rate / 2 / (1 + np.sqrt(11) / q))


def loudest(transforms: Sequence[Sequence[QTransform]], start: float, stop: float) -> int:
    """Index of the Q whose loudest tiles, summed over detectors, have the most energy.

    Args:
        transforms: Transforms of each Q, each a sequence with one per detector.
        start: GPS s of the first tiles that count.
        stop: GPS s of the last tiles that count.
    """
    peaks = [
        sum(float(t.energy[:, (t.time >= start) & (t.time <= stop)].max(initial=0.0)) for t in per_detector)
        for per_detector in transforms
    ]
    return int(np.argmax(peaks))
