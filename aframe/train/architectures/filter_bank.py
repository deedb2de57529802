"""A bank of matched filters: for each template and step of a stream, the largest |z|²/2."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from aframe.errors import ConfigurationError
from aframe.preprocessing import MINIMUM_PHASE, ZERO_PHASE
from aframe.tensors import Psd, Windows
from aframe.train.architectures.decimation import DECIMATIONS, slowest
from aframe.train.architectures.overlap_save import tiles, transform_size
from aframe.whitening import minimum_phase

TILE, GPU_TILE = 1 << 19, 1 << 25
"""Complex samples of a correlation computed at once on a processor and on a GPU."""

WIDEST_COLOUR = 100.0
"""Largest factor by which the amplitude of a template's spectrum is changed. It is met where there is no strain."""


class FilterBank(nn.Module):
    """Correlates the stream of each detector with complex templates p + iq, and keeps the largest |z|²/2 of each step.

    Templates are whitened by a reference PSD. If a detector's PSD is known, its filters are the templates whitened by
    that. For noise of unit variance all filters have unit norm in each quadrature.

    Correlations are computed at 1/2, 1/4 or 1/8 of the sample rate. Each value is exact, whatever the template's
    bandwidth. Only a peak between two values is missed in part. For a template whose power ends at a fraction x of the
    rate it is at most 1 - sinc²(x / 2) of |z|²/2; for binaries, whose power gathers far below, a few per cent.

    Args:
        num_ifos: Number of detectors.
        templates: Number of templates.
        template_size: Samples of a template.
        decimations: Number of templates at 1/2, 1/4 and 1/8 of the sample rate.
        step_size: Samples in a step.
        coincidence: Samples by which a step is longer than the distance of steps.

    Attributes:
        reference: Logarithm of the ASD that the templates are whitened by, but for a constant; zero if it is unknown.
            Shape (template_size // 2 + 1,), from 0 Hz to the Nyquist frequency.
        colours: For each detector the ratio of the reference ASD to its own, but for a constant, on the same grid.
        is_minimum_phase: Whether whitening has minimum phase, and the colours with it. Banks that do not say have zero.

    Raises:
        ConfigurationError: If steps are no multiples of the coarsest decimation.
    """

    bank: Tensor
    rows: Tensor
    reference: Tensor
    colours: Tensor
    is_minimum_phase: Tensor
    folded: Tensor | None

    def __init__(  # noqa: PLR0917 - six numbers that the network has as well
        self,
        num_ifos: int,
        templates: int,
        template_size: int,
        decimations: Sequence[int],
        step_size: int,
        coincidence: int,
    ) -> None:
        super().__init__()
        if step_size % DECIMATIONS[-1] or coincidence % DECIMATIONS[-1]:
            raise ConfigurationError(
                f"step_size = {step_size} and coincidence = {coincidence} of the matched-filter network must be "
                f"multiples of {DECIMATIONS[-1]} samples"
            )
        self.num_ifos, self.step_size, self.coincidence = num_ifos, step_size, coincidence
        self.templates, self.template_size, self.decimations = templates, template_size, list(decimations)
        self.register_buffer("bank", torch.zeros(2, templates, template_size))
        self.register_buffer("rows", torch.arange(templates))
        self.register_buffer("reference", torch.zeros(template_size // 2 + 1))
        self.register_buffer("colours", torch.ones(num_ifos, template_size // 2 + 1))
        self.register_buffer("is_minimum_phase", torch.tensor(False))
        self.register_buffer("folded", None, persistent=False)
        self._spectra: dict[tuple[int, torch.device], list[list[Tensor]]] = {}

    @classmethod
    def of(
        cls, templates: Complex[Tensor, "templates time"], num_ifos: int, step_size: int, coincidence: int
    ) -> "FilterBank":
        """Bank of some templates.

        Args:
            templates: Whitened templates p + iq, both quadratures of unit norm.
            num_ifos: Number of detectors.
            step_size: Samples in a step.
            coincidence: Samples by which a step is longer than the distance of steps.
        """
        rates = slowest(templates)
        by_rate, numbers = rates.argsort(stable=True), [int((rates == rate).sum()) for rate in DECIMATIONS]
        number, size = templates.shape
        filters = cls(num_ifos, number, size, numbers, step_size, coincidence)
        filters.bank = torch.stack([templates.real, templates.imag])[:, by_rate].float()
        filters.rows = by_rate.argsort()
        return filters

    def learn(self) -> None:
        """Let the templates be trained: the bank becomes a parameter."""
        bank = self.bank
        del self.bank
        self.bank = nn.Parameter(bank)

    @property
    def slices(self) -> list[list[int]]:
        """First sample, decimation and size of each slice of the templates; none where they are whole."""
        return []

    @property
    def receptive_field(self) -> int:
        """Samples that a step depends on."""
        return self.template_size - 1 + self.step_size + self.coincidence

    def steps(self, size: int) -> int:
        """Number of steps of a stream of ``size`` samples."""
        return (size - self.receptive_field) // self.step_size + 1

    @torch.no_grad()
    def set_reference(self, psd: Psd, phase: str = ZERO_PHASE) -> None:
        """Say by which PSD the templates are whitened.

        Args:
            psd: Smooth PSD, 1/Hz, shape (frequency,), evenly from 0 Hz to the Nyquist frequency.
            phase: Phase of the whitening filter.
        """
        self.is_minimum_phase.fill_(phase == MINIMUM_PHASE)
        logarithm = self._log_asd(psd[None])[0]
        self.reference = (logarithm - logarithm.median()).float().to(self.bank.device)

    @torch.no_grad()
    def adapt(self, psds: Psd) -> None:
        """Whiten each detector's templates by its own PSD. Without a reference nothing changes.

        Args:
            psds: Smooth PSD of each detector, 1/Hz, shape (ifos, frequency), evenly from 0 Hz to the Nyquist frequency.
        """
        if not self.reference.any():
            return
        ratio = self.reference.double().cpu() - self._log_asd(psds)
        colours = (ratio - ratio.median(dim=1, keepdim=True).values).exp()
        self.colours, self.folded = colours.clamp(1 / WIDEST_COLOUR, WIDEST_COLOUR).to(self.bank), None
        self._forget()

    @torch.no_grad()
    def fold(self) -> None:
        """Keep the filters of each detector, so that a server need not compute them."""
        each = torch.stack([self.filters(ifo, slice(None)) for ifo in range(self.num_ifos)])
        self.folded = torch.stack([each.real, each.imag], dim=1)

    def _log_asd(self, psds: Psd) -> Float[Tensor, "ifos bins"]:
        """Logarithm of ASDs on the grid of the colours."""
        logarithm = psds.detach().cpu().double().clamp_min(torch.finfo(torch.float64).tiny).log() / 2
        size = self.template_size // 2 + 1
        return nn.functional.interpolate(logarithm[:, None], size, mode="linear", align_corners=True)[:, 0]

    def _forget(self) -> None:
        """Drop what was computed of the templates."""
        self._spectra = {}

    def _apply(self, *args: object, **kwargs: object) -> "FilterBank":
        self._forget()
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
        self._forget()
        state_dict.setdefault(f"{prefix}is_minimum_phase", torch.tensor(False))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def filters(self, ifo: int, rows: slice | Int[Tensor, " some"]) -> Complex[Tensor, "some time"]:
        """Templates whitened by a detector's PSD, in single precision.

        Args:
            ifo: Number of the detector.
            rows: Rows of the bank.
        """
        templates, size, half = self._whole(rows), self.template_size, self._colour(ifo)
        # a template that learns keeps no negative frequencies, or its quadratures would no longer be independent
        learns = isinstance(self.bank, nn.Parameter)
        negative = torch.zeros_like(half[1:-1]) if learns else half[1:-1].flip(0).conj()
        colour = torch.cat([half, negative])
        coloured = torch.fft.ifft(torch.fft.fft(templates, n=2 * size) * colour)[:, :size]
        norm = (coloured.real.square() + coloured.imag.square()).sum(1, keepdim=True) / 2
        return coloured / norm.sqrt().clamp_min(torch.finfo(torch.float32).tiny)

    def _colour(self, ifo: int) -> Tensor:
        """Ratio of the amplitudes of a detector's filters and the templates, from 0 Hz to the Nyquist frequency."""
        colour = self.colours[ifo].float()[None, None]
        half = nn.functional.interpolate(colour, self.template_size + 1, mode="linear", align_corners=True)[0, 0]
        return minimum_phase(half.double().log()).to(torch.complex64) if self.is_minimum_phase else half

    def _whole(self, rows: slice | Int[Tensor, " some"]) -> Complex[Tensor, "some time"]:
        """Templates as they were given, in single precision."""
        return torch.complex(*self.bank[:, rows].float())

    def rate_of(self, rows: Int[Tensor, " some"]) -> Int[Tensor, " some"]:
        """Samples from one value of a template's correlation to the next.

        Args:
            rows: Rows of the bank.
        """
        rates = torch.tensor(DECIMATIONS, device=rows.device)
        return rates.repeat_interleave(torch.tensor(self.decimations, device=rows.device))[rows]

    def forward(self, streams: Windows) -> Float[Tensor, "batch ifos templates steps"]:
        """Filter streams with all templates, in single precision. Gradients are those of templates that learn.

        Args:
            streams: Whitened strain, shape (batch, ifos, time).

        Returns:
            |z|²/2, shape (batch, ifos, templates, steps), in single precision: the largest of the templates that start
            at a sample from ``k * step_size`` to ``(k + 1) * step_size + coincidence``. Its mean over samples of white
            noise is 1.
        """
        if self.bank.requires_grad and torch.is_grad_enabled() and not is_exported():
            self._spectra, self.folded = {}, None  # those of the templates before the next step
            each = [self._learning(streams[:, ifo].float(), ifo) for ifo in range(self.num_ifos)]
            return torch.stack(each, dim=1).index_select(2, self.rows)
        with torch.no_grad():
            if is_exported():
                each = [self._convolve(streams[:, ifo].float(), ifo) for ifo in range(self.num_ifos)]
                return torch.stack(each, dim=1).index_select(2, self.rows)
            steps = self.steps(streams.shape[-1])
            result = streams.new_empty((*streams.shape[:2], self.templates, steps), dtype=torch.float32)
            for ifo in range(self.num_ifos):
                self._filter(streams[:, ifo].float(), ifo, result[:, ifo])
            return result.index_select(2, self.rows)

    def _learning(self, samples: Float[Tensor, "batch time"], ifo: int) -> Float[Tensor, "batch templates steps"]:
        """Largest |z|²/2 in each step, with gradients. The backward pass correlates again, to save memory."""
        coarsest, steps, parts = DECIMATIONS[-1], self.steps(samples.shape[-1]), []
        spectrum = torch.fft.fft(samples, n=-(-samples.shape[-1] // coarsest) * coarsest)

        def peaks(templates: Tensor, rate: int) -> Tensor:
            product = spectrum[:, None] * torch.fft.fft(templates, n=spectrum.shape[-1]).conj()
            z = torch.fft.ifft(product.unflatten(2, (rate, -1)).mean(2))
            return self._peaks(z.real, z.imag, rate, steps)

        at_once = max(1, (TILE if samples.device.type == "cpu" else GPU_TILE) // spectrum.numel())
        for rate, bank in self._by_rate(self.filters(ifo, slice(None))[None]):
            for some in bank[0].split(at_once):
                parts.append(checkpoint(peaks, some, rate, use_reentrant=False))
        return torch.cat(parts, dim=1)

    def _filter(
        self, samples: Float[Tensor, "batch time"], ifo: int, result: Float[Tensor, "batch templates steps"]
    ) -> None:
        """Largest |z|²/2 in each step, by overlap-save."""
        steps = result.shape[-1]
        size = transform_size(steps, self.step_size, self.receptive_field)
        spectra, at_once = self._spectra_of(size, samples.device)[ifo], self.steps(size)
        tile = TILE if samples.device.type == "cpu" else GPU_TILE
        for first in range(0, steps, at_once):
            last, begin = min(first + at_once, steps), first * self.step_size
            spectrum = torch.fft.fft(samples[:, begin : begin + size], n=size)
            for templates, (rate, part) in zip(spectra, self._by_rate(result[..., first:last]), strict=True):
                folds = spectrum.unflatten(1, (rate, -1)).unsqueeze(1)
                for row, chunk in tiles(len(samples), len(templates), tile // size):
                    product = folds[row, :, 0] * templates[chunk, 0]
                    for fold in range(1, rate):
                        product.addcmul_(folds[row, :, fold], templates[chunk, fold])
                    z = torch.fft.ifft(product)
                    part[row, chunk] = self._peaks(z.real, z.imag, rate, last - first)

    def _convolve(self, samples: Float[Tensor, "batch time"], ifo: int) -> Float[Tensor, "batch templates steps"]:
        """Largest |z|²/2 in each step, by convolutions, which every server has. They cost far more on a processor."""
        steps, parts = self.steps(int(samples.shape[-1])), []  # a tensor to TorchScript's tracer
        assert self.folded is not None
        for rate, bank in self._by_rate(self.folded[ifo].float()):
            real, imaginary = (nn.functional.conv1d(samples[:, None], bank[k, :, None], stride=rate) for k in (0, 1))
            parts.append(self._peaks(real, imaginary, rate, steps))
        return torch.cat(parts, dim=1)

    def _by_rate(self, tensor: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Each rate with its part of a tensor, whose axis 1 has the rows of the bank."""
        first = 0
        for rate, number in zip(DECIMATIONS, self.decimations, strict=True):
            if number:
                yield rate, tensor[:, first : first + number]
            first += number

    def _peaks(self, real: Tensor, imaginary: Tensor, rate: int, steps: int) -> Tensor:
        """Largest |z|²/2 in each step of a decimated correlation."""
        size, stride = (self.step_size + self.coincidence) // rate, self.step_size // rate
        # five times faster than torch.view_as_real(z).square().sum(-1)
        power = (real * real).addcmul_(imaginary, imaginary)[..., : (steps - 1) * stride + size]
        return nn.functional.max_pool1d(power, size, stride) * 0.5

    def _spectra_of(self, size: int, device: torch.device) -> list[list[Tensor]]:
        """For each detector conjugate spectra of the filters of each rate, shape (templates, rate, size / rate)."""
        key = (size, device)
        if key not in self._spectra:
            self._spectra[key] = [
                [
                    torch.fft.fft(bank[0], n=size).conj().resolve_conj().div_(rate).unflatten(1, (rate, -1))
                    for rate, bank in self._by_rate(self.filters(ifo, slice(None))[None])
                ]
                for ifo in range(self.num_ifos)
            ]
        return self._spectra[key]


def is_exported() -> bool:
    """Whether torch is recording a network for a server, rather than computing with it."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()  # type: ignore[attr-defined]


def order_of(chirp_mass: Float[Tensor, " templates"], groups: int) -> Int[Tensor, " filters"]:
    """Number in the bank of each template of a network: by chirp mass, and some twice to fill the groups.

    Args:
        chirp_mass: Chirp masses of the bank's templates, solar masses.
        groups: Number of groups.
    """
    number = len(chirp_mass)
    places = torch.linspace(0, number - 1, -(-number // groups) * groups).round().long()
    return chirp_mass.argsort(stable=True)[places]
