"""IMRPhenomD and IMRPhenomPv2 in torch: ml4gw's spectra, mended where they are not LAL's.

What is mended was found by comparison with lalsimulation; the mends reach into ml4gw, hence into one version of it.
Everything is double precision: inspiral phases of 1e3 to 1e4 rad, and the differences taken of them, leave too little
of single precision.
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
from aframe.waveforms.polarizations import SPIN_COLUMNS

APPROXIMANTS = ("IMRPhenomD", "IMRPhenomPv2")
VERSION = "0.8.5"
"""Of ml4gw: the one whose classes are mended here."""

HIGHEST_FREQUENCY = 0.2
"""Frequency, in units of the inverse total mass, above which LAL's spectra are zero."""

ALIGNED = 1e-6
"""Spins (dimensionless) in the orbital plane below this are none; IMRPhenomPv2's limit is taken at this much."""

MOST_EQUAL = 1 - 1e-6
"""Largest mass ratio: at one, rounding makes the root of 1 - 4 eta imaginary."""

REPLACEMENT = {"mass_1": 30.0, "mass_2": 20.0, "luminosity_distance": 1.0}
"""A binary that every model can make, computed in place of one that none can; its angles and spins are zero."""

Columns = Mapping[str, Float64[Tensor, " batch"]]


class Phenom:
    """A waveform model in the frequency domain.

    Args:
        approximant: One of ``APPROXIMANTS``.

    Raises:
        ConfigurationError: If ml4gw does not have the approximant, or is not installed in the version that is needed.
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
        """What ml4gw calls the parameters of some binaries, and which of them the model can make.

        Args:
            columns: ``polarizations.COLUMNS``, in bilby's names and units, masses detector-frame, mass_1 >= mass_2.
            reference_frequency: Hz, at which spins are defined.
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
        # bilby takes theta_jn for the inclination to the orbit wherever spins are aligned, even where J points down;
        # and where J lies along L, LAL sets its azimuth by hand, ml4gw by rounding: a last bit of spin points there
        last = ALIGNED if self.precesses else 0.0
        limit: dict[str, Tensor | float] = {
            "s1x": last * torch.sin(phase), "s1y": last * torch.cos(phase), "s1z": p["a_1"] * torch.cos(p["tilt_1"]),
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
        """Plus and cross in 1/Hz, coalescence at time zero.

        Args:
            frequency: Hz, positive, in any order.
            arguments: As from ``arguments``, on the same device.
            reference_frequency: Hz, the same.
        """
        cross, plus = self._model.to(frequency.device)(frequency, **arguments, f_ref=reference_frequency)
        below = torch.outer(arguments["total_mass"] * SOLAR_MASS_SECONDS, frequency) <= HIGHEST_FREQUENCY
        return torch.stack([plus, cross], dim=1).where(below[:, None], 0.0)


def _lal_phenom_pv2(cbc: Any) -> Any:
    """ml4gw's IMRPhenomPv2 with LAL's amplitude and time of coalescence."""
    base: Any = cbc.IMRPhenomPv2
    # the phase's slope at ringdown sets the time of coalescence. LAL takes it from a natural cubic spline through ten
    # points, which for narrow ringdowns is not the slope itself: it is part of the model. Of a spline it is a fixed
    # linear combination of the points. (ml4gw takes differences on a grid in single precision.)
    nodes = np.linspace(0.8, 1.2, 10)
    weights = torch.tensor(CubicSpline(nodes, np.eye(len(nodes)), bc_type="natural")(1.0, 1), dtype=torch.float64)

    class PhenomPv2(base):
        def PhenomPOneFrequency(self, frequency: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
            mass_1, mass_2, eta, eta2, s_eta, chi1, chi2, _, _, chi_p, phase, mass, xi, distance = rest
            # the squares of the spins come in the order of ml4gw's own labels, the spins in the opposite one
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
    """``ml4gw.waveforms.cbc`` and ``ml4gw.waveforms.conversion``, which need nothing but torch and jaxtyping.

    ml4gw's top level imports the rest of it, which needs torchaudio, whose builds are tied to older versions of torch:
    so the two are imported under a package whose top level is not run.

    Raises:
        ConfigurationError: If ml4gw is not installed in the version that is needed.
    """
    spec = importlib.util.find_spec("ml4gw")
    found = importlib.metadata.version("ml4gw") if spec is not None else None
    if spec is None or found != VERSION:
        raise ConfigurationError(
            f"waveforms = generated needs ml4gw {VERSION} ({f'{found} is' if found else 'none is'} installed): "
            f"pip install --no-deps ml4gw=={VERSION}"
        )
    loaded = sys.modules.get("ml4gw")
    if loaded is None:
        sys.modules["ml4gw"] = importlib.util.module_from_spec(spec)
    try:
        cbc, conversion = (importlib.import_module(f"ml4gw.waveforms.{name}") for name in ("cbc", "conversion"))
    finally:
        if loaded is None:  # who imports ml4gw later shall have all of it
            del sys.modules["ml4gw"]
    return cbc, conversion
