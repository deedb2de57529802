"""Noise of LIGO with binary black holes in it, for searches that must find them."""

import numpy as np
import torch

from aframe import seeding
from aframe.strain.noise_curves import NoiseCurve, load_asd
from aframe.strain.simulate import simulate
from aframe.types import Array
from aframe.waveforms.horizon import optimal_snr
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.projection import detector_geometry, greenwich_mean_sidereal_time, project

IFOS, RATE, HIGHPASS = ("H1", "L1"), 1024.0, 32.0


def noise_with_signals(start: float, length: float, times: Array, snrs: Array, seed: int) -> dict[str, Array]:
    """Strain of both detectors.

    Args:
        start: GPS s.
        length: s.
        times: Mergers at the geocentre, GPS s.
        snrs: Optimal SNRs in both detectors together.
        seed: Of noise and signals.
    """
    curve = load_asd("aLIGO_O4_high_asd.txt")
    strain = {ifo: simulate(curve, ifo, start, start + length, RATE, seed=seed) for ifo in IFOS}
    for time, response in zip(times, signals(curve, times, snrs, seed), strict=True):
        size = response.shape[-1]
        first = round((time - start + 1.0) * RATE) - size
        for ifo, data in zip(IFOS, response, strict=True):
            strain[ifo][first : first + size] += data
    return strain


def signals(curve: NoiseCurve, times: Array, snrs: Array, seed: int) -> Array:
    """Responses of both detectors to binary black holes that merge a second before the end."""
    rng = seeding.generator(seed, "signals")
    count = len(snrs)
    chirp_mass, ratio = rng.uniform(20, 40, count), rng.uniform(0.5, 1, count)
    mass_1 = chirp_mass * (1 + ratio) ** 0.2 / ratio**0.6
    binaries = {"mass_1": mass_1, "mass_2": ratio * mass_1, "luminosity_distance": np.full(count, 1000.0)}
    binaries |= {name: rng.uniform(0, 0.5, count) for name in ("a_1", "a_2")}
    binaries |= {name: np.arccos(rng.uniform(-1, 1, count)) for name in ("theta_jn", "tilt_1", "tilt_2")}
    binaries |= {name: rng.uniform(0, 2 * np.pi, count) for name in ("phi_jl", "phi_12", "phase")}
    waves = WaveformGenerator("IMRPhenomPv2", RATE, 4.0, 1.0, 20.0, 50.0).generate(binaries, workers=1)
    plus, cross = map(torch.from_numpy, waves)
    angles = [
        rng.uniform(0, 2 * np.pi, count) - greenwich_mean_sidereal_time(times),
        np.arcsin(rng.uniform(-1, 1, count)),
        rng.uniform(0, np.pi, count),
    ]
    where = (torch.tensor(angle, dtype=torch.float32) for angle in angles)
    seen = project(plus, cross, detector_geometry(IFOS), *where, RATE)
    psd = np.interp(np.arange(RATE / 2 + 1), *curve) ** 2
    each = optimal_snr(seen, torch.tensor(np.stack([psd, psd])), RATE, HIGHPASS, None)
    scale = torch.tensor(snrs, dtype=torch.float32) / torch.linalg.vector_norm(each, dim=-1)
    return np.asarray(seen * scale[:, None, None], np.float64)
