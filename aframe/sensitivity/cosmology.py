"""Comoving volume as sources at a cosmological distance fill it (Planck 2015, arXiv:1502.01589)."""

import functools

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from aframe.types import Array

KNOTS = 1000
"""Of the spline of comoving distance; to redshift 2 it is exact to 1e-10."""

STEPS = 10_000
"""Of the table of volume over squared redshift; between them it is linear, to redshift 2 exact to 1e-8."""


def source_time_volume_density(redshift: Float[Array, " n"], maximum_redshift: float) -> Float[Array, " n"]:
    """dV_c/dz / (1 + z) of the whole sky in Gpc³: sources at a constant rate per comoving volume and source time.

    Args:
        redshift: Between 0 and ``maximum_redshift``.
        maximum_redshift: Up to where the cosmology is tabulated.
    """
    value, slope = _volume_over_squared_redshift(maximum_redshift)
    position = redshift * (STEPS / maximum_redshift)
    step = np.minimum(position.astype(np.intp), STEPS - 1)
    return np.asarray(redshift**2 * (value[step] + (position - step) * slope[step]))


@functools.cache
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


def luminosity_distance_mpc(redshift: Float[Array, " n"], maximum_redshift: float) -> Float[Array, " n"]:
    """Luminosity distance in Mpc, up to a largest redshift."""
    return np.asarray(1e3 * (1 + redshift) * _comoving_distance_gpc(maximum_redshift)(redshift))


@functools.cache
def _comoving_distance_gpc(maximum_redshift: float) -> CubicSpline:
    from astropy.cosmology import Planck15

    grid = np.linspace(0.0, maximum_redshift, KNOTS)
    return CubicSpline(grid, Planck15.comoving_distance(grid).to_value("Gpc"))


@functools.cache
def _volume_over_squared_redshift(maximum_redshift: float) -> tuple[Array, Array]:
    """Values in Gpc³ at evenly spaced redshifts, and their differences: a smooth function, not zero at redshift 0."""
    distance = _comoving_distance_gpc(maximum_redshift)
    redshift = np.linspace(0.0, maximum_redshift, STEPS + 1)[1:]
    ratio = np.concatenate([[distance(0.0, 1)], distance(redshift) / redshift])  # D(z) / z, D'(0) in the limit
    redshift = np.concatenate([[0.0], redshift])
    value = 4 * np.pi * ratio**2 * distance(redshift, 1) / (1 + redshift)
    return value, np.diff(value)
