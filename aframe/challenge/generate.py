"""Make a data set: noise without signals, the same noise with signals, and the list of the signals."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import torch

from aframe import storage
from aframe.challenge.data_sets import (
    DESIGN_CURVE,
    IFOS,
    LONGEST_SEGMENT,
    MINIMUM_FREQUENCY,
    PADDING,
    RIGHT_PAD,
    SAMPLE_RATE,
    DataSet,
)
from aframe.challenge.injections import Columns, draw_injections, write_injections
from aframe.challenge.strain_files import add, create_segment
from aframe.errors import ConfigurationError, DataError
from aframe.strain.curve_pool import CurvePool, read_pools
from aframe.strain.noise_curves import NoiseCurve
from aframe.strain.segments import Segment, divide, read_segments
from aframe.strain.simulate import sample_index, simulate
from aframe.types import Array
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.projection import detector_geometry, greenwich_mean_sidereal_time, project

FILES = {"background": "background.hdf", "foreground": "foreground.hdf", "injections": "injections.hdf"}
"""Files of a data set: noise alone, the same noise with signals, and the signals' parameters."""

PIECE_LENGTH = 1024.0
"""Seconds of strain in memory at once."""

SHORTEST_SEGMENT = 2 * PADDING + 1.0
"""Shortest segment, s: any shorter one has no time for signals."""


@dataclass(frozen=True)
class Recipe:
    """What a data set is made of.

    Attributes:
        data_set: Binaries, waveforms and kind of noise.
        segments: Segments, in order of time. They begin and end at whole seconds.
        pools: Noise curves of each detector.
        seed: Seed of all randomness.
    """

    data_set: DataSet
    segments: tuple[Segment, ...]
    pools: Mapping[str, CurvePool]
    seed: int

    @property
    def duration(self) -> float:
        """Length of all segments, s."""
        return sum(segment.duration for segment in self.segments)

    @property
    def parameters(self) -> dict[str, object]:
        """Parameters for the provenance of the files."""
        return {
            "challenge.data_set": self.data_set.number,
            "challenge.seed": self.seed,
            "challenge.start": self.segments[0].start,
            "challenge.stop": self.segments[-1].stop,
            "challenge.num_segments": len(self.segments),
        }

    def curve(self, ifo: str, segment: Segment) -> NoiseCurve:
        """Noise curve of a detector in a segment. It depends on the seed, and in data set 3 on the segment's start."""
        start = segment.start if self.data_set.is_curve_per_segment else 0.0
        return self.pools[ifo].curve_of(start, self.seed)


def plan_segments(start: float, duration: float, list_path: str | None) -> tuple[Segment, ...]:
    """Choose the segments of a data set.

    Args:
        start: Start of the first segment, GPS s. It has no effect with a list.
        duration: Length of all segments, s. A list is read until it is reached.
        list_path: List of segments; None for contiguous ones of at most ``LONGEST_SEGMENT``.

    Raises:
        ConfigurationError: If start or duration are no whole seconds, or there is no time for a signal.
        DataError: If the list has less time.
        StorageError: If the list does not exist.
    """
    for name, value in (("--start", start), ("--duration", duration)):
        if not np.isfinite(value) or value % 1 or value < 0:
            raise ConfigurationError(f"{name} {value} s: give a whole number of seconds")
    if list_path is None:
        segments = [] if duration <= 0 else divide([Segment(start, start + duration)], 1.0, LONGEST_SEGMENT)
    else:
        segments = list(_first(_whole(read_segments(list_path)), duration))
        total = sum(segment.duration for segment in segments)
        if total < duration:
            raise DataError(f"{list_path} has {total:.0f} s: give a longer list, or --duration {total:.0f}")
    if not segments or max(segment.duration for segment in segments) < SHORTEST_SEGMENT:
        raise ConfigurationError(
            f"--duration {duration:g} s has no time for a signal, which is {PADDING:g} s inside a segment: give more"
        )
    return tuple(segments)


def _whole(segments: Sequence[Segment]) -> Iterator[Segment]:
    """Segments from their first to their last whole second."""
    for segment in segments:
        first, last = float(np.ceil(segment.start)), float(np.floor(segment.stop))
        if last > first:
            yield Segment(first, last)


def _first(segments: Iterator[Segment], duration: float) -> Iterator[Segment]:
    """The first seconds of segments."""
    left = duration
    for segment in segments:
        if left <= 0:
            return
        yield Segment(segment.start, min(segment.stop, segment.start + left))
        left -= segment.duration


def noise_curves(data_set: DataSet, psds: str | None) -> Mapping[str, CurvePool]:
    """Read the noise curves of a data set.

    Args:
        data_set: The data set.
        psds: Directory of measured curves, with a folder for each detector; None for a data set without.

    Raises:
        ConfigurationError: If the data set needs a directory, or has no use for one.
        DataError: If the curves do not cover the band, or a detector has none.
    """
    if data_set.is_measured != (psds is not None):
        raise ConfigurationError(
            f"data set {data_set.number} has measured noise curves: give --psds DIR, with a folder for each of "
            f"{', '.join(IFOS)}"
            if data_set.is_measured
            else f"--psds {psds}: data set {data_set.number} has the design curve {DESIGN_CURVE}, leave it out"
        )
    return read_pools([psds or DESIGN_CURVE], IFOS, (MINIMUM_FREQUENCY, SAMPLE_RATE / 2))


