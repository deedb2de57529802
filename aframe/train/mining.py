"""The loudest steps of signals, and of many time slides of a stretch of background."""

import functools
import operator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aframe.errors import DataError
from aframe.progress.lines import ProgressReport
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.background import WhitenedBackground

TILE = 1024
"""Steps of a slide that are paired at once. Their measurements fit a processor's cache."""

SEPARATION = 16
"""Least number of steps between two noise examples of a slide. A loud event is loud for several steps."""

LEAST_LOUDNESS = 21.0
"""Least log-likelihood ratio of signals that count in the weights of groups: a network SNR of 6.5."""

LONGEST_PIECE = 2**18
"""Samples of a stream that are measured at once."""


class Steps(NamedTuple):
    """Single steps with their strain, in half precision.

    Attributes:
        measured: Shape (steps, ifos, templates).
        strain: Whitened strain that each step depends on, shape (steps, ifos, time). Without follow-up it has no time.
    """

    measured: Tensor
    strain: Tensor

    def rows(self, which: Tensor) -> "Steps":
        """Some steps, by their numbers or a mask."""
        return Steps(self.measured[which], self.strain[which])


@dataclass(frozen=True)
class MeasuredStretch:
    """A stretch of background, measured.

    Attributes:
        streams: Whitened strain, shape (ifos, time). It may be in host memory while the network is on a GPU.
        measured: Measurements of all steps, in half precision, shape (ifos, templates, steps).
    """

    streams: Tensor
    measured: Tensor

    def steps(self, network: MatchedFilterNetwork, places: Int[Tensor, "steps ifos"]) -> Steps:
        """Measurements and strain of some steps.

        Args:
            network: The network that measured them.
            places: Number of the step of each detector.
        """
        at = places.to(self.measured.device).unbind(1)
        measured = torch.stack([each[:, here].T for each, here in zip(self.measured, at, strict=True)], dim=1)
        begin = places.to(self.streams.device)[..., None] * network.step_size
        samples = (begin + torch.arange(network.followed_size, device=begin.device)).unbind(1)
        strain = torch.stack([each[here] for each, here in zip(self.streams, samples, strict=True)], dim=1)
        return Steps(measured, strain.to(measured.device).half())


