"""Cut strain of several detectors to the time that they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aframe.errors import DataError
from aframe.strain.resample import Stretch
from aframe.types import Array


@dataclass(frozen=True, eq=False)
class Coincident:
    """Strain of several detectors on one time axis, without gaps.

    Attributes:
        start: Time of the first sample, GPS s.
        sample_rate: Sampling rate, Hz.
        strain: Strain of each detector, double precision, shape (time,).
    """

    start: float
    sample_rate: float
    strain: dict[str, Array]

    @property
    def duration(self) -> float:
        """Duration, s."""
        return len(next(iter(self.strain.values()))) / self.sample_rate


def coincident(stretches: Mapping[str, Sequence[Stretch]]) -> list[Coincident]:
    """Cut strain to the stretches of time that all detectors share.

    Args:
        stretches: Stretches of each detector, in order of time, at one sample rate.

    Raises:
        DataError: If the detectors share no time, or their samples do not coincide.
    """
    names = list(stretches)
    cuts = [[stretch] for stretch in stretches[names[0]]]
    for name in names[1:]:
        cuts = [
            [*chosen, other]
            for chosen in cuts
            for other in stretches[name]
            if min(s.stop for s in [*chosen, other]) > max(s.start for s in [*chosen, other])
        ]
    if not cuts:
        spans = "; ".join(f"{n} {s[0].start:.3f} to {s[-1].stop:.3f}" for n, s in stretches.items() if s)
        raise DataError(f"the detectors have no time in common ({spans or 'no strain'}): give files of the same time")
    return [_common(chosen) for chosen in cuts]


def _common(chosen: Sequence[Stretch]) -> Coincident:
    start, rate = max(s.start for s in chosen), chosen[0].sample_rate
    offsets = [(start - s.start) * rate for s in chosen]
    if any(abs(offset - round(offset)) > 0.01 for offset in offsets):
        raise DataError(
            f"samples of {', '.join(s.ifo for s in chosen)} at {start:.3f} were not taken at the same times: "
            "give files that start a whole number of samples apart"
        )
    size = min(len(s.data) - round(offset) for s, offset in zip(chosen, offsets, strict=True))
    pieces = {s.ifo: s.data[round(o) : round(o) + size] for s, o in zip(chosen, offsets, strict=True)}
    return Coincident(start, rate, pieces)
