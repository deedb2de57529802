"""Long templates as sums of slices in time, each at the rate that it needs.

A chirp is slow at first. The early part of a template, far below the Nyquist frequency of the strain, is therefore kept
with fewer samples (Cannon et al., arXiv:1107.2665). Windows with gentle edges, whose sum is one, cut a template p + iq
into slices. An early slice has no negative frequencies and ends below a frequency f, so that one complex sample for
each 1 / f is enough. The last slice is kept whole.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int, Num
from torch import Tensor

Whole = Complex[Tensor, "templates time"]

LEAST_SIZE = 32768
"""Number of samples from which on templates are cut into slices."""

EDGES = (1.0, 1 / 4, 1 / 16)
"""Begins of the slices before the end of a template, as parts of it."""

FADE = 0.25
"""Length of the edges of slices, as a part of the shortest slice's length."""

USED = 0.8
"""Part of a slice's band that may hold power. The rest keeps interpolation short."""

OUTSIDE = 5e-4
"""Largest part of a template's power, for each slice, above the used part of its band."""

MARGIN = 8
"""Samples of a slice on either side of a moment that interpolation needs."""

TAIL = 8
"""Further samples of the stream on either side, at a slice's rate, that the filter to this rate needs."""

SLOWEST = 16
"""Largest number of samples of a template from one sample of a slice to the next."""

KAISER = math.pi * MARGIN * (1 - USED)
"""Parameter of the Kaiser window, for which the unused part of the band is the transition's width."""

AT_ONCE = 32
"""Number of templates that are cut or joined at once."""


@dataclass(frozen=True)
class Shape:
    """Place and rate of a slice.

    Attributes:
        first: Sample of the template at which the slice begins, a multiple of ``decimation``.
        decimation: Samples of the template from one sample of the slice to the next, a power of two.
        size: Samples of the slice.
    """

    first: int
    decimation: int
    size: int

    @property
    def stop(self) -> int:
        """Sample of the template after the last of the slice."""
        return self.first + self.size * self.decimation


