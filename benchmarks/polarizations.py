"""Polarizations per second: IMRPhenomPv2, 8 s at 2048 Hz, binaries of the default population, all cores."""

import json
import time

import numpy as np

from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import draw, rates_and_populations_bbh

NUMBER, TARGET = 4096, 1500.0


def main() -> None:
    generator = WaveformGenerator("IMRPhenomPv2", 2048.0, 8.0, 0.5, 20.0, 50.0)
    columns = draw(rates_and_populations_bbh(), NUMBER, np.random.default_rng(1))
    generator.generate({name: column[:64] for name, column in columns.items()})
    start = time.perf_counter()
    generator.generate(columns)
    rate = NUMBER / (time.perf_counter() - start)
    print(json.dumps({"benchmark": "IMRPhenomPv2 polarizations, 8 s, 2048 Hz, 2 cores", "value": round(rate, 1),
                      "unit": "1/s", "target": TARGET, "ok": rate >= TARGET}))  # fmt: skip


if __name__ == "__main__":
    main()
