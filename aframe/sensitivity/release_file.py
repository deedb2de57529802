"""Read injection sets that LIGO, Virgo and KAGRA release with their catalogues.

Two layouts are known. Releases of O3 have a group ``injections`` with a dataset for each quantity, and the attributes
``total_generated`` and ``analysis_time_s`` of the file or the group (LIGO-T2100113, doi:10.5281/zenodo.7890437 and
5546676). Releases of O4, and those of several runs together, have a dataset ``events`` with a field for each quantity,
and the attributes ``total_generated`` and ``total_analysis_time`` or ``analysis_time`` of the file (LIGO-T2400073,
doi:10.5281/zenodo.16740117; LIGO-T2400110, doi:10.5281/zenodo.16740128; arXiv:2508.10638). The readers of
gwpopulation_pipe (``vt_helper``) and GWKokab know the same names.
"""

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import h5py
import numpy as np
from jaxtyping import Bool, Float

from aframe import storage
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import DataError, UnknownNameError
from aframe.sensitivity.release_densities import EXPECTED, SLOPE, DrawDensity
from aframe.settings.keys import nearest
from aframe.types import Array

LAYOUTS = ("injections", "events")
"""Group or dataset with the injections."""

SOURCE_FRAME = (("mass1_source", "mass2_source"), ("mass_1_source", "mass_2_source"))
DETECTOR_FRAME = (("mass1_detector", "mass2_detector"), ("mass1", "mass2"))
REDSHIFTS = ("redshift", "z")
TIMES = ("time_geocenter", "gps_time")
WHOLE_TIMES = ("gps_time_int",)
"""Datasets with the time in whole seconds."""

MIXTURE_WEIGHTS = ("weights", "mixture_weight")
"""Datasets with the factor of an injection's weight that several sets in one file need."""

DURATIONS = ("total_analysis_time", "analysis_time", "total_analysis_time_1ifo")
"""Attributes with the time over which injections were drawn."""

YEARS = ("_yr", "_yrs", "_years")
"""Suffixes of durations in years."""

LONGEST_YEARS = 1000.0
"""A duration without a unit that is shorter than this is in years. No run lasts some minutes, or a thousand years."""

RATE = re.compile(r"(?P<inverse>i?)far_(?P<name>.+)|(?P<other>.+)_(?P<inverted>i?)far")
"""Name of a dataset with false alarm rates (1/yr) or their inverses (yr) of a pipeline."""

MOST_NAMES = 15
"""Largest number of names that an error lists."""


@dataclass(frozen=True, eq=False)
class Release:
    """Recorded injections of a release. Arrays have shape (n,).

    Attributes:
        path: The file.
        mass_1_source: Heavier mass, source frame, solar masses.
        mass_2_source: Lighter mass, source frame, solar masses.
        redshift: Redshift.
        time: Time of coalescence at the Earth's centre, GPS s; None if the release has none.
        log_density: Log density of source-frame masses and redshift with which each injection was drawn.
        weight: Mixture weight of each injection; 0 for spins that the target does not have.
        far_per_year: False alarm rate of each injection, events per year, by pipeline; inf without an event.
        total: Number of all draws, N, recorded or not.
        duration: Time over which they were drawn, T, s.
        has_own_spins: Whether a target's spins are those of the release. They are isotropic otherwise.
    """

    path: str
    mass_1_source: Float[Array, " n"]
    mass_2_source: Float[Array, " n"]
    redshift: Float[Array, " n"]
    time: Float[Array, " n"] | None
    log_density: Float[Array, " n"]
    weight: Float[Array, " n"]
    far_per_year: Mapping[str, Float[Array, " n"]]
    total: float
    duration: float
    has_own_spins: bool

    def __len__(self) -> int:
        return len(self.redshift)

    def rows(self, selection: Bool[Array, " n"]) -> "Release":
        """Recorded injections of a selection. The numbers of draws and of seconds stay."""
        return replace(
            self,
            mass_1_source=self.mass_1_source[selection],
            mass_2_source=self.mass_2_source[selection],
            redshift=self.redshift[selection],
            time=None if self.time is None else self.time[selection],
            log_density=self.log_density[selection],
            weight=self.weight[selection],
            far_per_year={name: rate[selection] for name, rate in self.far_per_year.items()},
        )


