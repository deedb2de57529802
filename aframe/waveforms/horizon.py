"""How loud a signal is, and how loud it could be at best: signal-to-noise ratios and their bound without a waveform."""

import functools
import itertools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from scipy.interpolate import RegularGridInterpolator
from torch import Tensor

from aframe.errors import DataError
from aframe.types import Array, Psd
from aframe.waveforms.polarizations import COLUMNS, WaveformGenerator

TOTAL_MASSES = np.geomspace(8.0, 800.0, 31)
"""Detector-frame total masses of the table, in solar masses."""

MASS_RATIOS = np.geomspace(1 / 25, 1.0, 7)
"""Mass ratios (lighter over heavier) of the table."""

ALIGNED_SPINS = ((0.99, 0.99), (0.99, -0.99), (0.5, 0.5), (0.0, 0.0), (-0.99, -0.99))
"""Spins over which the table takes the loudest."""

INCLINATIONS = (0.0, np.pi / 4, np.pi / 2)
"""Inclinations over which it takes the loudest, for models whose loudest direction need not be the orbit's axis."""

MARGIN = 1.1
"""Factor on the bound for what lies between the table's points and for precession."""

SCALE = 1e20
"""Strain is multiplied by this, so that its square stays within single precision."""


def optimal_snr(
    responses: Float[Tensor, "batch ifos time"],
    psds: Psd,
    sample_rate: float,
    highpass: float,
    lowpass: float | None,
) -> Float[Tensor, "batch ifos"]:
    """Optimal signal-to-noise ratio in each detector, ρ² = 4 ∫ |h̃|² / S df.

    Args:
        responses: Noise-free signals.
        psds: Shape (ifos, frequency), 1/Hz, on the grid of ``aframe.spectral.power_spectral_density``.
        sample_rate: Hz.
        highpass: Hz, where the integral begins.
        lowpass: Hz, where it ends; None for the Nyquist frequency.

    Raises:
        DataError: If a PSD is not positive in band.
    """
    weights = inverse_asd(psds, responses.shape[-1], sample_rate, highpass, lowpass).to(responses.device)
    return torch.linalg.vector_norm(torch.view_as_real(torch.fft.rfft(responses) * weights).flatten(-2), dim=-1)


def geocentric_snr(
    plus: Float[Tensor, "batch time"],
    cross: Float[Tensor, "batch time"],
    patterns: tuple[Float[Tensor, "batch ifos"], Float[Tensor, "batch ifos"]],
    weights: Float[Tensor, "ifos bins"],
) -> Float[Tensor, "batch ifos"]:
    """Optimal signal-to-noise ratio without the responses: arrival delays hardly matter to it.

    Args:
        plus: Plus polarization.
        cross: Cross polarization.
        patterns: Antenna patterns to plus and cross.
        weights: As from ``inverse_asd``.
    """
    a, b, c = (power @ (weights / SCALE).square().T for power in _powers(plus, cross))
    f_plus, f_cross = patterns
    return (f_plus.square() * a + f_cross.square() * b + 2 * f_plus * f_cross * c).clamp_min(0).sqrt()


