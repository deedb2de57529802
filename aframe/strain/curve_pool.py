"""Pools of noise curves: which curves a detector may have, and which one it has in a segment."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from aframe import seeding, storage
from aframe.errors import DataError
from aframe.strain.channels import SITES
from aframe.strain.noise_curves import HDF5_SUFFIXES, NoiseCurve, asd_at, check_band, read_curve
from aframe.strain.o3_curves import NAME, o3_curves
from aframe.strain.times import format_gps

SUFFIXES = (".txt", ".dat", ".csv", ".npy", *HDF5_SUFFIXES)
"""Suffixes of the curves in a directory."""

DETECTOR = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(SITES)})(?![A-Za-z0-9])")
"""Detector in the name of a file or folder, such as O3a_H1_3.txt."""


@dataclass(frozen=True)
class CurvePool:
    """Noise curves of a detector.

    Attributes:
        ifo: The detector.
        curves: At least one curve.
    """

    ifo: str
    curves: tuple[NoiseCurve, ...]

    def curve_of(self, start: float, seed: int) -> NoiseCurve:
        """Draw the curve of a segment.

        Args:
            start: Start of the segment, GPS s.
            seed: Seed of the run.
        """
        if len(self.curves) == 1:
            return self.curves[0]
        rng = seeding.generator(seed, "noise curve", self.ifo, format_gps(start))
        return self.curves[int(rng.integers(len(self.curves)))]

    @functools.cached_property
    def mean(self) -> NoiseCurve:
        """Geometric mean of the curves, from the highest of their lowest frequencies to the lowest of their highest."""
        if len(self.curves) == 1:
            return self.curves[0]
        low, high = max(curve[0][0] for curve in self.curves), min(curve[0][-1] for curve in self.curves)
        grid = np.unique(np.concatenate([frequency for frequency, _ in self.curves]))
        grid = grid[(grid >= low) & (grid <= high)]
        return grid, np.exp(np.mean([np.log(asd_at(curve, grid)) for curve in self.curves], axis=0))


def read_pools(places: Sequence[str], ifos: Sequence[str], band: tuple[float, float]) -> Mapping[str, CurvePool]:
    """Read the pools of several detectors.

    Of several files, those that are named for a detector, or lie in a folder that is, go to this detector alone.

    Args:
        places: Files, directories, patterns, names of bilby's or lalsimulation's curves, or ``o3``.
        ifos: Detectors.
        band: Frequencies that each curve must cover, Hz.

    Raises:
        ConfigurationError: If a curve does not exist.
        DataError: If curves are unusable, do not cover the band, or a detector has none.
    """
    curves = read_curves(places, ifos)
    for path, curve in curves.items():
        check_band(curve, path, *band)
    owners = {path: detector_of(path) if len(curves) > 1 else None for path in curves}
    pools = {ifo: CurvePool(ifo, tuple(curves[path] for path in curves if owners[path] in (ifo, None))) for ifo in ifos}
    lacking = [ifo for ifo, pool in pools.items() if not pool.curves]
    if lacking:
        raise DataError(
            f"{', '.join(places)} has no noise curve of {', '.join(lacking)}: its files are named for "
            f"{', '.join(sorted({str(owner) for owner in owners.values()}))}: add one, or change asd or ifos"
        )
    return pools


def read_curves(places: Sequence[str], ifos: Sequence[str]) -> dict[str, NoiseCurve]:
    """Read all noise curves of some places.

    Args:
        places: As for ``read_pools``.
        ifos: Detectors.

    Returns:
        The curves, by their paths or names.

    Raises:
        ConfigurationError: If a curve does not exist.
        DataError: If a place has no curves, a curve is unusable, or curves are in two units.
    """
    made = {f"{NAME}/{ifo}/{k}": curve for ifo in ifos if NAME in places for k, curve in enumerate(o3_curves(ifo))}
    spectra = {path: read_curve(path) for place in places if place != NAME for path in curve_files(place)}
    check_units({path: each.is_psd for path, each in spectra.items() if not storage.has_suffix(path, HDF5_SUFFIXES)})
    return made | {path: each.curve for path, each in spectra.items()}


def detector_of(path: str) -> str | None:
    """Detector that a file is named for, or else the folder in which it lies. None if neither is.

    >>> detector_of("psds/L1/psd-0.hdf"), detector_of("H1/quiet_V1.txt"), detector_of("aLIGO_O4_high_asd.txt")
    ('L1', 'V1', None)
    """
    file, folder = PurePath(path).name, PurePath(path).parent.name
    match = DETECTOR.search(file) or DETECTOR.fullmatch(folder) or DETECTOR.search(folder)
    return match[1] if match else None


def check_units(is_psd: Mapping[str, bool]) -> None:
    """Refuse curves of which some are amplitude and some power spectral densities.

    Args:
        is_psd: Whether a file has power spectral densities, by its path.

    Raises:
        DataError: With two of the files.
    """
    if len(set(is_psd.values())) > 1:
        asd, psd = (next(path for path, is_power in is_psd.items() if is_power == wanted) for wanted in (False, True))
        raise DataError(f"{asd} has 1/sqrt(Hz), but {psd} has 1/Hz: give all curves of asd in one unit")


def curve_files(place: str) -> list[str]:
    """Files of a place, also those one directory below it. A name that is no file is returned as it is.

    Args:
        place: File, directory, pattern, or name of a curve.

    Raises:
        DataError: If a directory or a pattern has no curve.
    """
    filesystem, inner = storage.filesystem_of(place)
    if filesystem.isdir(inner):
        paths = [*storage.glob(place, "*"), *storage.glob(place, "*", "*")]
        paths = [path for path in paths if storage.has_suffix(path, SUFFIXES)]
    elif storage.is_remote(place) or filesystem.exists(inner) or not set(place) & set("*?["):
        return [place]
    else:
        paths = storage.files_in(place, SUFFIXES)
    if not paths:
        raise DataError(f"asd = {place} holds no noise curve ({', '.join(SUFFIXES)}): mend the path")
    return sorted(paths)
