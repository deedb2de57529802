"""IMRPhenomD and IMRPhenomPv2 in torch: ml4gw's spectra with corrections towards LAL's.

The corrections follow from a comparison with lalsimulation. They change internals of ml4gw and thus need one version.
All computations are in double precision, because differences of inspiral phases of 1e3 to 1e4 rad lose too much of
single precision.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Complex128, Float64
from scipy.interpolate import CubicSpline
from torch import Tensor

from aframe.constants import SOLAR_MASS_SECONDS
from aframe.errors import ConfigurationError
from aframe.waveforms.approximants import SPIN_COLUMNS

APPROXIMANTS = ("IMRPhenomD", "IMRPhenomPv2")
VERSION = "0.8.5"
"""Version of ml4gw that the corrections apply to."""

HIGHEST_FREQUENCY = 0.2
"""Frequency, in units of the inverse total mass, above which LAL's spectra are zero."""

ALIGNED = 1e-6
"""Largest dimensionless spin in the orbital plane that counts as aligned. IMRPhenomPv2 uses this value in its limit."""

MOST_EQUAL = 1 - 1e-6
"""Largest mass ratio. At one, rounding makes the root of 1 - 4 eta imaginary."""

REPLACEMENT = {"mass_1": 30.0, "mass_2": 20.0, "luminosity_distance": 1.0}
"""Valid binary that replaces invalid ones in the computation. Its angles and spins are zero."""

Columns = Mapping[str, Float64[Tensor, " batch"]]


class Phenom:
    """A waveform model in the frequency domain.

    Args:
        approximant: One of ``APPROXIMANTS``.

    Raises:
        ConfigurationError: If ml4gw lacks the approximant, or ml4gw ``VERSION`` is not installed.
    """

    def __init__(self, approximant: str) -> None:
        if approximant not in APPROXIMANTS:
            raise ConfigurationError(
                f"approximant = {approximant} cannot be made on the device: {' and '.join(APPROXIMANTS)} can; "
                "take one of them, or waveforms = stored"
            )
        cbc, self._conversion = _ml4gw()
        self._model = (_lal_phenom_pv2(cbc) if approximant == "IMRPhenomPv2" else cbc.IMRPhenomD)().double()
        self.precesses = approximant == "IMRPhenomPv2"

    def arguments(
        self, columns: Columns, reference_frequency: float
    ) -> tuple[dict[str, Tensor], Bool[Tensor, " batch"]]:
        """Convert parameters of binaries to ml4gw's, and find the binaries that the model supports.

        Args:
            columns: Columns ``polarizations.WAVEFORM_COLUMNS`` of shape (batch,), in bilby's names and units. Masses
                are detector-frame, with mass_1 >= mass_2.
            reference_frequency: Frequency at which spins are defined, Hz.

        Returns:
            Arguments of ``spectra``, and whether the model supports each binary, shape (batch,).
        """
        in_plane = torch.maximum(*(columns[f"a_{i}"] * columns[f"tilt_{i}"].sin().abs() for i in (1, 2)))
        aligned = in_plane < ALIGNED
        valid = torch.stack([column.isfinite() for column in columns.values()]).all(0)
        valid &= (columns["mass_1"] >= columns["mass_2"]) & (columns["mass_2"] > 0)
        valid &= torch.maximum(columns["a_1"], columns["a_2"]) <= 1
        if not self.precesses:
            valid &= aligned
        p = {name: torch.where(valid, column, REPLACEMENT.get(name, 0.0)) for name, column in columns.items()}
        mass_1, mass_2, phase = p["mass_1"], p["mass_2"], p["phase"]
        inclination, *spins = self._conversion.bilby_spins_to_lalsim(
            *(p[name] for name in SPIN_COLUMNS), mass_1, mass_2, reference_frequency, phase
        )
        names = ("s1x", "s1y", "s1z", "s2x", "s2y", "s2z")
        # For aligned spins, bilby uses theta_jn as the inclination of the orbit, even if J points down. If J is along
        # L, LAL fixes its azimuth, but ml4gw's follows from rounding. A small in-plane spin selects LAL's azimuth.
        tiny = ALIGNED if self.precesses else 0.0
        limit: dict[str, Tensor | float] = {
            "s1x": tiny * torch.sin(phase), "s1y": tiny * torch.cos(phase), "s1z": p["a_1"] * torch.cos(p["tilt_1"]),
            "s2x": 0.0, "s2y": 0.0, "s2z": p["a_2"] * torch.cos(p["tilt_2"]),
        }  # fmt: skip
        values = {name: torch.where(aligned | ~valid, limit[name], s) for name, s in zip(names, spins, strict=True)}
        return values | {
            "inclination": torch.where(aligned | ~valid, p["theta_jn"], inclination),
            "chi1": values["s1z"],
            "chi2": values["s2z"],
            "chirp_mass": (mass_1 * mass_2) ** 0.6 / (mass_1 + mass_2) ** 0.2,
            "mass_ratio": (mass_2 / mass_1).clamp_max(MOST_EQUAL),
            "total_mass": mass_1 + mass_2,
            "distance": p["luminosity_distance"],
            "phic": phase,
        }, valid

    def spectra(
        self, frequency: Float64[Tensor, " frequency"], arguments: Mapping[str, Tensor], reference_frequency: float
    ) -> Complex128[Tensor, "batch 2 frequency"]:
        """Compute plus and cross in 1/Hz, with coalescence at time zero.

        Args:
            frequency: Positive frequencies in any order, Hz, shape (frequency,).
            arguments: Result of ``arguments``, on the same device.
            reference_frequency: Frequency at which spins are defined, Hz, as for ``arguments``.

        Returns:
            Shape (batch, 2, frequency).
        """
        cross, plus = self._model.to(frequency.device)(frequency, **arguments, f_ref=reference_frequency)
        below = torch.outer(arguments["total_mass"] * SOLAR_MASS_SECONDS, frequency) <= HIGHEST_FREQUENCY
        return torch.stack([plus, cross], dim=1).where(below[:, None], 0.0)


