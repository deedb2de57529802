"""The matched-filter network: a bank of templates as encoder, and a small head on the SNRs of the detectors."""

import functools
import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from aframe.bank.slices import SlicedTemplates
from aframe.errors import ConfigurationError
from aframe.preprocessing import ZERO_PHASE
from aframe.tensors import Embeddings, Psd, Windows
from aframe.train.architectures.coherence import (
    FEATURES,
    TYPICAL_LEVEL,
    Coherence,
    filtered,
    missed,
    perceptron,
    steps_of,
)
from aframe.train.architectures.filter_bank import FilterBank, is_exported, order_of
from aframe.train.architectures.glitches import Glitches
from aframe.train.architectures.multirate import bank_of, empty_bank
from aframe.train.architectures.network import Network
from aframe.train.architectures.trial_bank import BANDS, trial_bank

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

FOLLOWED_AT_ONCE = 64
"""Steps that are followed up at once."""

Measured: TypeAlias = Float[Tensor, "batch ifos templates steps"]
"""|z|²/2 of each template in each step."""


class MatchedFilterNetwork(Network):
    """Matched filters for each detector's stream, and a head that weighs how well the detectors agree.

    The encoder correlates a stream with complex templates p + iq and keeps |z|²/2, the largest in each step. It has no
    parameter but a bias for each template. Long templates are filtered in slices: see ``MultirateBank``. Their steps
    are not followed up, and no glitches stand against them. The head adds the detectors' values of each template and
    keeps the best of each group of templates. It corrects this by what the detectors see separately, and adds the
    groups' probabilities.

    Loud steps are followed up: the best template's outputs at each sample, with their phases, tell how well the
    detectors fit one source. See ``follow_up``.

    A new network waits for its templates: see ``set_bank``. A network from ``model.pt`` has them in its buffers.

    A glitch is loud in one detector alone. The score of a group therefore has a soft ceiling, which grows with what the
    second-loudest detector sees.

    Most steps are quiet. Their score is a bound: the sum of what the detectors see in the best group, each in its own
    best template. Where the bound is small, nothing else is looked at, and fusion reads the groups' channels alone. In
    between, the score goes from one to the other in proportion.

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
        glitches: Whether pulses and excess power stand against the templates, if these are as long as five pulses.
        trainable: Whether the templates are trained with the head.
        pulse_size: Samples of a pulse; 0 for a network without pulses, or that waits for them.
        pulse_decimations: Number of pulses at 1/2, 1/4 and 1/8 of the sample rate.
        bands: Number of bands whose excess power is looked for.
        slices: First sample, decimation and size of each slice of long templates; none for whole ones.

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
    filters: FilterBank
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
        glitches: bool = True,
        trainable: bool = False,
        pulse_size: int = 0,
        pulse_decimations: Sequence[int] = (),
        bands: int = 0,
        slices: Sequence[Sequence[int]] = (),
    ) -> None:
        super().__init__(num_ifos, kernel_size)
        self.groups, self.step_size, self.coincidence, self.hidden = groups, step_size, coincidence, hidden
        self.coherent, self.glitches, self.trainable = coherent, glitches, trainable
        self.quiet = QUIET + QUIET_OF_ANOTHER * (num_ifos - 2)
        self.followed = FOLLOWED + FOLLOWED_OF_ANOTHER * (num_ifos - 2)
        self._allocate(empty_bank(num_ifos, templates, template_size, decimations, step_size, coincidence, slices))
        self._take(Glitches(self.filters, groups, pulse_size, pulse_decimations, bands) if pulse_size else None)
        self.head, self.ceiling = perceptron(3, hidden, 1, 0.0), perceptron(3, hidden, 1, HIGH_CEILING)
        is_followed = coherent and num_ifos > 1 and not self.slices
        self.coherence = Coherence(num_ifos, coincidence, hidden) if is_followed else None
        self.offset = nn.Parameter(torch.tensor(27.0))
        self.scale = nn.Parameter(torch.tensor(1.0))

    def _allocate(self, filters: FilterBank) -> None:
        """Take a bank, and create the buffers and parameters that depend on its size."""
        if filters.templates % self.groups:
            raise ConfigurationError(
                f"{filters.templates} templates are no multiple of groups = {self.groups}: choose another number of "
                "either"
            )
        self.receptive_field = filters.receptive_field
        if self.receptive_field > self.kernel_size:
            raise ConfigurationError(
                f"a window of {self.kernel_size} samples is too short for templates of {filters.template_size} "
                f"samples: it needs {self.receptive_field - self.kernel_size} more; lengthen kernel_length or shorten "
                "the templates"
            )
        if self.trainable:
            filters.learn()
        self.filters, self.templates = filters, filters.templates
        self.template_size, self.decimations = filters.template_size, filters.decimations
        self.slices = filters.slices
        self.register_buffer("chirp_mass", torch.zeros(self.groups))
        self.bias = nn.Parameter(torch.zeros(self.templates))

    def _take(self, known: Glitches | None) -> None:
        """Take the glitches that are known, or none."""
        self.known_glitches, self.pulse_size, self.bands = known, 0, 0
        self.pulse_decimations: Sequence[int] = []
        if known is not None:
            self.pulse_size, self.pulse_decimations = known.size, known.pulses.decimations
            self.bands = known.bands.shape[1]

    @torch.no_grad()
    def set_bank(  # noqa: PLR0917 - what a bank consists of, and how it was whitened
        self,
        templates: Complex[Tensor, "templates time"] | SlicedTemplates,
        chirp_mass: Float[Tensor, " templates"],
        psds: Psd | None = None,
        pulses: Complex[Tensor, "pulses pulse_time"] | None = None,
        bands: Complex[Tensor, "bands pulse_time"] | None = None,
        phase: str = ZERO_PHASE,
    ) -> None:
        """Give the network its templates. It orders them by chirp mass, and repeats some to fill the groups.

        Args:
            templates: Whitened templates p + iq, both quadratures of unit norm. Long ones are cut into slices.
            chirp_mass: Chirp masses in the detector frame, solar masses.
            psds: Smooth PSD of each detector, 1/Hz, shape (ifos, frequency), if templates are whitened by their
                geometric mean. Each detector's filters are then those for its own PSD. See ``adapt``.
            pulses: Whitened pulses p + iq, both quadratures of unit norm. See ``Glitches``.
            bands: Filters of bands, without negative frequencies. See ``Glitches``.
            phase: Phase of the filter that whitens strain and templates.

        Raises:
            ConfigurationError: If the window is too short.
        """
        order = order_of(chirp_mass, self.groups)
        bank = templates.rows(order) if isinstance(templates, SlicedTemplates) else templates.to(torch.complex64)[order]
        self._allocate(bank_of(bank, self.num_ifos, self.step_size, self.coincidence))
        masses = chirp_mass[order].log().unflatten(0, (self.groups, -1)).mean(1).float()
        self.chirp_mass = (masses - masses.mean()) / masses.std(correction=0).clamp_min(1e-3)
        known = None
        if self.slices:
            self.coherence = None
        elif self.glitches and pulses is not None and bands is not None and Glitches.fit(self.filters, pulses.shape[1]):
            known = Glitches.of(pulses.to(torch.complex64), bands.to(torch.complex64), self.filters, self.groups)
        self._take(known)
        if psds is not None:
            for each in self._filters():
                each.set_reference(psds.double().log().mean(0).exp(), phase)
            self.adapt(psds)

    def adapt(self, psds: Psd) -> None:
        """Whiten the templates and pulses of each detector by its own PSD: see ``Network.adapt``."""
        for each in self._filters():
            each.adapt(psds)

    def _filters(self) -> list[FilterBank]:
        """Templates, and pulses if there are any."""
        known = self.known_glitches
        return [self.filters] if known is None else [self.filters, known.pulses]

    def set_noise(self, templates: int, template_size: int) -> None:
        """Give the network series in place of templates, to time it before there is a bank: see ``trial_bank``.

        Args:
            templates: Number of templates.
            template_size: Samples of a template.

        Raises:
            ConfigurationError: If the window is too short.
        """
        series, pulses = trial_bank(templates, template_size)
        self.set_bank(series, torch.arange(1.0, templates + 1), pulses=pulses, bands=pulses[:BANDS])

    def steps(self, size: int) -> int:
        """Number of steps of the embedding of a stream of ``size`` samples."""
        return self.filters.steps(size)

    def encode(self, streams: Windows) -> Embeddings:
        """Embed streams: see ``Network.encode``. The channels are those of ``weigh``."""
        return self.weigh(self.measure(streams))

    def measure(self, streams: Windows) -> Measured:
        """Filter streams with all templates: see ``FilterBank``. What glitches take has no gradient.

        Args:
            streams: Whitened strain, shape (batch, ifos, time).

        Returns:
            |z|²/2, less what glitches take, shape (batch, ifos, templates, steps), in the streams' precision.
        """
        measured = self.filters(streams)
        if self.known_glitches is not None:
            with torch.no_grad():
                left = self.known_glitches(measured.clone() if measured.requires_grad else measured, streams)
            measured = measured + (left - measured).detach() if measured.requires_grad else left
        return measured.clamp_max(LOUDEST / self.num_ifos).to(streams.dtype)

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
        if self.training or is_exported():
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
        if not bool(is_loud.any()):
            return scores
        row, step, which = steps_of(is_loud, hop, self.window_steps)
        channels = [each.to(row.device)[row, :, step].to(self.offset.dtype) for each in embeddings]
        of_steps = self.step_scores([each[..., None] for each in channels])[:, 0].float()
        loud = (of_steps > self.followed_from).nonzero()[:, 0]
        samples = step[loud, None] * self.step_size + torch.arange(self.receptive_field, device=row.device)
        pieces = torch.stack([each.to(row.device)[row[loud, None], samples] for each in strain], dim=1)
        weighted = torch.stack([each[loud, : self.templates] for each in channels], dim=1)
        best = weighted.sum(1).argmax(1)
        measured = (
            weighted[torch.arange(len(best), device=best.device), :, best] - self.bias[best, None] / self.num_ifos
        )
        of_steps[loud] = self.with_coherence(of_steps[loud], self.coherence_of(pieces, best, measured))
        return scores.masked_scatter(is_loud, of_steps[which].amax(1).to(scores.dtype))

    @property
    def followed_size(self) -> int:
        """Samples of strain by which a step is followed up."""
        return 0 if self.coherence is None else self.receptive_field

    @property
    def followed_from(self) -> float:
        """Score from which on a step is followed up: none is without coherence."""
        if self.coherence is None:
            return math.inf
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
        self,
        strain: Float[Tensor, "steps ifos time"],
        templates: Int[Tensor, " steps"],
        measured: Float[Tensor, "steps ifos"],
    ) -> Float[Tensor, "steps pairs features"]:
        """How coherent a template's outputs in the detectors are.

        Args:
            strain: Whitened strain that the step depends on, ``receptive_field`` samples of each detector.
            templates: Number of the template of each step.
            measured: What ``measure`` has for it.

        Returns:
            Inputs of ``Coherence``, in single precision. There are no pairs if steps are not followed up.
        """
        if self.coherence is None:
            return torch.empty((len(strain), 0, FEATURES), device=strain.device)
        mass = self.chirp_mass.float()[templates // (self.templates // self.groups)]
        parts = [strain.new_empty((0, len(self.coherence.pairs), FEATURES), dtype=torch.float32)]
        for first in range(0, len(strain), FOLLOWED_AT_ONCE):
            some = slice(first, first + FOLLOWED_AT_ONCE)
            rows = self.filters.rows[templates[some]]
            each = torch.stack([self.filters.filters(ifo, rows) for ifo in range(self.num_ifos)], dim=1)
            outputs = filtered(strain[some], each, self.step_size + self.coincidence)
            more = missed(outputs, measured[some].float(), self.filters.rate_of(rows))
            parts.append(self.coherence.features(outputs, more, mass[some]))
        return torch.cat(parts)
