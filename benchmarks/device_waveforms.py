"""IMRPhenomPv2 in batches by ml4gw, relative to LAL on one core: 8 s, 2048 Hz, default prior.

ml4gw runs on a processor core, and on a GPU if there is one. On a core, it must be as fast as training there. On a GPU,
it must be as fast as LAL on a core.
"""

import importlib.util
from collections.abc import Callable

import numpy as np
import torch
from _clocks import core_seconds, middle, wall_seconds
from _rows import at_least, sized, tell

from aframe.waveforms.on_device import OnDeviceGenerator
from aframe.waveforms.polarizations import WAVEFORM_COLUMNS, WaveformGenerator
from aframe.waveforms.priors import draw, rates_and_populations_bbh

BATCH_SIZE = 128
BATCHES = sized(8, 3)
PLACES = {"cpu": ("one core", core_seconds, at_least(0.25)), "cuda": ("a GPU", wall_seconds, at_least(1.0))}
"""Name of each device, its clock, and its target as a multiple of LAL's speed."""


def rates(
    make: Callable[[dict[str, np.ndarray]], object], clock: Callable[[Callable[[], object]], float]
) -> np.ndarray:
    """Waveforms per second, for each batch except the first. The parameters are on the processor, as in training.

    Args:
        make: Generates a batch from its parameters.
        clock: Measures the time of a call, s.
    """
    batches = [draw(rates_and_populations_bbh(), BATCH_SIZE, np.random.default_rng(k)) for k in range(BATCHES + 1)]
    make(batches.pop())
    return np.array([BATCH_SIZE / clock(lambda batch=batch: make(batch)) for batch in batches])


def main() -> None:
    if importlib.util.find_spec("ml4gw") is None:
        tell("IMRPhenomPv2 by ml4gw, 8 s, 2048 Hz", None, "1/s", note="ml4gw is not installed: `make ml4gw`")
        return
    torch.set_num_threads(1)
    lal = WaveformGenerator("IMRPhenomPv2", 2048.0, 8.0, 1.0, 20.0, 50.0)
    generator = OnDeviceGenerator(lal)

    def batch_on(device: str, columns: dict[str, np.ndarray]) -> None:
        plus, _ = generator.generate({name: torch.from_numpy(columns[name]).to(device) for name in WAVEFORM_COLUMNS})
        plus[0, 0].item()  # waits for the device

    of_lal = rates(lambda columns: lal.generate(columns, workers=1), core_seconds)
    print(f"LAL, one core: {np.median(of_lal):.0f}/s")
    for device, (place, clock, target) in PLACES.items():
        name = f"IMRPhenomPv2 by ml4gw, 8 s, 2048 Hz, {place}"
        if device == "cuda" and not torch.cuda.is_available():
            tell(f"{name}, over LAL on one core", None, "ratio", target, note="no GPU")
            continue
        values = rates(lambda columns, device=device: batch_on(device, columns), clock)
        speed, error = middle(values)
        tell(name, speed, "1/s", error=error)
        ratio, error = middle(values / of_lal)
        tell(f"{name}, over LAL on one core", ratio, "ratio", target, error)


if __name__ == "__main__":
    main()
