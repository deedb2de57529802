"""Waveform models of lalsimulation: their properties, and whether they run on this machine."""

import contextlib
import functools
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import lal
import lalsimulation

from aframe.errors import ConfigurationError

POINTWISE = frozenset({
    "TaylorF2", "TaylorF2Ecc", "IMRPhenomB", "IMRPhenomD", "IMRPhenomD_NRTidal", "IMRPhenomD_NRTidalv2", "IMRPhenomHM",
    "IMRPhenomP", "IMRPhenomPv2", "IMRPhenomPv2_NRTidal", "IMRPhenomPv2_NRTidalv2", "IMRPhenomPv3", "IMRPhenomPv3HM",
    "IMRPhenomXAS", "IMRPhenomXHM", "IMRPhenomXP", "IMRPhenomXPHM",
})  # fmt: skip
"""Frequency-domain models whose value at a frequency depends on that frequency alone.

Their spectra can be computed in pieces. For other models, the limits of the call determine the time zero
(IMRPhenomX…_NRTidal), the integral of the precession, or whether the call fails (IMRPhenomXO4a, IMRPhenomXPNR).
"""

QUADRUPOLE_ONLY = POINTWISE - {"IMRPhenomHM", "IMRPhenomPv3HM", "IMRPhenomXHM", "IMRPhenomXPHM"} | {
    "EccentricFD", "TaylorF2NLTides", "TaylorF2RedSpin", "TaylorF2RedSpinTidal", "SpinTaylorF2",
    "IMRPhenomA", "IMRPhenomC", "IMRPhenomNSBH", "IMRPhenomT", "IMRPhenomTP",
    "IMRPhenomXAS_NRTidalv2", "IMRPhenomXAS_NRTidalv3", "IMRPhenomXP_NRTidalv2", "IMRPhenomXP_NRTidalv3",
    "EOBNRv2", "SEOBNRv1", "SEOBNRv2", "SEOBNRv2_opt", "SEOBNRv2T", "SEOBNRv4", "SEOBNRv4_opt", "SEOBNRv4T",
    "TEOBResumS", "TEOBResum_ROM", "EOBNRv2_ROM", "SEOBNRv1_ROM_EffectiveSpin", "SEOBNRv1_ROM_DoubleSpin",
    "SEOBNRv2_ROM_EffectiveSpin", "SEOBNRv2_ROM_DoubleSpin", "SEOBNRv2_ROM_DoubleSpin_HI",
    "Lackey_Tidal_2013_SEOBNRv2_ROM", "SEOBNRv4_ROM", "SEOBNRv4_ROM_NRTidal", "SEOBNRv4_ROM_NRTidalv2",
    "SEOBNRv4_ROM_NRTidalv2_NSBH", "SEOBNRv4T_surrogate", "SEOBNRv5_ROM", "SEOBNRv5_ROM_NRTidalv3",
}  # fmt: skip
"""Models with the (2, ±2) modes alone, in the frame of the orbit. LAL does not provide this property.

All other models count as models with higher modes.
"""

INSPIRAL_ONLY = frozenset({
    "TaylorF2", "TaylorF2Ecc", "TaylorF2NLTides", "TaylorF2RedSpin", "TaylorF2RedSpinTidal", "SpinTaylorF2",
    "SpinTaylorT4Fourier",
})  # fmt: skip
"""Frequency-domain models that stop at coalescence after LAL's conditioning."""

TYPICAL_BINARIES = ((80.0, 60.0), (36.0, 29.0), (5.6, 1.4), (60.0, 1.5))
"""Pairs of masses in solar masses. Every model of compact binaries should support at least one pair."""

ALIGNED = 1e-9
"""Largest dimensionless spin in the orbital plane that counts as aligned."""

SPIN_COLUMNS = ("theta_jn", "phi_jl", "tilt_1", "tilt_2", "phi_12", "a_1", "a_2")
"""Inclination, spins and their angles."""

TRIAL_SECONDS = 30
"""Time limit of the trial of a model, s."""


@dataclass(frozen=True)
class Approximant:
    """A waveform model of lalsimulation.

    Attributes:
        name: Name in LAL.
        index: Number in LAL.
    """

    name: str
    index: int

    @property
    def in_frequency_domain(self) -> bool:
        """Whether LAL computes the model in the frequency domain."""
        return bool(lalsimulation.SimInspiralImplementedFDApproximants(self.index))

    @property
    def is_pointwise(self) -> bool:
        """Whether the spectrum can be computed in pieces."""
        return self.name in POINTWISE

    @property
    def is_inspiral_only(self) -> bool:
        """Whether the model ends at coalescence. The abrupt end of its spectrum still causes ringing."""
        return self.name in INSPIRAL_ONLY

    @property
    def has_higher_modes(self) -> bool:
        """Whether the model has modes besides the quadrupole. They begin earlier and radiate in other directions."""
        return self.name not in QUADRUPOLE_ONLY

    @property
    def has_spins(self) -> bool:
        """Whether components can have spins."""
        return bool(self._spin_support != lalsimulation.SIM_INSPIRAL_SPINLESS)

    @property
    def has_precession(self) -> bool:
        """Whether spins can have components in the orbital plane."""
        return self._spin_support not in (lalsimulation.SIM_INSPIRAL_SPINLESS, lalsimulation.SIM_INSPIRAL_ALIGNEDSPIN)

    @property
    def takes_spins_at_start(self) -> bool:
        """Whether spins are defined at the lowest frequency instead of the reference frequency."""
        frequency = lalsimulation.SimInspiralGetSpinFreqFromApproximant(self.index)
        return bool(frequency == lalsimulation.SIM_INSPIRAL_SPINS_FLOW)

    @property
    def _spin_support(self) -> int:
        return int(lalsimulation.SimInspiralGetSpinSupportFromApproximant(self.index))