def generate(recipe: Recipe, directory: str, progress: Callable[[float, float], None]) -> dict[str, str]:
    """Write the three files of a data set. They appear together, when all is done.

    Args:
        recipe: What the data set is made of. The same recipe gives the same samples.
        directory: Local or s3 directory, created if necessary.
        progress: Called with the seconds that are done, and with the total.

    Returns:
        Paths of the files, by their keys in ``FILES``.

    Raises:
        StorageError: If a file cannot be written.
    """
    paths = {key: storage.join(directory, name) for key, name in FILES.items()}
    columns = draw_injections(recipe.data_set, recipe.segments, recipe.seed)
    done = 0.0
    with ExitStack() as stack:
        files = {key: stack.enter_context(storage.create_hdf5(path, recipe.parameters)) for key, path in paths.items()}
        write_injections(files["injections"], columns)
        for segment in recipe.segments:
            datasets = {key: create_segment(files[key], segment) for key in ("background", "foreground")}
            for start, noise, signals in pieces(recipe, segment, columns):
                first = round((start - segment.start) * SAMPLE_RATE)
                for ifo in IFOS:
                    rows = slice(first, first + len(noise[ifo]))
                    datasets["background"][ifo][rows] = noise[ifo]
                    datasets["foreground"][ifo][rows] = noise[ifo] + signals[ifo]
                done += len(noise[IFOS[0]]) / SAMPLE_RATE
                progress(done, recipe.duration)
    return paths


def pieces(
    recipe: Recipe, segment: Segment, columns: Columns
) -> Iterator[tuple[float, dict[str, Array], dict[str, Array]]]:
    """Make noise and signals of a segment, piece by piece.

    Args:
        recipe: What the data set is made of.
        segment: One of its segments.
        columns: Signals of all segments, as from ``draw_injections``.

    Yields:
        Start of a piece (GPS s), and its noise and its signals, each an array of shape (time,) for each detector.
    """
    signals = _Signals(recipe.data_set, columns)
    curves = {ifo: recipe.curve(ifo, segment) for ifo in IFOS}
    for piece in divide([segment], 0.0, PIECE_LENGTH):
        noise = {
            ifo: simulate(curves[ifo], ifo, piece.start, piece.stop, SAMPLE_RATE, seed=recipe.seed) for ifo in IFOS
        }
        yield piece.start, noise, signals.between(piece.start, piece.stop)


@dataclass
class _Signals:
    """Signals of a data set, made when the piece of strain comes in which they begin.

    Attributes:
        data_set: Its waveforms.
        columns: Parameters of all signals, as from ``draw_injections``.
        pending: First sample (from GPS 0) and response (ifos, time) of each signal that reaches the next piece.
    """

    data_set: DataSet
    columns: Columns
    pending: list[tuple[int, Array]] = field(default_factory=list)

    def between(self, start: float, stop: float) -> dict[str, Array]:
        """Sum of the responses of each detector between two times (GPS s). Calls must be in order of time."""
        low, high = (sample_index(time, SAMPLE_RATE) for time in (start, stop))
        begin = self.columns["tc"] + RIGHT_PAD - self.data_set.waveform_duration
        active = [*self.pending, *self._responses(np.flatnonzero((begin >= start) & (begin < stop)))]
        sums = {ifo: np.zeros(high - low) for ifo in IFOS}
        for first, response in active:
            for ifo, series in zip(IFOS, response, strict=True):
                add(sums[ifo], low, series, first)
        self.pending = [each for each in active if each[0] + each[1].shape[-1] > high]
        return sums

    def _responses(self, rows: Array) -> Iterator[tuple[int, Array]]:
        """First sample and responses of some signals."""
        if not len(rows):
            return
        columns = {name: column[rows] for name, column in self.columns.items()}
        for time, response in zip(columns["tc"], responses(self.data_set, columns), strict=True):
            yield sample_index(time + RIGHT_PAD, SAMPLE_RATE) - response.shape[-1], response


def waveform_generator(data_set: DataSet) -> WaveformGenerator:
    """Create the generator of a data set's waveforms."""
    return WaveformGenerator(
        data_set.approximant, SAMPLE_RATE, data_set.waveform_duration, RIGHT_PAD, MINIMUM_FREQUENCY, MINIMUM_FREQUENCY
    )


def responses(data_set: DataSet, columns: Columns) -> Array:
    """Compute the responses of the detectors to signals.

    Args:
        data_set: Its waveforms.
        columns: Parameters of shape (n,), as from ``draw_injections``.

    Returns:
        Strain, single precision, shape (n, ifos, time). Mergers at the geocentre are ``RIGHT_PAD`` before the end.

    Raises:
        DataError: If LAL has no waveform of a binary.
    """
    waves = waveform_generator(data_set).generate(columns, workers=1)
    if not all(np.isfinite(wave).all() for wave in waves):
        row = int(np.flatnonzero(~np.isfinite(waves[0]).all(axis=-1))[0])
        masses = ", ".join(f"{columns[name][row]:.4g}" for name in ("mass_1", "mass_2"))
        raise DataError(
            f"{data_set.approximant} has no waveform of the binary at {columns['tc'][row]:.3f} (GPS s), with masses "
            f"{masses}: choose another --seed"
        )
    angles = columns["ra"] - greenwich_mean_sidereal_time(columns["tc"]), columns["dec"], columns["psi"]
    ra_minus_gmst, dec, psi = (torch.tensor(angle, dtype=torch.float32) for angle in angles)
    plus, cross = map(torch.from_numpy, waves)
    return project(plus, cross, detector_geometry(IFOS), ra_minus_gmst, dec, psi, SAMPLE_RATE).numpy()
