"""Glitches in the matched-filter network."""

import math

import numpy as np
import pytest
import torch
from train.small_bank import KERNEL, SIZE, chirps

from aframe.bank.pulses import octaves, pulses
from aframe.strain.glitch_population import read_population
from aframe.strain.glitches import waveforms
from aframe.strain.noise_curves import asd_at, load_asd
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.architectures.glitches import UNLIKELY, Glitches

PULSE = 16
RATE, HIGHPASS = 1024.0, 32.0


def bursts() -> torch.Tensor:
    """Two short pulses."""
    time = torch.arange(PULSE) / PULSE
    phases = 2 * torch.pi * torch.tensor([[2.0], [4.0]]) * time
    series = torch.polar(torch.hann_window(PULSE, periodic=False).expand(2, -1), phases)
    return series / (series.abs().square().sum(1, keepdim=True) / 2).sqrt()


def network_with(pulse_series: torch.Tensor | None) -> MatchedFilterNetwork:
    """Eight chirps, with pulses and one band for each pulse."""
    filters = chirps().filters
    network = MatchedFilterNetwork(2, KERNEL, groups=4, step_size=16, coincidence=8)
    templates = torch.complex(*filters.bank)[filters.rows]
    network.set_bank(templates, torch.arange(8) + 5.0, pulses=pulse_series, bands=pulse_series)
    return network.eval()


def glitches_of(network: MatchedFilterNetwork) -> Glitches:
    assert network.known_glitches is not None
    return network.known_glitches


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
    """The formula of the class, computed for one template in one step."""
    network, plain = network_with(bursts()), network_with(None)
    glitches = glitches_of(network)
    glitches.rare = rare = 8.0
    streams = torch.randn(1, 2, KERNEL, generator=torch.Generator().manual_seed(0))
    streams[0, 0, 120 : 120 + PULSE] += 6 * bursts()[0].real / bursts()[0].real.norm()
    measured, before = (each.measure(streams)[0, 0].double() for each in (network, plain))
    lags, windows, steps = glitches.lags, glitches.windows, before.shape[1]
    best = glitches.pulses(streams)[0, 0].amax(0).double()
    surplus = glitches.surplus(streams)[0, 0].double()
    numbers, checked = glitches.numbers.double(), 0

    def excess(amount: float, number: float) -> float:
        return (amount - number * math.log1p(amount / number)) / 2

    for step in range(steps):
        pulse = best[step : step + lags]
        for template in range(8):
            power, group = float(before[template, step]), template // 2
            loud = torch.where(pulse > rare - UNLIKELY, pulse, 0.0).sqrt()
            rest = max(power**0.5 - float((loud * glitches.match[group]).max()), 0.0) ** 2
            amounts = [(float(surplus[b, step + w]), float(numbers[b])) for w in range(windows) for b in range(2)
                       if glitches.counts[group, w]]  # fmt: skip
            amount, number = max(amounts, key=lambda each: excess(*each))
            share = min(max(4 * power / max(amount, 1.0) - 1, 0.0), 1.0)
            beside = share * (power + excess(max(amount - 2 * power, 0.0), number))
            over = float(pulse.max()) - rare
            binary = math.exp(power) + math.exp(over + rest) + math.exp(beside - rare)
            ratio = math.log(binary / (1 + math.exp(over) + math.exp(excess(amount, number) - rare)))
            if over > -UNLIKELY:
                checked += 1
                assert float(measured[template, step]) == pytest.approx(max(ratio, 0.0), abs=1e-3)
    assert checked > 20


def test_without_a_likely_glitch_nothing_changes() -> None:
    network, plain = network_with(bursts()), network_with(None)
    streams = torch.randn(4, 2, KERNEL, generator=torch.Generator().manual_seed(2))
    assert glitches_of(network).pulses(streams).max() < glitches_of(network).rare - UNLIKELY
    torch.testing.assert_close(network.measure(streams), plain.measure(streams), rtol=0, atol=0)


def test_excess_power_is_no_witness() -> None:
    """A long loud sine in the band of a pulse: no template has much of it."""
    network, plain = network_with(bursts()), network_with(None)
    streams = torch.randn(1, 2, 2 * KERNEL, generator=torch.Generator().manual_seed(3))
    streams[0, 0] += 4 * torch.sin(2 * torch.pi * 2.3 / PULSE * torch.arange(2 * KERNEL))
    quiet = torch.randn(1, 2, 20_000, generator=torch.Generator().manual_seed(4))
    glitches = glitches_of(network)
    assert glitches.surplus(streams)[0, 0].amin(1).max() > 10 * glitches.surplus(quiet).mean()
    before, after = (each.measure(streams)[0].amax(1) for each in (plain, network))
    assert (after[0] < 0.5 * before[0]).all()
    torch.testing.assert_close(after[1], before[1], rtol=0, atol=0)


def test_the_surplus_of_white_noise_has_the_scatter_of_its_numbers() -> None:
    """n (e - 1), cut off at 0: half of the windows are above, with the scatter of n squares of Gaussian numbers."""
    glitches = glitches_of(network_with(bursts()))
    noise = torch.randn(1, 2, 400_000, generator=torch.Generator().manual_seed(5))
    for surplus, number in zip(glitches.surplus(noise)[0].transpose(0, 1), glitches.numbers, strict=True):
        assert 0.35 < float((surplus > 0).float().mean()) < 0.5
        assert float(surplus.square().mean()) == pytest.approx(float(number), rel=0.25)


def test_a_network_without_glitches_ignores_them() -> None:
    network = MatchedFilterNetwork(2, KERNEL, groups=4, glitches=False)
    templates = torch.complex(*chirps().filters.bank)
    network.set_bank(templates, torch.arange(8) + 5.0, pulses=bursts(), bands=bursts())
    assert network.known_glitches is None
    assert network.specification["arguments"]["pulse_size"] == 0


def test_templates_that_are_too_short_have_no_glitches() -> None:
    network = MatchedFilterNetwork(2, KERNEL, groups=4, step_size=16, coincidence=8)
    templates = torch.complex(*chirps().filters.bank)
    long = torch.randn(2, 32, dtype=torch.complex64)
    network.set_bank(templates, torch.arange(8) + 5.0, pulses=long, bands=long)
    assert network.known_glitches is None


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


def test_octaves_cover_the_band_without_overlap() -> None:
    bands = octaves(RATE, HIGHPASS)
    power = torch.fft.fft(bands, n=1024).abs().square()
    grid = torch.arange(1024.0)
    middles = (power * grid).sum(1) / power.sum(1)
    torch.testing.assert_close(middles, torch.tensor([48.0, 96.0, 192.0, 384.0]), rtol=0.05, atol=0)
    inside = torch.stack([each[(grid > low) & (grid < 2 * low)].sum() / each.sum()
                          for each, low in zip(power, (32.0, 64.0, 128.0, 256.0), strict=True)])  # fmt: skip
    assert (inside > 0.9).all()
