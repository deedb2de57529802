"""Whitened templates, and matches between them.

A template is the complex series p + iq of a binary without precession that is seen face-on. p and q are its two
quadratures, whitened with one PSD and scaled to unit norm. The matched filter is z(t) = Σ_j y(t + j) (p_j + i q_j)* of
whitened strain y. In white noise of unit variance, its real and imaginary part have unit variance, and |z(t)|² is the
squared SNR (Allen et al., arXiv:gr-qc/0509116).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from aframe.preprocessing import to_samples
from aframe.tensors import Taps
from aframe.types import Array
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.whitening import apply_filter

Templates = Complex[Tensor, "templates time"]

RISE, FALL = 0.25, 0.0625
"""Times over which a template rises from zero and falls to it, s, or a quarter of it before and after coalescence. A
glitch that only touches an end of the template would else correlate with a sharp edge."""


@dataclass(frozen=True)
class TemplateMaker:
    """Makes whitened templates.

    Attributes:
        generator: Generator of the population's polarizations.
        taps: Taps of the whitening filter, shape (taps,).
        length: Length of a template, s. What is earlier of a signal is lost. The rest rises from zero and falls to it.
        after: Part of it after coalescence, s.
        taps_after: Samples of strain after each sample that the whitening filter needs.
    """

    generator: WaveformGenerator
    taps: Taps
    length: float
    after: float
    taps_after: int

    @property
    def size(self) -> int:
        """Samples in a template."""
        return to_samples(self.length, self.generator.sample_rate, "template_length")

    @property
    def rise(self) -> float:
        """Time over which a template rises from zero, s."""
        return min(RISE, (self.length - self.after) / 4)

    def make(self, parameters: Mapping[str, Array], workers: int | None = None) -> Templates:
        """Make the templates of binaries, whatever their inclination and the spins in their orbital plane.

        Args:
            parameters: Columns of shape (templates,) in bilby's names and units. Masses are detector-frame.
            workers: Number of processes; None for all cores.

        Returns:
            Complex series without negative frequencies, each of unit norm per quadrature. Not a number where the
            generator fails.
        """
        polarizations = self._whitened(face_on(parameters), workers)
        series = torch.complex(polarizations[:, 0], -polarizations[:, 1])
        power = torch.fft.fft(series).abs().square()
        half = power.shape[-1] // 2
        is_turned = power[:, :half].sum(-1) < power[:, half:].sum(-1)  # the orbit turns the other way round
        series = torch.where(is_turned[:, None], series.conj(), series) * self._window()
        return series / (series.abs().square().sum(-1, keepdim=True) / 2).sqrt()

    def signals(self, parameters: Mapping[str, Array], workers: int | None = None) -> Float[Tensor, "signals time"]:
        """Make whitened signals of unit norm, as one detector sees them: their plus polarization.

        Args:
            parameters: Columns, as for ``make``. Inclination and spins are kept.
            workers: Number of processes; None for all cores.
        """
        plus = self._whitened(parameters, workers)[:, 0]
        return plus / plus.square().sum(-1, keepdim=True).sqrt()

    def _window(self) -> Float[Tensor, " time"]:
        """Half of a Hann window, ones, and another half."""
        times = self.rise, min(FALL, self.after / 4)
        rise, fall = (round(time * self.generator.sample_rate) for time in times)
        up, down = (torch.arange(size, dtype=torch.float64) / max(size, 1) for size in (rise, fall))
        phase = torch.cat([up, torch.ones(self.size - rise - fall), down.flip(0)])
        return (torch.pi / 2 * phase).sin().square().float()

    def _whitened(self, parameters: Mapping[str, Array], workers: int | None) -> Float[Tensor, "binaries 2 time"]:
        """Whitened polarizations, cut to the length of a template."""
        generator, margin = self.generator, self.taps.shape[-1]
        before = self.length - self.after + margin / generator.sample_rate
        right_pad = max(generator.right_pad, self.after)
        duration = max(generator.duration, np.ceil(before + right_pad))
        longer = replace(generator, duration=float(duration), right_pad=right_pad)
        waves = np.stack(longer.generate(parameters, workers), axis=1)
        padded = torch.nn.functional.pad(torch.from_numpy(waves), (margin, margin))
        whitened = apply_filter(padded, self.taps, torch.float32)
        coalescence = longer.size - longer.right_pad_size + self.taps_after
        stop = coalescence + to_samples(self.after, generator.sample_rate, "the part after coalescence")
        return whitened[..., stop - self.size : stop]


def face_on(parameters: Mapping[str, Array]) -> dict[str, Array]:
    """Binaries seen along their axis, with the spins' components along the axis alone.

    Args:
        parameters: Columns in bilby's names.
    """
    columns = {name: np.asarray(values) for name, values in parameters.items()}
    for number in (1, 2):
        along = columns[f"a_{number}"] * np.cos(columns[f"tilt_{number}"])
        columns[f"a_{number}"], columns[f"tilt_{number}"] = np.abs(along), np.where(along < 0, np.pi, 0.0)
    zeros = np.zeros_like(columns["mass_1"])
    return columns | {name: zeros for name in ("theta_jn", "phase", "phi_12", "phi_jl")}
