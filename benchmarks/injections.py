"""Accepted injections per second: network SNR >= 4 in two LIGO detectors of O3, default population, all cores."""

import os
import time
from pathlib import Path

import lal
import lalsimulation
import numpy as np
import torch
from _clocks import middle
from _rows import at_least, sized, tell

from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import rates_and_populations_bbh
from aframe.waveforms.sieve import Selection, accepted_signals
from aframe.waveforms.source import SignalSource

FEW, MANY, ROUNDS = sized((300, 3000, 3), (50, 300, 2))
TARGET = at_least(100.0, of_full_amount=True)
IFOS = ("H1", "L1")
DATA = Path(os.environ.get("AFRAME_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def o3_psds() -> tuple[torch.Tensor, str]:
    """PSDs of H1 and L1 in O3, from 0 to 1024 Hz in steps of 0.5 Hz, and their source: measured, or LIGO-T1800545."""
    paths = [DATA / "asd" / f"cogwheel_asd_{ifo[0]}_O3.npy" for ifo in IFOS]
    if all(path.is_file() for path in paths):
        frequency = np.linspace(0.0, 1024.0, 2049)
        return torch.tensor(np.stack([np.interp(frequency, *np.load(path)) ** 2 for path in paths])), "measured O3 ASD"
    print(f"no measured ASDs under {DATA} (set AFRAME_TEST_DATA): lalsimulation's O3 curve instead")
    series = lal.CreateREAL8FrequencySeries("psd", 0, 0.0, 0.5, lal.SecondUnit, 2049)
    lalsimulation.SimNoisePSDaLIGOaLIGOO3LowT1800545(series, 10.0)
    return torch.tensor(np.nan_to_num(series.data.data, posinf=0.0)).expand(2, -1), "lalsimulation's O3 curve"


def shares(source: SignalSource, selection: Selection, number: int, seed: int) -> tuple[float, float, float]:
    """Accepted injections per second, and fractions of draws that are accepted and that need no waveform.

    Args:
        source: Source of signals.
        selection: Criterion of acceptance.
        number: Number of accepted injections.
        seed: Seed of the draws.
    """
    start, draws, judged, count = time.perf_counter(), 0, 0, 0
    for accepted, _ in accepted_signals(source, selection, number, np.random.default_rng(seed)):
        count += len(accepted)
        draws += accepted.attributes["num_injections"]
        judged += accepted.attributes["num_waveforms"]
    return count / (time.perf_counter() - start), count / draws, 1 - judged / draws


def main() -> None:
    psds, noise = o3_psds()
    source = SignalSource(rates_and_populations_bbh(), WaveformGenerator("IMRPhenomPv2", 2048.0, 8.0, 1.0, 20.0, 50.0))
    selection = Selection(IFOS, psds, 32.0, None, 4.0)
    first, *_ = shares(source, selection, FEW, ROUNDS)
    rates, accepted, unneeded = zip(*(shares(source, selection, MANY, seed) for seed in range(ROUNDS)), strict=True)
    speed, error = middle(rates)
    cores = len(os.sched_getaffinity(0))
    tell(f"accepted injections, SNR >= 4, default prior, {noise}, {cores} cores", speed, "1/s", TARGET, error)
    tell(f"the same, the first {FEW} of a process with the bound's table", first, "1/s")
    for what, values in (("accepted", accepted), ("that needed no waveform", unneeded)):
        share, error = middle(values)
        tell(f"draws {what}", share, "of 1", error=error)


if __name__ == "__main__":
    main()
