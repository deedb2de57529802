"""What each detector saw of an event: SNR, time, phase and template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from aframe.candidates.arrival import arrival_times
from aframe.candidates.templates import Templates, best_template
from aframe.inference.scorers import Scorer
from aframe.online.live_event import DetectorView
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.architectures.coherence import FINER, filtered


@dataclass(frozen=True)
class View:
    """What the detectors saw of an event.

    Attributes:
        detectors: What each detector saw.
        template: Parameters of the best template: see ``LiveEvent.template``.
    """

    detectors: Mapping[str, DetectorView] = field(default_factory=dict)
    template: Mapping[str, float] = field(default_factory=dict)


def view(
    scorer: Scorer, window: Sequence[Float[Tensor, " time"]], start: float, time: float, templates: Templates
) -> View:
    """What the detectors saw in a window.

    Networks with matched filters give the SNRs of the best template. Of others there are the times of the largest
    power alone: see ``aframe.candidates.arrival``.

    Args:
        scorer: Has the network, adapted to the noise, and the preprocessing.
        window: Whitened strain of each detector, one window.
        start: Start of the window, GPS s.
        time: Coalescence, GPS s.
        templates: Parameters of the templates.
    """
    network, preprocessing = scorer.network, scorer.preprocessing
    strain = torch.stack(list(window)).float()
    rate = preprocessing.whitening.sample_rate
    if isinstance(network, MatchedFilterNetwork):
        return _matched(network, strain, preprocessing.ifos, (start, rate), templates)
    times = arrival_times(strain.cpu().numpy(), rate, start, preprocessing.ifos, time)
    return View({ifo: DetectorView(np.nan, float(t), np.nan) for ifo, t in zip(preprocessing.ifos, times, strict=True)})


@torch.no_grad()
def _matched(
    network: MatchedFilterNetwork,
    strain: Float[Tensor, "ifos time"],
    ifos: Sequence[str],
    grid: tuple[float, float],
    templates: Templates,
) -> View:
    """SNR, time and phase of the template with the largest sum, in the step that has it.

    The times of the detectors differ from that of the one with the largest SNR by no more than a signal's may.
    """
    start, rate = grid
    best, step = best_template(network, strain)
    first = step * network.step_size
    piece = strain[:, first : first + network.receptive_field]
    row = network.filters.rows[best][None]
    filters = torch.stack([network.filters.filters(ifo, row)[0] for ifo in range(network.num_ifos)])
    outputs = filtered(piece[None], filters[None], network.step_size + network.coincidence)[0].cpu()
    levels = outputs.abs()
    loudest = int(levels.amax(1).argmax())
    middle, reach = int(levels[loudest].argmax()), FINER * network.coincidence
    near = slice(max(0, middle - reach), middle + reach + 1)
    coalescence = network.template_size / rate - templates.after
    detectors = {}
    for ifo, level, output in zip(ifos, levels, outputs, strict=True):
        at = near.start + int(level[near].argmax())
        time = start + (first + at / FINER) / rate + coalescence
        detectors[ifo] = DetectorView(float(level[at]), time, float(output[at].angle()))
    return View(detectors, templates.parameters(best))
