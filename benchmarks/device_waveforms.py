"""IMRPhenomPv2 in batches by ml4gw, on the GPU if there is one, beside LAL on one core: 8 s, 2048 Hz, default prior.

On processors it need only keep up with training there; on a GPU it must not be slower than LAL on a core.
"""

import json
import time
from collections.abc import Callable

import numpy as np
import torch

from aframe.waveforms.on_device import OnDeviceGenerator
from aframe.waveforms.polarizations import COLUMNS, WaveformGenerator
from aframe.waveforms.priors import draw, rates_and_populations_bbh

BATCH_SIZE, BATCHES = 128, 8
SHARE_OF_LAL = {"cpu": 0.25, "cuda": 1.0}


def rate(make: Callable[[dict[str, np.ndarray]], object], clock: Callable[[], float]) -> float:
    """Waveforms per second of batches that come from the processor, as in training; the first one is not counted."""
    batches = [draw(rates_and_populations_bbh(), BATCH_SIZE, np.random.default_rng(k)) for k in range(BATCHES + 1)]
    make(batches.pop())
    start = clock()
    for batch in batches:
        make(batch)
    return BATCHES * BATCH_SIZE / (clock() - start)


def main() -> None:
    torch.set_num_threads(1)
    lal = WaveformGenerator("IMRPhenomPv2", 2048.0, 8.0, 1.0, 20.0, 50.0)
    generator = OnDeviceGenerator(lal)

    def batch_on(device: str, columns: dict[str, np.ndarray]) -> None:
        plus, _ = generator.generate({name: torch.from_numpy(columns[name]).to(device) for name in COLUMNS})
        plus[0, 0].item()  # waits for the device

    of_lal = rate(lambda columns: lal.generate(columns, workers=1), time.process_time)
    print(f"LAL, one core: {of_lal:.0f}/s")
    for device, clock in (("cpu", time.process_time), ("cuda", time.perf_counter))[: 1 + torch.cuda.is_available()]:
        value = rate(lambda columns, device=device: batch_on(device, columns), clock)
        print(f"ml4gw, {device}, batches of {BATCH_SIZE}: {value:.0f}/s")
    target = SHARE_OF_LAL[device] * of_lal
    name = f"IMRPhenomPv2 by ml4gw, 8 s, 2048 Hz, {'one core' if device == 'cpu' else 'a GPU'}"
    print(json.dumps({"benchmark": name, "value": round(value, 1), "unit": "1/s", "target": round(target, 1),
                      "ok": value >= target}))  # fmt: skip


if __name__ == "__main__":
    main()