@dataclass(frozen=True)
class ReleaseHeader:
    """What a release holds, without its columns.

    Attributes:
        path: The file.
        layout: Name of the group or dataset with the injections.
        names: Names of all datasets or fields.
        density: Datasets with the draw probabilities.
        total: Number of all draws.
        duration: Time over which they were drawn, s.
    """

    path: str
    layout: str
    names: tuple[str, ...]
    density: DrawDensity
    total: float
    duration: float

    @property
    def pipelines(self) -> dict[str, tuple[str, bool]]:
        """Dataset with the rates of each pipeline, and whether it has inverse rates. Rates are preferred."""
        found: dict[str, tuple[str, bool]] = {}
        for name in self.names:
            match = RATE.fullmatch(name)
            if match is not None:
                pipeline = match["name"] or match["other"]
                is_inverse = bool(match["inverse"] or match["inverted"])
                if pipeline not in found or not is_inverse:
                    found[pipeline] = (name, is_inverse)
        return found

    def chosen(self, pipelines: Sequence[str] | None) -> list[str]:
        """Check the names of pipelines. None stands for all.

        Raises:
            UnknownNameError: If the release lacks one. The message lists those that it has.
        """
        known = self.pipelines
        for name in pipelines or ():
            if name not in known:
                raise UnknownNameError(
                    f"{self.path} has no false alarm rates of {name!r}{nearest(name, known)}; it has those of "
                    f"{', '.join(known) or 'no pipeline'}"
                )
        return list(known) if pipelines is None else list(pipelines)


def read_header(path: str) -> ReleaseHeader:
    """Read what a release holds, and check that volumes follow from it. It reads no columns.

    Args:
        path: Local or s3 path.

    Raises:
        DataError: If the layout is unknown, or lacks masses, redshift, draw probabilities, or the number or time of all
            draws.
        StorageError: If the file is missing or no HDF5 file.
    """
    with storage.open_hdf5(path) as file:
        return _header(path, file)


def read_release(path: str, pipelines: Sequence[str] | None = None) -> Release:
    """Read the injections of a release.

    Args:
        path: Local or s3 path.
        pipelines: Pipelines whose false alarm rates are read; None for all.

    Raises:
        DataError: As ``read_header``, or if a value is impossible.
        UnknownNameError: If the release has no such pipeline.
        StorageError: If the file is missing or no HDF5 file.
    """
    with storage.open_hdf5(path) as file:
        header = _header(path, file)
        chosen, table = header.chosen(pipelines), file[header.layout]
        density = header.density
        needed = [*density.columns, *([SLOPE] if SLOPE in header.names else [])]
        with _readable(path):
            columns = {name: np.asarray(table[name], dtype=np.float64) for name in needed}
            redshift, mass_1, mass_2 = _binaries(header.names, table)
            time, weight = _time(header.names, table), _first(header.names, MIXTURE_WEIGHTS, table)
            rates = {name: _rates(table, *header.pipelines[name]) for name in chosen}
    _check_lengths(path, len(redshift), columns | rates | {"masses": mass_1, "time": time, "weights": weight})
    _check_binaries(path, mass_1, mass_2, redshift)
    log_density = density.log_density(columns, redshift, path)
    weight = np.ones(len(redshift)) if weight is None else weight
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise DataError(f"{path}: a mixture weight is negative or no number: fetch the file again")
    if density.spins:
        of_spins, is_allowed = density.spin_target(columns, path)
        log_density, weight = log_density - of_spins, np.where(is_allowed, weight, 0.0)
    if header.total < len(redshift):
        raise DataError(
            f"{path}: total_generated = {header.total:g} is less than the {len(redshift)} injections that it records: "
            "fetch the file again"
        )
    return Release(
        path, mass_1, mass_2, redshift, time, log_density, weight, rates, header.total, header.duration,
        has_own_spins=not density.spins,
    )  # fmt: skip


@contextlib.contextmanager
def _readable(path: str) -> Iterator[None]:
    """Name the file of a dataset that holds no numbers."""
    try:
        yield
    except (ValueError, TypeError, OSError) as error:
        raise DataError(f"{path}: a dataset cannot be read ({error}): fetch the file again") from None


def _header(path: str, file: h5py.File) -> ReleaseHeader:
    layout = next((name for name in LAYOUTS if name in file), "")
    table = file[layout] if layout else None
    names = tuple(table.dtype.names or () if isinstance(table, h5py.Dataset) else table or ())
    if not names:
        raise DataError(
            f"{path} is no injection set of a known layout: it lacks a group `injections` (O3) and a table `events` "
            f"(O4); it has {_listed(list(file))}; give a release as docs/releases.md names them"
        )
    where = f"{path}, {layout}"
    masses = [name for pair in (*SOURCE_FRAME, *DETECTOR_FRAME) for name in pair]
    if _pair(names) is None:
        raise DataError(f"{where} lacks the masses: expected are {', '.join(masses)}; there are {_listed(names)}")
    if not set(REDSHIFTS) & set(names):
        raise DataError(f"{where} lacks redshift, also as z; there are {_listed(names)}")
    density = DrawDensity.among(names)
    lacking = [] if density is None else [name for name in density.columns if name not in names]
    if density is None or lacking:
        what = "the draw probabilities" if density is None else ", ".join(lacking)
        raise DataError(f"{where} lacks {what}: expected are {EXPECTED}; there are {_listed(names)}")
    attributes = {**table.attrs, **file.attrs}  # type: ignore[union-attr]
    return ReleaseHeader(path, layout, names, density, _total(path, attributes), _duration(path, attributes))


