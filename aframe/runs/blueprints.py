"""Adapt the configuration of a new run to its data: detectors, times, shifts, and amount of background."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from aframe.constants import GPU_FLOPS, SECONDS_PER_DAY
from aframe.errors import ConfigurationError, DataError
from aframe.settings.sections import Config
from aframe.strain.channels import parse_channels
from aframe.strain.observing_runs import ObservingRun, check_open_data, coincident_share, observing_run
from aframe.strain.recordings import check_recordings, in_directory
from aframe.strain.segments import Segment, recorded_segments
from aframe.strain.times import format_gps, gps_of

TRAINING_DURATION = 10 * SECONDS_PER_DAY
"""Duration of the training data in a search of open data, s. At most a quarter of the data is for training."""

TESTING_DURATION = 30 * SECONDS_PER_DAY
"""Duration of the testing data in a search of open data, s."""

BACKGROUND_PER_INJECTION = 64.0
"""Smallest background per injection, s. An injection takes 16 s."""

SHORTEST_SEGMENT = 1024.0
"""Shortest segment of open data, s. A PSD takes 64 s of it."""

SHORTEST_SEGMENT_OF_FILES = 128.0
"""Shortest segment of a small set of files, s."""

LONGEST_SEGMENT = 20000.0
"""Longest segment, s. Longer segments are cut."""

MINED_SAMPLES = 2**16
"""Samples of the shortest stretch in which matched filters look for the loudest noise, for each detector but one."""

LEAST_COINCIDENT_STRAIN = 4 * SHORTEST_SEGMENT_OF_FILES
"""Least coincident strain for a part to train and a part to search, s."""

SAMPLE_BYTES = 8
"""Size of a sample of strain, bytes."""

CORE_WINDOW_RATE = 500_000.0
"""Windows per second of a core with matched filters (docs/performance.md)."""

GPU_WINDOW_RATE = GPU_FLOPS / 2.14e9
"""Windows per second of a GPU with the network of ``--config bbh-joint``, from its operations per window."""

TYPICAL_COINCIDENT_SHARE = 0.6
"""Approximate share of a run in which both LIGO detectors observe. With Virgo, it is two thirds of this."""


@dataclass(frozen=True)
class Blueprint:
    """Properties of a new run.

    Attributes:
        title: Description of the search, for the first line of its ``.cfg``.
        changes: Keys of the shipped ``.cfg`` with other values, as ``section.key``.
        description: Description of the data and of their check, for the terminal.
        livetime: Approximate coincident strain, s.
        base: Configuration that is changed.
    """

    title: str
    changes: dict[str, str]
    description: str
    livetime: float
    base: Config

    @property
    def heading(self) -> str:
        """First lines of its ``.cfg``: the title, and the cost of the keys that users change first."""
        rate, waveforms = float(self.changes["search.sample_rate"]), self.base.waveforms
        strain = len(self.changes["search.ifos"].split(", ")) * rate * SAMPLE_BYTES
        signals = 2 * SAMPLE_BYTES / 2 * waveforms.waveform_duration * rate * waveforms.num_training_waveforms
        windows = float(self.changes["inference.Tb"]) * self.base.search.inference_sampling_rate
        core, gpu = _minutes(windows / CORE_WINDOW_RATE), _minutes(windows / GPU_WINDOW_RATE)
        return f"""# {self.title}
