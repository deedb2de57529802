"""Time slides: the shifts and segments of a background, and their live time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aframe.errors import ConfigurationError, DataError
from aframe.events.spans import SlideSpans
from aframe.preprocessing import Preprocessing, check_shifts, to_samples


@dataclass(frozen=True)
class Slide:
    """One segment with its detectors shifted against each other. Slide 0 is zero lag.

    Attributes:
        segment: Index of the segment.
        number: Multiple of the configured shifts.
        shifts: Shift of each detector, s. Slide time t has the data of detector k from time t + shifts[k].
        windows: Number of windows.
    """

    segment: int
    number: int
    shifts: tuple[float, ...]
    windows: int


@dataclass(frozen=True)
class Grid:
    """Positions of windows on whitened streams.

    Attributes:
        preprocessing: Window, stride and whitening.
        shifts: Shift of each detector from one slide to the next, s.

    Raises:
        ConfigurationError: If a shift is not a whole number of strides.
    """

    preprocessing: Preprocessing
    shifts: tuple[float, ...]

    def __post_init__(self) -> None:
        check_shifts(self.shifts, self.preprocessing.inference_sampling_rate)

    def stream_size(self, duration: float) -> int:
        """Number of whitened samples of a segment of ``duration`` seconds."""
        whitening = self.preprocessing.whitening
        total = to_samples(duration, whitening.sample_rate, "the segment's duration")
        return total - whitening.psd_size - whitening.after_size

    def offsets(self, number: int) -> tuple[int, ...]:
        """Sample of each detector's stream at which a slide starts. The smallest is 0."""
        rate = self.preprocessing.whitening.sample_rate
        first = min(shift * number for shift in self.shifts)
        return tuple(to_samples(shift * number - first, rate, "shift") for shift in self.shifts)

    def span(self, start: float, duration: float, number: int) -> tuple[float, float] | None:
        """Slide times (GPS s) between which all detectors have whitened strain; None if there are none.

        Args:
            start: GPS s of the segment's start.
            duration: Length of the segment, s.
            number: Number of the slide.
        """
        whitening = self.preprocessing.whitening
        low = start + whitening.psd_length - min(shift * number for shift in self.shifts)
        high = start + duration - whitening.after_length - max(shift * number for shift in self.shifts)
        return (low, high) if high > low else None

    def event_spans(self, starts: Sequence[float], slides: Sequence[Slide]) -> SlideSpans:
        """Slide times of possible events. Their length is the live time: a stride per window.

        A window stands for the stride around its coalescence time (start + coalescence offset). Averages of windows and
        the middles of peaks lie between the coalescence times of the first and the last window.

        Args:
            starts: GPS s of each segment's start.
            slides: Slides of the segments.
        """
        stride = 1 / self.preprocessing.inference_sampling_rate
        lead = self.preprocessing.whitening.psd_length + self.preprocessing.coalescence_offset - stride / 2
        shift = np.array([slide.shifts for slide in slides], dtype=np.float64).reshape(-1, len(self.shifts))
        start = np.array([starts[slide.segment] - min(slide.shifts) for slide in slides], dtype=np.float64) + lead
        return SlideSpans(start, np.array([slide.windows for slide in slides]) * stride, shift)

    def slide(self, segment: int, duration: float, number: int) -> Slide:
        """Slide of a segment. It has all windows that its overlapping streams hold, perhaps none.

        Args:
            segment: Index of the segment.
            duration: Length of the segment, s.
            number: Number of the slide.
        """
        windows = self.windows(self.stream_size(duration) - max(self.offsets(number)))
        return Slide(segment, number, tuple(shift * number for shift in self.shifts), windows)

    def windows(self, size: int) -> int:
        """Number of windows in ``size`` whitened samples."""
        return max(0, (size - self.preprocessing.kernel_size) // self.preprocessing.stride_size + 1)

    def livetime(self, slides: Sequence[Slide]) -> float:
        """Live time (s) of slides: a stride for each window."""
        return sum(slide.windows for slide in slides) / self.preprocessing.inference_sampling_rate

    def background(self, durations: Sequence[float], Tb: float) -> list[Slide]:
        """Choose the fewest slides that reach a live time, smallest shifts first.

        Args:
            durations: Length of each segment, s.
            Tb: Live time to reach, s.

        Raises:
            ConfigurationError: If two detectors have the same shift.
            DataError: If the segments give less live time. The message tells how much they give.
        """
        if len(set(self.shifts)) < len(self.shifts):
            raise ConfigurationError(f"shifts = {self.shifts}: two detectors with one shift are never slid apart")
        slides: list[Slide] = []
        livetime, number = 0.0, 1
        while livetime < Tb:
            added = [self.slide(index, duration, number) for index, duration in enumerate(durations)]
            added = [slide for slide in added if slide.windows > 0]
            if not added:
                raise DataError(
                    f"Tb = {Tb:.0f} s cannot be reached: {len(durations)} segments of {sum(durations):.0f} s in all, "
                    f"shifted by multiples of {self.shifts} s, give at most {livetime:.0f} s; "
                    "lower Tb, take more data or smaller shifts"
                )
            for slide in added:
                slides.append(slide)
                livetime += self.livetime([slide])
                if livetime >= Tb:
                    break
            number += 1
        return slides