def _total(path: str, attributes: Mapping[str, object]) -> float:
    """Number of all draws."""
    if "total_generated" in attributes:
        total = _number(attributes["total_generated"])
    else:
        total = sum(_number(attributes.get(name, np.nan)) for name in ("n_accepted", "n_rejected"))
    if not 0 < total < np.inf:
        raise DataError(
            f"{path} does not tell the total number of draws (attribute total_generated): injections that it leaves "
            f"out count as missed, so there is no volume without it; its attributes are {_listed(list(attributes))}"
        )
    return total


def _duration(path: str, attributes: Mapping[str, object]) -> float:
    """Time over which injections were drawn, s."""
    for name in (f"{name}{suffix}" for name in DURATIONS for suffix in ("", "_s", *YEARS)):
        value = _number(attributes.get(name, np.nan))
        if 0 < value < np.inf:
            is_years = name.endswith(YEARS) or (not name.endswith("_s") and value < LONGEST_YEARS)
            return value * (SECONDS_PER_YEAR if is_years else 1.0)
    raise DataError(
        f"{path} does not tell the time of its injections (attributes {', '.join(DURATIONS)}, s or years): its "
        f"attributes are {_listed(list(attributes))}"
    )


def _number(value: object) -> float:
    """Number of an attribute; NaN if it is none."""
    with contextlib.suppress(ValueError, TypeError):
        return float(np.asarray(value, dtype=np.float64).reshape(()))
    return float("nan")


def _pair(names: Collection[str]) -> tuple[str, str] | None:
    return next((pair for pair in (*SOURCE_FRAME, *DETECTOR_FRAME) if set(pair) <= set(names)), None)


def _binaries(names: Collection[str], table: h5py.Group | h5py.Dataset) -> tuple[Array, Array, Array]:
    """Redshift and source-frame masses."""
    redshift, pair = _first(names, REDSHIFTS, table), _pair(names)
    assert redshift is not None, "the header has been checked"
    assert pair is not None, "the header has been checked"
    mass_1, mass_2 = (np.asarray(table[name], dtype=np.float64) for name in pair)
    scale = 1 + redshift if pair in DETECTOR_FRAME else 1.0
    return redshift, mass_1 / scale, mass_2 / scale


def _time(names: Collection[str], table: h5py.Group | h5py.Dataset) -> Array | None:
    """Times, GPS s. Of whole seconds, the middle."""
    time, whole = _first(names, TIMES, table), _first(names, WHOLE_TIMES, table)
    return whole + 0.5 if time is None and whole is not None else time


def _first(names: Collection[str], wanted: Sequence[str], table: h5py.Group | h5py.Dataset) -> Array | None:
    """The first of some datasets that there is."""
    name = next((name for name in wanted if name in names), None)
    return None if name is None else np.asarray(table[name], dtype=np.float64)


def _rates(table: h5py.Group | h5py.Dataset, name: str, is_inverse: bool) -> Array:
    """False alarm rates, events per year; inf where a pipeline has no event."""
    values = np.asarray(table[name], dtype=np.float64)
    known = values >= 0
    if is_inverse:
        return np.divide(1.0, values, out=np.full_like(values, np.inf), where=known & (values > 0))
    return np.where(known, values, np.inf)


def _check_lengths(path: str, count: int, columns: Mapping[str, Array | None]) -> None:
    """Refuse columns that have not one number for each injection."""
    for name, values in columns.items():
        if values is not None and values.shape != (count,):
            raise DataError(
                f"{path}: {name} has the shape {values.shape}, and there are {count} redshifts: fetch the file again"
            )


def _check_binaries(path: str, mass_1: Array, mass_2: Array, redshift: Array) -> None:
    right = np.isfinite(mass_1) & (mass_1 >= mass_2) & (mass_2 > 0) & np.isfinite(redshift) & (redshift > 0)
    if not len(right):
        raise DataError(f"{path} records no injections: fetch the file again")
    if not right.all():
        row = int(right.argmin())
        raise DataError(
            f"{path}: {(~right).sum()} of {len(right)} injections have impossible masses or redshifts (the first: row "
            f"{row}, {mass_1[row]:.6g} and {mass_2[row]:.6g} M☉, redshift {redshift[row]:.6g}): fetch the file again"
        )


def _listed(names: Collection[str]) -> str:
    """Some of many names, for an error."""
    some = list(names)[:MOST_NAMES]
    rest = f" and {len(names) - len(some)} more" if len(names) > len(some) else ""
    return (", ".join(some) or "nothing") + rest
