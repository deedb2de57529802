"""Signals of a data set: their draws, and the challenge's file of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h5py
import lal
import numpy as np
from jaxtyping import Float

from aframe import seeding, storage
from aframe.challenge.data_sets import (
    ALIGNED_SPINS,
    CHIRP_DISTANCES,
    ISOTROPIC_SPINS,
    MAXIMUM_SPIN,
    MINIMUM_FREQUENCY,
    PADDING,
    REFERENCE_CHIRP_MASS,
    SAMPLE_RATE,
    SPACING,
    DataSet,
)
from aframe.errors import DataError
from aframe.strain.segments import Segment
from aframe.strain.times import format_gps
from aframe.types import Array

Columns = dict[str, Array]

NEEDED = ("mass1", "mass2", "distance", "tc")
"""Columns of an injection file that the score needs."""


def chirp_mass(mass_1: Float[Array, " n"], mass_2: Float[Array, " n"]) -> Float[Array, " n"]:
    """Chirp mass of binaries, in the unit of their masses.

    Args:
        mass_1: One component, shape (n,).
        mass_2: The other component, shape (n,).

    >>> float(chirp_mass(np.array([1.4]), np.array([1.4]))[0].round(4))
    1.2188
    """
    return np.asarray((mass_1 * mass_2) ** 0.6 / (mass_1 + mass_2) ** 0.2)


def luminosity_distance(chirp_distance: Float[Array, " n"], chirp_mass: Float[Array, " n"]) -> Float[Array, " n"]:
    """Luminosity distance D of binaries from their chirp distance d = D (Mc₀ / Mc)^(5/6), in its unit.

    Args:
        chirp_distance: Shape (n,).
        chirp_mass: Detector-frame chirp mass, solar masses, shape (n,).
    """
    return np.asarray(chirp_distance * (chirp_mass / REFERENCE_CHIRP_MASS) ** (5 / 6))


def draw_times(segment: Segment, rng: np.random.Generator) -> Float[Array, " n"]:
    """Draw merger times (GPS s) in a segment, each at a sample, ``PADDING`` from its ends and ``SPACING`` apart.

    Args:
        segment: The segment.
        rng: Source of all randomness.
    """
    low, high = segment.start + PADDING, segment.stop - PADDING
    number = max(0, int((high - low) / SPACING[0])) + 1
    steps = np.append(rng.uniform(0, sum(SPACING) / 2), rng.uniform(*SPACING, number))
    times = low + np.round(np.cumsum(steps) * SAMPLE_RATE) / SAMPLE_RATE
    return times[times <= high]


def draw_binaries(chosen: DataSet, number: int, rng: np.random.Generator) -> Columns:
    """Draw binaries of a data set.

    Args:
        chosen: The data set.
        number: Number of binaries.
        rng: Source of all randomness.

    Returns:
        Columns of shape (number,) in bilby's names and units: those of waveforms and of projections, and
        ``chirp_mass`` (detector frame, solar masses) and ``chirp_distance`` (Mpc).
    """
    masses = np.sort(rng.uniform(*chosen.masses, (2, number)), axis=0)
    chirp = chirp_mass(masses[0], masses[1])
    near, far = CHIRP_DISTANCES
    chirp_distance = np.cbrt(rng.uniform(near**3, far**3, number))
    columns = {
        "mass_1": masses[1],
        "mass_2": masses[0],
        "chirp_mass": chirp,
        "chirp_distance": chirp_distance,
        "luminosity_distance": luminosity_distance(chirp_distance, chirp),
        "ra": rng.uniform(0, 2 * np.pi, number),
        "dec": np.arcsin(rng.uniform(-1, 1, number)),
        "theta_jn": np.arccos(rng.uniform(-1, 1, number)),
        "psi": rng.uniform(0, 2 * np.pi, number),
        "phase": rng.uniform(0, 2 * np.pi, number),
    }
    return columns | _spins(chosen.spins, number, rng)


def _spins(kind: str, number: int, rng: np.random.Generator) -> Columns:
    """Spins and their angles, columns of shape (number,) in bilby's names."""
    zeros = {name: np.zeros(number) for name in ("a_1", "a_2", "tilt_1", "tilt_2", "phi_12", "phi_jl")}
    if kind == ALIGNED_SPINS:
        along = rng.uniform(-MAXIMUM_SPIN, MAXIMUM_SPIN, (2, number))
        sizes = {f"a_{i}": np.abs(along[i - 1]) for i in (1, 2)}
        return zeros | sizes | {f"tilt_{i}": np.where(along[i - 1] < 0, np.pi, 0.0) for i in (1, 2)}
    if kind == ISOTROPIC_SPINS:
        sizes = {f"a_{i}": rng.uniform(0, MAXIMUM_SPIN, number) for i in (1, 2)}
        tilts = {f"tilt_{i}": np.arccos(rng.uniform(-1, 1, number)) for i in (1, 2)}
        return sizes | tilts | {name: rng.uniform(0, 2 * np.pi, number) for name in ("phi_12", "phi_jl")}
    return zeros


