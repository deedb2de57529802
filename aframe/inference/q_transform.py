"""The Q transform: how the power of whitened strain is spread over time and frequency.

Chatterji et al., arXiv:gr-qc/0412119. Each row is a band about one frequency whose width is a fixed share of it.
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
        energy: Shape (rows, columns), in units of its mean over stationary Gaussian noise: dimensionless, exponentially
            distributed with mean 1 in noise, and about ρ² / 2 at the best tile of a signal of SNR ρ.
        q: Centre frequency over bandwidth.
    """

    time: Float[Array, " columns"]
    frequency: Float[Array, " rows"]
    energy: Float[Array, "rows columns"]
    q: float


def q_transform(  # noqa: PLR0917 - a series and its axis, and the axes of what becomes of it
    whitened: Float[Array, " time"],
    sample_rate: float,
    start: float,
    q: float,
    frequency: Float[Array, " rows"],
    time_step: float,
) -> QTransform:
    """Energies of whitened strain.

    Windows are bisquare in frequency, of half width f √11 / Q. Each row is divided by its median over time over ln 2,
    so the strain should be longer than what is in it; it is taken to be periodic, so some of both ends should be cut.

    Args:
        whitened: Whitened strain.
        sample_rate: Hz.
        start: GPS s of its first sample.
        q: Centre frequency over bandwidth, at least √11.
        frequency: Hz, each at most ``highest_frequency``.
        time_step: Seconds from one column to the next; the strain's length in these is rounded down.

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
        np.add.at(folded, bins % columns, spectrum[bins] * window)  # sampling in time folds frequencies
        power = np.abs(np.fft.ifft(folded)) ** 2
        energy[row] = power * np.log(2) / max(float(np.median(power)), np.finfo(np.float64).tiny)
    return QTransform(start + np.arange(columns) * time_step, frequency, energy, q)


def highest_frequency(sample_rate: float, q: float) -> float:
    """Hz of the highest row whose band fits under the Nyquist frequency."""
    return float(sample_rate / 2 / (1 + np.sqrt(11) / q))


def loudest(transforms: Sequence[Sequence[QTransform]], start: float, stop: float) -> int:
    """Which of several sets of transforms (one per detector) has the loudest tiles, summed over detectors.

    Args:
        transforms: Per Q, per detector.
        start: GPS s from which tiles count.
        stop: GPS s until which they count.
    """
    peaks = [
        sum(float(t.energy[:, (t.time >= start) & (t.time <= stop)].max(initial=0.0)) for t in per_detector)
        for per_detector in transforms
    ]
    return int(np.argmax(peaks))
