"""Pulses in the matched-filter network."""

import math

import numpy as np
import pytest
import torch
from train.small_bank import KERNEL, SIZE, chirps

from aframe.bank.pulses import pulses
from aframe.strain.glitch_population import read_population
from aframe.strain.glitches import waveforms
from aframe.strain.noise_curves import asd_at, load_asd
from aframe.train.architectures import MatchedFilterNetwork

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


def test_what_pulses_take_is_the_logarithm_of_the_odds() -> None:
    network = network_with(bursts())
    assert network.pulses is not None
    streams = torch.randn(3, 2, KERNEL, generator=torch.Generator().manual_seed(0))
    network.pulses.rare = 3.0
    measured, plain = network.measure(streams), network_with(None).measure(streams)
    taken = network.pulses(streams, measured.shape[-1])
    best = network.pulses.filters(streams).amax(2)
    first, last = network.pulses.spans[1]
    expected = math.log1p(math.exp(float(best[2, 1, first + 4 : last + 5].max()) - 3.0))
    assert taken[2, 1, 1, 4].item() == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(measured, (plain - taken.repeat_interleave(2, 2)).clamp_min(0))


def test_pulses_are_looked_for_where_a_template_has_power() -> None:
    network = network_with(bursts())
    assert network.pulses is not None
    step, middle = 16, PULSE // 2
    power = torch.complex(*network.filters.bank)[network.filters.rows].abs().square()
    for group, (first, last) in enumerate(network.pulses.spans):
        assert 0 <= first <= last
        assert last * step + network.pulses.filters.receptive_field <= network.receptive_field
        inside = power[2 * group : 2 * group + 2, first * step + middle : last * step + middle + 24].sum()
        assert inside > 0.93 * power[2 * group : 2 * group + 2].sum()


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
