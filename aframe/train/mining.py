"""Training examples for a network with a fixed encoder: measured signals, and the loudest noise of many time slides.

The encoder has no weights to train, so that strain is measured once. Noise of different times in the detectors is then
paired for free. Most pairs teach nothing: the head must tell signals from the loudest noise. These examples are thus
the loudest steps of slides that together are months long, as hard negatives (Felzenszwalb et al.,
doi:10.1109/TPAMI.2009.167, section 4.4).
"""

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from aframe.errors import DataError
from aframe.progress.lines import Progress
from aframe.tensors import Windows
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.architectures.peaks import Peaks, joined
from aframe.train.augmentation import MUTED, NOISE, SIGNAL, SWAPPED, BatchMixture
from aframe.train.background import WhitenedBackground

TILE = 1024
"""Steps of a slide that are paired at once. Their measurements fit a processor's cache."""

SEPARATION = 16
"""Least number of steps between two noise examples of a slide. A loud event is loud for several steps."""

ORDINARY = 4096
"""Number of steps of any noise that are kept, of which a detector without a signal sees one."""

GLITCH = 50.0
"""Least |z|²/2 of muted signals, if there are such: an SNR of 10. Quieter ones would cost signals."""

LEAST_LOUDNESS = 21.0
"""Least log-likelihood ratio of signals that count in the weights of groups: a network SNR of 6.5."""

LONGEST_PIECE = 2**18
"""Samples of a stream that are measured at once."""

ProgressReport = Callable[[float, float], None]


@dataclass(frozen=True)
class MeasuredBatch:
    """Labelled measurements of single steps.

    Attributes:
        measured: Shape (batch, ifos, templates).
        labels: 1 for a signal, 0 for noise, shape (batch,).
    """

    measured: Peaks
    labels: Float[Tensor, " batch"]


@dataclass(frozen=True)
class MeasuredExamples:
    """Measurements of single steps, in little memory, each of shape (examples, ifos, templates).

    Attributes:
        noise: Loudest steps of the noise.
        signals: Loudest step of each signal that is as loud as such noise.
        ordinary: Any steps of the noise. Those of the detectors belong to different times.
    """

    noise: Peaks
    signals: Peaks
    ordinary: Peaks

    @functools.cached_property
    def _loud_signals(self) -> Peaks:
        loudest = self.signals.power.amax(2).amax(1)
        is_loud = loudest >= min(GLITCH, float(loudest.max()))
        return self.signals.each(lambda rows: rows[is_loud])

    def batch(self, mixture: BatchMixture, size: int, generator: torch.Generator) -> MeasuredBatch:
        """Draw examples: loud noise, muted and swapped signals as negatives, then signals.

        A muted signal is loud in one detector, and the others see ordinary noise, as they do of a glitch.

        Args:
            mixture: Fractions of the kinds.
            size: Number of examples.
            generator: Random generator on the processor.
        """
        numbers = torch.bincount(mixture.draw(size, generator), minlength=4).tolist()
        muted, ifos = _draw(self._loud_signals, numbers[MUTED], generator), range(self.signals.power.shape[1])
        is_loudest = muted.power.amax(2).argmax(1)[:, None] == torch.arange(len(ifos), device=muted.power.device)
        ordinary = _draw(self.ordinary, numbers[MUTED], generator)
        of_each = [self.signals.each(operator.itemgetter((slice(None), ifo))) for ifo in ifos]
        swapped = [_draw(signals, numbers[SWAPPED], generator) for signals in of_each]
        kinds = [
            _draw(self.noise, numbers[NOISE], generator),
            Peaks(*(torch.where(is_loudest[..., None], *each) for each in zip(muted, ordinary, strict=True))),
            joined(swapped, functools.partial(torch.stack, dim=1)),
            _draw(self.signals, numbers[SIGNAL], generator),
        ]
        labels = torch.zeros(size, device=muted.power.device)
        labels[size - numbers[SIGNAL] :] = 1
        return MeasuredBatch(joined(kinds, torch.cat).each(Tensor.float), labels)


def _draw(values: Peaks, number: int, generator: torch.Generator) -> Peaks:
    """Draw rows, with replacement."""
    drawn = torch.randint(0, len(values.power), (number,), generator=generator).to(values.power.device)
    return values.each(lambda rows: rows[drawn])


@dataclass(frozen=True)
class ExampleCounts:
    """How much a training looks at for its examples.

    Attributes:
        slides: Time slides of the background.
        noise: Noise examples to keep of them.
        signals: Signals to measure.
    """

    slides: int
    noise: int
    signals: int


