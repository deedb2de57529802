"""Project signals onto detectors: antenna patterns, arrival delays and responses, in batches on any device."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import lal
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from aframe.constants import LIGHT_TRAVEL_TIME_MAX, SPEED_OF_LIGHT
from aframe.errors import ConfigurationError
from aframe.types import Array


class Geometry(NamedTuple):
    """Geometry of detectors in the Earth-fixed frame.

    Attributes:
        response: Response matrices, shape (ifos, 3, 3).
        location: Positions relative to the geocentre, m, shape (ifos, 3).
    """

    response: Float[Tensor, "ifos 3 3"]
    location: Float[Tensor, "ifos 3"]

    def to(self, device: torch.device | str) -> "Geometry":
        """Copy to another device."""
        return Geometry(self.response.to(device), self.location.to(device))


def detector_geometry(ifos: Sequence[str]) -> Geometry:
    """Get response matrices and locations of detectors in single precision, by LAL's two-letter names.

    Raises:
        ConfigurationError: If LAL has no detector of a name.
    """
    detectors = lal.cached_detector_by_prefix
    unknown = [ifo for ifo in ifos if ifo not in detectors]
    if unknown:
        names = ", ".join(sorted(detectors))
        raise ConfigurationError(
            f"ifos = {', '.join(ifos)}: LAL knows no detector {', '.join(unknown)}; it knows {names}"
        )
    return Geometry(
        torch.tensor(np.stack([detectors[ifo].response for ifo in ifos]), dtype=torch.float32),
        torch.tensor(np.stack([detectors[ifo].location for ifo in ifos]), dtype=torch.float32),
    )


def greenwich_mean_sidereal_time(gps: Array) -> Array:
    """Greenwich mean sidereal time in radians, within [0, 2π), at GPS seconds of any shape (LAL, with leap seconds)."""
    times = np.asarray(gps, dtype=np.float64)
    angles = [lal.GreenwichMeanSiderealTime(lal.LIGOTimeGPS(float(time))) for time in times.ravel()]
    return np.asarray(angles, dtype=np.float64).reshape(times.shape) % (2 * np.pi)


def antenna_patterns(
    geometry: Geometry,
    ra_minus_gmst: Float[Tensor, " batch"],
    dec: Float[Tensor, " batch"],
    psi: Float[Tensor, " batch"],
) -> tuple[Float[Tensor, "batch ifos"], Float[Tensor, "batch ifos"]]:
    """Antenna patterns to the plus and cross polarizations (Anderson et al., Phys. Rev. D 63, 042003, eqs. B6–B7).

    Args:
        geometry: Geometry of the detectors.
        ra_minus_gmst: Right ascension minus Greenwich sidereal time, rad, shape (batch,).
        dec: Declination, rad, shape (batch,).
        psi: Polarization angle, rad, shape (batch,).

    Returns:
        Patterns to plus and cross, each of shape (batch, ifos).
    """
    sin_h, cos_h = torch.sin(ra_minus_gmst), torch.cos(ra_minus_gmst)
    sin_d, cos_d = torch.sin(dec), torch.cos(dec)
    sin_p, cos_p = torch.sin(psi), torch.cos(psi)
    x = torch.stack(
        [cos_p * sin_h - sin_p * cos_h * sin_d, -cos_p * cos_h - sin_p * sin_h * sin_d, sin_p * cos_d], dim=-1
    )
    y = torch.stack(
        [-sin_p * sin_h - cos_p * cos_h * sin_d, sin_p * cos_h - cos_p * sin_h * sin_d, cos_p * cos_d], dim=-1
    )
    along_x = torch.einsum("bi,dij,bj->bd", x, geometry.response, x)
    along_y = torch.einsum("bi,dij,bj->bd", y, geometry.response, y)
    mixed = torch.einsum("bi,dij,bj->bd", x, geometry.response, y)
    return along_x - along_y, 2 * mixed


def arrival_delays(
    geometry: Geometry, ra_minus_gmst: Float[Tensor, " batch"], dec: Float[Tensor, " batch"]
) -> Float[Tensor, "batch ifos"]:
    """Delay of a signal at each detector relative to the geocentre, s.

    Args:
        geometry: Geometry of the detectors.
        ra_minus_gmst: Right ascension minus Greenwich sidereal time, rad, shape (batch,).
        dec: Declination, rad, shape (batch,).

    Returns:
        Shape (batch, ifos).
    """
    cos_d = torch.cos(dec)
    source = torch.stack([cos_d * torch.cos(ra_minus_gmst), cos_d * torch.sin(ra_minus_gmst), torch.sin(dec)], dim=-1)
    return -(source @ geometry.location.T) / SPEED_OF_LIGHT


def project(  # noqa: PLR0917 - two polarizations and three angles of a signal
    plus: Float[Tensor, "batch time"],
    cross: Float[Tensor, "batch time"],
    geometry: Geometry,
    ra_minus_gmst: Float[Tensor, " batch"],
    dec: Float[Tensor, " batch"],
    psi: Float[Tensor, " batch"],
    sample_rate: float,
) -> Float[Tensor, "batch ifos time"]:
    """Compute the responses of detectors. Phase shifts give delays that are exact for band-limited signals.

    Wavelengths are assumed to be long compared with the detectors' arms. The Earth's rotation is fixed at coalescence.

    Args:
        plus: Plus polarization at the geocentre, shape (batch, time).
        cross: Cross polarization at the geocentre, shape (batch, time).
        geometry: Geometry of the detectors, on the device of the polarizations.
        ra_minus_gmst: Right ascension minus Greenwich sidereal time, rad, shape (batch,).
        dec: Declination, rad, shape (batch,).
        psi: Polarization angle, rad, shape (batch,).
        sample_rate: Sampling rate, Hz.

    Returns:
        Responses on the time axis of the polarizations, shape (batch, ifos, time). Samples that a delay moves beyond
        the axis are lost; they do not wrap around.
    """
    time = plus.shape[-1]
    padded = _smooth_size(time + math.ceil(LIGHT_TRAVEL_TIME_MAX * sample_rate))
    f_plus, f_cross = antenna_patterns(geometry, ra_minus_gmst, dec, psi)
    spectra = torch.fft.rfft(torch.stack([plus, cross], dim=-2), n=padded)
    frequency = torch.fft.rfftfreq(padded, d=1 / sample_rate, device=plus.device, dtype=plus.dtype)
    angle = -2 * math.pi * arrival_delays(geometry, ra_minus_gmst, dec)[..., None] * frequency
    response = f_plus[..., None] * spectra[:, None, 0] + f_cross[..., None] * spectra[:, None, 1]
    return torch.fft.irfft(response * torch.polar(torch.ones_like(angle), angle), n=padded)[..., :time]


def _smooth_size(size: int) -> int:
    """Smallest even 2^a 3^b 5^c >= size, for fast transforms."""
    best = 2 ** math.ceil(math.log2(size))
    for odd in (3, 5, 9, 15, 25, 27, 45, 75):
        best = min(best, odd * 2 ** max(1, math.ceil(math.log2(size / odd))))
    return best
