"""Background files of strain, with one dataset per detector. The file name holds start and duration."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import h5py
import numpy as np

from aframe import storage
from aframe.errors import DataError, StorageError
from aframe.strain.times import format_gps
from aframe.types import Array

CHUNK_SIZE = 2**18
"""Samples in an HDF5 chunk, a few minutes of strain."""

NAME_PATTERN = re.compile(r"background-(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)\.hdf5$")


def background_path(directory: str, start: float, duration: float) -> str:
    """Path of the background file of a stretch of time.

    Args:
        directory: Data directory.
        start: Start of the strain, GPS s.
        duration: Duration of the strain, s.

    >>> background_path("data", 1126259446.5, 4096.0)
    'data/background/background-1126259446.5-4096.hdf5'
    """
    return storage.join(directory, "background", f"background-{format_gps(start)}-{format_gps(duration)}.hdf5")


def parse_background_path(path: str) -> tuple[float, float]:
    """Parse start (GPS s) and duration (s) from the name of a background file.

    Raises:
        DataError: If the name has another form.
    """
    match = NAME_PATTERN.search(str(path))
    if match is None:
        raise DataError(f"{path} is not named background-<gps>-<duration>.hdf5: rename it, or move it elsewhere")
    return float(match[1]), float(match[2])


def write_background(
    path: str,
    strain: Mapping[str, Array],
    start: float,
    sample_rate: float,
    made_with: storage.Parameters | None = None,
) -> None:
    """Write coincident strain in gwpy's layout. The file appears only when complete.

    Args:
        path: Local or s3 path.
        strain: Strain of each detector, shape (time,), all of equal length.
        start: Time of the first sample, GPS s.
        sample_rate: Sampling rate, Hz.
        made_with: Parameters of the strain.

    Raises:
        DataError: If lengths differ or a sample is not finite.
    """
    if len({len(data) for data in strain.values()}) != 1:
        raise DataError(
            f"strain for {path} must have one length: { ({ifo: len(data) for ifo, data in strain.items()}) }"
        )
    for ifo, data in strain.items():
        if not np.isfinite(data).all():
            raise DataError(f"strain of {ifo} for {path} has samples that are not finite: split it around them")
    with storage.create_hdf5(path, made_with) as file:
        for ifo, data in strain.items():
            chunks = (min(len(data), CHUNK_SIZE),)
            dataset = file.create_dataset(ifo, data=np.asarray(data, dtype=np.float64), chunks=chunks)
            dataset.attrs.update({"x0": float(start), "dx": 1.0 / sample_rate, "xunit": "s", "unit": "", "name": ifo})


class Background:
    """An open background file.

    Args:
        path: Path of the file, for error messages.
        file: The open HDF5 file.

    Attributes:
        start: Time of the first sample, GPS s.
        sample_rate: Sampling rate, Hz.
        ifos: Detectors.
        duration: Duration, s.

    Raises:
        StorageError: If the file is not a background file.
    """

    def __init__(self, path: str, file: h5py.File) -> None:
        self._path, self._file = path, file
        self.ifos = tuple(name for name in file if {"x0", "dx"} <= set(file[name].attrs))
        if not self.ifos:
            raise StorageError(f"{path} is not a background file: no dataset has the attributes x0 and dx; remove it")
        first = file[self.ifos[0]]
        if len({(float(file[ifo].attrs["x0"]), file[ifo].shape) for ifo in self.ifos}) > 1:
            raise StorageError(f"{path}: its detectors cover different times: it is not a background file; remove it")
        rate = 1.0 / float(first.attrs["dx"])
        self.start = float(first.attrs["x0"])
        self.sample_rate = float(round(rate)) if abs(rate - round(rate)) < 1e-6 else rate
        self._size = int(first.shape[0])
        self.duration = self._size / self.sample_rate

    def read(self, ifo: str, start: float | None = None, stop: float | None = None) -> Array:
        """Read strain of one detector.

        Args:
            ifo: Detector.
            start: Time of the first sample, GPS s; by default the start of the file.
            stop: Time after the last sample, GPS s; by default the end of the file.

        Returns:
            Strain in double precision, shape (time,).

        Raises:
            DataError: If the file does not contain that detector or time.
        """
        if ifo not in self.ifos:
            raise DataError(f"{self._path} holds {', '.join(self.ifos)}, not {ifo}: mend ifos, or generate it again")
        low = 0 if start is None else round((start - self.start) * self.sample_rate)
        high = self._size if stop is None else round((stop - self.start) * self.sample_rate)
        if not 0 <= low <= high <= self._size:
            raise DataError(
                f"{self._path} covers {format_gps(self.start)} to {format_gps(self.start + self.duration)}, not all of "
                f"{start} to {stop}: choose a shorter stretch"
            )
        return np.asarray(self._file[ifo][low:high], dtype=np.float64)


@contextmanager
def open_background(path: str) -> Iterator[Background]:
    """Open a background file.

    Raises:
        StorageError: If the file is missing, truncated, or not a background file.
    """
    with storage.open_hdf5(path) as file:
        yield Background(path, file)
