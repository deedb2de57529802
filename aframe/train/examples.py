"""Training examples for a network with a fixed encoder: measured signals, and the loudest noise of many time slides.

The encoder has no weights to train, so that strain is measured once. Noise of different times in the detectors is then
paired for free. Most pairs teach nothing: the head must tell signals from the loudest noise. These examples are thus
the loudest steps of slides that together are months long, as hard negatives (Felzenszwalb et al.,
doi:10.1109/TPAMI.2009.167, section 4.4).
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from aframe.errors import DataError
from aframe.progress.lines import Progress
from aframe.tensors import Windows
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.augmentation import MUTED, NOISE, SIGNAL, SWAPPED, BatchMixture
from aframe.train.background import WhitenedBackground
from aframe.train.mining import MeasuredStretch, Steps, count_weights, loudest_steps, measure_longest, mine_noise

COMPOSED = 4096
"""Number of examples of each kind in which the detectors see different things."""

EXAMPLES_AT_ONCE = 512
"""Examples whose coherence is measured at once."""

LEAST_SIGNALS = 512
"""Signals that the shortest training measures, if it is to measure so many."""

GLITCH = 50.0
"""Least |z|²/2 of muted signals, if there are such: an SNR of 10. Quieter ones would cost signals."""


@dataclass(frozen=True)
class MeasuredBatch:
    """Labelled measurements of single steps.

    Attributes:
        measured: Shape (batch, ifos, templates).
        coherence: Result of ``MatchedFilterNetwork.coherence_of``, shape (batch, pairs, features).
        labels: 1 for a signal, 0 for noise, shape (batch,).
    """

    measured: Float[Tensor, "batch ifos templates"]
    coherence: Float[Tensor, "batch pairs features"]
    labels: Float[Tensor, " batch"]


class Examples(NamedTuple):
    """Examples of one kind.

    Attributes:
        measured: Shape (examples, ifos, templates), half precision.
        coherence: Shape (examples, pairs, features), single precision.
    """

    measured: Tensor
    coherence: Tensor


@dataclass(frozen=True)
class MeasuredExamples:
    """Examples of each kind.

    Attributes:
        noise: Loudest steps of the noise.
        muted: Loud signals in one detector, while the others see ordinary noise, as they do of a glitch.
        swapped: A signal of its own in each detector.
        signals: Loudest step of each signal that is as loud as such noise.
    """

    noise: Examples
    muted: Examples
    swapped: Examples
    signals: Examples

    def batch(self, mixture: BatchMixture, size: int, generator: torch.Generator) -> MeasuredBatch:
        """Draw examples: the negatives, then signals.

        Args:
            mixture: Fractions of the kinds.
            size: Number of examples.
            generator: Random generator on the processor.
        """
        numbers = torch.bincount(mixture.draw(size, generator), minlength=4).tolist()
        kinds = ((self.noise, NOISE), (self.muted, MUTED), (self.swapped, SWAPPED), (self.signals, SIGNAL))
        measured, coherence = [], []
        for kind, number in kinds:
            drawn = torch.randint(0, len(kind.measured), (numbers[number],), generator=generator)
            rows = drawn.to(kind.measured.device)
            measured.append(kind.measured[rows])
            coherence.append(kind.coherence[rows])
        labels = torch.zeros(size, device=measured[0].device)
        labels[size - numbers[SIGNAL] :] = 1
        return MeasuredBatch(torch.cat(measured).float(), torch.cat(coherence), labels)


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

    def enough_for(self, drawn: float, epochs: int | None) -> "ExampleCounts":
        """These counts, but no more signals than a short training draws. The weights of groups need some of them.

        Args:
            drawn: Signals that an epoch draws.
            epochs: Number of epochs. None or a negative number if they do not end by themselves.
        """
        if epochs is None or epochs < 0:
            return self
        return replace(self, signals=min(self.signals, max(LEAST_SIGNALS, math.ceil(drawn * epochs))))


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
    progress, loudest, number = Progress("Measuring signals"), list[Steps](), 0
    while number < counts.signals:
        windows = signals(len(loudest))
        loudest.append(loudest_steps(network, network.measure(windows), windows))
        number += len(windows)
        progress(number, counts.signals)
    every = Steps(*(torch.cat(each) for each in zip(*loudest, strict=True)))
    stretch = measure_longest(network, background, device, Progress("Measuring background"))
    count_weights(network, every.measured)
    places = mine_noise(
        network, stretch.measured, counts.slides, counts.noise, Progress("Looking for the loudest noise")
    )
    noise = _examples(network, (stretch.steps(network, some) for some in places.split(EXAMPLES_AT_ONCE)))
    loud = _as_loud_as(network, every, noise)
    random = torch.Generator().manual_seed(0)
    kinds = (_muted(loud, _ordinary(network, stretch), random), _swapped(loud, random), loud)
    return MeasuredExamples(noise, *(_examples(network, _parts(kind)) for kind in kinds))


def _examples(network: MatchedFilterNetwork, parts: Iterable[Steps]) -> Examples:
    """Examples of steps: their coherence takes the place of their strain."""
    examples = []
    for measured, strain in parts:
        best = (measured.float().sum(1) + network.bias).argmax(1)
        of_best = measured[torch.arange(len(best), device=best.device), :, best].float()
        examples.append((measured, network.coherence_of(strain, best, of_best)))
    return Examples(*(torch.cat(each) for each in zip(*examples, strict=True)))


def _parts(steps: Steps) -> Iterator[Steps]:
    return map(Steps._make, zip(*(each.split(EXAMPLES_AT_ONCE) for each in steps), strict=True))


def _ordinary(network: MatchedFilterNetwork, stretch: MeasuredStretch) -> Steps:
    """Steps of the stretch, evenly spread. Those of the detectors belong to different times."""
    ifos, _, steps = stretch.measured.shape
    first = torch.linspace(0, steps - 1, min(COMPOSED, steps)).round().long()
    return stretch.steps(network, torch.stack([(first + ifo * steps // ifos) % steps for ifo in range(ifos)], dim=1))


def _muted(signals: Steps, ordinary: Steps, random: torch.Generator) -> Steps:
    """Ordinary noise, in which the loudest detector sees a loud signal instead."""
    loudness = signals.measured.amax(2).amax(1)
    loud = (loudness >= min(GLITCH, float(loudness.max()))).nonzero()[:, 0]
    drawn = signals.rows(loud[torch.randint(0, len(loud), (len(ordinary.measured),), generator=random).to(loud.device)])
    loudest = drawn.measured.amax(2).argmax(1)
    is_loudest = (loudest[:, None] == torch.arange(drawn.measured.shape[1], device=loudest.device))[..., None]
    return Steps(*(torch.where(is_loudest, *each) for each in zip(drawn, ordinary, strict=True)))


def _swapped(signals: Steps, random: torch.Generator) -> Steps:
    """Steps in which each detector sees a signal of its own."""
    number, ifos = signals.measured.shape[:2]
    drawn = torch.randint(0, number, (COMPOSED, ifos), generator=random).to(signals.measured.device)
    return Steps(*(each[drawn, torch.arange(ifos, device=drawn.device)] for each in signals))


def _as_loud_as(network: MatchedFilterNetwork, signals: Steps, noise: Examples) -> Steps:
    """Signals that are at least as loud as the quietest noise example. The head cannot learn from others.

    Raises:
        DataError: If there are none.
    """
    loudness, floor = ((each.measured.float().sum(1) + network.bias).amax(1) for each in (signals, noise))
    is_loud = loudness >= floor.min()
    if not bool(is_loud.any()):
        raise DataError("no signal is as loud as the noise examples: lower mined_slides, or raise snr_maximum")
    return signals.rows(is_loud)
