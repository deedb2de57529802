"""Curves of detectors' noise: amplitude spectral densities from files and from bilby."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from aframe import storage
from aframe.errors import ConfigurationError, DataError
from aframe.strain.lists import read_listing
from aframe.types import Array

FLATTEN_FREQUENCY = 10.0
"""Frequency below which the noise curve is constant, Hz. Strong seismic noise would reduce numerical precision."""

LOWEST_ASD = 1e-30
"""Lowest plausible ASD of a detector, 1/sqrt(Hz).

Third-generation detectors have 1e-25. Power spectral densities, given by mistake, have 1e-40 or less.
"""

HIGHEST_ASD = 1e-10
"""Highest plausible ASD of a detector, 1/sqrt(Hz). A bar has 1e-21."""

COVERED_SHARE = 0.9
"""Share of the highest frequency that a noise curve must reach. Tables end a little below the Nyquist frequency."""

PYCBC_SCALE = 5.9029581035870565e20
"""Factor by which PyCBC multiplies strain before it stores its spectra in single precision (DYN_RANGE_FAC)."""

HDF5_SUFFIXES = (".hdf", ".hdf5", ".h5")
"""Suffixes of PyCBC's frequency series."""

NAMES_OF_INDEX = ("", "Unnamed: 0")
"""Names of the column of numbers of rows that pandas writes."""

LAL_PREFIX = "SimNoisePSD"
"""What the names of lalsimulation's analytic noise curves begin with."""

LAL_FREQUENCIES = (5.0, 8192.0, 4000)
"""Lowest and highest frequency (Hz) at which those curves are evaluated, and the number of frequencies."""

NoiseCurve = tuple[Array, Array]
"""Frequencies in Hz, and amplitude spectral densities in 1/sqrt(Hz)."""


@dataclass(frozen=True)
class Spectrum:
    """A noise curve as its file has it.

    Attributes:
        curve: Frequencies and amplitude spectral densities, without a row at 0 Hz.
        is_psd: Whether the file has power spectral densities.
    """

    curve: NoiseCurve
    is_psd: bool


def load_asd(name_or_path: str) -> NoiseCurve:
    """Read a noise curve.

    Args:
        name_or_path: As for ``read_curve``.

    Returns:
        The table without a row at 0 Hz.
    """
    return read_curve(name_or_path).curve


def read_curve(name_or_path: str) -> Spectrum:
    """Read an amplitude or power spectral density. Their values tell which, as they differ by twenty orders.

    Args:
        name_or_path: A text file of two columns (Hz, and 1/sqrt(Hz) or 1/Hz), a ``.npy`` file of two rows or columns,
            an HDF5 file of PyCBC, the name of one of bilby's amplitude spectral densities, such as
            ``aLIGO_O4_high_asd.txt``, or that of one of lalsimulation's analytic curves, such as
            ``aLIGOZeroDetHighPower``.

    Raises:
        ConfigurationError: If the curve does not exist. The message lists bilby's curves.
        DataError: If the table is no spectral density.
        StorageError: If an HDF5 file is damaged.
    """
    path = Path(name_or_path)
    if not path.is_file():
        if name_or_path.isidentifier() and (curve := _lal_curve(name_or_path)) is not None:
            return Spectrum(curve, is_psd=False)
        path = _bilby_curve(name_or_path)
    if storage.has_suffix(str(path), HDF5_SUFFIXES):
        frequency, density = _pycbc_series(path)
    else:
        frequency, density = _table(path)
    if (np.diff(frequency) < 0).all():
        frequency, density = frequency[::-1], density[::-1]
    if frequency[0] == 0:  # the interpolation uses logarithms
        frequency, density = frequency[1:], density[1:]
    repeated = frequency[1:][np.diff(frequency) == 0]
    if repeated.size:
        raise DataError(f"{path} has two rows of {repeated[0]:g} Hz: leave one of them out")
    rising = frequency.size > 1 and bool((np.diff(frequency, prepend=0.0) > 0).all())
    if not rising or not np.isfinite(density).all() or not (density > 0).all():
        raise DataError(f"{path}: frequencies must rise and densities be positive and finite: mend the table")
    is_psd = bool(np.median(density) < LOWEST_ASD)
    return Spectrum((frequency, np.sqrt(density) if is_psd else density), is_psd)


def _table(path: Path) -> tuple[Array, Array]:
    """Frequencies and densities of a text or ``.npy`` file."""
    try:
        is_binary = storage.has_suffix(str(path), ".npy")
        table = np.asarray(np.load(path) if is_binary else _numbers(path), np.float64)
    except ValueError as error:
        raise DataError(
            f"{path} is no table of frequency and ASD ({error}): give two columns, Hz and 1/sqrt(Hz)"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): mend its permissions or the path") from None
    if not table.size:
        raise DataError(f"{path} is empty, or has no numbers: give two columns, Hz and 1/sqrt(Hz), or leave it out")
    table = table.T if is_binary and table.shape[:1] == (2,) else table
    if table.ndim != 2 or table.shape[1] != 2:
        raise DataError(f"{path} has {table.shape[-1]} columns: give two columns, Hz and 1/sqrt(Hz)")
    frequency, density = table.T
    return frequency, density


