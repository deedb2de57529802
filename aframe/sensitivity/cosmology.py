"""Comoving volume as sources at a cosmological distance fill it (Planck 2015, arXiv:1502.01589)."""

import functools

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from aframe.types import Array

KNOTS = 1000
"""Of the spline of comoving distance; to redshift 2 it is exact to 1e-10."""


def source_time_volume_density(redshift: Float[Array, " n"], maximum_redshift: float) -> Float[Array, " n"]:
    """dV_c/dz / (1 + z) of the whole sky in Gpc³: sources at a constant rate per comoving volume and source time.

    Args:
        redshift: Between 0 and ``maximum_redshift``.
        maximum_redshift: Up to where the cosmology is tabulated.
    """
    distance = _comoving_distance_gpc(maximum_redshift)
    return 4 * np.pi * distance(redshift) ** 2 * distance(redshift, 1) / (1 + redshift)


def comoving_volume_time(redshift_range: tuple[float, float], sky_fraction: float) -> float:
    """V₀ = ∫ dV_c/dz / (1 + z) dz in Gpc³: what a perfect search would see per year of observation.

    Args:
        redshift_range: Smallest and largest redshift.
        sky_fraction: Share of the sphere in which there are sources.
    """
    low, high = redshift_range
    nodes, weight = np.polynomial.legendre.leggauss(200)
    redshift = low + (high - low) * (nodes + 1) / 2
    return float(sky_fraction * (high - low) / 2 * weight @ source_time_volume_density(redshift, high))


@functools.cache
def _comoving_distance_gpc(maximum_redshift: float) -> CubicSpline:
    from astropy.cosmology import Planck15

    grid = np.linspace(0.0, maximum_redshift, KNOTS)
    return CubicSpline(grid, Planck15.comoving_distance(grid).to_value("Gpc"))
