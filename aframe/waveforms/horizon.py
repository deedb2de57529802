"""Signal-to-noise ratios of signals, and an upper bound that needs no waveform."""

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from aframe.errors import DataError
from aframe.tensors import Psd
from aframe.types import Array
from aframe.waveforms.polarizations import WAVEFORM_COLUMNS, WaveformGenerator

TOTAL_MASSES = np.array([1.5, 2, 2.7, 3.6, 4.8, 6.4, 8.5, 12, 17, 24, 34, 41, 48, 57, *np.geomspace(68, 1000, 21)])
"""Detector-frame total masses of the table, in solar masses. They are dense where merger and ringdown cross the band.
"""

MASS_RATIOS = np.array([0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.45, 0.7, 0.99])
"""Mass ratios (lighter over heavier) of the table. The last value replaces 1, where LAL's IMRPhenomXP drops by a third.
"""

SPINS = np.array([-0.99, -0.5, 0.0, 0.4, 0.7, 0.9, 0.998])
"""Aligned spins of the table. Both components have the same spin."""

INCLINATIONS = (0.0, np.pi / 4, np.pi / 2)
"""Inclinations of the table, for models whose loudest direction is not always the orbital axis. The loudest counts."""

LEAST_ORBITAL_MOMENTUM = 2.5
"""Lower bound of an inspiral's orbital angular momentum over the symmetric mass ratio, in G M²/c.

It is below the 3.2 of IMRPhenomPv2 at any frequency, and the 3.5 of the last stable orbit of a body without spin.
"""

BOUND_MARGIN = 1.05
"""Factor on the bound. It covers interpolation in the table, and unequal spins.

Without it, the largest ratio of a binary's SNR to the table's was 1.001 in 200 000 draws of the default population,
1.012 in 20 000 of each other population, 1.018 in 80 000 with the largest spins, and 1.025 in 8000 of these for
IMRPhenomXPHM. The noise was that of O3 and O4, in two and three detectors, above 32 Hz and in 40–150 Hz.
"""

MOST_EMISSIONS = 4
"""Number of generators whose tables are kept. A mixture of populations can have several."""

TABLE_BATCH = 256
"""Number of waveforms of the table in one batch."""

SCALE = 1e20
"""Factor on strain that keeps its square within single precision."""


