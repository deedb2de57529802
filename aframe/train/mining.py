"""Training examples for a network with a fixed encoder: measured signals, and the loudest noise of many time slides.

The encoder has no weights to train, so that strain is measured once. Noise of different times in the detectors is then
paired for free. Most pairs teach nothing: the head must tell signals from the loudest noise. These examples are thus
the loudest steps of slides that together are months long, as hard negatives (Felzenszwalb et al.,
doi:10.1109/TPAMI.2009.167, section 4.4).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from aframe.errors import DataError
from aframe.progress.lines import Progress
from aframe.tensors import Windows
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

ProgressReport = Callable[[float, float], None]


@dataclass(frozen=True)
class MeasuredBatch:
    """Labelled measurements of single steps.

    Attributes:
        measured: Shape (batch, ifos, templates).
        labels: 1 for a signal, 0 for noise, shape (batch,).
    """

    measured: Float[Tensor, "batch ifos templates"]
    labels: Float[Tensor, " batch"]


@dataclass(frozen=True)
class MeasuredExamples:
    """Measurements of single steps, half precision, each of shape (examples, ifos, templates).

    Attributes:
        noise: Loudest steps of the noise.
        signals: Loudest step of each signal that is as loud as such noise.
    """

    noise: Float[Tensor, "noise ifos templates"]
    signals: Float[Tensor, "signals ifos templates"]

    def batch(self, noise: int, signals: int, generator: torch.Generator) -> MeasuredBatch:
        """Draw examples, noise first.

        Args:
            noise: Number of noise examples.
            signals: Number of signals.
            generator: Random generator on the processor.
        """
        rows = [
            values[torch.randint(0, len(values), (number,), generator=generator).to(values.device)]
            for values, number in ((self.noise, noise), (self.signals, signals))
        ]
        labels = torch.cat([torch.zeros(noise), torch.ones(signals)])
        return MeasuredBatch(torch.cat(rows).float(), labels.to(self.noise.device))


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
    progress, loudest, number = Progress("Measuring signals"), list[Tensor](), 0
    while number < counts.signals:
        loudest.append(loudest_steps(network, network.measure(signals(len(loudest)))).half())
        number += len(loudest[-1])
        progress(number, counts.signals)
    measured = measure_background(network, background, device, Progress("Measuring background"))
    count_weights(network, torch.cat(loudest))
    noise = mine_noise(network, measured, counts.slides, counts.noise, Progress("Looking for the loudest noise"))
    return MeasuredExamples(noise, _as_loud_as(network, torch.cat(loudest), noise))


def measure_background(
    network: MatchedFilterNetwork, background: WhitenedBackground, device: torch.device, progress: ProgressReport
) -> list[Float[Tensor, "ifos templates _"]]:
    """Measure each stretch of the background, in half precision.

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
            pieces.append(network.measure(piece.to(device)[None])[0, ..., :number].half())
            progress(done + begin * step, background.streams.shape[-1])
        if pieces:
            measured.append(torch.cat(pieces, dim=-1))
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
    measured: list[Float[Tensor, "ifos templates _"]],
    slides: int,
    examples: int,
    progress: ProgressReport,
) -> Float[Tensor, "noise ifos templates"]:
    """Find the loudest steps of time slides of the longest stretch.

    Args:
        network: The network, with its bias.
        measured: Measurements of each stretch.
        slides: Number of slides. Their shifts are spread over the whole stretch.
        examples: Number of examples to keep.
        progress: Receives the number of steps done, and the total.

    Raises:
        DataError: If the stretch is too short to slide.
    """
    steps = max((each.shape[-1] for each in measured), default=0)
    if steps < 4 * TILE * max(1, network.num_ifos - 1):
        raise DataError(
            f"the longest training stretch has {steps} steps of {network.step_size} samples, too few to slide it "
            "against itself: take longer stretches, or another network"
        )
    longest = next(each for each in measured if each.shape[-1] == steps)
    ifos = len(longest)
    last = (steps - TILE) // max(1, ifos - 1)
    shifts = torch.linspace(SEPARATION, last, slides).round().long().unique().tolist()
    kept = 2 * examples // len(shifts) + 4  # of each slide: some have more than the average
    bias = network.bias.detach()[:, None]
    loud: list[list[tuple[float, int]]] = [[] for _ in shifts]
    for begin in range(0, steps, TILE):
        reference = longest[0, :, begin : begin + TILE].float() + bias
        for number, shift in enumerate(shifts):
            size = min(reference.shape[1], steps - begin - shift * (ifos - 1))
            if size <= 0:
                break
            total = reference[:, :size]
            for ifo in range(1, ifos):
                low = begin + shift * ifo
                total = total + longest[ifo, :, low : low + size].float()
            value, place = total.amax(0).topk(min(kept, size))
            if len(loud[number]) < kept or float(value[0]) > loud[number][-1][0]:
                louder = zip(value.tolist(), (place + begin).tolist(), strict=True)
                loud[number] = _apart([*loud[number], *louder], kept)
        progress(begin, steps)
    chosen = sorted(((v, s, p) for s, each in zip(shifts, loud, strict=True) for v, p in each), reverse=True)
    rows = torch.tensor([(s, p) for _, s, p in chosen[:examples]])
    return torch.stack([longest[ifo][:, rows[:, 1] + ifo * rows[:, 0]].T for ifo in range(ifos)], dim=1)


def _as_loud_as(
    network: MatchedFilterNetwork,
    signals: Float[Tensor, "signals ifos templates"],
    noise: Float[Tensor, "noise ifos templates"],
) -> Float[Tensor, "loud ifos templates"]:
    """Signals that are at least as loud as the quietest noise example. The head cannot learn from others.

    Raises:
        DataError: If there are none.
    """
    loudness, floor = (network.loudness(each.float()) for each in (signals, noise))
    is_loud = loudness >= floor.min()
    if not bool(is_loud.any()):
        raise DataError("no signal is as loud as the noise examples: lower mined_slides, or raise snr_maximum")
    return signals[is_loud]


def _apart(steps: list[tuple[float, int]], number: int) -> list[tuple[float, int]]:
    """The loudest steps that are apart from each other."""
    chosen: list[tuple[float, int]] = []
    for value, place in sorted(steps, reverse=True):
        if all(abs(place - other) > SEPARATION for _, other in chosen):
            chosen.append((value, place))
            if len(chosen) == number:
                break
    return chosen


def loudest_steps(
    network: MatchedFilterNetwork, measured: Float[Tensor, "signals ifos templates steps"]
) -> Float[Tensor, "signals ifos templates"]:
    """Measurements of the step of each window in which the detectors' sum with the bias is largest.

    Args:
        network: The network.
        measured: Measurements of windows with a signal each.
    """
    place = (measured.sum(1) + network.bias.detach()[:, None]).amax(1).argmax(1)
    index = place[:, None, None, None].expand(-1, *measured.shape[1:3], 1)
    return measured.gather(3, index)[..., 0]
