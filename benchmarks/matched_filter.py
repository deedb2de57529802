"""Matched-filter network on one core: cost of encoding a detector's stream, and speed of fusing time slides."""

import numpy as np
import torch
from _clocks import core_seconds, middle
from _precision import fastest, name_of
from _rows import at_least, at_most, sized, tell

from aframe.bank.pulses import octaves, pulses
from aframe.bank.templates import FALL, RISE
from aframe.inference.scorers.in_process import FUSED_WINDOWS
from aframe.strain.noise_curves import asd_at, load_asd
from aframe.train.architectures import MatchedFilterNetwork

RATE, STRIDE_SIZE, KERNEL_SIZE, TEMPLATE_SIZE, GROUPS = 1024, 128, 4608, 4096, 64
FILTERED_TEMPLATES, FUSED_TEMPLATES, HIGHPASS = 472, 512, 32.0
DURATION, REPETITIONS, TILES = sized((256, 5, 20), (64, 3, 5))
MILLISECONDS, WINDOWS_PER_SECOND = at_most(3.0), at_least(500_000.0)


def network(templates: int, groups: int) -> MatchedFilterNetwork:
    """A network with glitches, whose templates all need half the sample rate: the dearest case.

    Templates are chirps from 32 Hz to 300 to 500 Hz. Pulses are those in noise of O4.

    Args:
        templates: Number of templates.
        groups: Number of groups.
    """
    last = torch.linspace(300, 500, templates, dtype=torch.float64)[:, None]
    times = torch.arange(TEMPLATE_SIZE, dtype=torch.float64) / RATE
    phases = 2 * torch.pi * (32 + (last - 32) / 2 * times / times[-1]) * times
    ends = torch.minimum(times / RISE, (times[-1] - times) / FALL).clamp_max(1)
    waves = torch.polar((torch.pi / 2 * ends).sin().square().expand_as(phases), phases)
    waves = waves / (waves.abs().square().sum(1, keepdim=True) / 2).sqrt()
    asd = asd_at(load_asd("aLIGO_O4_high_asd.txt"), np.arange(RATE / 2 + 1))
    filtering = MatchedFilterNetwork(2, KERNEL_SIZE, groups=groups)
    filtering.set_bank(
        waves, 1 / last[:, 0], pulses=pulses(torch.from_numpy(asd**2), RATE, HIGHPASS), bands=octaves(RATE, HIGHPASS)
    )
    return filtering.eval()


@torch.inference_mode()
def encoding() -> None:
    """Print the cost of a second of a detector's stream."""
    filtering = network(FILTERED_TEMPLATES, FILTERED_TEMPLATES // 8)
    streams = torch.randn(1, 2, DURATION * RATE, generator=torch.Generator().manual_seed(0))
    filtering.encode(streams)
    spent = [core_seconds(lambda: filtering.encode(streams)) / (2 * DURATION) * 1e3 for _ in range(REPETITIONS)]
    value, error = middle(spent)
    assert filtering.known_glitches is not None
    pulses_too = filtering.known_glitches.pulses.templates
    note = (
        f"{filtering.decimations[0]} templates at half the sample rate, {pulses_too} pulses, {filtering.bands} octaves"
    )
    tell("matched_filter_encoding_float32", value, "ms per detector-second", MILLISECONDS, error, note=note)


@torch.inference_mode()
def fusion() -> None:
    """Print the speed of fusion."""
    precision, hop = fastest(), STRIDE_SIZE // 32
    filtering = network(FUSED_TEMPLATES, GROUPS).to(precision).eval()
    windows = filtering.fused_tiles * FUSED_WINDOWS
    steps = (windows - 1) * hop + filtering.window_steps
    size = (2 * steps - 1) * filtering.step_size + filtering.receptive_field
    streams = torch.randn(1, 2, size, generator=torch.Generator().manual_seed(0))
    first, second = filtering.encode(streams.to(precision)).unbind(1)
    pieces = [first[..., :steps], second[..., steps // 2 : steps // 2 + steps]]
    filtering.fuse(pieces, hop)
    speeds = [
        TILES * windows / core_seconds(lambda: [filtering.fuse(pieces, hop) for _ in range(TILES)])
        for _ in range(REPETITIONS)
    ]
    value, error = middle(speeds)
    note = f"{FUSED_TEMPLATES} templates in {GROUPS} groups, two detectors"
    tell(f"matched_filter_fusion_{name_of(precision)}", value, "windows/s", WINDOWS_PER_SECOND, error, note=note)


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    encoding()
    fusion()


if __name__ == "__main__":
    main()
