"""State vectors beside strain: whole numbers whose bits say whether strain may be searched."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import h5py
import numpy as np

from aframe import storage
from aframe.errors import DataError, StorageError
from aframe.strain import frame_files, hdf5_files
from aframe.strain.channels import Recording
from aframe.strain.resample import Stretch
from aframe.types import Array

FILES_IN_MEMORY = 64
"""Number of files whose states are kept. A state vector has some 16 samples a second."""

State = tuple[float, float, Array]
"""Start (GPS s), sample rate (Hz) and samples of a stretch of states."""


@dataclass(frozen=True)
class StateVectors:
    """State vectors in files of strain.

    Attributes:
        channels: Channel of each detector's state vector, without the detector. Others have none.
        bits: Numbers of the bits that must be set.
    """

    channels: Mapping[str, str]
    bits: tuple[int, ...]

    def check(self, recordings: Sequence[Recording]) -> None:
        """Read the state vector of a file of each detector.

        Raises:
            DataError: If a file has no such channel, or it holds no whole numbers.
            StorageError: If a file is damaged.
        """
        for recording in {each.ifo: each for each in recordings if each.ifo in self.channels}.values():
            states_in(recording.path, recording.ifo, self.channels[recording.ifo])

    def masked(self, stretch: Stretch, path: str) -> Stretch:
        """Strain with NaN where its state lacks a bit, or is missing.

        Args:
            stretch: Strain of a file.
            path: Path of the file.

        Raises:
            DataError: If the file has no state vector of the detector.
            StorageError: If it is damaged.
        """
        if stretch.ifo not in self.channels:
            return stretch
        is_good = np.zeros(len(stretch.data), bool)
        for start, rate, values in states_in(path, stretch.ifo, self.channels[stretch.ifo]):
            first = round((start - stretch.start) * stretch.sample_rate)
            low, high = max(0, first), min(len(is_good), first + round(len(values) / rate * stretch.sample_rate))
            if high > low:
                samples = range(low - first, high - first)
                is_good[low:high] = has_bits(values, rate / stretch.sample_rate, self.bits, samples)
        return replace(stretch, data=np.where(is_good, stretch.data, np.nan))


def has_bits(values: Array, ratio: float, bits: Sequence[int], samples: range) -> Array:
    """Whether all bits are set at the times of samples of strain.

    Args:
        values: State vector, whole numbers.
        ratio: Its sample rate as a share of that of the strain, which begins with it.
        bits: Numbers of the bits.
        samples: Numbers of the samples of strain. Those behind the last state have that state.

    Returns:
        Booleans, one for each sample of strain.
    """
    mask = sum(1 << bit for bit in bits)
    at = np.minimum((np.arange(samples.start, samples.stop) * ratio).astype(np.int64), len(values) - 1)
    return np.asarray((values.astype(np.int64)[at] & mask) == mask)


@functools.lru_cache(FILES_IN_MEMORY)
def states_in(path: str, ifo: str, channel: str) -> tuple[State, ...]:
    """State vector of a detector in a file of strain.

    Args:
        path: GWF file (local) or HDF5 file (local or s3).
        ifo: Detector.
        channel: Channel without the detector. In HDF5, a dataset of this name, with or without the detector, that has
            the attributes of a time series.

    Returns:
        Stretches of states in order of time.

    Raises:
        DataError: If the file has no such channel, or it holds no whole numbers.
        StorageError: If the file is damaged.
    """
    if frame_files.is_frame_file(path):
        return tuple(frame_files.states(path, f"{ifo}:{channel}"))
    with storage.open_hdf5(path) as file:
        names = [name for name in (f"{ifo}:{channel}", f"{ifo}/{channel}", channel) if name in file]
        if not names or not isinstance(file[names[0]], h5py.Dataset):
            raise DataError(f"{path} has no dataset {ifo}:{channel}: mend state_channel, or give files that have it")
        dataset = file[names[0]]
        times = hdf5_files.times_of(dataset)
        if times is None or dataset.dtype.kind not in "iu" or dataset.ndim != 1:
            raise DataError(
                f"{path}: {names[0]} is no state vector: it must be whole numbers in one dimension, with the start and "
                "the step of its times as attributes"
            )
        try:
            return ((times[0], 1 / times[1], np.asarray(dataset, dtype=np.int64)),)
        except OSError as error:
            raise StorageError(f"{path} is damaged ({' '.join(str(error).split())}): fetch it again") from None
