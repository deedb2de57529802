"""Comoving volume, source time and luminosity distance (Planck 2015, arXiv:1502.01589)."""

import functools

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from aframe.types import Array

DISTANCE_KNOTS = 1000
"""Number of knots of the spline of comoving distance. Up to redshift 2 it is accurate to 1e-10."""

VOLUME_STEPS = 10_000
"""Number of steps in the table of volume over squared redshift.

Up to redshift 2, linear interpolation is accurate to 1e-8.
"""


def source_time_volume_density(redshift: Float[Array, " n"], maximum_redshift: float) -> Float[Array, " n"]:
    """Density dV_c/dz / (1 + z) of the whole sky in Gpc³, for a constant rate per comoving volume and source time.

    Args:
        redshift: Redshifts between 0 and ``maximum_redshift``, shape (n,).
        maximum_redshift: Largest redshift of the table.

    Returns:
        Density in Gpc³ per unit of redshift, shape (n,).
    """
    value, slope = _volume_over_squared_redshift(maximum_redshift)
    position = redshift * (VOLUME_STEPS / maximum_redshift)
    step = np.minimum(position.astype(np.intp), VOLUME_STEPS - 1)
    return np.asarray(redshift**2 * (value[step] + (position - step) * slope[step]))


@functools.cache
def comoving_volume_time(redshift_range: tuple[float, float], sky_fraction: float) -> float:
    """Volume V₀ = ∫ dV_c/dz / (1 + z) dz in Gpc³ of a search that recovers all signals.

    Args:
        redshift_range: Smallest and largest redshift.
        sky_fraction: Share of the celestial sphere with sources.
    """
    low, high = redshift_range
    nodes, weight = np.polynomial.legendre.leggauss(200)
    redshift = low + (high - low) * (nodes + 1) / 2
    return float(sky_fraction * (high - low) / 2 * weight @ source_time_volume_density(redshift, high))


def luminosity_distance_mpc(redshift: Float[Array, " n"], maximum_redshift: float) -> Float[Array, " n"]:
    """Luminosity distance in Mpc.

    Args:
        redshift: Redshifts between 0 and ``maximum_redshift``, shape (n,).
        maximum_redshift: Largest redshift of the table.
    """
    return np.asarray(1e3 * (1 + redshift) * _comoving_distance_gpc(maximum_redshift)(redshift))


def luminosity_distance_slope_mpc(redshift: Float[Array, " n"], maximum_redshift: float) -> Float[Array, " n"]:
    """Derivative of luminosity distance with redshift, in Mpc: d/dz [(1 + z) D(z)] in flat space.

    Args:
        redshift: Redshifts between 0 and ``maximum_redshift``, shape (n,).
        maximum_redshift: Largest redshift of the table.
    """
    distance = _comoving_distance_gpc(float(maximum_redshift))
    return np.asarray(1e3 * (distance(redshift) + (1 + redshift) * distance(redshift, 1)))


@functools.cache
def _comoving_distance_gpc(maximum_redshift: float) -> CubicSpline:
    from astropy.cosmology import Planck15

    grid = np.linspace(0.0, maximum_redshift, DISTANCE_KNOTS)
    return CubicSpline(grid, Planck15.comoving_distance(grid).to_value("Gpc"))


@functools.cache
def _volume_over_squared_redshift(maximum_redshift: float) -> tuple[Array, Array]:
    """Volume density over squared redshift, in Gpc³, at evenly spaced redshifts, and differences of successive values.

    The ratio is smooth and nonzero at redshift 0.
    """
    distance = _comoving_distance_gpc(maximum_redshift)
    redshift = np.linspace(0.0, maximum_redshift, VOLUME_STEPS + 1)[1:]
    ratio = np.concatenate([[distance(0.0, 1)], distance(redshift) / redshift])  # D(z) / z, with limit D'(0)
    redshift = np.concatenate([[0.0], redshift])
    value = 4 * np.pi * ratio**2 * distance(redshift, 1) / (1 + redshift)
    return value, np.diff(value)