def find(name: str) -> Approximant:
    """Find a waveform model by its name, and check that it runs.

    Raises:
        ConfigurationError: If LAL has no such model or no code for it, or the model does not run: data files are
            missing, it crashes, or it supports none of ``TYPICAL_BINARIES``.
    """
    index = _indices().get(name)
    if index is None:
        raise ConfigurationError(
            f"approximant = {name} is none of lalsimulation's, and models of other packages are not supported: "
            "choose one of lalsimulation's, such as IMRPhenomPv2"
        )
    if not any(f(index) for f in (lalsimulation.SimInspiralImplementedFDApproximants,
                                  lalsimulation.SimInspiralImplementedTDApproximants)):  # fmt: skip
        raise ConfigurationError(f"approximant = {name} has no code in LAL: choose another")
    if name not in POINTWISE:
        trouble = _trouble(name, os.environ.get("LAL_DATA_PATH"))
        if trouble:
            raise ConfigurationError(f"approximant = {name} {trouble}")
    return Approximant(name, index)


@functools.cache
def _indices() -> dict[str, int]:
    """Numbers of LAL's models by name."""
    indices = {}
    with silent_lal():
        for index in range(lalsimulation.NumApproximants):
            with contextlib.suppress(RuntimeError):  # one number is not in use
                indices[lalsimulation.GetStringFromApproximant(index)] = index
    return indices


@functools.cache
def _trouble(name: str, data_path: str | None) -> str | None:
    """Problem of a model; None without a problem.

    The trial runs in a subprocess, because some of LAL's models crash or never end.
    """
    code = f"from aframe.waveforms.approximants import _try_out; _try_out({name!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        trial = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, timeout=TRIAL_SECONDS, check=False, text=True,
            env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"makes no binary within {TRIAL_SECONDS} s: choose another"
    if trial.returncode == 0:
        return None
    output = trial.stderr + trial.stdout
    if "LAL_DATA_PATH" in output:
        file = re.search(r"data file '?(\S+?\.\w+)'? in", output)
        return (
            f"needs {file[1] if file else 'data files'}, not found in LAL_DATA_PATH ({data_path or 'not set'}): "
            "download from https://zenodo.org/records/14999310, and let LAL_DATA_PATH name the folder"
        )
    if trial.returncode < 0:
        return "crashes in this version of LAL: choose another"
    reason = re.search(r"^XLAL Error.*?: (.*)", output, re.MULTILINE)
    return f"makes none of a few typical binaries (LAL says: {reason[1] if reason else 'nothing'}): choose another"


def _try_out(name: str) -> None:
    """Exit with status 0 if LAL supports one of ``TYPICAL_BINARIES``, and with 1 otherwise."""
    lal.ClobberDebugLevel(1)
    index = getattr(lalsimulation, name)
    for heavy, light in TYPICAL_BINARIES:
        binary = (heavy * lal.MSUN_SI, light * lal.MSUN_SI, *[0.0] * 6, 1e25, 0.4, 0.0, 0.0, 0.0, 0.0)
        try:
            if lalsimulation.SimInspiralImplementedFDApproximants(index):
                lalsimulation.SimInspiralChooseFDWaveform(*binary, 0.25, 20.0, 1024.0, 50.0, None, index)
            else:
                lalsimulation.SimInspiralTD(*binary, 1 / 4096, 20.0, 50.0, None, index)
        except RuntimeError:
            continue
        sys.exit(0)
    sys.exit(1)


@contextlib.contextmanager
def silent_lal() -> Iterator[None]:
    """Suppress LAL's messages about binaries that it refuses."""
    before = lal.GetDebugLevel()
    lal.ClobberDebugLevel(0)
    try:
        yield
    finally:
        lal.ClobberDebugLevel(before)


def spin_components(
    row: Mapping[str, float], heavy: float, light: float, reference_frequency: float
) -> tuple[float, ...]:
    """Inclination and Cartesian spins from bilby's angles, as ``bilby.gw.conversion.bilby_to_lalsimulation_spins``."""
    z_1, z_2 = row["a_1"] * math.cos(row["tilt_1"]), row["a_2"] * math.cos(row["tilt_2"])
    if all(abs(row[f"a_{i}"] * math.sin(row[f"tilt_{i}"])) <= ALIGNED for i in (1, 2)):
        return row["theta_jn"], 0.0, 0.0, z_1, 0.0, 0.0, z_2
    angles = (row[name] for name in SPIN_COLUMNS)
    return tuple(
        lalsimulation.SimInspiralTransformPrecessingNewInitialConditions(
            *angles, heavy, light, reference_frequency, row["phase"]
        )
    )
