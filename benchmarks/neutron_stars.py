"""A plain bank of templates of neutron stars in noise of O4: its cost, and what it finds at one false alarm a month.

Templates of 64 s from 32 Hz are placed for 1 to 2 solar masses at a match of 0.95. Their search slides some three
thousand seconds of two detectors by every second, to a month of background. Signals of a network SNR of 9 to 10 are
added at random times and directions. One of an SNR of 12 tells how well its time and chirp mass are measured.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from _rows import at_least, at_most, sized, tell
from placement import AFTER, HIGHPASS, LENGTH, RATE, maker, neutron_stars
from torch import Tensor

from aframe.bank.making import make_all, shapes_of
from aframe.bank.matching import CompressedMatcher
from aframe.bank.placement import place
from aframe.events.cluster import Clustering, cluster
from aframe.inference.engine import Engine, Injection
from aframe.inference.run import attended
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid, Slide
from aframe.preprocessing import Preprocessing, Whitening
from aframe.strain.noise_curves import load_asd
from aframe.strain.simulate import simulate
from aframe.train.architectures import PlainBank
from aframe.train.model import Model
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import bns, draw
from aframe.waveforms.projection import arrival_delays, detector_geometry, project
from aframe.whitening import power_spectral_density, smooth_psd, whiten_signals, whiten_stream

IFOS, START, MONTH = ("H1", "L1"), 1e9, 30 * 86400.0
SECONDS, SIGNALS, MOST = sized((3072.0, 200, 50_000), (512.0, 12, 256))
WAVEFORM, RIGHT_PAD = 72.0, 1.0

QUIET = 28.0
"""Bound of a step up to which its best template is not looked for. The threshold is higher."""

COST, EFFICIENCY = at_most(60.0), at_least(0.93, of_full_amount=True)
DELAY, MASS = at_most(10.0, of_full_amount=True), at_most(0.01, of_full_amount=True)


def network() -> tuple[Model, np.ndarray]:
    """Plain bank of neutron stars, and the chirp masses of its templates."""
    workers = 1
    matcher, each = CompressedMatcher(maker(), workers), maker()
    placed, _ = place(matcher, neutron_stars, MOST, 0.95, workers=workers)
    templates, columns = make_all(each, placed.columns, shapes_of(each, placed.columns), workers)
    whitening = Whitening(RATE, 64.0, 1.0, 1.0, 64.0, HIGHPASS, None)
    kernel = LENGTH + 0.5
    last = kernel - AFTER
    preprocessing = Preprocessing(IFOS, kernel, 8.0, (last - 0.4, last), whitening)
    bank = PlainBank(len(IFOS), preprocessing.kernel_size, groups=64, coherent=False)
    bank.quiet = QUIET
    strain = [simulate(load_asd("aLIGO_O4_high_asd.txt"), ifo, START, START + 512, RATE, seed=7) for ifo in IFOS]
    psds = torch.stack([power_spectral_density(torch.from_numpy(each), RATE, 1.0) for each in strain])
    bank.set_bank(templates, torch.from_numpy(columns["chirp_mass"]), smooth_psd(psds, RATE))
    order = np.linspace(0, len(columns["chirp_mass"]) - 1, bank.templates).round().astype(int)
    return Model(bank.eval().requires_grad_(False), preprocessing), np.sort(columns["chirp_mass"])[order]


@dataclass(frozen=True)
class Signals:
    """Binaries of chirp masses of 1 to 1.7 solar masses.

    Attributes:
        responses: Of both detectors, shape (signals, ifos, time).
        chirp_mass: Solar masses, shape (signals,).
        delay: Time from the Earth's centre to the first detector, s, shape (signals,).
    """

    responses: Tensor
    chirp_mass: np.ndarray
    delay: Tensor


def signals(number: int) -> Signals:
    """Draw binaries in all directions."""
    columns = draw(bns(), 20 * number, np.random.default_rng(5))
    place = np.flatnonzero((columns["chirp_mass"] > 1) & (columns["chirp_mass"] < 1.7) & (columns["mass_1"] < 2))
    columns = {name: values[place[:number]] for name, values in columns.items()}
    generator = WaveformGenerator("IMRPhenomD", RATE, WAVEFORM, RIGHT_PAD, 24.0, 50.0)
    plus, cross = (torch.from_numpy(each) for each in generator.generate(columns, 1))
    ra, dec, psi = (torch.from_numpy(columns[name]).float() for name in ("ra", "dec", "psi"))
    geometry = detector_geometry(IFOS)
    delay = arrival_delays(geometry, ra, dec)[:, 0]
    return Signals(project(plus, cross, geometry, ra, dec, psi, RATE), columns["chirp_mass"], delay)


def threshold_of_a_month(engine: Engine, clustering: Clustering, duration: float) -> tuple[float, float]:
    """Statistic of the loudest slide event in a month, and months of slides."""
    loudest, live = [], 0.0
    for number in range(1, int(duration - engine.preprocessing.kernel_length - 1)):
        windows = engine.grid.windows(engine.streams[0].data.shape[-1] - round(number * RATE))
        scores = engine.scores(Slide(0, number, (0.0, float(number)), windows))
        loudest.append(cluster(scores, START, clustering)[0])
        live += windows / engine.preprocessing.inference_sampling_rate
        if live > MONTH:
            break
    return float(np.sort(np.concatenate(loudest))[-max(1, round(live / MONTH))]), live / MONTH


def tell_measurements(
    engine: Engine, injection: Injection, coalescence: float, mass: float, masses: np.ndarray
) -> None:
    """Print the errors of the time and of the chirp mass of a signal's best template.

    Args:
        engine: Strain and network.
        injection: The signal.
        coalescence: Its sample in the first detector.
        mass: Its chirp mass, solar masses.
        masses: Those of the templates.
    """
    network, kernel = engine.network, engine.kernel_size
    first = round(coalescence - kernel + (AFTER + 0.25) * RATE)
    white = whiten_signals(engine.streams, injection.responses, [injection.start] * len(IFOS))
    low = first - (injection.start - engine.streams[0].after)
    piece = torch.stack([s.data[first : first + kernel] for s in engine.streams]) + white[:, low : low + kernel]
    best = int(network.measure(piece[None])[0].sum(0).amax(1).argmax())
    template = network.filters.filters(0, network.filters.rows[torch.tensor([best])])[0]
    size = 1 << kernel.bit_length()
    z = torch.fft.ifft(torch.fft.fft(piece[0], n=size) * torch.fft.fft(template, n=size).conj())
    peak = int(z[: kernel - len(template)].abs().argmax())
    error = first + peak + (LENGTH - AFTER) * RATE - coalescence
    tell("neutron_stars_time", abs(error) / RATE * 1e3, "ms", DELAY, note="network SNR of 12, in the first detector")
    tell("neutron_stars_chirp_mass", abs(masses[best] / mass - 1), "of it", MASS)


def main() -> None:
    """Print the cost of encoding, the share of signals that is found, and the errors of a time and a chirp mass."""
    torch.set_num_threads(1)
    model, masses = network()
    preprocessing, clustering = model.preprocessing, Clustering(8.0, 0.125, 8.0, model.preprocessing.coalescence_offset)
    scorer = TorchScorer(model)
    curve = load_asd("aLIGO_O4_high_asd.txt")
    strain = [simulate(curve, ifo, START, START + SECONDS, RATE, seed=3) for ifo in IFOS]
    streams = [whiten_stream(torch.from_numpy(each), preprocessing.whitening) for each in strain]
    scorer.network.filters(torch.zeros(1, len(IFOS), preprocessing.kernel_size))  # makes the basis filters, once
    begin = time.process_time()
    engine = Engine(scorer, lambda: streams, Grid(preprocessing, (0.0, 1.0)))
    duration = streams[0].data.shape[-1] / RATE
    cost = 1e3 * (time.process_time() - begin) / duration / len(IFOS)
    tell("neutron_stars_templates", model.network.templates, "templates", note=f"{LENGTH:g} s, of a match of 0.95")
    tell("neutron_stars_encoding", cost, "ms a detector-second of a core", COST)
    threshold, months = threshold_of_a_month(engine, clustering, duration)
    note = f"{months:.2f} months"
    tell("neutron_stars_threshold", (2 * threshold) ** 0.5, "network SNR at one a month or the lowest rate", note=note)
    zero = Slide(0, 0, (0.0, 0.0), engine.grid.windows(streams[0].data.shape[-1]))
    background, part = engine.scores(zero), attended(scorer.network, preprocessing)
    drawn, rng, found = signals(SIGNALS), np.random.default_rng(9), []
    for row, response in enumerate(drawn.responses):
        coalescence = int(rng.uniform(WAVEFORM + 2, duration - 8) * RATE)
        start, reach = coalescence - (response.shape[-1] - round(RIGHT_PAD * RATE)), round(0.2 * RATE)
        whole = float(whiten_signals(streams, response, [start] * len(IFOS)).square().sum().sqrt())
        louder = (12.0 if row == 0 else rng.uniform(9, 10)) / whole
        injection = Injection(louder * response, start, (coalescence - reach, coalescence + reach), part)
        statistic, times = cluster(engine.scores_with(zero, background, [injection]), 0.0, clustering)
        near = np.abs(times - coalescence / RATE) < 0.3
        found.append(bool(near.any() and statistic[near].max() > threshold))
        if row == 0:
            arrival = coalescence + float(drawn.delay[0]) * RATE
            tell_measurements(engine, injection, arrival, drawn.chirp_mass[0], masses)
    share = float(np.mean(found[1:]))
    error = (share * (1 - share) / len(found[1:])) ** 0.5
    note = f"{len(found) - 1} signals, {note}"
    tell("neutron_stars_efficiency", share, "of SNR 9 to 10", EFFICIENCY, error, note=note)


if __name__ == "__main__":
    main()