@dataclass(frozen=True)
class SlicedTemplates:
    """Templates as sums of slices.

    Attributes:
        size: Samples of a whole template.
        shapes: Places and rates of the slices, the earliest first.
        series: For each slice the values at its samples, shape (templates, slice size).
    """

    size: int
    shapes: tuple[Shape, ...]
    series: tuple[Complex[Tensor, "templates _"], ...]

    def __len__(self) -> int:
        """Number of templates."""
        return len(self.series[0])

    def rows(self, which: Int[Tensor, " some"] | slice) -> "SlicedTemplates":
        """Some of the templates, by their numbers."""
        return SlicedTemplates(self.size, self.shapes, tuple(each[which] for each in self.series))

    def whole(self) -> Whole:
        """Join the slices to templates at the full rate."""
        parts = [self.rows(slice(first, first + AT_ONCE)) for first in range(0, len(self), AT_ONCE)]
        return torch.cat([_joined(part) for part in parts])

    def coloured(self, colour: Num[Tensor, " frequency"]) -> "SlicedTemplates":
        """Templates whose spectra are multiplied by a smooth function, of unit norm per quadrature.

        Args:
            colour: The function, evenly from 0 Hz to the Nyquist frequency.
        """
        series = []
        for shape, each in zip(self.shapes, self.series, strict=True):
            grid = 2 * shape.size
            frequency = torch.arange(grid, device=colour.device) / (grid * shape.decimation)
            places = (2 * (len(colour) - 1)) * torch.minimum(frequency, 1 - frequency)
            low = places.long().clamp_max(len(colour) - 2)
            factor = torch.lerp(colour[low], colour[low + 1], (places - low).to(colour.dtype))
            factor = torch.where(frequency > 1 / 2, factor.conj(), factor)
            series.append(torch.fft.ifft(torch.fft.fft(each, n=grid) * factor)[:, : shape.size])
        coloured = SlicedTemplates(self.size, self.shapes, tuple(series))
        norm = (coloured.power() / 2).sqrt().clamp_min(torch.finfo(torch.float32).tiny)[:, None]
        return SlicedTemplates(self.size, self.shapes, tuple(each / norm for each in series))

    def power(self) -> Float[Tensor, " templates"]:
        """Sum of the squared absolute values of each whole template."""
        pairs = list(zip(self.shapes, self.series, strict=True))
        total = torch.stack([shape.decimation * each.abs().square().sum(1) for shape, each in pairs]).sum(0)
        for (shape, slow), (other, fast) in itertools.pairwise(pairs):
            number = (shape.stop - other.first) // other.decimation
            first = other.first - shape.first
            if shape.decimation > other.decimation:
                weights = interpolation(shape, first, number, other.decimation).to(slow.device)
                padded = torch.nn.functional.pad(slow, (0, max(0, len(weights) - shape.size)))
                same = padded[:, : len(weights)] @ weights
            else:
                same = slow[:, first // shape.decimation :][:, :number]
            total = total + 2 * other.decimation * (same * fast[:, : same.shape[1]].conj()).sum(1).real
        return total

    @classmethod
    def joined(cls, parts: "Sequence[SlicedTemplates]") -> "SlicedTemplates":
        """All templates of parts with the same shapes, one behind the other."""
        series = tuple(torch.cat(each) for each in zip(*(part.series for part in parts), strict=True))
        return cls(parts[0].size, parts[0].shapes, series)


def is_long(size: int) -> bool:
    """Whether templates of ``size`` samples are cut into slices."""
    return size >= LEAST_SIZE


def plan(templates: Whole) -> tuple[Shape, ...]:
    """Choose places and rates of slices that suit templates.

    Each slice has the slowest rate of which all templates fill no more than the used part, and no slice a slower one
    than those before it.

    Args:
        templates: Templates at the full rate, among them the lightest and the heaviest of a bank.

    Returns:
        Shapes of the slices, the earliest first.
    """
    size = templates.shape[1]
    grid, slowest = _grid(size), SLOWEST
    total = templates.abs().square().sum(1)
    shapes = []
    for window, (begin, stop) in zip(_windows(size), _spans(size), strict=True):
        power = torch.fft.fft(templates * window, n=grid)[:, : grid // 2].abs().square().cumsum(1)
        above = (power[:, -1:] - power) / (grid * total[:, None])
        decimation = slowest if stop < size else 1  # the last slice is kept whole
        while decimation > 1 and bool((above[:, int(USED * grid / decimation) - 1] > OUTSIDE).any()):
            decimation //= 2
        slowest = decimation
        first = begin // decimation * decimation
        shapes.append(Shape(first, decimation, -(-(min(stop, size) - first) // decimation)))
    return tuple(shapes)


def cut(templates: Whole, shapes: Sequence[Shape]) -> SlicedTemplates:
    """Cut templates into slices. What a slice has above its band is lost, and so are some samples at the beginning.

    Args:
        templates: Templates at the full rate.
        shapes: Result of ``plan``.
    """
    size = templates.shape[1]
    windows, grid = _windows(size), _grid(size)
    parts = []
    for first in range(0, len(templates), AT_ONCE):
        some, series = templates[first : first + AT_ONCE], []
        for window, shape in zip(windows, shapes, strict=True):
            spectrum = torch.fft.fft(some * window.to(some.device), n=grid)[:, : grid // shape.decimation]
            low = torch.fft.ifft(spectrum) / shape.decimation
            begin = shape.first // shape.decimation
            series.append(low[:, begin : begin + shape.size])
        parts.append(SlicedTemplates(size, tuple(shapes), tuple(series)))
    return SlicedTemplates.joined(parts)


def interpolation(shape: Shape, first: int, number: int, output: int) -> Complex[Tensor, "samples outputs"]:
    """Weights that interpolate a series with the band of a slice (a sinc in a Kaiser window).

    Args:
        shape: The slice.
        first: Sample of the full rate of the first output, from the series' first sample on; at least ``MARGIN``
            samples of the slice.
        number: Number of outputs.
        output: Samples of the full rate from one output to the next.

    Returns:
        The outputs are the series times these weights. As many samples as have any weight.
    """
    times = (first + output * torch.arange(number, dtype=torch.float64)) / shape.decimation
    samples = torch.arange(math.floor(float(times[-1])) + MARGIN + 1, dtype=torch.float64)
    apart = times - samples[:, None]
    inside = (1 - (apart / MARGIN).square()).clamp_min(0).sqrt()
    taper = torch.special.i0(KAISER * inside) / torch.special.i0(torch.tensor(KAISER, dtype=torch.float64))
    weights = torch.sinc(apart) * torch.where(apart.abs() <= MARGIN, taper, 0.0)
    # the band from 0 to USED of the rate is moved to zero, interpolated and moved back
    return torch.polar(weights, torch.pi * USED * apart).to(torch.complex64)


def _spans(size: int) -> list[tuple[int, int]]:
    """First sample of each slice, and that after its last one, with the edges."""
    begins = [size - round(size * edge) for edge in EDGES]
    half = _fade(size) // 2
    stops = [*(begin + half for begin in begins[1:]), size]
    return [(max((MARGIN + TAIL) * SLOWEST, begin - half), stop) for begin, stop in zip(begins, stops, strict=True)]


def _grid(size: int) -> int:
    """Samples of the Fourier transforms of templates, without wraparound: a whole number for each sample of a slice."""
    return -(-2 * size // SLOWEST) * SLOWEST


def _fade(size: int) -> int:
    return round(FADE * EDGES[-1] * size)


def _windows(size: int) -> list[Float[Tensor, " time"]]:
    """Windows of the slices. Their sum is one but for the first samples of the template."""
    fade = _fade(size)
    time = torch.arange(size, dtype=torch.float64)
    rises = []
    for edge in EDGES:
        middle = size - round(size * edge)
        middle = max(middle, (MARGIN + TAIL) * SLOWEST + fade // 2)  # what interpolation needs before the first output
        rises.append((((time - middle) / fade + 0.5).clamp(0, 1) * torch.pi / 2).sin().square())
    return [(rise - following).float() for rise, following in zip(rises, [*rises[1:], 0 * time], strict=True)]


def _joined(templates: SlicedTemplates) -> Whole:
    grid = _grid(templates.size)
    spectrum = torch.zeros((len(templates), grid), dtype=torch.complex64, device=templates.series[0].device)
    for shape, series in zip(templates.shapes, templates.series, strict=True):
        bins = grid // shape.decimation
        low = torch.zeros((len(templates), bins), dtype=torch.complex64, device=series.device)
        begin = shape.first // shape.decimation
        low[:, begin : begin + shape.size] = series
        spectrum[:, :bins] += torch.fft.fft(low) * shape.decimation
    return torch.fft.ifft(spectrum)[:, : templates.size]
