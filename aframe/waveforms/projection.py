"""What detectors see of a signal: antenna patterns, arrival delays, responses. Batched, on any device."""

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
    """Where some detectors are, in the frame that turns with the Earth.

    Attributes:
        response: Response matrices, shape (ifos, 3, 3).
        location: Metres from the geocentre, shape (ifos, 3).
    """

    response: Float[Tensor, "ifos 3 3"]
    location: Float[Tensor, "ifos 3"]

    def to(self, device: torch.device | str) -> "Geometry":
        """The same on another device."""
        return Geometry(self.response.to(device), self.location.to(device))


def detector_geometry(ifos: Sequence[str]) -> Geometry:
    """Response matrices and locations of detectors, by LAL's two-letter names; single precision.

    Raises:
        ConfigurationError: If LAL has no detector of that name.
    """
    known = lal.cached_detector_by_prefix
    unknown = [ifo for ifo in ifos if ifo not in known]
    if unknown:
        raise ConfigurationError(
            f"ifos = {', '.join(ifos)}: LAL knows no detector {', '.join(unknown)}; it knows {', '.join(sorted(known))}"
        )
    return Geometry(
        torch.tensor(np.stack([known[ifo].response for ifo in ifos]), dtype=torch.float32),
        torch.tensor(np.stack([known[ifo].location for ifo in ifos]), dtype=torch.float32),
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
        geometry: The detectors.
        ra_minus_gmst: Right ascension minus Greenwich sidereal time, rad.
        dec: Declination, rad.
        psi: Polarization angle, rad.
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
    """Seconds by which a signal arrives at each detector later than at the geocentre.

    Args:
        geometry: The detectors.
        ra_minus_gmst: Right ascension minus Greenwich sidereal time, rad.
        dec: Declination, rad.
    """
    cos_d = torch.cos(dec)
    source = torch.stack([cos_d * torch.cos(ra_minus_gmst), cos_d * torch.sin(ra_minus_gmst), torch.sin(dec)], dim=-1)
    return -(source @ geometry.location.T) / SPEED_OF_LIGHT


def project(  # noqa: PLR0917 - two polarizations, three angles: all are the signal's
    plus: Float[Tensor, "batch time"],
    cross: Float[Tensor, "batch time"],
    geometry: Geometry,
    ra_minus_gmst: Float[Tensor, " batch"],
    dec: Float[Tensor, " batch"],
    psi: Float[Tensor, " batch"],
    sample_rate: float,
) -> Float[Tensor, "batch ifos time"]:
    """Responses of the detectors, delayed by a phase shift: exact for band-limited signals, to a fraction of a sample.

    In the limit of wavelengths long against the detectors' arms, and with the Earth as it stands at coalescence.

    Args:
        plus: Plus polarization at the geocentre.
        cross: Cross polarization.
        geometry: The detectors, on the polarizations' device.
        ra_minus_gmst: Right ascension minus Greenwich sidereal time, rad.
        dec: Declination, rad.
        psi: Polarization angle, rad.
        sample_rate: Hz.

    Returns:
        On the time axis of the polarizations; what a delay moves beyond it is lost, nothing wraps around.
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
    """Smallest even 2^a 3^b 5^c >= size: lengths that transform fast."""
    best = 2 ** math.ceil(math.log2(size))
    for odd in (3, 5, 9, 15, 25, 27, 45, 75):
        best = min(best, odd * 2 ** max(1, math.ceil(math.log2(size / odd))))
    return best
