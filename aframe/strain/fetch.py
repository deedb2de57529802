"""Strain of a segment: open data, local files, or simulated noise."""

import math
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from aframe import storage
from aframe.errors import DataError
from aframe.strain import recordings
from aframe.strain.coincidence import Coincident, coincident
from aframe.strain.gaps import Gap, Report, split_at_gaps
from aframe.strain.noise import SimulatedNoise
from aframe.strain.resample import EDGE_DURATION, Stretch, resample
from aframe.strain.segments import Segment
from aframe.strain.source import StrainSource

OPEN_DATA_RATES = (4096, 16384)
"""Hz at which GWOSC publishes strain."""

DELAYS = (2.0, 4.0, 8.0)
"""Seconds before each further attempt to fetch open data."""


def fetch_channel(ifo: str, channel: str, start: float, stop: float) -> Stretch:
    """A channel of a detector, from whichever source gwpy finds: GWOSC, datafind (``GWDATAFIND_SERVER``) or NDS2.

    Args:
        ifo: Detector.
        channel: Name without the detector, as DCS-CALIB_STRAIN_CLEAN_C01.
        start: GPS s; the strain begins at the whole second before.
        stop: GPS s; the strain ends at the whole second after.

    Returns:
        Its samples, with gaps as NaN.

    Raises:
        DataError: If no source has it.
    """
    from aframe.strain.download import reason_of

    name, low, high = f"{ifo}:{channel}", math.floor(start), math.ceil(stop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each source warns before the next one is tried
        try:
            return _from_any_source(name, low, high)
        except Exception as error:  # gwpy passes on whatever its sources raise
            causes = "; ".join(dict.fromkeys(map(reason_of, _reasons(error))))
            raise DataError(
                f"no source of gwpy gave {name} from {low} to {high} ({causes}): set GWDATAFIND_SERVER or NDSSERVER to "
                "a server that has it, get its credentials, or give files with --frames"
            ) from error


def _from_any_source(name: str, start: int, stop: int) -> Stretch:
    from gwpy.timeseries import TimeSeries

    series = TimeSeries.get(name, start, stop, pad=np.nan)
    return Stretch(
        name[:2], float(series.t0.value), float(series.sample_rate.value), np.asarray(series.value, np.float64)
    )


def write_channel(path: str, stretch: Stretch) -> None:
    """Write a detector's strain as a file that ``aframe infer`` reads.

    Args:
        path: Path of the file, .hdf5. It appears when it is complete.
        stretch: The strain.
    """
    with storage.create_hdf5(path) as file:
        series = file.create_dataset(stretch.ifo, data=stretch.data)
        series.attrs.update(x0=stretch.start, dx=1 / stretch.sample_rate)


def fetch_open_data(
    ifo: str, start: float, stop: float, sample_rate: float, report: Report | None = None
) -> list[Stretch]:
    """Open data of one detector, resampled, split around missing samples, cut to [start, stop).

    Args:
        ifo: Detector.
        start: GPS seconds.
        stop: GPS seconds.
        sample_rate: Hz.
        report: Called with each gap; None to report none.

    Raises:
        DataError: If GWOSC does not give them, or not at a sufficient rate.
    """
    rate = next((r for r in OPEN_DATA_RATES if r >= sample_rate), None)
    if rate is None:
        raise DataError(
            f"sample_rate = {sample_rate} Hz is more than the {OPEN_DATA_RATES[-1]} Hz of open data: lower it"
        )
    low, high = math.floor(start - EDGE_DURATION), math.ceil(stop + EDGE_DURATION)
    whole = _with_retries(lambda: _request(ifo, low, high, rate), ifo, start, stop)
    return prepare(whole, start, stop, sample_rate, report)


def _request(ifo: str, start: int, stop: int, sample_rate: int) -> Stretch:
    """Ask GWOSC: the only line that needs the network."""
    from gwpy.timeseries import TimeSeries

    series = TimeSeries.fetch_open_data(ifo, start, stop, sample_rate=sample_rate, cache=False)
    return Stretch(ifo, float(series.t0.value), float(series.sample_rate.value), np.asarray(series.value, np.float64))


def _with_retries(request: Callable[[], Stretch], ifo: str, start: float, stop: float) -> Stretch:
    for delay in (*DELAYS, None):
        try:
            return request()
        except Exception as error:  # gwpy passes on whatever its transport raises
            cause = error
        reasons = _reasons(cause)
        if delay is None or all(isinstance(reason, ValueError) for reason in reasons):  # which says: no such data
            break
        time.sleep(delay)
    raise DataError(
        f"GWOSC did not give strain of {ifo} from {start:.0f} to {stop:.0f} ({_in_words(reasons)}): check "
        "the network and that the time has open data, and run again; what is complete is kept"
    ) from cause


def _in_words(reasons: Sequence[BaseException]) -> str:
    return "; ".join(" ".join(f"{type(reason).__name__}: {reason}".split()) for reason in reasons)


def _reasons(error: BaseException) -> list[BaseException]:
    """The errors that a group, such as gwpy raises, is made of."""
    if isinstance(error, BaseExceptionGroup):
        return [reason for part in error.exceptions for reason in _reasons(part)]
    return [error]


def prepare(
    stretch: Stretch, start: float, stop: float, sample_rate: float, report: Report | None = None
) -> list[Stretch]:
    """Split a stretch around missing samples, resample the pieces, and cut them to [start, stop)."""
    resampled = (resample(piece, sample_rate) for piece in split_at_gaps(stretch, report))
    return _cut([piece for piece in resampled if piece is not None], start, stop)


def _cut(stretches: Sequence[Stretch], start: float, stop: float) -> list[Stretch]:
    result = []
    for stretch in stretches:
        rate = stretch.sample_rate
        low = max(0, int(np.ceil((start - stretch.start) * rate - 1e-2)))
        high = min(len(stretch.data), int(np.ceil((stop - stretch.start) * rate - 1e-2)))
        if high > low:
            result.append(Stretch(stretch.ifo, stretch.start + low / rate, rate, stretch.data[low:high]))
    return result


def _local(source: StrainSource, ifo: str, start: float, stop: float, report: Report) -> list[Stretch]:
    """What the files of a directory hold of one detector."""
    present = recordings.in_directory(source.frames or "", channels=source.channels)
    files = [recording for recording in present if recording.ifo == ifo]
    low, high = start - EDGE_DURATION, stop + EDGE_DURATION
    return _cut(recordings.assemble(files, source.sample_rate, low, high, report), start, stop)


def _fetched(source: StrainSource, ifo: str, start: float, stop: float, report: Report) -> list[Stretch]:
    """Open data of a detector, or the channel that the user chooses for it."""
    if ifo not in source.channels:
        return fetch_open_data(ifo, start, stop, source.sample_rate, report)
    whole = fetch_channel(ifo, source.channels[ifo], start - EDGE_DURATION, stop + EDGE_DURATION)
    return prepare(whole, start, stop, source.sample_rate, report)


def strain_for_segment(
    source: StrainSource, start: float, stop: float, report: Report | None = None
) -> list[Coincident]:
    """Strain of all detectors in a segment.

    Args:
        source: Where it comes from.
        start: GPS seconds.
        stop: GPS seconds.
        report: Called with each gap; None to report none.

    Returns:
        One piece that is the whole segment; where samples are missing, the pieces between the gaps that are at least
        ``min_duration`` long, if there are any.

    Raises:
        DataError: If the source does not give strain.
    """
    ifos, rate = source.ifos, source.sample_rate
    if source.kind == "simulated":
        noise = SimulatedNoise.of(source)
        return [Coincident(start, rate, {ifo: noise.strain(ifo, Segment(start, stop)) for ifo in ifos})]
    gaps: list[Gap] = []
    if source.kind == "gwosc":
        stretches = {ifo: _fetched(source, ifo, start, stop, gaps.append) for ifo in ifos}
    else:
        stretches = {ifo: _local(source, ifo, start, stop, gaps.append) for ifo in ifos}
    if report is not None:
        for gap in gaps:
            report(gap)
    common = coincident(stretches) if all(stretches.values()) else []
    return [piece for piece in common if piece.duration >= source.min_duration]