def optimal_snr(
    responses: Float[Tensor, "batch ifos time"],
    psds: Psd,
    sample_rate: float,
    highpass: float,
    lowpass: float | None,
) -> Float[Tensor, "batch ifos"]:
    """Compute the optimal signal-to-noise ratio in each detector, ρ² = 4 ∫ |h̃|² / S df.

    Args:
        responses: Noise-free signals, shape (batch, ifos, time).
        psds: PSDs in 1/Hz, shape (ifos, frequency), on the grid of ``aframe.whitening.power_spectral_density``.
        sample_rate: Sampling rate, Hz.
        highpass: Lower limit of the integral, Hz.
        lowpass: Upper limit of the integral, Hz; None for the Nyquist frequency.

    Returns:
        Shape (batch, ifos).

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
    """Compute the optimal signal-to-noise ratio from polarizations, without arrival delays. Delays hardly affect it.

    Args:
        plus: Plus polarization, shape (batch, time).
        cross: Cross polarization, shape (batch, time).
        patterns: Antenna patterns to plus and cross, each of shape (batch, ifos).
        weights: Weights from ``inverse_asd``, shape (ifos, bins).

    Returns:
        Shape (batch, ifos).
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
    """Compute weights of Fourier bins. The squares of weighted bins of a signal add up to ρ².

    Args:
        psds: PSDs in 1/Hz, shape (ifos, frequency), on the grid of ``aframe.whitening.power_spectral_density``.
        size: Number of samples of the signals.
        sample_rate: Sampling rate, Hz.
        highpass: Frequency below which the weights are zero, Hz.
        lowpass: Frequency above which the weights are zero, Hz; None for the Nyquist frequency.

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
    """Upper bound of the signal-to-noise ratio of binaries, without their waveforms.

    A table over detector-frame total mass, mass ratio and aligned spin holds ρ² at 1 Mpc over η M^(5/3), for the best
    direction and polarization angle. In an inspiral, this ratio hardly depends on mass. Interpolation between points is
    linear. Each binary has two positions in the table: one with its effective spin (inspiral), and one with the spin of
    its remnant (ringdown; spins in the orbital plane increase it). The louder one counts.

    A detector with antenna power F₊² + Fₓ² reduces the ratio by √power or more. A quadrupole's amplitude falls as
    (1 + cos²ι)/2 with the angle ι between line of sight and orbital axis. The axis stays within the largest possible
    precession cone around the total angular momentum. Points are computed on demand, and kept for other PSDs. The bound
    is infinite for masses outside the table, and for models that fail at its points.

    Attributes:
        emission: Powers of the table's waveforms.
        weights: Mean weight of each group of frequencies, shape (groups, ifos).
        table: ρ² of each point, shape (masses, ratios, spins, ifos); NaN for points that are not yet computed.
    """

    emission: "_Emission"
    weights: Float[Tensor, "groups ifos"]
    table: Array

    @classmethod
    def build(cls, generator: WaveformGenerator, psds: Psd, highpass: float, lowpass: float | None) -> "HorizonBound":
        """Create a bound for PSDs. Waveforms of the table are computed on demand, once per generator.

        Args:
            generator: Generator of the signals' waveforms.
            psds: PSDs in 1/Hz, shape (ifos, frequency).
            highpass: Lower limit of the integral, Hz.
            lowpass: Upper limit of the integral, Hz; None for the Nyquist frequency.
        """
        emission = _emission(generator)
        weights = inverse_asd(psds, generator.size, generator.sample_rate, highpass, lowpass)
        shape = (len(TOTAL_MASSES), len(MASS_RATIOS), len(SPINS), len(psds))
        return cls(emission, emission.mean((weights / SCALE).square()).T, np.full(shape, np.nan))

    def __call__(
        self,
        mass_1: Array,
        mass_2: Array,
        luminosity_distance: Array,
        antenna_power: Array | None = None,
        orientation: Mapping[str, Array] | None = None,
    ) -> Array:
        """Compute an upper bound of the network's signal-to-noise ratio.

        Args:
            mass_1: Mass of the heavier component, detector frame, solar masses, shape (n,).
            mass_2: Mass of the lighter component, detector frame, solar masses, shape (n,).
            luminosity_distance: Luminosity distance, Mpc, shape (n,).
            antenna_power: F₊² + Fₓ² of each detector, shape (n, ifos); None for the maximum, 1.
            orientation: Columns ``a_1``, ``a_2``, ``tilt_1``, ``tilt_2`` and ``theta_jn``, each of shape (n,); None for
                the loudest orientation.

        Returns:
            Shape (n,).
        """
        if orientation is None:
            spins, directed = tuple(np.full_like(mass_1, spin) for spin in SPINS), np.ones_like(mass_1)
        else:
            spins = _equivalent_spins(mass_1, mass_2, orientation)
            directed = np.ones_like(mass_1)
            if self.emission.is_quadrupole:
                directed = _largest_quadrupole(mass_1, mass_2, orientation)
        squared = np.max([self._at_one_mpc(mass_1, mass_2, spin) for spin in spins], axis=0)
        if antenna_power is not None:
            squared = squared * antenna_power
        return np.asarray(BOUND_MARGIN * directed * np.sqrt(squared.sum(axis=-1)) / luminosity_distance)

    def _at_one_mpc(self, mass_1: Array, mass_2: Array, spin: Array) -> Array:
        """ρ² of each detector at 1 Mpc, shape (n, ifos)."""
        total, ratio = mass_1 + mass_2, mass_2 / mass_1
        places = (
            _place(np.log(TOTAL_MASSES), np.log(total)),
            _place(np.log(MASS_RATIOS), np.log(ratio)),
            _place(SPINS, np.clip(spin, SPINS[0], SPINS[-1])),
        )
        result = np.zeros((len(total), self.table.shape[-1]))
        for corner in itertools.product((0, 1), repeat=3):
            share = np.prod([np.abs(1 - side - rest) for side, (_, rest) in zip(corner, places, strict=True)], axis=0)
            used = np.flatnonzero(share > 0)
            nodes = tuple(cell[used] + side for side, (cell, _) in zip(corner, places, strict=True))
            self._fill(nodes)
            result[used] += share[used, None] * self.table[nodes]
        result *= (mass_1 * mass_2 / total ** (1 / 3))[:, None]
        outside = (total < TOTAL_MASSES[0]) | (total > TOTAL_MASSES[-1]) | (ratio < MASS_RATIOS[0])
        return np.where(outside[:, None], np.inf, result)

    def _fill(self, nodes: tuple[Array, ...]) -> None:
        """Compute missing points of the table."""
        shape = self.table.shape[:-1]
        points = np.unique(np.ravel_multi_index(nodes, shape))
        table = self.table.reshape(-1, self.table.shape[-1])
        missing = points[np.isnan(table[points, 0])]
        if len(missing) > 0:
            table[missing] = self.emission.squared(missing, self.weights)


@dataclass(frozen=True, eq=False)
class _Emission:
    """Powers of the table's waveforms at 1 Mpc over η M^(5/3), in groups of about a hertz, computed on demand.

    The weight of a group is the mean weight of its bins, because the spectrum of a chirp hardly changes within a hertz.
    """

    generator: WaveformGenerator
    powers: dict[int, Tensor] = field(default_factory=dict)

    @functools.cached_property
    def is_quadrupole(self) -> bool:
        """Whether h₊ varies as (1 + cos²ι)/2 with inclination, and hₓ as cos ι, in a test with unequal masses."""
        total = np.repeat([20.0, 60.0, 180.0], len(INCLINATIONS))
        cosine = np.cos(np.tile(INCLINATIONS, 3))
        size = self._powers(total, np.full_like(total, 0.3), np.full_like(total, 0.4), np.arccos(cosine)).sum(dim=-1)
        plus, cross = (part.double().numpy().reshape(3, -1) for part in size[:, :2].T)
        expected = ((1 + cosine**2) / 2).reshape(3, -1) ** 2, (cosine**2).reshape(3, -1)
        return all(
            bool((np.abs(part - form * plus[:, :1]) <= 0.01 * plus[:, :1]).all())
            for part, form in zip((plus, cross), expected, strict=True)
        )

    def mean(self, values: Float[Tensor, "rows bins"]) -> Float[Tensor, "rows groups"]:
        """Means over the groups of a transform's bins."""
        return self._grouped(values) / self._grouped(torch.ones_like(values[:1]))

    def squared(self, nodes: Array, weights: Float[Tensor, "groups ifos"]) -> Array:
        """ρ² over η M^(5/3) of points of the table, by flat index, shape (nodes, ifos)."""
        missing = [int(node) for node in nodes if int(node) not in self.powers]
        inclinations = INCLINATIONS[:1] if self.is_quadrupole else INCLINATIONS
        for start in range(0, len(missing), TABLE_BATCH):
            part = missing[start : start + TABLE_BATCH]
            rows = np.unravel_index(
                np.repeat(part, len(inclinations)), (len(TOTAL_MASSES), len(MASS_RATIOS), len(SPINS))
            )
            total, ratio, spin = (axis[row] for axis, row in zip((TOTAL_MASSES, MASS_RATIOS, SPINS), rows, strict=True))
            powers = self._powers(total, ratio, spin, np.tile(inclinations, len(part)))
            self.powers.update(zip(part, powers.unflatten(0, (len(part), -1)), strict=True))
        a, b, c = (torch.stack([self.powers[int(node)] for node in nodes]) @ weights).unbind(dim=2)
        largest = (a + b) / 2 + (((a - b) / 2).square() + c.square()).sqrt()  # largest eigenvalue of the polarizations
        return np.nan_to_num(largest.amax(dim=1).double().numpy(), nan=np.inf)

    def _powers(self, total: Array, ratio: Array, spin: Array, inclination: Array) -> Tensor:
        """|h₊|², |hₓ|² and Re h₊hₓ* of shape (rows, 3, groups), times ``SCALE``²."""
        zero = np.zeros_like(total)
        columns = dict.fromkeys(WAVEFORM_COLUMNS, zero) | {
            "mass_1": total / (1 + ratio),
            "mass_2": total * ratio / (1 + ratio),
            "luminosity_distance": np.sqrt(ratio) / (1 + ratio) * total ** (5 / 6),
            "theta_jn": inclination,
        }
        for i in (1, 2):
            columns[f"a_{i}"], columns[f"tilt_{i}"] = np.abs(spin), np.where(spin < 0, np.pi, 0.0)
        waves = self.generator.generate(columns)
        return torch.stack([self._grouped(power) for power in _powers(*map(torch.from_numpy, waves))], dim=1)

    def _grouped(self, values: Tensor) -> Tensor:
        """Sums over the groups of a transform's bins."""
        size = max(1, round(self.generator.duration))
        padded = torch.nn.functional.pad(values, (0, -values.shape[-1] % size))
        return padded.unflatten(-1, (-1, size)).sum(dim=-1)


