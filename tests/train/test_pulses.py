"""Pulses in the matched-filter network."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from train.small_bank import KERNEL, SIZE, chirps

from aframe.bank.pulses import pulses
from aframe.strain.glitch_population import read_population
from aframe.strain.glitches import waveforms
from aframe.strain.noise_curves import asd_at, load_asd
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.architectures.pulses import UNLIKELY

PULSE = 16
RATE, HIGHPASS = 1024.0, 32.0


def bursts() -> torch.Tensor:
    """Two short pulses."""
    time = torch.arange(PULSE) / PULSE
    phases = 2 * torch.pi * torch.tensor([[2.0], [4.0]]) * time
    series = torch.polar(torch.hann_window(PULSE, periodic=False).expand(2, -1), phases)
    return series / (series.abs().square().sum(1, keepdim=True) / 2).sqrt()


def network_with(pulse_series: torch.Tensor | None, ifos: int = 2) -> MatchedFilterNetwork:
    plain = chirps(ifos)
    assert plain.filters.templates == 8
    templates = torch.complex(*plain.filters.bank)[plain.filters.rows]
    network = MatchedFilterNetwork(ifos, KERNEL, groups=4, step_size=16, coincidence=8)
    network.set_bank(templates, torch.arange(8) + 5.0, pulses=pulse_series)
    return network.eval()


def test_a_pulse_is_no_witness_and_a_chirp_remains_one() -> None:
    """The first detector has a pulse of SNR 12, the second a chirp of SNR 12."""
    plain, network = network_with(None), network_with(bursts())
    streams = torch.zeros(1, 2, KERNEL)
    streams[0, 0, 100 : 100 + PULSE] = 12 * bursts()[0].real / bursts()[0].real.norm()
    streams[0, 1, 80 : 80 + SIZE] = 12 * torch.complex(*network.filters.bank)[network.filters.rows[5]].real
    before, after = (each.measure(streams)[0].amax(2).amax(1) for each in (plain, network))
    assert before[0] > 20
    assert after[0] < 1
    assert before[1] == pytest.approx(72, rel=0.03)
    assert after[1] > 0.6 * before[1]


def test_what_is_left_is_the_logarithm_of_a_likelihood_ratio() -> None:
    network, plain = network_with(bursts()), network_with(None)
    assert network.pulses is not None
    network.pulses.rare = rare = 8.5
    streams = torch.randn(3, 2, KERNEL, generator=torch.Generator().manual_seed(0))
    streams[1, 0, 120 : 120 + PULSE] += 5 * bursts()[0].real / bursts()[0].real.norm()
    measured, before = network.measure(streams), plain.measure(streams)
    best, lags = network.pulses.filters(streams).amax(2), network.pulses.match.shape[1]
    row, ifo, step = (int(each[0]) for each in (best[..., : -lags + 1] > 8.0).nonzero(as_tuple=True))
    within, template = best[row, ifo, step : step + lags].double(), 5
    seen, power = float(within.max()), float(before[row, ifo, template, step])
    loud = torch.where(within > rare - UNLIKELY, within, 0.0).sqrt()
    rest = max(power**0.5 - float((loud * network.pulses.match[template // 2]).max()), 0.0) ** 2
    odds = (math.exp(power) + math.exp(seen - rare + rest)) / (1 + math.exp(seen - rare))
    assert measured[row, ifo, template, step].item() == pytest.approx(max(math.log(odds), 0.0), abs=1e-4)
    quiet = nn.functional.max_pool1d(best, lags, 1)[..., : before.shape[-1]] < rare - UNLIKELY
    assert quiet.any()
    torch.testing.assert_close(measured.movedim(2, 3)[quiet], before.movedim(2, 3)[quiet])


def test_matches_with_pulses_bound_what_a_pulse_gives_each_template() -> None:
    """Wherever a pulse of SNR 100 lies, its part in every template is known, to the largest that it could be."""
    network, plain = network_with(bursts()), network_with(None)
    assert network.pulses is not None
    for first in range(4, KERNEL - PULSE - 40, 9):
        streams = torch.zeros(1, 2, KERNEL)
        streams[0, 0, first : first + PULSE] = 100 * bursts()[1].real / bursts()[1].real.norm()
        before, after = plain.measure(streams)[0, 0], network.measure(streams)[0, 0]
        reached = (
            network.pulses.filters(streams)[0, 0].amax(0).unfold(0, network.pulses.match.shape[1], 1).amax(1) > 4000
        )
        assert after[:, reached[: after.shape[1]]].max() < 1 if reached[: after.shape[1]].any() else True
        assert (after <= before + 1e-3).all()


def test_a_network_without_glitches_ignores_them() -> None:
    network = MatchedFilterNetwork(2, KERNEL, groups=4, glitches=False)
    templates = torch.complex(*chirps().filters.bank)
    network.set_bank(templates, torch.arange(8) + 5.0, pulses=bursts())
    assert network.pulses is None
    assert network.specification["arguments"]["pulse_size"] == 0


def test_the_specification_builds_the_same_network() -> None:
    network = network_with(bursts())
    arguments = network.specification["arguments"]
    again = MatchedFilterNetwork(**arguments).eval()
    again.load_state_dict(network.state_dict())
    streams = torch.randn(2, 2, 2 * KERNEL, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(again.encode(streams), network.encode(streams))


@pytest.mark.parametrize("name", ["blip", "low_frequency_blip", "tomte", "koi_fish"])
def test_glitches_of_o3_are_pulses(name: str) -> None:
    """The best pulse keeps nearly all of a glitch's SNR."""
    curve = load_asd("aLIGO_O4_high_asd.txt")
    psd = torch.from_numpy(asd_at(curve, np.arange(513.0)) ** 2)
    templates = pulses(psd, RATE, HIGHPASS)
    assert 20 < len(templates) < 100
    torch.testing.assert_close(templates.abs().square().sum(1), torch.full((len(templates),), 2.0))
    glitches = read_population("o3").draw("L1", 50, np.random.default_rng(0), classes=(name,))
    white = torch.from_numpy(waveforms(glitches, curve, RATE, 2.0, whitened_band=(HIGHPASS, RATE / 2)))
    size = 2 * white.shape[1]
    spectra = torch.fft.fft(templates.to(torch.complex128), n=size).conj()
    outputs = torch.fft.ifft(torch.fft.fft(white, n=size)[:, None] * spectra)
    match = outputs.abs().amax(2).amax(1) / white.norm(dim=1)
    assert match.quantile(0.1) > 0.93
    assert match.mean() > 0.96
