"""A bank of long templates, which are filtered in slices of time at several rates, by a few basis filters each.

Templates of similar chirp mass resemble each other. In each slice, a block of neighbours is nearly a sum of far fewer
orthogonal series, the singular vectors of the block (LLOID, Cannon et al., arXiv:1107.2665). A stream is filtered with
these at the slice's rate. Their outputs are interpolated to a common rate, and summed to those of the templates.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from aframe.bank import slices as slicing
from aframe.bank.slices import Shape, SlicedTemplates, cut, is_long, plan
from aframe.errors import ConfigurationError
from aframe.tensors import Windows
from aframe.train.architectures.decimation import DECIMATIONS
from aframe.train.architectures.filter_bank import FilterBank, is_exported
from aframe.train.architectures.partitions import Partitions
from aframe.train.architectures.slice_rates import SliceRate

BLOCK = 128
"""Number of templates that share basis filters."""

TOLERANCE = 2e-3
"""Largest part of a template's power that the basis filters of one slice lose."""

STEPS_AT_ONCE = 512
"""Steps of a stream, or of several windows, that are filtered at once."""

STEPS_TOGETHER = 32
"""Steps of which templates' outputs are summed at once on a processor. They fit its cache."""

KEPT = 3
"""Largest number of numbers of steps whose spectra are kept: those of a stream, of its end and of windows."""

EXTREMES = 16
"""Number of the lightest and of the heaviest templates by which the slices are chosen."""


@dataclass(frozen=True)
class Basis:
    """Basis filters of a block of templates.

    Attributes:
        filters: For each slice the filters, shape (filters, slice size).
        weights: What the real and imaginary parts of the filters' outputs, those of all slices, add to those of the
            templates' outputs.
    """

    filters: tuple[Complex[Tensor, "_ _"], ...]
    weights: Float[Tensor, "sums parts"]


@dataclass(frozen=True)
class Filtering:
    """What filters some number of steps.

    Attributes:
        rates: Rates of the slices.
        blocks: For each detector, block of templates and slice the spectra of the basis filters.
    """

    rates: list[SliceRate]
    blocks: list[list[list[Partitions]]]


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
        self._filterings: dict[tuple[int, torch.device], Filtering] = {}

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
            rows_at_once = max(1, STEPS_AT_ONCE // max(1, steps))
            for ifo in range(self.num_ifos):
                for row in range(0, len(streams), rows_at_once):
                    some = slice(row, row + rows_at_once)
                    for first in range(0, steps, STEPS_AT_ONCE):
                        last, begin = min(first + STEPS_AT_ONCE, steps), first * self.step_size
                        stop = (last - 1) * self.step_size + self.receptive_field
                        samples = streams[some, ifo, begin:stop].float()
                        self._measure(samples, ifo, result[some, ifo, :, first:last])
            return result

    def _whole(self, rows: slice | Int[Tensor, " some"]) -> Complex[Tensor, "some time"]:
        return self._slices(rows).whole()

    def _slices(self, rows: slice | Int[Tensor, " some"]) -> SlicedTemplates:
        series = (torch.complex(*getattr(self, f"slice_{k}")[:, rows].float()) for k in range(len(self.shapes)))
        return SlicedTemplates(self.template_size, self.shapes, tuple(series))

    def _forget(self) -> None:
        super()._forget()
        self._bases, self._filterings = {}, {}

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
        every = torch.cat(weights, dim=1).conj()
        parts = torch.cat([torch.cat([every.real, -every.imag], dim=1), torch.cat([every.imag, every.real], dim=1)])
        return Basis(tuple(filters), parts)

    def _filtering_of(self, steps: int, device: torch.device) -> Filtering:
        """Spectra for some number of steps. Those of a few numbers are kept, the last ones used."""
        key = (steps, device)
        if key in self._filterings:
            self._filterings[key] = self._filterings.pop(key)
        else:
            number = (steps * self.step_size + self.coincidence) // self.output
            rates = [SliceRate(shape, self.output, number, device) for shape in self.shapes]
            blocks = [
                [
                    [
                        Partitions(filters, rate.outputs, rate.every)
                        for filters, rate in zip(basis.filters, rates, strict=True)
                    ]
                    for basis in bases
                ]
                for bases in self._bases_of(device)
            ]
            for old in list(self._filterings)[: 1 - KEPT]:
                del self._filterings[old]
            self._filterings[key] = Filtering(rates, blocks)
        return self._filterings[key]

    def _measure(
        self, streams: Float[Tensor, "batch time"], ifo: int, result: Float[Tensor, "batch templates steps"]
    ) -> None:
        """Largest |z|²/2 in each of some steps, the first of which begins with the first sample."""
        steps = result.shape[2]
        padded = min(STEPS_AT_ONCE, 1 << (steps - 1).bit_length())  # so that spectra of few numbers are kept
        filtering = self._filtering_of(padded, streams.device)
        slowed = [rate.slowed(streams) for rate in filtering.rates]
        first_row = 0
        for partitions, basis in zip(filtering.blocks[ifo], self._bases_of(streams.device)[ifo], strict=True):
            outputs = torch.cat(
                [
                    rate.interpolated(each.correlate(samples))
                    for rate, each, samples in zip(filtering.rates, partitions, slowed, strict=True)
                ],
                dim=1,
            )
            templates = len(basis.weights) // 2
            rows = slice(first_row, first_row + templates)
            self._sum(torch.cat([outputs.real, outputs.imag], dim=1), basis.weights, result[:, rows])
            first_row += templates

    def _sum(
        self,
        outputs: Float[Tensor, "batch parts outputs"],
        weights: Float[Tensor, "sums parts"],
        result: Float[Tensor, "batch templates steps"],
    ) -> None:
        """Sum the outputs of filters to those of templates, and take the largest |z|²/2 in each step."""
        steps, output = result.shape[2], self.output
        together = STEPS_TOGETHER if outputs.device.type == "cpu" else STEPS_AT_ONCE
        rows = max(1, together // steps)
        for row, first in itertools.product(range(0, len(outputs), rows), range(0, steps, together)):
            some, last = slice(row, row + rows), min(first + together, steps)
            begin, stop = first * self.step_size // output, (last * self.step_size + self.coincidence) // output
            real, imaginary = (weights @ outputs[some, :, begin:stop]).chunk(2, dim=1)
            result[some, :, first:last] = self._peaks(real, imaginary, output, last - first)


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