@functools.lru_cache(maxsize=MOST_EMISSIONS)
def _emission(generator: WaveformGenerator) -> _Emission:
    return _Emission(generator)


def _place(axis: Array, values: Array) -> tuple[Array, Array]:
    """Cells of an axis that contain values, and the fractional position in each. Values beyond the axis are clipped."""
    cell = np.clip(np.searchsorted(axis, values, side="right") - 1, 0, len(axis) - 2)
    return cell, np.clip((values - axis[cell]) / (axis[cell + 1] - axis[cell]), 0.0, 1.0)


def _equivalent_spins(mass_1: Array, mass_2: Array, orientation: Mapping[str, Array]) -> tuple[Array, ...]:
    """Two equal aligned spins: one with the binary's effective spin, one with approximately its remnant.

    Along the orbital axis, the remnant's spin follows arXiv:1508.07250 (eq. 3.6, to first order in the spins). The
    components in the orbital plane add at right angles.
    """
    total = mass_1 + mass_2
    first, second = mass_1 / total, mass_2 / total
    along = [orientation[f"a_{i}"] * np.cos(orientation[f"tilt_{i}"]) for i in (1, 2)]
    effective = first * along[0] + second * along[1]
    parallel = first**2 * along[0] + second**2 * along[1]
    plane = _spin_in_plane(mass_1, mass_2, orientation) / total**2
    eta = first * second
    slope = 1 - eta * (0.0850918 + 5.837029 * eta)
    remnant = parallel * slope + eta * (3.4641016 + eta * (-4.3992473 + eta * (9.397292 - 13.18095 * eta)))
    faster = (np.hypot(remnant, plane) - remnant) / slope
    return effective, (parallel + faster) / (first**2 + second**2)