def measure_longest(
    network: MatchedFilterNetwork, background: WhitenedBackground, device: torch.device, progress: ProgressReport
) -> MeasuredStretch:
    """Measure the longest stretch of the background.

    Args:
        network: The network. It is on ``device``.
        background: Whitened background.
        device: Device of the computation and of the measurements.
        progress: Receives the number of samples done, and the total.
    """
    first, size = max(background.stretches.tolist(), key=operator.itemgetter(1))
    streams, step = background.streams[:, first : first + size], network.step_size
    steps = max(0, network.steps(size))
    pieces = [torch.empty((network.num_ifos, network.templates, 0), dtype=torch.half, device=device)]
    for begin in range(0, steps, LONGEST_PIECE // step):
        number = min(LONGEST_PIECE // step, steps - begin)
        piece = streams[:, begin * step : (begin + number - 1) * step + network.receptive_field]
        pieces.append(network.measure(piece.to(device)[None])[0, ..., :number].half())
        progress(begin * step, size)
    return MeasuredStretch(streams, torch.cat(pieces, dim=-1))


def loudest_steps(
    network: MatchedFilterNetwork,
    measured: Float[Tensor, "signals ifos templates steps"],
    windows: Float[Tensor, "signals ifos time"],
) -> Steps:
    """The step of each window in which the detectors' sum with the bias is largest.

    Args:
        network: The network.
        measured: Measurements of windows with a signal each.
        windows: Their whitened strain.
    """
    place = (measured.sum(1) + network.bias.detach()[:, None]).amax(1).argmax(1)
    index = place[:, None, None, None].expand(-1, *measured.shape[1:3], 1)
    samples = place[:, None] * network.step_size + torch.arange(network.followed_size, device=place.device)
    strain = windows.gather(2, samples[:, None].expand(-1, windows.shape[1], -1))
    return Steps(measured.gather(3, index)[..., 0].half(), strain.half())


def count_weights(network: MatchedFilterNetwork, signals: Float[Tensor, "signals ifos templates"]) -> None:
    """Set the bias of each template to the logarithm of how common its group's signals are.

    The score of a group is then a log-likelihood ratio with the population as prior.

    Args:
        network: The network. Its ``bias`` is changed.
        signals: Measurements of signals.
    """
    total = signals.float().sum(1)
    best = total.argmax(1)[total.amax(1) > LEAST_LOUDNESS]
    size = network.templates // network.groups
    share = torch.bincount(best // size, minlength=network.groups).float() + 1.0
    weights = (share / share.mean()).log().repeat_interleave(size)
    with torch.no_grad():
        network.bias.copy_(weights)


def check_steps(network: MatchedFilterNetwork, steps: int) -> None:
    """Refuse a stretch that is too short to slide against itself.

    Args:
        network: The network.
        steps: Number of steps of the network in the whitened stretch.

    Raises:
        DataError: With both numbers of steps.
    """
    needed = 2 * TILE * max(1, network.num_ifos - 1)
    if steps < needed:
        raise DataError(
            f"the longest training stretch has {max(0, steps)} steps of {network.step_size} samples, too few to slide "
            f"it against itself: at least {needed} are needed; take longer stretches, or another network"
        )


def mine_noise(
    network: MatchedFilterNetwork,
    measured: Float[Tensor, "ifos templates steps"],
    slides: int,
    examples: int,
    progress: ProgressReport,
) -> Int[Tensor, "examples ifos"]:
    """Find the loudest steps of time slides of a stretch.

    Args:
        network: The network, with its bias.
        measured: Measurements of the stretch.
        slides: Number of slides. Their shifts are spread over the whole stretch.
        examples: Largest number of examples to keep.
        progress: Receives the number of steps done, and the total.

    Returns:
        Number of the step of each detector, the loudest first.

    Raises:
        DataError: If the stretch is too short to slide.
    """
    steps = measured.shape[-1]
    check_steps(network, steps)
    by_step = [each.T.contiguous() for each in measured]
    bounds = [_group_maxima(network, each, ifo == 0) for ifo, each in enumerate(by_step)]
    ifos, bias = len(by_step), network.bias.detach()
    last = (steps - TILE) // max(1, ifos - 1)
    shifts = torch.linspace(SEPARATION, last, slides).round().long().unique().tolist()
    loudest = _Loudest(4 * examples)  # a loud event is loud in several steps, of which one remains
    for begin in range(0, steps, TILE):
        for shift in shifts:
            size = min(TILE, steps - begin - shift * (ifos - 1))
            if size <= 0:
                break
            lows = [begin + shift * ifo for ifo in range(ifos)]
            bound = functools.reduce(torch.add, [b[:, x : x + size] for b, x in zip(bounds, lows, strict=True)])
            places = (bound.amax(0) > loudest.least).nonzero()[:, 0]
            if len(places):
                rows = [each[places + low].float() for each, low in zip(by_step, lows, strict=True)]
                values = (functools.reduce(torch.add, rows) + bias).amax(1)
                loudest.add(values, torch.full_like(places, shift), places + begin)
        progress(begin, steps)
    shift_and_place = loudest.apart(examples)
    return torch.stack([shift_and_place @ torch.tensor([ifo, 1]) for ifo in range(ifos)], dim=1)


def _group_maxima(
    network: MatchedFilterNetwork, by_step: Float[Tensor, "steps templates"], with_bias: bool
) -> Float[Tensor, "groups steps"]:
    """Largest measurement of each group's templates. The detectors' sum of it bounds that of each template."""
    bias = network.bias.detach() if with_bias else 0.0
    parts = [(part.float() + bias).unflatten(1, (network.groups, -1)).amax(2) for part in by_step.split(TILE)]
    return torch.cat(parts).T.contiguous()


class _Loudest:
    """The loudest steps of all slides, while they are looked at.

    Attributes:
        least: Loudness that a step must exceed to be one of them.
    """

    def __init__(self, number: int) -> None:
        self.number, self.least = number, -torch.inf
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []
        self._size = 0

    def add(self, values: Float[Tensor, " some"], shifts: Int[Tensor, " some"], places: Int[Tensor, " some"]) -> None:
        """Take more steps, with the shift of the slide and the place of the step in it."""
        self._parts.append((values, shifts, places))
        self._size += len(values)
        if self._size > 2 * self.number:
            self._sort()

    def _sort(self) -> None:
        values, shifts, places = (torch.cat(each) for each in zip(*self._parts, strict=True))
        values, order = values.sort(descending=True, stable=True)
        order = order[: self.number]
        if len(values) >= self.number:
            self.least = float(values[self.number - 1])
        self._parts, self._size = [(values[: self.number], shifts[order], places[order])], len(order)

    def apart(self, number: int) -> Int[Tensor, "steps 2"]:
        """The loudest, no two within ``SEPARATION`` steps of a slide: shift and place of each, the loudest first."""
        self._sort()
        _, shifts, places = self._parts[0]
        taken: dict[int, list[int]] = {}
        rows: list[tuple[int, int]] = []
        for shift, place in zip(shifts.tolist(), places.tolist(), strict=True):
            others = taken.setdefault(shift, [])
            if all(abs(place - other) > SEPARATION for other in others):
                others.append(place)
                rows.append((shift, place))
                if len(rows) == number:
                    break
        return torch.tensor(rows)
