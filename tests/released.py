"""Small injection sets in the layouts of the releases of O3 and O4, with volumes that are known.

Source-frame masses are log-uniform from 5 to 80 M☉, redshifts quadratic up to 1, spins isotropic and uniform in
magnitude. A pipeline finds what is nearer than a redshift that grows with its false alarm rate, so its volume is that
of a sphere.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from aframe.constants import SECONDS_PER_YEAR
from aframe.sensitivity.cosmology import comoving_volume_time

LOW_MASS, HIGH_MASS, FARTHEST, LARGEST_SPIN = 5.0, 80.0, 1.0, 0.998
RECORDED = 0.6
"""Redshift up to which injections are recorded."""

START, DURATION = 1_250_000_000.0, 0.25 * SECONDS_PER_YEAR
REACH = {"gstlal": 0.2, "pycbc_bbh": 0.3, "cwb": 0.1}
"""Redshift up to which each pipeline finds all injections at one false alarm a year."""


@dataclass
class Drawn:
    """Recorded injections, and the number of all."""

    columns: dict[str, np.ndarray]
    density: dict[str, np.ndarray]
    far: dict[str, np.ndarray]
    total: int


def reach(pipeline: str, far_per_year: float) -> float:
    """Redshift up to which a pipeline finds injections."""
    return float(REACH[pipeline] * far_per_year**0.1)


def volume(pipeline: str, far_per_year: float) -> float:
    """Volume of a pipeline, Gpc³."""
    return comoving_volume_time((0.0, reach(pipeline, far_per_year)), 1.0)


def drawn(total: int = 200_000, seed: int = 1) -> Drawn:
    """Draw injections."""
    rng = np.random.default_rng(seed)
    masses = np.sort(np.exp(rng.uniform(np.log(LOW_MASS), np.log(HIGH_MASS), (2, total))), axis=0)[::-1]
    redshift = FARTHEST * rng.uniform(size=total) ** (1 / 3)
    kept = redshift < RECORDED
    mass_1, mass_2, redshift = masses[0][kept], masses[1][kept], redshift[kept]
    columns = {"mass1_source": mass_1, "mass2_source": mass_2, "redshift": redshift}
    columns["time"] = START + np.sort(rng.uniform(0, DURATION, len(redshift)))
    density = {"masses": 2 / (mass_1 * mass_2 * np.log(HIGH_MASS / LOW_MASS) ** 2), "redshift": 3 * redshift**2}
    for body in (1, 2):
        size, cosine, azimuth = (rng.uniform(low, high, len(redshift)) for low, high in (
            (0.0, LARGEST_SPIN), (-1.0, 1.0), (0.0, 2 * np.pi)
        ))  # fmt: skip
        sine = np.sqrt(1 - cosine**2)
        for axis, part in zip("xyz", (sine * np.cos(azimuth), sine * np.sin(azimuth), cosine), strict=True):
            columns[f"spin{body}{axis}"] = size * part
        columns[f"spin{body}_magnitude"], columns[f"spin{body}_polar_angle"] = size, np.arccos(cosine)
        columns[f"spin{body}_azimuthal_angle"] = azimuth
        density[f"cartesian{body}"] = 1 / (4 * np.pi * size**2 * LARGEST_SPIN)
        density[f"polar{body}"] = sine / (4 * np.pi * LARGEST_SPIN)
    far = {name: (redshift / at_one) ** 10 for name, at_one in REACH.items()}
    return Drawn(columns, density, {name: np.where(rate > 1e3, np.inf, rate) for name, rate in far.items()}, total)


def joint(draws: Drawn, spins: str = "cartesian") -> np.ndarray:
    """Density of masses, redshift and spins."""
    return draws.density["masses"] * draws.density["redshift"] * draws.density[f"{spins}1"] * draws.density[f"{spins}2"]


def write_o3(path: Path, draws: Drawn, *, has_factors: bool = True) -> str:
    """Write the layout of O3."""
    columns = {name: values for name, values in draws.columns.items() if "_magn" not in name and "angle" not in name}
    columns["gps_time"] = columns.pop("time")
    columns["sampling_pdf"] = joint(draws)
    if has_factors:
        columns["mass1_source_mass2_source_sampling_pdf"] = draws.density["masses"]
        columns["redshift_sampling_pdf"] = draws.density["redshift"]
    with np.errstate(divide="ignore"):
        for name, rate in draws.far.items():
            columns |= {f"far_{name}": rate, f"ifar_{name}": 1 / rate, f"pastro_{name}": 1 / (1 + rate)}
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file[f"injections/{name}"] = values
        for node in (file, file["injections"]):
            node.attrs.update({"total_generated": draws.total, "analysis_time_s": DURATION, "n_accepted": 1})
    return str(path)


def write_o4(path: Path, draws: Drawn, density: str = "factors", *, in_years: bool = False) -> str:
    """Write the layout of O4, a compound dataset.

    Args:
        path: The file.
        draws: The injections.
        density: ``factors`` of masses and redshift, or the joint density with ``cartesian`` or ``polar`` spins.
        in_years: Whether the time is in years.
    """
    columns = dict(draws.columns)
    columns["time_geocenter"], columns["z"] = columns.pop("time"), columns.pop("redshift")
    mass_1 = columns["mass1_source"]
    if density == "factors":
        log_ratio = np.log(HIGH_MASS / LOW_MASS)
        first = 2 * np.log(mass_1 / LOW_MASS) / (mass_1 * log_ratio**2)
        columns["lnpdraw_mass1_source"] = np.log(first)
        columns["lnpdraw_mass2_source_GIVEN_mass1_source"] = np.log(draws.density["masses"] / first)
        columns["lnpdraw_z"] = np.log(draws.density["redshift"])
    else:
        names = "xyz" if density == "cartesian" else ("_magnitude", "_polar_angle", "_azimuthal_angle")
        spins = "_".join(f"spin{body}{name}" for body in (1, 2) for name in names)
        columns[f"lnpdraw_mass1_source_mass2_source_redshift_{spins}"] = np.log(joint(draws, density))
    columns["weights"] = np.ones(len(mass_1))
    columns |= {f"{name.replace('_', '-')}_far": rate for name, rate in draws.far.items()}
    table = np.zeros(len(mass_1), [(name, "f8") for name in columns])
    for name, values in columns.items():
        table[name] = values
    with h5py.File(path, "w") as file:
        file["events"] = table
        time = DURATION / SECONDS_PER_YEAR if in_years else DURATION
        file.attrs.update({"total_generated": float(draws.total), "total_analysis_time": time})
    return str(path)