def _largest_quadrupole(mass_1: Array, mass_2: Array, orientation: Mapping[str, Array]) -> Array:
    """(1 + cos²ι)/2 at the smallest possible angle ι between orbital axis and line of sight.

    With orbital angular momentum L and spins S, the axis is at most arcsin(S/L) from the total momentum L + S.
    """
    sizes = [mass**2 * orientation[f"a_{i}"] for i, mass in ((1, mass_1), (2, mass_2))]
    along = sum(size * np.cos(orientation[f"tilt_{i}"]) for i, size in enumerate(sizes, start=1))
    spin = np.maximum(sizes[0] + sizes[1], np.hypot(along, _spin_in_plane(mass_1, mass_2, orientation)))
    upright = np.ones_like(spin, dtype=bool)
    for i in (1, 2):
        upright &= (orientation[f"a_{i}"] == 0) | np.isin(orientation[f"tilt_{i}"], (0.0, np.pi))
    cone = np.where(upright, 0.0, np.arcsin(np.minimum(spin / (LEAST_ORBITAL_MOMENTUM * mass_1 * mass_2), 1.0)))
    angle = np.minimum(orientation["theta_jn"], np.pi - orientation["theta_jn"])
    return np.asarray((1 + np.cos(np.maximum(angle - cone, 0.0)) ** 2) / 2)


def _spin_in_plane(mass_1: Array, mass_2: Array, orientation: Mapping[str, Array]) -> Array:
    """Upper bound of the spins' angular momentum in the orbital plane, squared solar masses, for nature and models.

    Models with a single precessing spin can overestimate the lighter body's share, in m₁² χₚ (arXiv:1408.1810,
    eq. 3.4).
    """
    first, second = (
        mass**2 * orientation[f"a_{i}"] * np.sin(orientation[f"tilt_{i}"]) for i, mass in ((1, mass_1), (2, mass_2))
    )
    ratio = mass_2 / mass_1
    return np.maximum(first + second, second * (4 + 3 / ratio) / (4 + 3 * ratio))