def _powers(plus: Tensor, cross: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """|h₊|², |hₓ|² and Re h₊hₓ* of shape (batch, bins), times ``SCALE``²."""
    p, c = (torch.fft.rfft(wave * SCALE) for wave in (plus, cross))
    return (
        torch.addcmul(p.real.square(), p.imag, p.imag),
        torch.addcmul(c.real.square(), c.imag, c.imag),
        torch.addcmul(p.real * c.real, p.imag, c.imag),
    )


def inverse_asd(
    psds: Psd, size: int, sample_rate: float, highpass: float, lowpass: float | None
) -> Float32[Tensor, "ifos bins"]:
    """What the bins of a transform of ``size`` samples are multiplied by so that their squares add up to ρ².

    Args:
        psds: Shape (ifos, frequency), 1/Hz, on the grid of ``aframe.spectral.power_spectral_density``.
        size: Samples of the signals.
        sample_rate: Hz.
        highpass: Hz, below which it is zero.
        lowpass: Hz, above which it is zero; None for the Nyquist frequency.

    Raises:
        DataError: If a PSD is not positive in band.
    """
    frequency = np.linspace(0.0, sample_rate / 2, size // 2 + 1)
    grid = np.linspace(0.0, sample_rate / 2, psds.shape[-1])
    band = (frequency >= highpass) & (frequency <= (lowpass or sample_rate / 2)) & (frequency < sample_rate / 2)
    inside = np.stack([np.interp(frequency[band], grid, psd) for psd in psds.double().cpu().numpy()])
    if not (np.isfinite(inside).all() and (inside > 0).all()):
        raise DataError(
            "the PSD is zero or not finite in band: the strain is constant or has missing samples; "
            "leave this stretch out of the segments"
        )
    weights = np.zeros((len(psds), len(frequency)))
    weights[:, band] = np.sqrt(4.0 / (inside * sample_rate * size))  # 4 df dt² / S
    return torch.tensor(weights, dtype=torch.float32)


@dataclass(frozen=True, eq=False)
class HorizonBound:
    """The largest signal-to-noise ratio that binaries of some masses can have in some detectors.

    A table over detector-frame total mass and mass ratio of the ratio at 1 Mpc, for the loudest of several aligned
    spins and directions, and the best polarization angle. A detector sees a signal from a direction of given antenna
    power F₊² + Fₓ² at most √power times as loud. Masses outside the table have an infinite bound.
    """

    table: RegularGridInterpolator

    @classmethod
    def build(cls, generator: WaveformGenerator, psds: Psd, highpass: float, lowpass: float | None) -> "HorizonBound":
        """Make the table; the waveforms are made once per generator, the rest takes milliseconds.

        Args:
            generator: How the waveforms that are to be bounded are made.
            psds: Shape (ifos, frequency), 1/Hz.
            highpass: Hz, where the ratio's integral begins.
            lowpass: Hz, where it ends; None for the Nyquist frequency.
        """
        weights = inverse_asd(psds, generator.size, generator.sample_rate, highpass, lowpass)
        a, b, c = (power @ (weights / SCALE).square().T for power in _table_powers(generator))
        largest = (a + b) / 2 + (((a - b) / 2).square() + c.square()).sqrt()  # of the polarizations' 2 × 2 matrix
        squared = largest.reshape(len(TOTAL_MASSES), len(MASS_RATIOS), -1, len(psds)).amax(dim=2).double().numpy()
        values = np.log(np.maximum(np.nan_to_num(squared, nan=np.inf), 1e-300)) / 2
        axes = (np.log(TOTAL_MASSES), np.log(MASS_RATIOS))
        return cls(RegularGridInterpolator(axes, values, bounds_error=False, fill_value=np.inf))

    def __call__(
        self, mass_1: Array, mass_2: Array, luminosity_distance: Array, antenna_power: Array | None = None
    ) -> Array:
        """Upper bound of the network's signal-to-noise ratio.

        Args:
            mass_1: Heavier component, detector frame, solar masses, shape (n,).
            mass_2: Lighter component.
            luminosity_distance: Mpc.
            antenna_power: F₊² + Fₓ² of each detector, shape (n, ifos); 1, the most there can be, when None.

        Returns:
            Shape (n,).
        """
        points = np.stack([np.log(mass_1 + mass_2), np.log(mass_2 / mass_1)], axis=-1)
        squared = np.exp(2 * self.table(points))
        if antenna_power is not None:
            squared = squared * antenna_power
        return np.asarray(MARGIN * np.sqrt(squared.sum(axis=-1)) / luminosity_distance)


@functools.lru_cache(maxsize=1)
def _table_powers(generator: WaveformGenerator) -> tuple[Tensor, Tensor, Tensor]:
    """``_powers`` at 1 Mpc, each of shape (table points × variants, bins)."""
    inclinations = INCLINATIONS if generator.has_higher_modes else INCLINATIONS[:1]
    rows = list(itertools.product(TOTAL_MASSES, MASS_RATIOS, ALIGNED_SPINS, inclinations))
    total, ratio, theta = (np.array([row[i] for row in rows]) for i in (0, 1, 3))
    spins = np.array([row[2] for row in rows])
    columns = dict.fromkeys(COLUMNS, np.zeros(len(rows))) | {
        "mass_1": total / (1 + ratio),
        "mass_2": total * ratio / (1 + ratio),
        "luminosity_distance": np.ones(len(rows)),
        "theta_jn": theta,
    }
    for i in (1, 2):
        columns[f"a_{i}"] = np.abs(spins[:, i - 1])
        columns[f"tilt_{i}"] = np.where(spins[:, i - 1] < 0, np.pi, 0.0)
    parts = []
    for start in range(0, len(rows), 256):
        part = {name: column[start : start + 256] for name, column in columns.items()}
        parts.append(_powers(*map(torch.from_numpy, generator.generate(part))))
    plus, cross, mixed = (torch.cat([part[i] for part in parts]) for i in range(3))
    return plus, cross, mixed
