"""The matched-filter network: a bank of templates as encoder, and a small head on the SNRs of the detectors."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from aframe.errors import ConfigurationError
from aframe.tensors import Embeddings, Windows
from aframe.train.architectures.coherence import FEATURES, TYPICAL_LEVEL, Coherence, filtered, perceptron, steps_of
from aframe.train.architectures.decimation import DECIMATIONS, slowest
from aframe.train.architectures.network import Network
from aframe.train.architectures.overlap_save import tiles, transform_size

LOUDEST = 6e4
"""Largest sum of |z|²/2 over the detectors. Half precision ends at 65 504."""

QUIET, FOLLOWED = 22.0, 25.0
"""Bound of a step in two detectors up to which no template is looked at, and statistic from which on it is followed up.
With 500 templates, one step of noise in five hundred exceeds the first, and three an hour the second."""

QUIET_OF_ANOTHER, FOLLOWED_OF_ANOTHER = 6.0, 3.0
"""What noise in one more detector adds to these two."""

RAMP = 2.0
"""Range above both within which a correction grows from nothing to all of it."""

HIGH_CEILING = 40.0
"""Ceiling of a new head above the square of the second detector's level. No signal near a threshold comes close."""

TILE, GPU_TILE = 1 << 19, 1 << 25
"""Complex samples of a correlation computed at once on a processor and on a GPU."""

FOLLOWED_AT_ONCE = 64
"""Steps that are followed up at once."""

Measured: TypeAlias = Float[Tensor, "batch ifos templates steps"]
"""|z|²/2 of each template in each step."""