def _lal_phenom_pv2(cbc: Any) -> Any:
    """ml4gw's IMRPhenomPv2 with LAL's amplitude and time of coalescence."""
    base: Any = cbc.IMRPhenomPv2
    # The phase's slope at ringdown sets the time of coalescence. LAL takes the slope of a natural cubic spline through
    # ten points. For narrow ringdowns it differs from the true slope, but it is part of the model. The slope of a
    # spline is a fixed linear combination of the points. (ml4gw takes differences on a grid in single precision.)
    nodes = np.linspace(0.8, 1.2, 10)
    weights = torch.tensor(CubicSpline(nodes, np.eye(len(nodes)), bc_type="natural")(1.0, 1), dtype=torch.float64)

    class PhenomPv2(base):
        def PhenomPOneFrequency(self, frequency: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
            mass_1, mass_2, eta, eta2, s_eta, chi1, chi2, _, _, chi_p, phase, mass, xi, distance = rest
            # the squares of the spins follow the order of ml4gw's labels, the spins the opposite order
            spectrum, _ = super().PhenomPOneFrequency(
                frequency, mass_1, mass_2, eta, eta2, s_eta, chi1, chi2, chi1**2, chi2**2, chi_p, phase, mass, xi,
                distance,
            )  # fmt: skip
            ringdown, damping = self.phP_get_fRD_fdamp(mass_1, mass_2, chi1, chi2, chi_p)
            unit = mass * SOLAR_MASS_SECONDS
            points = torch.outer(unit * ringdown, torch.as_tensor(nodes).to(ringdown))
            phases, _ = self.phenom_d_phase(
                points, mass_1, mass_2, eta, eta2, chi1, chi2, xi, unit * ringdown, unit * damping
            )
            return spectrum, -(phases @ weights.to(ringdown)) / ringdown

    return PhenomPv2


@functools.cache
def _ml4gw() -> tuple[Any, Any]:
    """Import ``ml4gw.waveforms.cbc`` and ``ml4gw.waveforms.conversion``, which need only torch and jaxtyping.

    ml4gw's top level imports all of ml4gw, which needs torchaudio. Builds of torchaudio need older versions of torch.
    The two modules are therefore imported under a package whose top level does not run.

    Raises:
        ConfigurationError: If ml4gw ``VERSION`` is not installed.
    """
    spec = importlib.util.find_spec("ml4gw")
    installed = importlib.metadata.version("ml4gw") if spec is not None else None
    if spec is None or installed != VERSION:
        raise ConfigurationError(
            f"waveforms = generated needs ml4gw {VERSION} ({f'{installed} is' if installed else 'none is'} installed): "
            f"pip install --no-deps ml4gw=={VERSION}"
        )
    loaded = sys.modules.get("ml4gw")
    if loaded is None:
        sys.modules["ml4gw"] = importlib.util.module_from_spec(spec)
    try:
        cbc, conversion = (importlib.import_module(f"ml4gw.waveforms.{name}") for name in ("cbc", "conversion"))
    finally:
        if loaded is None:  # a later import of ml4gw loads all of it
            del sys.modules["ml4gw"]
    return cbc, conversion
