"""Accepted injections per second: network SNR >= 4 in two LIGO detectors of O3, default population, all cores."""

import json
import os
import time
from pathlib import Path

import lal
import lalsimulation
import numpy as np
import torch

from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import rates_and_populations_bbh
from aframe.waveforms.sieve import Selection, accepted_signals
from aframe.waveforms.source import SignalSource

FEW, MANY, TARGET = 300, 3000, 100.0
IFOS = ("H1", "L1")
DATA = Path(os.environ.get("AFRAME_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def o3_psds() -> tuple[torch.Tensor, str]:
    """H1's and L1's noise in O3, every half a hertz to 1024 Hz: as measured, else LIGO-T1800545; and which."""
    paths = [DATA / "asd" / f"cogwheel_asd_{ifo[0]}_O3.npy" for ifo in IFOS]
    if all(path.is_file() for path in paths):
        frequency = np.linspace(0.0, 1024.0, 2049)
        return torch.tensor(np.stack([np.interp(frequency, *np.load(path)) ** 2 for path in paths])), "measured O3 ASD"
    print(f"no measured ASDs under {DATA} (set AFRAME_TEST_DATA): lalsimulation's O3 curve instead")
    series = lal.CreateREAL8FrequencySeries("psd", 0, 0.0, 0.5, lal.SecondUnit, 2049)
    lalsimulation.SimNoisePSDaLIGOaLIGOO3LowT1800545(series, 10.0)
    return torch.tensor(np.nan_to_num(series.data.data, posinf=0.0)).expand(2, -1), "lalsimulation's O3 curve"


def tell(what: str, value: float, unit: str, target: float | str = "-") -> None:
    ok = not isinstance(target, float) or value >= target
    print(json.dumps({"benchmark": what, "value": value, "unit": unit, "target": target, "ok": ok}))


def main() -> None:
    psds, noise = o3_psds()
    source = SignalSource(rates_and_populations_bbh(), WaveformGenerator("IMRPhenomPv2", 2048.0, 8.0, 1.0, 20.0, 50.0))
    selection = Selection(IFOS, psds, 32.0, None, 4.0)
    rates = []
    for number in (FEW, MANY):
        start, draws, judged, count = time.perf_counter(), 0, 0, 0
        for accepted, _ in accepted_signals(source, selection, number, np.random.default_rng(number)):
            count += len(accepted)
            draws += accepted.attributes["num_injections"]
            judged += accepted.attributes["num_waveforms"]
        rates.append(count / (time.perf_counter() - start))
    tell(f"accepted injections, SNR >= 4, default prior, {noise}, 2 cores", round(rates[1], 1), "1/s", TARGET)
    tell(f"the same, the first {FEW} of a process with the bound's table", round(rates[0], 1), "1/s")
    tell("draws accepted", round(MANY / draws, 4), "of 1")
    tell("draws that needed no waveform", round(1 - judged / draws, 4), "of 1")


if __name__ == "__main__":
    main()
