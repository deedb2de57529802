"""A bank of long templates, which are filtered in slices of time at several rates, by a few basis filters each.

Templates of similar chirp mass resemble each other. In each slice, a block of neighbours is nearly a sum of far fewer
orthogonal series, the singular vectors of the block (LLOID, Cannon et al., arXiv:1107.2665). A stream is filtered with
these at the slice's rate. Their outputs are interpolated to a common rate, and summed to those of the templates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from aframe.bank import slices as slicing
from aframe.bank.slices import MARGIN, TAIL, USED, Shape, SlicedTemplates, cut, interpolation, is_long, plan
from aframe.errors import ConfigurationError
from aframe.tensors import Windows
from aframe.train.architectures.decimation import DECIMATIONS
from aframe.train.architectures.filter_bank import FilterBank, is_exported
from aframe.train.architectures.overlap_save import smooth_size

BLOCK = 256
"""Number of templates that share basis filters."""

TOLERANCE = 2e-3
"""Largest part of a template's power that the basis filters of one slice lose."""

STEPS_AT_ONCE = 512
"""Steps of a stream that are filtered at once."""

STEPS_TOGETHER = 32
"""Steps of which templates' outputs are summed at once. They fit a processor's cache."""

EXTREMES = 16
"""Number of the lightest and of the heaviest templates by which the slices are chosen."""


@dataclass(frozen=True)
class Basis:
    """Basis filters of a block of templates.

    Attributes:
        filters: For each slice the filters, shape (filters, slice size).
        weights: What each filter adds to each template, shape (templates, filters of all slices).
    """

    filters: tuple[Complex[Tensor, "_ _"], ...]
    weights: Complex[Tensor, "templates filters"]


