"""Parameters of the preprocessing of strain for a network.

This module holds numbers alone. Code that plans computations can thus avoid numerical imports.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aframe.errors import ConfigurationError

PHASES = ZERO_PHASE, MINIMUM_PHASE = "zero", "minimum"
"""Phases of whitening filters. One of zero phase is symmetric, one of minimum phase needs no later strain."""


def to_samples(duration: float, sample_rate: float, name: str = "duration") -> int:
    """Number of samples in a duration.

    Args:
        duration: Duration, s.
        sample_rate: Sampling rate, Hz.
        name: Name of the duration, for error messages.

    Raises:
        ConfigurationError: If the duration is not a whole number of samples.

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
    """Parameters of whitening.

    Attributes:
        sample_rate: Sampling rate, Hz.
        psd_length: Length of strain before each block for its PSD, s.
        fftlength: Length of each Welch segment, s.
        fduration: Length of the whitening filter, s. The filter needs strain of this length around each sample.
        block_length: Length of a block, s. A block has one PSD.
        highpass: Frequency below which the filter is zero, Hz.
        lowpass: Frequency above which the filter is zero, Hz; None for the Nyquist frequency.
        phase: Phase of the filter, one of ``PHASES``. Models made before there was a choice have zero phase.
    """

    sample_rate: float
    psd_length: float
    fftlength: float
    fduration: float
    block_length: float
    highpass: float
    lowpass: float | None
    phase: str = ZERO_PHASE

    @property
    def psd_size(self) -> int:
        """Samples in ``psd_length``."""
        return to_samples(self.psd_length, self.sample_rate, "psd_length")

    @property
    def filter_size(self) -> int:
        """Samples in ``fduration``."""
        return 2 * to_samples(self.fduration / 2, self.sample_rate, "fduration / 2")

    @property
    def after_size(self) -> int:
        """Samples of strain after a sample that whiten it; they are lost at the end: half the filter, or none."""
        return 0 if self.phase == MINIMUM_PHASE else self.filter_size // 2

    @property
    def before_size(self) -> int:
        """Samples of strain before a sample that whiten it; they are lost at the start: the rest of the filter."""
        return self.filter_size - self.after_size

    @property
    def after_length(self) -> float:
        """Seconds of strain after a sample that whiten it."""
        return 0.0 if self.phase == MINIMUM_PHASE else self.fduration / 2

    @property
    def before_length(self) -> float:
        """Seconds of strain before a sample that whiten it."""
        return self.fduration - self.after_length

    @property
    def block_size(self) -> int:
        """Samples in ``block_length``."""
        return to_samples(self.block_length, self.sample_rate, "block_length")


@dataclass(frozen=True)
class Preprocessing:
    """Parameters of the preprocessing for a network, and of the times of its scores.

    Attributes:
        ifos: Detectors, in the order of the network's input.
        kernel_length: Length of a window, s.
        inference_sampling_rate: Intended number of windows per second of strain, Hz.
        coalescence: First and last time of coalescences in training, s from the start of a window.
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
        """Time from a window's start to the middle of the interval of coalescences in training, s."""
        return (self.coalescence[0] + self.coalescence[1]) / 2


def check_shifts(shifts: Sequence[float], sampling_rate: float) -> None:
    """Check that windows of all detectors still start at the same times after shifts.

    Args:
        shifts: Shift of each detector, s.
        sampling_rate: Windows per second, Hz.

    Raises:
        ConfigurationError: With a shift that is not a multiple of the window spacing, and the nearest multiples.
    """
    for shift in shifts:
        windows = shift * sampling_rate
        if abs(windows - round(windows)) > 1e-6:
            text = ", ".join(f"{each:g}" for each in shifts)
            below, above = math.floor(windows) / sampling_rate, math.ceil(windows) / sampling_rate
            raise ConfigurationError(
                f"shifts = {text}: {shift:g} s lies between windows, which start every "
                f"{1 / sampling_rate:g} s (1 / inference_sampling_rate): choose multiples of that, such as "
                f"{below:g} or {above:g}"
            )


def check_coalescence(first_coalescence: float, last_coalescence: float, kernel_length: float) -> None:
    """Refuse coalescences that a window cannot have.

    Args:
        first_coalescence: Earliest, s from the window's start.
        last_coalescence: Latest, s from the window's start.
        kernel_length: Of the window, s.

    Raises:
        ConfigurationError: If they do not follow each other inside the window.
    """
    if not 0 <= first_coalescence < last_coalescence <= kernel_length:
        raise ConfigurationError(
            f"first_coalescence = {first_coalescence} s and last_coalescence = {last_coalescence} s must follow "
            f"each other inside kernel_length = {kernel_length} s"
        )