class MatchedFilterNetwork(Network):
    """Matched filters for each detector's stream, and a head that weighs how well the detectors agree.

    The encoder correlates a stream with complex templates p + iq and keeps |z|²/2, the largest in each step. It has no
    parameter but a bias for each template. The head adds the detectors' values of each template and keeps the best of
    each group of templates. It corrects this by what the detectors see separately, and adds the groups'
    probabilities.

    Loud steps are followed up: the best template's outputs at each sample, with their phases, tell how well the
    detectors fit one source. See ``follow_up``.

    A new network waits for its templates: see ``set_bank``. A network from ``model.pt`` has them in its buffers.

    A glitch is loud in one detector alone. The score of a group therefore has a soft ceiling, which grows with what the
    second-loudest detector sees.

    Most steps are quiet. Their score is a bound: the sum of what the detectors see in the best group, each in its own
    best template. Where the bound is small, nothing else is looked at, and fusion reads the groups' channels alone. In
    between, the score goes from one to the other in proportion.

    Correlations are computed at 1/2, 1/4 or 1/8 of the sample rate. Each value is exact, whatever the template's
    bandwidth. Only a peak between two values is missed in part. For a template whose power ends at a fraction x of the
    rate it is at most 1 - sinc²(x / 2) of |z|²/2; for binaries, whose power gathers far below, a few per cent.

    Args:
        num_ifos: Number of detectors.
        kernel_size: Samples in a window.
        templates: Number of templates; 0 for a network that waits for its bank.
        template_size: Samples of a template.
        decimations: Number of templates at 1/2, 1/4 and 1/8 of the sample rate.
        groups: Number of groups of templates. A group has neighbours in chirp mass.
        step_size: Samples in a step.
        coincidence: Samples by which a step is longer than the distance of steps. A signal reaches detectors at
            different times. This covers the light travel time to earlier and later detectors together.
        hidden: Width of the head.
        coherent: Whether loud steps are followed up.

    Attributes:
        quiet: Bound of a step up to which it is quiet.
        followed: Statistic of a step from which on it is followed up.

    Raises:
        ConfigurationError: If steps are no multiples of the coarsest decimation, the templates no multiple of the
            groups, or the window is too short.
    """

    encoded_tiles, fused_tiles = 8, 4
    is_brief = True
    needs_bank = True
    bank: Tensor
    rows: Tensor
    chirp_mass: Tensor

    def __init__(  # noqa: PLR0917 - each is a key of the training YAML
        self,
        num_ifos: int,
        kernel_size: int,
        templates: int = 0,
        template_size: int = 0,
        decimations: Sequence[int] = (),
        groups: int = 64,
        step_size: int = 32,
        coincidence: int = 16,
        hidden: int = 16,
        coherent: bool = True,
    ) -> None:
        super().__init__(num_ifos, kernel_size)
        self.groups, self.step_size, self.coincidence, self.hidden = groups, step_size, coincidence, hidden
        self.coherent = coherent
        self.quiet = QUIET + QUIET_OF_ANOTHER * (num_ifos - 2)
        self.followed = FOLLOWED + FOLLOWED_OF_ANOTHER * (num_ifos - 2)
        if step_size % DECIMATIONS[-1] or coincidence % DECIMATIONS[-1]:
            raise ConfigurationError(
                f"step_size = {step_size} and coincidence = {coincidence} of the matched-filter network must be "
                f"multiples of {DECIMATIONS[-1]} samples"
            )
        self._allocate(templates, template_size, decimations)
        self.head, self.ceiling = perceptron(3, hidden, 1, 0.0), perceptron(3, hidden, 1, HIGH_CEILING)
        self.coherence = Coherence(num_ifos, coincidence, hidden) if coherent and num_ifos > 1 else None
        self.offset = nn.Parameter(torch.tensor(27.0))
        self.scale = nn.Parameter(torch.tensor(1.0))

    def _allocate(self, templates: int, template_size: int, decimations: Sequence[int]) -> None:
        """Create the buffers and parameters that depend on the size of the bank."""
        receptive_field = template_size - 1 + self.step_size + self.coincidence
        if templates % self.groups:
            raise ConfigurationError(
                f"{templates} templates are no multiple of groups = {self.groups}: choose another number of either"
            )
        if receptive_field > self.kernel_size:
            raise ConfigurationError(
                f"a window of {self.kernel_size} samples is too short for templates of {template_size} samples: it "
                f"needs {receptive_field - self.kernel_size} more; lengthen kernel_length or shorten the templates"
            )
        self.templates, self.template_size, self.decimations = templates, template_size, list(decimations)
        self.receptive_field = receptive_field
        self.register_buffer("bank", torch.zeros(2, templates, template_size))
        self.register_buffer("rows", torch.arange(templates))
        self.register_buffer("chirp_mass", torch.zeros(self.groups))
        self.bias = nn.Parameter(torch.zeros(templates))
        self._spectra: dict[tuple[int, torch.device], list[Tensor]] = {}

    @torch.no_grad()
    def set_bank(self, templates: Complex[Tensor, "templates time"], chirp_mass: Float[Tensor, " templates"]) -> None:
        """Give the network its templates. It orders them by chirp mass, and repeats some to fill the groups.

        Args:
            templates: Whitened templates p + iq, both quadratures of unit norm.
            chirp_mass: Chirp masses in the detector frame, solar masses.

        Raises:
            ConfigurationError: If the window is too short.
        """
        places = torch.linspace(0, len(templates) - 1, -(-len(templates) // self.groups) * self.groups).round().long()
        order = chirp_mass.argsort(stable=True)[places]
        bank = templates.to(torch.complex64)[order]
        rates = slowest(bank)
        by_rate = rates.argsort(stable=True)
        self._allocate(len(bank), bank.shape[1], [int((rates == rate).sum()) for rate in DECIMATIONS])
        self.bank = torch.stack([bank.real, bank.imag])[:, by_rate]
        self.rows = by_rate.argsort()
        masses = chirp_mass[order].log().unflatten(0, (self.groups, -1)).mean(1).float()
        self.chirp_mass = (masses - masses.mean()) / masses.std(correction=0).clamp_min(1e-3)

    def set_noise(self, templates: int, template_size: int) -> None:
        """Give the network noise for templates, to try it or to time it before there is a bank.

        Args:
            templates: Number of templates.
            template_size: Samples of a template.

        Raises:
            ConfigurationError: If the window is too short.
        """
        random = torch.Generator().manual_seed(0)
        noise = torch.randn(templates, template_size, dtype=torch.complex64, generator=random) / template_size**0.5
        self.set_bank(noise, torch.arange(1.0, templates + 1))

    def _apply(self, *args: Any, **kwargs: Any) -> "MatchedFilterNetwork":
        self._spectra = {}
        return super()._apply(*args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load buffers and parameters: see ``torch.nn.Module.load_state_dict``."""
        self._spectra = {}
        return super().load_state_dict(state_dict, *args, **kwargs)

    def steps(self, size: int) -> int:
        """Number of steps of the embedding of a stream of ``size`` samples."""
        return (size - self.receptive_field) // self.step_size + 1

    def encode(self, streams: Windows) -> Embeddings:
        """Embed streams: see ``Network.encode``. The channels are those of ``weigh``."""
        return self.weigh(self.measure(streams))

    def measure(self, streams: Windows) -> Measured:
        """Filter streams with all templates, without gradients. The computation is in single precision.

        Args:
            streams: Whitened strain, shape (batch, ifos, time).

        Returns:
            |z|²/2, shape (batch, ifos, templates, steps), in the streams' precision: the largest of the templates that
            start at a sample from ``k * step_size`` to ``(k + 1) * step_size + coincidence``. Its mean over samples of
            white noise is 1.
        """
        samples = streams.flatten(0, 1).float()
        with torch.no_grad():
            by_rate = self._convolve(samples) if _is_exported() else self._filter(samples)
            measured = by_rate.index_select(1, self.rows)
        loudest = LOUDEST / self.num_ifos
        return measured.clamp_max(loudest).to(streams.dtype).unflatten(0, streams.shape[:2])

    def weigh(self, measured: Measured) -> Embeddings:
        """Add each template's share of its bias, and append the largest of each group.

        Args:
            measured: Result of ``measure``, shape (batch, ifos, templates, steps).

        Returns:
            Embeddings of ``templates + groups`` channels.
        """
        weighted = measured + (self.bias / self.num_ifos)[:, None]
        return torch.cat([weighted, weighted.unflatten(2, (self.groups, -1)).amax(3)], dim=2)

    def fuse(self, embeddings: Sequence[Tensor], hop: int) -> Tensor:
        """Score all windows: see ``Network.fuse``."""
        scores = self.step_scores(embeddings).unsqueeze(1)
        return nn.functional.max_pool1d(scores, self.window_steps, hop).squeeze(1)

    def step_scores(self, embeddings: Sequence[Tensor]) -> Float[Tensor, "batch steps"]:
        """Score each step. The score of a window is the largest of its steps.

        Args:
            embeddings: One per detector, each of shape (batch, channels, steps).
        """
        bound = functools.reduce(torch.add, [each[:, self.templates :] for each in embeddings]).amax(1)
        if self.training or _is_exported():
            corrected = self._with_head([each[:, : self.templates].movedim(1, -1) for each in embeddings])
            statistic = bound + self._share(bound, self.quiet) * (corrected - bound)
        else:
            rows, steps = (bound > self.quiet).nonzero(as_tuple=True)
            loud = bound[rows, steps]
            corrected = self._with_head([each[rows, : self.templates, steps] for each in embeddings])
            mixed = loud + self._share(loud, self.quiet) * (corrected - loud)
            statistic = bound.index_put((rows, steps), mixed.to(bound.dtype))
        return self.scale.abs() * (statistic - self.offset)

    @staticmethod
    def _share(statistic: Tensor, first: float) -> Tensor:
        """Share of a correction that counts: none up to ``first``, all of it from ``RAMP`` above it on."""
        return ((statistic - first) / RAMP).clamp(0, 1)

    def _with_head(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Statistic of steps, shape (...).

        Args:
            embeddings: One per detector, with the channels last: shape (..., channels).
        """
        best = functools.reduce(torch.add, embeddings).unflatten(-1, (self.groups, -1)).amax(-1)
        share = self.bias / self.num_ifos
        squares = torch.stack([(each - share).unflatten(-1, (self.groups, -1)).amax(-1) for each in embeddings])
        return self._statistic(best, squares.clamp_min(0).sqrt())

    def _statistic(self, best: Tensor, levels: Tensor) -> Tensor:
        """Statistic of steps from what is known of each group of templates.

        Args:
            best: Best template's sum, shape (..., groups).
            levels: Root of the largest |z|²/2 of the group in each detector, shape (ifos, ..., groups).
        """
        mass = self.chirp_mass.to(levels.dtype).expand_as(best)
        high, low = levels.amax(0), levels.amin(0)
        inputs = torch.stack([low - TYPICAL_LEVEL, high - TYPICAL_LEVEL, mass], dim=-1)
        corrected = best + self.head(inputs).squeeze(-1)
        if self.num_ifos > 1:
            second = low if self.num_ifos == 2 else levels.topk(2, dim=0).values[1]
            loudness = (high / TYPICAL_LEVEL).clamp_min(0.1).log()
            inputs = torch.stack([second - TYPICAL_LEVEL, loudness, mass], dim=-1)
            ceiling = second.square() + self.ceiling(inputs).squeeze(-1)
            corrected = corrected - nn.functional.softplus(corrected - ceiling)
        return corrected.logsumexp(-1)

    @torch.no_grad()
    def follow_up(self, scores: Tensor, embeddings: Sequence[Tensor], strain: Sequence[Tensor], hop: int) -> Tensor:
        """Add to the scores of loud steps what the coherence of the detectors is worth: see ``Network.follow_up``."""
        is_loud = scores > self.followed_from
        if self.coherence is None or not bool(is_loud.any()):
            return scores
        row, step, which = steps_of(is_loud, hop, self.window_steps)
        channels = [each.to(row.device)[row, :, step].to(self.offset.dtype) for each in embeddings]
        of_steps = self.step_scores([each[..., None] for each in channels])[:, 0].float()
        loud = (of_steps > self.followed_from).nonzero()[:, 0]
        samples = step[loud, None] * self.step_size + torch.arange(self.receptive_field, device=row.device)
        pieces = torch.stack([each.to(row.device)[row[loud, None], samples] for each in strain], dim=1)
        best = functools.reduce(torch.add, [each[loud, : self.templates] for each in channels]).argmax(1)
        of_steps[loud] = self.with_coherence(of_steps[loud], self.coherence_of(pieces, best))
        return scores.masked_scatter(is_loud, of_steps[which].amax(1).to(scores.dtype))

    @property
    def followed_from(self) -> float:
        """Score from which on a step is followed up."""
        return float(self.scale.detach().abs() * (self.followed - self.offset.detach()))

    def with_coherence(self, scores: Tensor, features: Tensor) -> Tensor:
        """Scores of steps with what their coherence is worth.

        Args:
            scores: Scores of steps, shape (steps,).
            features: Result of ``coherence_of``.
        """
        if self.coherence is None:
            return scores
        share = self._share(scores.detach() / self.scale.detach().abs() + self.offset.detach(), self.followed)
        return scores + self.scale.abs() * share * self.coherence(features).to(scores.dtype)

    @torch.no_grad()
    def coherence_of(
        self, strain: Float[Tensor, "steps ifos time"], templates: Int[Tensor, " steps"]
    ) -> Float[Tensor, "steps pairs features"]:
        """How coherent a template's outputs in the detectors are.

        Args:
            strain: Whitened strain that the step depends on, ``receptive_field`` samples of each detector.
            templates: Number of the template of each step.

        Returns:
            Inputs of ``Coherence``, in single precision. There are no pairs if steps are not followed up.
        """
        if self.coherence is None:
            return torch.empty((len(strain), 0, FEATURES), device=strain.device)
        mass = self.chirp_mass.float()[templates // (self.templates // self.groups)]
        parts = [strain.new_empty((0, len(self.coherence.pairs), FEATURES), dtype=torch.float32)]
        for first in range(0, len(strain), FOLLOWED_AT_ONCE):
            some = slice(first, first + FOLLOWED_AT_ONCE)
            bank = torch.complex(*self.bank[:, self.rows[templates[some]]].float())
            outputs = filtered(strain[some], bank, self.step_size + self.coincidence)
            parts.append(self.coherence.features(outputs, mass[some]))
        return torch.cat(parts)

    def _filter(self, samples: Float[Tensor, "rows time"]) -> Float[Tensor, "rows templates steps"]:
        """Largest |z|²/2 in each step, by overlap-save."""
        steps = self.steps(samples.shape[-1])
        size = transform_size(steps, self.step_size, self.receptive_field)
        spectra, at_once = self._spectra_of(size, samples.device), self.steps(size)
        result = samples.new_empty((len(samples), self.templates, steps))
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
        return result

    def _convolve(self, samples: Float[Tensor, "rows time"]) -> Float[Tensor, "rows templates steps"]:
        """Largest |z|²/2 in each step, by convolutions, which every server has. They cost far more on a processor."""
        steps, parts = self.steps(int(samples.shape[-1])), []  # a tensor to TorchScript's tracer
        for rate, bank in self._by_rate(self.bank.float()):
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

    def _spectra_of(self, size: int, device: torch.device) -> list[Tensor]:
        """Conjugate spectra of the templates of each rate, shape (templates, rate, size / rate)."""
        key = (size, device)
        if key not in self._spectra:
            self._spectra[key] = [
                torch.fft.fft(torch.complex(*bank), n=size).conj().resolve_conj().div_(rate).unflatten(1, (rate, -1))
                for rate, bank in self._by_rate(self.bank.float())
            ]
        return self._spectra[key]


def _is_exported() -> bool:
    """Whether torch is recording the network for a server, rather than computing with it."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()  # type: ignore[attr-defined]