class MultirateBank(FilterBank):
    """Matched filters of long templates: see ``FilterBank``, whose values these are but for a small loss.

    Slices lose what they have above their bands, and basis filters what they do not span: in all at most 1 % of a
    template's |z|².

    Args:
        num_ifos: Number of detectors.
        template_size: Samples of a template.
        shapes: First sample, decimation and size of each slice, the earliest first.
        templates: Number of templates.
        step_size: Samples in a step.
        coincidence: Samples by which a step is longer than the distance of steps.
    """

    def __init__(  # noqa: PLR0917 - as many numbers as the network has
        self,
        num_ifos: int,
        template_size: int,
        shapes: Sequence[Shape],
        templates: int,
        step_size: int,
        coincidence: int,
    ) -> None:
        super().__init__(num_ifos, 0, template_size, (templates, 0, 0), step_size, coincidence)
        self.templates, self.shapes = templates, tuple(shapes)
        self.rows = torch.arange(templates)
        for number, shape in enumerate(self.shapes):
            self.register_buffer(f"slice_{number}", torch.zeros(2, templates, shape.size))
        self._bases: dict[torch.device, list[list[Basis]]] = {}
        self._interpolations: dict[tuple[Shape, int, int], Tensor] = {}
        self._roll_offs: dict[tuple[Shape, int], Tensor] = {}

    @classmethod
    def of_slices(cls, templates: SlicedTemplates, num_ifos: int, step_size: int, coincidence: int) -> "MultirateBank":
        """Bank of some templates, in order of chirp mass.

        Args:
            templates: Whitened templates p + iq, both quadratures of unit norm.
            num_ifos: Number of detectors.
            step_size: Samples in a step.
            coincidence: Samples by which a step is longer than the distance of steps.
        """
        bank = cls(num_ifos, templates.size, templates.shapes, len(templates), step_size, coincidence)
        for number, series in enumerate(templates.series):
            setattr(bank, f"slice_{number}", torch.stack([series.real, series.imag]).float())
        return bank

    def learn(self) -> None:
        """Templates in slices are not trained.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            f"trainable: true needs templates of less than {slicing.LEAST_SIZE} samples, which are kept whole, and "
            f"these have {self.template_size}: shorten template_length, or leave trainable out"
        )

    def fold(self) -> None:
        """Servers do not compute these filters.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            "templates this long are filtered at several rates, which no exported model does: search with engine = "
            "torch in [luigi_inference]"
        )

    def rate_of(self, rows: Int[Tensor, " some"]) -> Int[Tensor, " some"]:
        """Samples from one value of a template's correlation to the next: see ``FilterBank.rate_of``."""
        return torch.full_like(rows, self.output)

    @property
    def slices(self) -> list[list[int]]:
        """First sample, decimation and size of each slice."""
        return [[shape.first, shape.decimation, shape.size] for shape in self.shapes]

    @property
    def output(self) -> int:
        """Samples from one value of a correlation to the next. Half the rate has all positive frequencies."""
        return DECIMATIONS[0]

    def forward(self, streams: Windows) -> Float[Tensor, "batch ifos templates steps"]:
        """Filter streams with all templates: see ``FilterBank.forward``."""
        if is_exported():
            self.fold()
        with torch.no_grad():
            steps = self.steps(streams.shape[-1])
            result = streams.new_empty((*streams.shape[:2], self.templates, steps), dtype=torch.float32)
            for ifo, bases in enumerate(self._bases_of(streams.device)):
                for row in range(len(streams)):
                    for first in range(0, steps, STEPS_AT_ONCE):
                        last = min(first + STEPS_AT_ONCE, steps)
                        samples = streams[row, ifo, first * self.step_size :].float()
                        self._measure(samples, bases, result[row, ifo, :, first:last])
            return result

    def _whole(self, rows: slice | Int[Tensor, " some"]) -> Complex[Tensor, "some time"]:
        return self._slices(rows).whole()

    def _slices(self, rows: slice | Int[Tensor, " some"]) -> SlicedTemplates:
        series = (torch.complex(*getattr(self, f"slice_{k}")[:, rows].float()) for k in range(len(self.shapes)))
        return SlicedTemplates(self.template_size, self.shapes, tuple(series))

    def _forget(self) -> None:
        super()._forget()
        self._bases, self._interpolations, self._roll_offs = {}, {}, {}

    def _bases_of(self, device: torch.device) -> list[list[Basis]]:
        """For each detector the basis of each block of templates."""
        if device not in self._bases:
            self._bases[device] = [
                [self._basis(ifo, slice(first, first + BLOCK)) for first in range(0, self.templates, BLOCK)]
                for ifo in range(self.num_ifos)
            ]
        return self._bases[device]

    def _basis(self, ifo: int, rows: slice) -> Basis:
        """Basis filters of a block, for a detector's PSD."""
        block, filters, weights = self._slices(rows).coloured(self._colour(ifo)), [], []
        for shape, series in zip(self.shapes, block.series, strict=True):
            values, vectors = torch.linalg.eigh((series @ series.mH).to(torch.complex128))
            # lost power of each template with the first k vectors, largest values first
            parts = (vectors.flip(1).abs().square() * values.flip(0)).cumsum(1)
            lost = (parts[:, -1:] - parts) * shape.decimation / 2
            number = int((lost > TOLERANCE).any(0).sum()) + 1
            chosen = vectors.flip(1)[:, :number].to(series.dtype)
            filters.append(chosen.mH @ series)
            weights.append(chosen)
        return Basis(tuple(filters), torch.cat(weights, dim=1).conj().resolve_conj())

    def _measure(
        self, samples: Float[Tensor, " time"], bases: Sequence[Basis], result: Float[Tensor, "templates steps"]
    ) -> None:
        """Largest |z|²/2 in each of some steps, the first of which begins with the first sample."""
        steps, output = result.shape[1], self.output
        number = (steps * self.step_size + self.coincidence) // output
        pieces = [self._decimated(samples, shape, number * output) for shape in self.shapes]
        for block, basis in enumerate(bases):
            outputs = [
                self._filtered(piece, filters, shape, number * output)
                for piece, filters, shape in zip(pieces, basis.filters, self.shapes, strict=True)
            ]
            rows = slice(block * BLOCK, block * BLOCK + len(basis.weights))
            for first in range(0, steps, STEPS_TOGETHER):
                last = min(first + STEPS_TOGETHER, steps)
                z = basis.weights @ torch.cat(list(self._interpolated(outputs, first, last - first)))
                result[rows, first:last] = self._peaks(z.real, z.imag, output, last - first)

    def _margin(self, shape: Shape) -> int:
        """Samples of a slice that its output has before the first moment and after the last, for interpolation."""
        return MARGIN if shape.decimation > self.output else 0

    @staticmethod
    def _tail(shape: Shape) -> int:
        """Samples of a slice's stream on either side that the filter to its rate needs."""
        return TAIL if shape.decimation > 1 else 0

    def _decimated(self, samples: Float[Tensor, " time"], shape: Shape, duration: int) -> Complex[Tensor, " low_time"]:
        """Spectrum of the part of the stream that a slice needs, in the slice's band."""
        margin = self._margin(shape) + self._tail(shape)
        number = -(-duration // shape.decimation) + 2 * margin + shape.size
        grid, bins = smooth_size(number) * shape.decimation, smooth_size(number)
        begin = shape.first - margin * shape.decimation
        piece = samples[begin : begin + number * shape.decimation]
        return torch.fft.fft(piece, n=grid)[:bins] * self._roll_off(shape, bins)

    def _roll_off(self, shape: Shape, size: int) -> Float[Tensor, " frequency"]:
        """Response of a low-pass filter that falls above the used part of a slice's band, so that it is short."""
        key = (shape, size)
        if key not in self._roll_offs:
            band = torch.arange(size, dtype=torch.float32) / size
            fall = ((band - USED) / (1 - USED)).clamp(0, 1) if shape.decimation > 1 else torch.zeros(size)
            self._roll_offs[key] = (fall * torch.pi / 2).cos().square().to(self.rows.device)
        return self._roll_offs[key]

    def _filtered(
        self, piece: Complex[Tensor, " low_time"], filters: Complex[Tensor, "filters time"], shape: Shape, duration: int
    ) -> Complex[Tensor, "filters outputs"]:
        """Outputs of basis filters at a slice's rate, or at the common one."""
        products = piece * torch.fft.fft(filters, n=len(piece)).conj()
        if shape.decimation < self.output:
            products = products.unflatten(1, (self.output // shape.decimation, -1)).mean(1)
        first, number = self._tail(shape), duration // max(shape.decimation, self.output) + 1
        return torch.fft.ifft(products)[:, first : first + number + 1 + 2 * self._margin(shape)]

    def _interpolated(
        self, outputs: Sequence[Tensor], first: int, steps: int
    ) -> Iterator[Complex[Tensor, "filters outputs"]]:
        """Outputs of each slice's filters at the common rate, in some steps."""
        output, number = self.output, (steps * self.step_size + self.coincidence) // self.output
        for series, shape in zip(outputs, self.shapes, strict=True):
            begin = first * self.step_size
            if shape.decimation <= output:
                yield series[:, begin // output : begin // output + number]
                continue
            place = begin // shape.decimation
            offset = begin - place * shape.decimation + MARGIN * shape.decimation
            weights = self._weights(shape, offset, number)
            yield series[:, place : place + len(weights)] @ weights

    def _weights(self, shape: Shape, offset: int, number: int) -> Complex[Tensor, "samples outputs"]:
        key = (shape, offset, number)
        if key not in self._interpolations:
            self._interpolations[key] = interpolation(shape, offset, number, self.output).to(self.rows.device)
        return self._interpolations[key]


def bank_of(
    templates: Complex[Tensor, "templates time"] | SlicedTemplates, num_ifos: int, step_size: int, coincidence: int
) -> FilterBank:
    """Bank of templates in order of chirp mass: of whole ones, or of slices if they are long.

    Args:
        templates: Whitened templates p + iq, both quadratures of unit norm.
        num_ifos: Number of detectors.
        step_size: Samples in a step.
        coincidence: Samples by which a step is longer than the distance of steps.
    """
    if isinstance(templates, Tensor):
        if not is_long(templates.shape[1]):
            return FilterBank.of(templates, num_ifos, step_size, coincidence)
        ends = torch.cat([templates[:EXTREMES], templates[-EXTREMES:]])
        templates = cut(templates, plan(ends))
    return MultirateBank.of_slices(templates, num_ifos, step_size, coincidence)


def empty_bank(  # noqa: PLR0917 - as many numbers as the network has
    num_ifos: int,
    templates: int,
    template_size: int,
    decimations: Sequence[int],
    step_size: int,
    coincidence: int,
    slices: Sequence[Sequence[int]],
) -> FilterBank:
    """Bank that waits for its templates, whole ones or in slices.

    Args:
        num_ifos: Number of detectors.
        templates: Number of templates.
        template_size: Samples of a template.
        decimations: Number of whole templates at 1/2, 1/4 and 1/8 of the sample rate.
        step_size: Samples in a step.
        coincidence: Samples by which a step is longer than the distance of steps.
        slices: First sample, decimation and size of each slice; none for whole templates.
    """
    if not slices:
        return FilterBank(num_ifos, templates, template_size, decimations, step_size, coincidence)
    shapes = [Shape(*each) for each in slices]
    return MultirateBank(num_ifos, template_size, shapes, templates, step_size, coincidence)
