"""How strain is prepared for a network: numbers alone, so that what only plans need not import what computes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aframe.errors import ConfigurationError


def to_samples(duration: float, sample_rate: float, name: str = "duration") -> int:
    """Number of samples in a duration.

    Args:
        duration: Seconds.
        sample_rate: Hz.
        name: What the duration is, for the error message.

    Raises:
        ConfigurationError: If the duration is no whole number of samples.

    >>> to_samples(1.5, 2048)
    3072
    """
    size = duration * sample_rate
    if abs(size - round(size)) > 1e-6 * max(1.0, abs(size)) ** 0.5:
        raise ConfigurationError(
            f"{name} = {duration} s is {size:.6g} samples at {sample_rate} Hz: choose a whole number of them"
        )
    return round(size)


@dataclass(frozen=True)
class Whitening:
    """How strain becomes whitened strain.

    Attributes:
        sample_rate: Hz.
        psd_length: Seconds of strain, just before each block, from which its PSD is estimated.
        fftlength: Seconds of each Welch segment.
        fduration: Seconds of the whitening filter; half of it is lost at each edge.
        block_length: Seconds of strain that share one PSD.
        highpass: Hz below which the filter is zero.
        lowpass: Hz above which the filter is zero; None keeps all up to the Nyquist frequency.
    """

    sample_rate: float
    psd_length: float
    fftlength: float
    fduration: float
    block_length: float
    highpass: float
    lowpass: float | None

    @property
    def psd_size(self) -> int:
        """Samples in ``psd_length``."""
        return to_samples(self.psd_length, self.sample_rate, "psd_length")

    @property
    def filter_size(self) -> int:
        """Samples in ``fduration``."""
        return 2 * to_samples(self.fduration / 2, self.sample_rate, "fduration / 2")

    @property
    def crop_size(self) -> int:
        """Samples lost at each edge: half the filter."""
        return self.filter_size // 2

    @property
    def block_size(self) -> int:
        """Samples in ``block_length``."""
        return to_samples(self.block_length, self.sample_rate, "block_length")


@dataclass(frozen=True)
class Preprocessing:
    """How strain must be prepared for a network, and what its score's time means.

    Attributes:
        ifos: Detectors, in the order of the network's input.
        kernel_length: Window, s.
        inference_sampling_rate: Windows per second of strain that the network is meant to see, Hz.
        coalescence: Where in a window, s from its start, training put coalescences: first and last.
        whitening: Whitening of the strain.
    """

    ifos: tuple[str, ...]
    kernel_length: float
    inference_sampling_rate: float
    coalescence: tuple[float, float]
    whitening: Whitening

    @property
    def kernel_size(self) -> int:
        """Samples in a window."""
        return to_samples(self.kernel_length, self.whitening.sample_rate, "kernel_length")

    @property
    def stride_size(self) -> int:
        """Samples from one window to the next."""
        rate = self.whitening.sample_rate
        return to_samples(1 / self.inference_sampling_rate, rate, "1 / inference_sampling_rate")

    @property
    def coalescence_offset(self) -> float:
        """Seconds from a window's start to the middle of the interval in which training puts coalescences."""
        return (self.coalescence[0] + self.coalescence[1]) / 2


def check_shifts(shifts: Sequence[float], sampling_rate: float) -> None:
    """Refuse shifts after which windows of two detectors do not start at one time.

    Args:
        shifts: Of each detector, s.
        sampling_rate: Windows per second, Hz.

    Raises:
        ConfigurationError: Naming a shift that lies between windows, and those that are allowed.
    """
    for shift in shifts:
        windows = shift * sampling_rate
        if abs(windows - round(windows)) > 1e-6:
            together = ", ".join(f"{each:g}" for each in shifts)
            below, above = math.floor(windows) / sampling_rate, math.ceil(windows) / sampling_rate
            raise ConfigurationError(
                f"shifts = {together}: {shift:g} s lies between windows, of which one starts every "
                f"{1 / sampling_rate:g} s (1 / inference_sampling_rate): choose multiples of that, such as "
                f"{below:g} or {above:g}"
            )