# Every key stands once; stages take from here what they need. Paths are relative to this file.
#
# What one would change first, and what it costs:
#   train_start, train_stop, test_stop   disk: {strain * SECONDS_PER_DAY / 1e9:.1f} GB a day of coincident strain, {strain * self.livetime / 1e9:.2g} GB as it stands
#   num_training_waveforms               disk: {signals / 1e9:.2g} GB; none where the training draws its own (train.yaml)
#   num_injections                       scoring of the windows about each; their parameters take 0.2 kB each
#   Tb                                   {windows:.2g} windows to score: {core} of a core with matched filters,
#                                        {gpu} of a GPU with a joint network (docs/performance.md)
#   architecture, max_epochs             in train.yaml: minutes of two cores, or hours of a GPU for a joint network
# `aframe run DIR --check` says what is wrong, `aframe doctor DIR` what the run will cost here, stage by stage.
"""  # noqa: E501 - lines of the file


def _minutes(seconds: float) -> str:
    return f"{math.ceil(seconds / 60)} minute{'s' if seconds > 60 else ''}"


def open_data(base: Config, run: str | None, start: str | None, stop: str | None, ifos: Sequence[str]) -> Blueprint:
    """Plan a search of open data.

    Args:
        base: Configuration that is changed. Its numbers are upper limits.
        run: Name of an observing run. None to use ``start`` and ``stop``.
        start: Start of the training data, GPS s or UTC. None for the start of the run.
        stop: End of the testing data. None for forty days later, or the end of the run.
        ifos: Detectors.

    Raises:
        ConfigurationError: If the run, the times or the data do not exist.
    """
    span = None if run is None else _span_of(observing_run(run), ifos)
    if span is None and (start is None or stop is None):
        raise ConfigurationError("--start and --stop need each other, or --observing-run")
    first = gps_of(start) if start else span.start if span else 0.0
    last = gps_of(stop) if stop else min(span.stop, first + TRAINING_DURATION + TESTING_DURATION) if span else 0.0
    if start and stop and last <= first:
        raise ConfigurationError(
            f"--start and --stop: {first:.0f} (GPS s) is not before {last:.0f}: exchange or mend them"
        )
    if not last - first >= 4 * SHORTEST_SEGMENT:
        raise ConfigurationError(
            f"--start and --stop: from {first:.0f} to {last:.0f} (GPS s) are {last - first:.0f} s: give at least "
            f"{4 * SHORTEST_SEGMENT:.0f} s, of which a quarter trains"
        )
    if span and not span.start <= first < last <= span.stop:
        raise ConfigurationError(
            f"--start and --stop: {first:.0f} to {last:.0f} is not in {run}, in which {', '.join(ifos)} have data from "
            f"{span.start:.0f} to {span.stop:.0f} (GPS s)"
        )
    names = " and ".join(check_open_data(ifos, first, last))
    share = coincident_share(ifos, first, last)
    checked = (
        f"GWOSC has {share:.0%} of it" if share is not None else "GWOSC did not answer: checked against the runs' dates"
    )
    if share is not None and share * (last - first) < 4 * SHORTEST_SEGMENT:
        raise ConfigurationError(
            f"GWOSC has {share * (last - first):.0f} s of {', '.join(ifos)} together from {first:.0f} to {last:.0f} "
            "(GPS s): choose another time"
        )
    livetime = (last - first) * (TYPICAL_COINCIDENT_SHARE * (2 / 3) ** (len(ifos) - 2) if share is None else share)
    times = (first, _whole(first + min(TRAINING_DURATION, (last - first) / 4)), last)
    changes = _numbers(
        base,
        ifos,
        base.search.sample_rate,
        times,
        livetime=livetime,
        shortest=SHORTEST_SEGMENT,
        longest=LONGEST_SEGMENT,
    )
    days = (last - first) / SECONDS_PER_DAY
    return Blueprint(
        f"A search for binary black holes in open data: {names}, {days:.3g} days of {', '.join(ifos)}.",
        {"data.source": "gwosc", **changes},
        f"{names}: {days:.3g} days of {', '.join(ifos)} from {first:.0f} to {last:.0f} (GPS s); {checked}",
        livetime,
        base,
    )


def _span_of(run: ObservingRun, ifos: Sequence[str]) -> Segment:
    span = run.span(ifos)
    if span is None:
        raise ConfigurationError(
            f"--observing-run {run.name} has open data of {', '.join(run.spans)}, not of all of {', '.join(ifos)}: "
            "choose other --ifos, or another run"
        )
    return span


@dataclass(frozen=True)
class LocalFiles:
    """Local files of strain.

    Attributes:
        directory: Absolute path of the directory, or pattern of the files' paths.
        channels: Chosen channels, as ``H1:GDS-CALIB_STRAIN_CLEAN``.
    """

    directory: str
    channels: tuple[str, ...] = ()


def local_strain(
    base: Config, files: LocalFiles, ifos: Sequence[str], start: str | None, stop: str | None
) -> Blueprint:
    """Plan a search of the files in a directory.

    Args:
        base: Configuration that is changed. Its numbers are upper limits.
        files: The files.
        ifos: Detectors. Empty for all detectors with files.
        start: Start of the training data, GPS s or UTC. None for the start of the files.
        stop: End of the testing data. None for the end of the files.

    Raises:
        DataError: If there are no such files, or not enough of them.
        StorageError: If a file is damaged.
        ConfigurationError: If a time is invalid.
    """
    channels, notes = parse_channels(files.channels, "--channel"), list[str]()
    directory = files.directory
    recordings = in_directory(directory, f"--frames {directory}", channels, notes.append)
    names = tuple(ifos) or tuple(sorted({recording.ifo for recording in recordings}))
    if len(names) < 2:
        raise DataError(f"--frames {directory} holds strain of {', '.join(names)} alone: a search needs two detectors")
    lowest = min(recording.sample_rate for recording in recordings if recording.ifo in names or not ifos)
    rate = min(base.search.sample_rate, lowest)
    check_recordings(recordings, names, rate, f"--frames {directory}", "give another directory, or other --ifos")
    begin, end = gps_of(start) if start else 0.0, gps_of(stop) if stop else math.inf
    within = [(max(piece.start, begin), min(piece.stop, end)) for piece in recorded_segments(recordings, names)]
    pieces = [Segment(low, high) for low, high in within if high - low > 1]
    livetime = sum(piece.duration for piece in pieces)
    if livetime < LEAST_COINCIDENT_STRAIN:
        raise DataError(
            f"--frames {directory} has {livetime:.0f} s of {', '.join(names)} together: "
            f"give at least {LEAST_COINCIDENT_STRAIN:.0f} s, of which a part trains, or choose other --ifos"
        )
    first, last = pieces[0].start, pieces[-1].stop
    longest_piece = max(piece.duration for piece in pieces)
    shortest = SHORTEST_SEGMENT_OF_FILES if longest_piece < 8 * SHORTEST_SEGMENT else SHORTEST_SEGMENT
    trained = max(livetime / 4, _least_training(base, len(names), rate))
    times = (-_whole(-first), _after(pieces, trained), _whole(last))
    longest = max(min(LONGEST_SEGMENT, longest_piece), shortest)
    changes = _numbers(base, names, rate, times, livetime=livetime, shortest=shortest, longest=longest)
    amount = f"{livetime:.6g} s of {', '.join(names)} together, in {len(pieces)} piece{'s' if len(pieces) > 1 else ''}"
    span = f"from {format_gps(first)} to {format_gps(last)} (GPS s), recorded at {lowest:g} Hz"
    chosen = {"data.channel": ", ".join(files.channels)} if files.channels else {}
    return Blueprint(
        f"A search for binary black holes in the files of {directory}: {livetime:.6g} s of {', '.join(names)}.",
        {"data.source": "local", "data.frames": directory, **chosen, **changes},
        "\n".join([f"{directory}: {amount}, {span}", *notes]),
        livetime,
        base,
    )


def _least_training(base: Config, ifos: int, rate: float) -> float:
    """Strain for training, s: a part to train with, whose noise is mined, and a part to validate with."""
    search = base.search
    part = search.psd_length + 4 * search.kernel_length + search.fduration
    return 2 * part + MINED_SAMPLES * (ifos - 1) / rate


def _whole(time: float) -> float:
    """Last whole second before a time."""
    return float(math.floor(time))


def _after(pieces: Sequence[Segment], livetime: float) -> float:
    """First GPS second after ``livetime`` seconds of live time."""
    for piece in pieces:
        if piece.duration >= livetime:
            return -_whole(-piece.start - livetime)
        livetime -= piece.duration
    return _whole(pieces[-1].stop)


def _numbers(
    base: Config,
    ifos: Sequence[str],
    rate: float,
    times: tuple[float, float, float],
    *,
    livetime: float,
    shortest: float,
    longest: float,
) -> dict[str, str]:
    """Keys with the largest values that the data allow.

    Successive detectors are shifted by one second per slide. A piece of T seconds of N detectors therefore has
    T / (N - 1) slides. The mean length of a slide is T / 2. The background is half of this total.
    """
    start, middle, stop = times
    slides = (len(ifos) - 1) * 2
    tested = livetime * (stop - middle) / (stop - start)
    piece = max(shortest, min(longest, tested)) - 100
    capacity = 0.5 * tested / piece * piece**2 / slides
    background = min(base.inference.Tb, _rounded(capacity))
    injections = min(base.injections.num_injections, max(1, int(_rounded(background / BACKGROUND_PER_INJECTION))))
    return {
        "search.ifos": ", ".join(ifos),
        "search.sample_rate": format_gps(rate),
        "data.train_start": format_gps(start),
        "data.train_stop": format_gps(middle),
        "data.test_stop": format_gps(stop),
        "data.min_duration": format_gps(shortest),
        "data.max_duration": format_gps(longest),
        "inference.shifts": ", ".join(str(number) for number in range(len(ifos))),
        "inference.Tb": format_gps(background),
        "injections.num_injections": str(injections),
    }


def _rounded(number: float) -> float:
    """Round a number down to one digit."""
    scale = 10 ** math.floor(math.log10(max(number, 1)))
    return float(math.floor(number / scale) * scale)


def detectors(words: str) -> tuple[str, ...]:
    """Parse a list of detectors such as ``H1,L1``.

    Raises:
        ConfigurationError: If the list has fewer than two detectors, or one detector twice.
    """
    ifos = tuple(word for word in re.split(r"[\s,]+", words) if word)
    if len(ifos) < 2 or len(set(ifos)) < len(ifos):
        raise ConfigurationError(f"--ifos {words}: give two or more detectors, each once, as H1,L1 or H1,L1,V1")
    return ifos
