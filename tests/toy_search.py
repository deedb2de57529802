"""A toy search whose probability of detection is known, so that its volume is an integral."""

from collections.abc import Callable

import numpy as np
from astropy.cosmology import Planck15

from aframe.sensitivity.weighing import Draws
from aframe.tables import RecoveredTable, RejectedTable
from aframe.types import Array
from aframe.waveforms.priors import Population, draw

HORIZON_MPC = 2500.0
"""Luminosity distance at which half of all binaries of a detector-frame chirp mass of 30 solar masses are found."""


def detection_probability(distance_mpc: Array, chirp_mass: Array) -> Array:
    """A smooth function of distance and detector-frame chirp mass (solar masses), as of a matched filter."""
    return 1 / (1 + (distance_mpc / (HORIZON_MPC * (chirp_mass / 30) ** (5 / 6))) ** 6)


def true_volume_gpc3(mass_1: float, mass_2: float, width: float, maximum_redshift: float) -> float:
    """∫ dV_c/dz / (1 + z) ⟨p_det⟩ dz over log-normal masses, by Gauss quadrature and astropy alone."""
    nodes, weight = np.polynomial.hermite_e.hermegauss(30)
    first, second = np.meshgrid(mass_1 * np.exp(width * nodes), mass_2 * np.exp(width * nodes))
    chirp_mass = (first * second) ** 0.6 / (first + second) ** 0.2
    masses = np.outer(weight, weight) / (2 * np.pi)
    points, steps = np.polynomial.legendre.leggauss(200)
    total = 0.0
    for z, step in zip(maximum_redshift * (points + 1) / 2, maximum_redshift / 2 * steps, strict=True):
        distance = Planck15.luminosity_distance(z).to_value("Mpc")
        found = (masses * detection_probability(distance, chirp_mass * (1 + z))).sum()
        total += step * found * 4 * np.pi * Planck15.differential_comoving_volume(z).to_value("Gpc3 / sr") / (1 + z)
    return float(total)


def toy_draws(
    population: Population,
    seed: int,
    number: int,
    accept: float = 0.2,
    probability: Callable[[dict[str, Array]], Array] | None = None,
) -> Draws:
    """Draws that a toy search has seen; at a statistic of 1 and more it finds each with its detection probability.

    Args:
        population: What is drawn from.
        seed: Of everything random.
        number: Draws, accepted and rejected.
        accept: Statistic below which a draw is rejected.
        probability: Of detection; ``detection_probability`` where it is None.
    """
    rng = np.random.default_rng(seed)
    columns = draw(population, number, rng)
    if probability is None:
        probable = detection_probability(columns["luminosity_distance"], columns["chirp_mass"])
    else:
        probable = probability(columns)
    statistic = probable / rng.uniform(size=number)
    accepted = statistic >= accept
    found = {name: column[accepted] for name, column in columns.items()}
    found |= dict.fromkeys(("detection_time", "injection_time"), np.zeros(int(accepted.sum())))
    found |= {"detection_statistic": statistic[accepted], "snr": 8 * statistic[accepted] ** 0.25}
    found["shift"] = np.zeros((int(accepted.sum()), 2))
    recovered = RecoveredTable(found, attributes={"num_injections": number, "ifos": ["H1", "L1"]})
    rejected = RejectedTable({name: column[~accepted] for name, column in columns.items()})
    return Draws(recovered, [rejected], population)