@torch.no_grad()
def collect_examples(
    network: MatchedFilterNetwork,
    background: WhitenedBackground,
    signals: Callable[[int], Windows],
    counts: ExampleCounts,
    device: torch.device,
) -> MeasuredExamples:
    """Measure signals and background once, set the network's weights of groups, and keep the loudest noise.

    Args:
        network: The network, on ``device``. Its ``bias`` is changed.
        background: Whitened background.
        signals: Makes batches of whitened windows with a signal each, shape (batch, ifos, time), by their number.
        counts: Numbers of slides and examples.
        device: Device of the computation.

    Raises:
        DataError: If the training background is too short.
    """
    progress, loudest, number = Progress("Measuring signals"), list[Peaks](), 0
    while number < counts.signals:
        loudest.append(loudest_steps(network, network.measure(signals(len(loudest)))).small())
        number += len(loudest[-1].power)
        progress(number, counts.signals)
    measured = measure_background(network, background, device, Progress("Measuring background"))
    every = joined(loudest, torch.cat)
    count_weights(network, every.power)
    noise = mine_noise(network, measured, counts.slides, counts.noise, Progress("Looking for the loudest noise"))
    ordinary = ordinary_noise(measured, ORDINARY)
    return MeasuredExamples(noise, _as_loud_as(network, every, noise), ordinary)


def measure_background(
    network: MatchedFilterNetwork, background: WhitenedBackground, device: torch.device, progress: ProgressReport
) -> list[Peaks]:
    """Measure each stretch of the background, in little memory: shape (ifos, templates, steps) each.

    Args:
        network: The network. It is on ``device``.
        background: Whitened background.
        device: Device of the computation and of the result.
        progress: Receives the number of samples done, and the total.
    """
    measured, done, step = [], 0, network.step_size
    for first, size in background.stretches.tolist():
        steps, pieces = network.steps(size), []
        for begin in range(0, max(steps, 0), LONGEST_PIECE // step):
            number = min(LONGEST_PIECE // step, steps - begin)
            low = first + begin * step
            piece = background.streams[:, low : low + (number - 1) * step + network.receptive_field]
            here = operator.itemgetter((0, ..., slice(number)))
            pieces.append(network.measure(piece.to(device)[None]).each(here).small())
            progress(done + begin * step, background.streams.shape[-1])
        if pieces:
            measured.append(joined(pieces, functools.partial(torch.cat, dim=-1)))
        done += size
    return measured


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


def mine_noise(
    network: MatchedFilterNetwork,
    measured: list[Peaks],
    slides: int,
    examples: int,
    progress: ProgressReport,
) -> Peaks:
    """Find the loudest steps of time slides of the longest stretch: shape (examples, ifos, templates).

    Args:
        network: The network, with its bias.
        measured: Measurements of each stretch.
        slides: Number of slides. Their shifts are spread over the whole stretch.
        examples: Largest number of examples to keep.
        progress: Receives the number of steps done, and the total.

    Raises:
        DataError: If the stretch is too short to slide.
    """
    steps = max((each.power.shape[-1] for each in measured), default=0)
    if steps < 4 * TILE * max(1, network.num_ifos - 1):
        raise DataError(
            f"the longest training stretch has {steps} steps of {network.step_size} samples, too few to slide it "
            "against itself: take longer stretches, or another network"
        )
    longest = next(each for each in measured if each.power.shape[-1] == steps)
    by_step = [each.T.contiguous() for each in longest.power]
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
    at = [(shift_and_place @ torch.tensor([ifo, 1])).to(by_step[0].device) for ifo in range(ifos)]
    return longest.each(lambda each: torch.stack([each[ifo][:, at[ifo]].T for ifo in range(ifos)], dim=1))


def ordinary_noise(measured: list[Peaks], number: int) -> Peaks:
    """Steps of the longest stretch, evenly spread. Those of the detectors belong to different times.

    Args:
        measured: Measurements of each stretch.
        number: Largest number of steps.
    """
    longest = max(measured, key=lambda each: each.power.shape[-1])
    ifos, _, steps = longest.power.shape
    first = torch.linspace(0, steps - 1, min(number, steps)).round().long().to(longest.power.device)
    at = [(first + ifo * steps // ifos) % steps for ifo in range(ifos)]
    return longest.each(lambda each: torch.stack([each[ifo][:, at[ifo]].T for ifo in range(ifos)], dim=1))


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


def _as_loud_as(network: MatchedFilterNetwork, signals: Peaks, noise: Peaks) -> Peaks:
    """Signals that are at least as loud as the quietest noise example. The head cannot learn from others.

    Raises:
        DataError: If there are none.
    """
    loudness, floor = (network.loudness(each.power.float()) for each in (signals, noise))
    is_loud = loudness >= floor.min()
    if not bool(is_loud.any()):
        raise DataError("no signal is as loud as the noise examples: lower mined_slides, or raise snr_maximum")
    return signals.each(lambda rows: rows[is_loud])


def loudest_steps(network: MatchedFilterNetwork, measured: Peaks) -> Peaks:
    """Measurements of the step of each window in which the detectors' sum with the bias is largest.

    Args:
        network: The network.
        measured: Measurements of windows with a signal each, shape (signals, ifos, templates, steps).

    Returns:
        Shape (signals, ifos, templates).
    """
    place = (measured.power.sum(1) + network.bias.detach()[:, None]).amax(1).argmax(1)
    index = place[:, None, None, None].expand(-1, *measured.power.shape[1:3], 1)
    return measured.each(lambda each: each.gather(3, index)[..., 0])