def draw_injections(chosen: DataSet, segments: Sequence[Segment], seed: int) -> Columns:
    """Draw the signals of all segments. Those of a segment depend on the seed and on the segment alone.

    Args:
        chosen: The data set.
        segments: Segments, in order of time.
        seed: Seed of the data.

    Returns:
        Columns of ``draw_binaries``, and ``tc`` (merger time at the geocentre, GPS s), in order of time.
    """
    parts = []
    for segment in segments:
        rng = seeding.generator(seed, "challenge signals", chosen.number, format_gps(segment.start))
        times = draw_times(segment, rng)
        parts.append(draw_binaries(chosen, len(times), rng) | {"tc": times})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def write_injections(file: h5py.File, columns: Mapping[str, Array]) -> None:
    """Write signals in the challenge's names: Cartesian spins at 20 Hz, ``inclination``, ``coa_phase`` and others.

    Args:
        file: The open file.
        columns: As from ``draw_injections``.
    """
    from bilby.gw.conversion import bilby_to_lalsimulation_spins

    angles = ("theta_jn", "phi_jl", "tilt_1", "tilt_2", "phi_12", "a_1", "a_2")
    masses = (columns[name] * lal.MSUN_SI for name in ("mass_1", "mass_2"))
    inclination, *spins = np.vectorize(bilby_to_lalsimulation_spins, otypes="d" * 7)(
        *(columns[name] for name in angles), *masses, MINIMUM_FREQUENCY, columns["phase"]
    )
    named = {"mass1": "mass_1", "mass2": "mass_2", "mchirp": "chirp_mass", "distance": "luminosity_distance",
             "chirp_distance": "chirp_distance", "ra": "ra", "dec": "dec", "polarization": "psi",
             "coa_phase": "phase", "tc": "tc"}  # fmt: skip
    for name, column in named.items():
        file[name] = columns[column]
    file["inclination"] = inclination
    for name, spin in zip((f"spin{i}{axis}" for i in (1, 2) for axis in "xyz"), spins, strict=True):
        file[name] = spin
    file.attrs["f_lower"] = file.attrs["f_ref"] = MINIMUM_FREQUENCY


@dataclass(frozen=True)
class Injections:
    """Signals of an injection file, in order of time. All arrays have shape (signals,).

    Attributes:
        tc: Merger times at the geocentre, GPS s.
        chirp_mass: Detector-frame chirp masses, solar masses.
        distance_mpc: Luminosity distances, Mpc.
    """

    tc: Float[Array, " signals"]
    chirp_mass: Float[Array, " signals"]
    distance_mpc: Float[Array, " signals"]

    def within(self, segments: Sequence[Segment]) -> "Injections":
        """The signals that count: those at least ``PADDING`` inside one of some segments."""
        counts = np.zeros(len(self.tc), bool)
        for segment in segments:
            counts |= (self.tc >= segment.start + PADDING) & (self.tc <= segment.stop - PADDING)
        return Injections(self.tc[counts], self.chirp_mass[counts], self.distance_mpc[counts])


def read_injections(path: str) -> Injections:
    """Read an injection file of the challenge.

    Args:
        path: Local or s3 path.

    Raises:
        DataError: If a column is missing, has another length than the others, or is not finite and positive, or the
            distances do not follow from chirp distances, so that the challenge's score does not hold.
        StorageError: If the file is missing or damaged.
    """
    with storage.open_hdf5(path) as file:
        missing = [name for name in (*NEEDED, "chirp_distance") if not isinstance(file.get(name), h5py.Dataset)]
        if missing:
            has = ", ".join(file) or "nothing"
            raise DataError(
                f"{path} lacks {', '.join(missing)} (it has {has}): give the injection file of a data set whose "
                "signals are drawn in chirp distance"
            )
        columns = {name: np.asarray(file[name][()], np.float64) for name in NEEDED}
    lengths = {name: column.shape for name, column in columns.items()}
    if len({*lengths.values()}) > 1 or columns["tc"].ndim != 1:
        raise DataError(f"{path}: columns have different lengths ({lengths}): make the file again")
    for name, column in columns.items():
        is_wrong = ~np.isfinite(column) | (column <= 0) & (name != "tc")
        if is_wrong.any():
            raise DataError(f"{path}: {name} is {column[is_wrong][0]} in row {is_wrong.argmax()}: make the file again")
    order = np.argsort(columns["tc"], kind="stable")
    mass_1, mass_2, distance, tc = (columns[name][order] for name in NEEDED)
    return Injections(tc, chirp_mass(mass_1, mass_2), distance)