def _pycbc_series(path: Path) -> tuple[Array, Array]:
    """Frequencies and densities of a frequency series of PyCBC, from its first to its last value that is not 0."""
    found: dict[str, h5py.Dataset] = {}
    with storage.open_hdf5(str(path)) as file:
        file.visititems(lambda name, each: found.update({name: each}) if "delta_f" in each.attrs else None)
        if len(found) != 1:
            listed = f"{len(found)} datasets with the attribute delta_f ({', '.join(found) or 'none'})"
            raise DataError(f"{path} has {listed}: give a file with one frequency series, as PyCBC writes it")
        (series,) = found.values()
        density, step = np.asarray(series[:], dtype=np.float64), float(series.attrs["delta_f"])
    present = np.flatnonzero(density)
    if not present.size:
        raise DataError(f"{path} is empty: give a frequency series with values, or leave it out")
    inside = slice(present[0], present[-1] + 1)
    if np.median(density[inside]) > HIGHEST_ASD:
        density = density / PYCBC_SCALE**2
    return (np.arange(len(density)) * step)[inside], density[inside]


def _numbers(path: Path) -> Array:
    """Numbers of a text table without the index that pandas writes, shape (rows, columns)."""
    listing = read_listing(str(path))
    first = 1 if listing.header and listing.header.values[0] in NAMES_OF_INDEX else 0
    return np.array([[float(value) for value in row.values[first:]] for row in listing.rows])


def check_band(curve: NoiseCurve, path: str, lowest: float, highest: float) -> None:
    """Check that a noise curve covers the band, and has a plausible ASD in it.

    Args:
        curve: Noise curve from ``load_asd``.
        path: Path of the curve, for error messages.
        lowest: Lower end of the band, Hz.
        highest: Upper end of the band, Hz.

    Raises:
        DataError: With the frequencies of the curve, or its median in the band.
    """
    frequency, asd = curve
    if frequency[0] > lowest or frequency[-1] < COVERED_SHARE * highest:
        covers_in_khz = frequency[-1] < lowest and 1e3 * frequency[-1] >= COVERED_SHARE * highest
        mend = "give a curve that does, or change highpass, lowpass or sample_rate"
        raise DataError(
            f"{path} covers {frequency[0]:g} to {frequency[-1]:g} Hz, not the band of {lowest:g} to {highest:g} Hz: "
            f"{'its frequencies seem to be in kHz: give Hz' if covers_in_khz else mend}"
        )
    median = float(np.median(np.interp(np.geomspace(lowest, highest, 1000), frequency, asd)))
    if not LOWEST_ASD < median < HIGHEST_ASD:
        guess = "it looks like a PSD: give its square root" if median <= LOWEST_ASD else "give 1/sqrt(Hz)"
        raise DataError(f"{path} has a median of {median:.2g} in band, which is no detector's ASD: {guess}")


def asd_at(curve: NoiseCurve, frequency: Array) -> Array:
    """Interpolate a noise curve in logarithms.

    Args:
        curve: Noise curve. Beyond its ends, and below ``FLATTEN_FREQUENCY``, it is constant.
        frequency: Frequencies, Hz.
    """
    known, asd = curve
    return np.exp(np.interp(np.log(np.maximum(frequency, FLATTEN_FREQUENCY)), np.log(known), np.log(asd)))


def _lal_curve(name: str) -> NoiseCurve | None:
    """An analytic noise curve of lalsimulation by its name without ``SimNoisePSD``; None if there is none."""
    import lalsimulation

    density = getattr(lalsimulation, f"{LAL_PREFIX}{name}", None)
    low, high, number = LAL_FREQUENCIES
    grid = np.geomspace(low, high, number)
    try:
        return None if density is None else (grid, np.sqrt([density(each) for each in grid.tolist()]))
    except TypeError:  # a curve that fills a frequency series, from a table
        return None


def _bilby_curve(name: str) -> Path:
    import bilby.gw.detector

    directory = Path(bilby.gw.detector.__file__).parent / "noise_curves"
    names = sorted(path.name for path in directory.glob("*_asd.txt"))
    if name not in names and (directory / name).is_file():
        raise ConfigurationError(f"asd = {name!r} is a PSD: give one of bilby's ASDs, {', '.join(names)}")
    if name not in names:
        raise ConfigurationError(
            f"asd = {name!r} is neither a file nor one of bilby's noise curves: {', '.join(names)}"
        )
    return directory / name
