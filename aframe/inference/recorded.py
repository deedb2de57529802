"""Search recorded strain at zero lag, piece by piece. The strain may have any length that holds a window."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from aframe.errors import DataError, strain_of
from aframe.events.cluster import Clustering, cluster
from aframe.inference.engine import Engine
from aframe.inference.scorers import Scorer
from aframe.inference.slides import Grid, Slide
from aframe.preprocessing import Preprocessing, Whitening
from aframe.strain.channels import Recording
from aframe.strain.coincidence import Coincident, coincident
from aframe.strain.copies import check_detectors_differ
from aframe.strain.gaps import Gap, Report, described
from aframe.strain.recordings import NO_CHANNELS, SIZE_OF_COMPARISON, assemble, check_apart, of_files
from aframe.strain.resample import EDGE_DURATION
from aframe.tables import EventTable
from aframe.train.model import Model
from aframe.types import Array
from aframe.whitening import WhitenedStream, whiten_stream, whiten_whole

Whiten = Callable[[torch.Tensor, Whitening], WhitenedStream]

PIECE_LENGTH = 4096.0
"""Seconds of strain in memory at once."""

RESAMPLING_MARGIN = 1.0
"""Seconds read beyond either end of a piece. It is longer than what resampling cuts off."""


@dataclass(frozen=True)
class Span:
    """A stretch of recorded time, either searched or not.

    Attributes:
        start: GPS s.
        stop: GPS s.
        reason: Why it was not searched. It is empty where the search covers coalescence times.
    """

    start: float
    stop: float
    reason: str = ""


@dataclass(frozen=True)
class SearchedRecordings:
    """Result of a search of recordings.

    Attributes:
        events: Events, loudest first. ``Tb`` is the searched time, s.
        spans: All time from the first sample to the last, in order.
    """

    events: EventTable
    spans: tuple[Span, ...]

    @property
    def searched(self) -> Array:
        """Start and stop (GPS s) of the searched stretches, shape (stretches, 2)."""
        return np.array([(span.start, span.stop) for span in self.spans if not span.reason], dtype=np.float64)


@dataclass
class _Series:
    """Scores of a stretch without gaps, up to the last piece read so far."""

    strain_start: float
    strain_stop: float
    start: float
    scores: list[Array] = field(default_factory=list)

    @property
    def windows(self) -> int:
        return sum(map(len, self.scores))


def search_recorded(
    scorer: Scorer,
    recordings: Mapping[str, Sequence[Recording]],
    clustering: Clustering,
    progress: Callable[[float, float], None] | None = None,
) -> SearchedRecordings:
    """Search recorded strain for events.

    Args:
        scorer: Scores windows. It has the model's preprocessing.
        recordings: Recordings of each detector, as from ``recordings_of``.
        clustering: Settings that turn scores into events.
        progress: Called with the seconds of strain that are done, and with the total.

    Raises:
        DataError: If no stretch is long enough to search.
        StorageError: If a file is damaged.
    """
    search = _Search(scorer, recordings, clustering)
    runs = common_time(recordings)
    total, done = sum(stop - start for start, stop in runs), 0.0
    series: list[_Series] = []
    for run in runs:
        for each, last in search.pieces(*run):
            series += [each] if not series or each is not series[-1] else []
            if progress:
                progress(done + last - run[0], total)
        done += run[1] - run[0]
    searched = [each for each in series if each.windows >= clustering.integration_size]
    if not searched:
        missing = described(search.gaps)
        paths = dict.fromkeys(recording.path for parts in recordings.values() for recording in parts)
        raise DataError(
            f"no stretch of {', '.join(scorer.preprocessing.ifos)} without gaps is "
            f"{shortest_duration(scorer.model, clustering):g} s long, which this model needs: "
            f"the files have {', '.join(paths)}{f' (missing samples: {missing})' if missing else ''}; give longer ones"
        )
    events = EventTable.concatenate([search.events(each) for each in searched])
    events.attributes["Tb"] = sum(each.windows for each in searched) / clustering.sampling_rate
    return SearchedRecordings(
        events.rows(np.argsort(-events["detection_statistic"], kind="stable")),
        tuple(_account(search, series, searched)),
    )


def near_edges(times: Array, spans: Sequence[Span], length: float) -> Array:
    """Whether events are so near an end of a searched stretch that the search may not hold all of a signal.

    Args:
        times: Times of events, GPS s, shape (events,).
        spans: Stretches, searched or not.
        length: Length of a window, s.

    Returns:
        Booleans, shape (events,).
    """
    edges = np.array([edge for span in spans if not span.reason for edge in (span.start, span.stop)])
    return np.abs(times[:, None] - edges).min(axis=1, initial=np.inf) < length


def shortest_duration(model: Model, clustering: Clustering) -> float:
    """Seconds of strain that give a single average of scores.

    Args:
        model: Network and preprocessing.
        clustering: Settings that turn scores into events.
    """
    preprocessing = model.preprocessing
    averaged = (clustering.integration_size - 1) / clustering.sampling_rate
    return preprocessing.kernel_length + preprocessing.whitening.fduration + averaged


def whitened_streams(piece: Coincident, preprocessing: Preprocessing, device: str = "cpu") -> list[WhitenedStream]:
    """Whiten a stretch of strain.

    A stretch of at least twice ``psd_length`` is whitened as in a search, with PSDs of the strain before each block. A
    shorter one is whitened with the PSD of the whole stretch.

    Args:
        piece: Strain of all detectors.
        preprocessing: Preprocessing of the model.
        device: Device that whitens: cpu or cuda.
    """
    if piece.duration >= 2 * preprocessing.whitening.psd_length:
        return _streams(piece, preprocessing, device)
    return _streams(piece, preprocessing, device, whiten_whole)


def common_time(recordings: Mapping[str, Sequence[Recording]]) -> list[tuple[float, float]]:
    """Stretches of time (GPS s) for which all detectors have files. Consecutive files make one stretch.

    Raises:
        DataError: If the detectors have no time in common.
    """
    covered = {ifo: _covered(detector_recordings) for ifo, detector_recordings in recordings.items()}
    common = _intersection(list(covered.values()))
    if not common:
        ranges = "; ".join(f"{ifo} {spans[0][0]:.3f} to {spans[-1][1]:.3f}" for ifo, spans in covered.items())
        raise DataError(f"the detectors have no time in common ({ranges}): give files of the same time")
    return common


def _intersection(spans: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    common = list(spans[0])
    for others in spans[1:]:
        cuts = [(max(a, c), min(b, d)) for a, b in common for c, d in others]
        common = [(low, high) for low, high in cuts if high > low]
    return sorted(common)


def _covered(recordings: Sequence[Recording]) -> list[tuple[float, float]]:
    spans: list[tuple[float, float]] = []
    for recording in sorted(recordings, key=lambda r: r.start):
        if spans and recording.start <= spans[-1][1] + 0.1 / recording.sample_rate:
            spans[-1] = spans[-1][0], max(spans[-1][1], recording.stop)
        else:
            spans.append((recording.start, recording.stop))
    return spans


def recordings_of(
    paths: Sequence[str],
    ifos: Sequence[str],
    channels: Mapping[str, str] = NO_CHANNELS,
    tell: Callable[[str], object] | None = None,
) -> dict[str, list[Recording]]:
    """Recordings in files, by detector.

    Args:
        paths: HDF5 or GWF files, one or more per detector.
        ifos: Detectors of the model.
        channels: Channels that the user chooses, by detector.
        tell: Called with a sentence about what is left out; None to say nothing.

    Raises:
        DataError: If the files lack a detector of the model, their strain is ambiguous, or two detectors have the same.
        StorageError: If a file is missing or damaged.
    """
    recordings = of_files(paths, channels, tell)
    recorded_ifos = sorted({recording.ifo for recording in recordings})
    if not set(ifos) <= set(recorded_ifos):
        for ifo in recorded_ifos:
            check_apart([each for each in recordings if each.ifo == ifo], most=SIZE_OF_COMPARISON)
        raise DataError(
            f"the model searches {', '.join(ifos)} together, the files hold {', '.join(recorded_ifos)}: "
            "give files of each of the model's detectors"
        )
    others = [ifo for ifo in recorded_ifos if ifo not in ifos]
    if others and tell is not None:
        tell(f"left out: strain of {', '.join(others)}, since the model searches {', '.join(ifos)}")
    by_detector = {ifo: [recording for recording in recordings if recording.ifo == ifo] for ifo in ifos}
    check_detectors_differ(by_detector)
    return by_detector


def strain_between(
    recordings: Mapping[str, Sequence[Recording]],
    sample_rate: float,
    start: float,
    stop: float,
    report: Report | None = None,
) -> list[Coincident]:
    """Strain of all detectors between two times, split at gaps.

    Args:
        recordings: Recordings of each detector.
        sample_rate: Sample rate of the result, Hz.
        start: GPS s.
        stop: GPS s.
        report: Called with each gap within recordings; None to report none.
    """
    low, high = start - RESAMPLING_MARGIN, stop + RESAMPLING_MARGIN
    strain = {ifo: assemble(parts, sample_rate, low, high, report) for ifo, parts in recordings.items()}
    if not _intersection([[(piece.start, piece.stop) for piece in pieces] for pieces in strain.values()]):
        return []
    cut = []
    for piece in coincident(strain):
        first, last = (round((time - piece.start) * sample_rate) for time in (start, stop))
        part = {ifo: data[max(0, first) : max(0, last)] for ifo, data in piece.strain.items()}
        if len(next(iter(part.values()))):
            cut.append(Coincident(piece.start + max(0, first) / sample_rate, sample_rate, part))
    return cut


@dataclass(frozen=True)
class _Search:
    """A search: scorer, recordings of each detector, settings that turn scores into events, and gaps so far."""

    scorer: Scorer
    recordings: Mapping[str, Sequence[Recording]]
    clustering: Clustering
    gaps: list[Gap] = field(default_factory=list)

    def pieces(self, start: float, stop: float) -> Iterator[tuple[_Series, float]]:
        """Score a stretch of time piece by piece. Yield the growing series, and the end (GPS s) of the piece.

        A piece starts ``psd_length`` before the block that holds the first window that the previous piece does not
        hold. The windows of both then make one series, without missing or repeated windows, and are whitened by the
        same blocks as if the stretch were read at once.
        """
        whitening = self.scorer.preprocessing.whitening
        length = max(PIECE_LENGTH, 8 * whitening.psd_length, 4 * whitening.block_length)
        sample = 1 / whitening.sample_rate
        low, series = start, None
        while True:
            high = stop if stop - low <= 1.25 * length else low + length
            following = high
            for piece in strain_between(self.recordings, whitening.sample_rate, low, high, self.gaps.append):
                goes_on = high < stop and piece.start + piece.duration > high - sample / 2
                is_later = piece.start > low + sample / 2
                series = None if is_later else series
                if goes_on and is_later and piece.duration < length / 4:
                    following = piece.start  # the next read starts here, so that this strain joins what follows it
                    break
                series = self._scored(piece, series)
                yield series, piece.start + piece.duration
                if goes_on:
                    block = (self._next_window(series) - series.start) // whitening.block_length
                    following = series.start + block * whitening.block_length - whitening.psd_length
                else:
                    series = None
            if high >= stop:
                return
            series = series if following < high else None
            low = following

    def _next_window(self, series: _Series) -> float:
        """Start (GPS s) of the first window that a series does not hold yet."""
        return series.start + series.windows / self.clustering.sampling_rate

    def _scored(self, piece: Coincident, series: _Series | None) -> _Series:
        """Add the scores of a piece to a series, or to a new one. A piece that is too short adds no scores."""
        preprocessing = self.scorer.preprocessing
        whitening, rate = preprocessing.whitening, preprocessing.whitening.sample_rate
        stop = piece.start + piece.duration
        if series is not None:
            series.strain_stop = stop
            known = self._next_window(series) - piece.start
            if piece.duration >= known + whitening.after_length + preprocessing.kernel_length:
                streams = _streams(piece, preprocessing, self.scorer.device)
                first = round((known - whitening.psd_length) * rate)
                series.scores.append(self._scores([replace(s, data=s.data[first:]) for s in streams]))
            return series
        if piece.duration < preprocessing.kernel_length + whitening.fduration:
            return _Series(piece.start, stop, piece.start)
        streams = whitened_streams(piece, preprocessing, self.scorer.device)
        return _Series(piece.start, stop, piece.start + streams[0].offset / rate, [self._scores(streams)])

    def _scores(self, streams: Sequence[WhitenedStream]) -> Array:
        grid = Grid(self.scorer.preprocessing, (0.0,) * len(streams))
        engine = Engine(self.scorer, lambda: streams, grid)
        return engine.scores(Slide(0, 0, grid.shifts, grid.windows(streams[0].data.shape[-1])))

    def events(self, series: _Series) -> EventTable:
        """Cluster the scores of a series into events."""
        with strain_of(f"strain from GPS {series.start:.3f}, engine {self.scorer.engine}"):
            statistic, time = cluster(np.concatenate(series.scores), series.start, self.clustering)
        shift = np.zeros((len(time), len(self.recordings)))
        columns = {"detection_statistic": statistic, "detection_time": time, "shift": shift}
        return EventTable(columns, attributes={"Tb": series.windows / self.clustering.sampling_rate})


def _streams(
    piece: Coincident, preprocessing: Preprocessing, device: str, whiten: Whiten = whiten_stream
) -> list[WhitenedStream]:
    streams = []
    for ifo in preprocessing.ifos:
        with strain_of(f"{ifo} from GPS {piece.start:.3f}"):
            streams.append(whiten(torch.from_numpy(piece.strain[ifo]).to(device), preprocessing.whitening))
    return streams


def _account(search: _Search, series: Sequence[_Series], searched: Sequence[_Series]) -> Iterator[Span]:
    """Spans from the first sample to the last, in order, each with the reason if it was not searched."""
    covered = {ifo: _covered(detector_recordings) for ifo, detector_recordings in search.recordings.items()}
    edges = sorted({edge for spans in covered.values() for span in spans for edge in span})
    stride = 1 / search.clustering.sampling_rate
    done: list[Span] = []
    for each in series:
        if each in searched:
            first = each.start + search.clustering.coalescence_offset - stride / 2
            done.append(Span(first, first + each.windows * stride))
            before = Span(each.strain_start, first, "PSD, filter and window at its start")
            done += [before, Span(done[-1].stop, each.strain_stop, "filter and window at its end")]
        else:
            done.append(Span(each.strain_start, each.strain_stop, "too short"))
    done.sort(key=lambda span: span.start)
    at = edges[0]
    for span in [*done, Span(edges[-1], edges[-1])]:
        for low, high in itertools.pairwise([at, *(e for e in edges if at < e < span.start), span.start]):
            if high > low:
                yield Span(low, high, _missing(covered, search.gaps, low, high))
        if span.stop > span.start:
            yield span
        at = max(at, span.stop)


def _missing(
    covered: Mapping[str, Sequence[tuple[float, float]]], gaps: Sequence[Gap], start: float, stop: float
) -> str:
    middle = (start + stop) / 2
    lacking = [ifo for ifo, spans in covered.items() if not any(low <= middle < high for low, high in spans)]
    if lacking:
        return f"no recording of {', '.join(lacking)}"
    missing = described(gaps, start, stop)
    if missing:
        return f"missing samples: {missing}"
    is_edge = any(start == low or stop == high for spans in covered.values() for low, high in spans)
    is_cut_off = is_edge and stop - start < EDGE_DURATION + 1e-6
    return "cut off after resampling" if is_cut_off else "missing samples"
