import dataclasses

import numpy as np
import pytest
import torch

from aframe.bank.pulses import octaves, pulses
from aframe.bank.templates import face_on
from aframe.preprocessing import MINIMUM_PHASE, PHASES
from aframe.strain.noise_curves import asd_at, load_asd
from aframe.train.architectures import MatchedFilterNetwork
from aframe.whitening import WhitenedStream, apply_filter


@pytest.fixture
def columns(draws):
    return draws(24)


def test_both_quadratures_have_unit_norm_and_are_orthogonal(maker, columns):
    templates = maker.make(columns, workers=1)
    assert templates.shape == (24, 3328)
    assert templates.dtype == torch.complex64
    torch.testing.assert_close(templates.real.square().sum(-1), torch.ones(24), atol=1e-3, rtol=0)
    torch.testing.assert_close(templates.imag.square().sum(-1), torch.ones(24), atol=1e-3, rtol=0)
    assert (templates.real * templates.imag).sum(-1).abs().max() < 1e-3


def test_templates_have_no_negative_frequencies(maker, columns):
    """Light binaries, whose beginning is cut, included; spins against the orbit too."""
    columns |= {"mass_1": np.linspace(6, 200, 24), "mass_2": np.linspace(6, 100, 24)}
    power = torch.fft.fft(maker.make(columns, workers=1), n=8192).abs().square()
    assert (power[:, 4096:].sum(-1) / power.sum(-1)).max() < 1e-4


def test_templates_know_only_spins_along_the_axis(maker, columns):
    """Of a precessing binary the template is that of its aligned partner, for any place of the observer."""
    partner = columns | {"theta_jn": np.zeros(24), "phase": np.zeros(24)}
    for i in (1, 2):
        partner[f"a_{i}"] = np.abs(columns[f"a_{i}"] * np.cos(columns[f"tilt_{i}"]))
        partner[f"tilt_{i}"] = np.where(columns[f"tilt_{i}"] < np.pi / 2, 0.0, np.pi)
    assert (np.sin(columns["tilt_1"]) > 0.5).any()
    expected = maker.make(partner, workers=1)
    torch.testing.assert_close(maker.make(columns, workers=1), expected, atol=1e-5, rtol=0)
    assert set(face_on(columns)) == set(columns)


def test_coalescence_is_a_quarter_second_before_the_end(maker, columns):
    """Whitened signals are loudest within 30 ms of coalescence."""
    loudest = maker.make(columns, workers=1).abs().argmax(-1)
    assert ((loudest - (3328 - 256)).abs() < 32).all()


@pytest.mark.parametrize("phase", PHASES)
def test_a_template_meets_its_signal_at_its_place_in_whitened_strain(make_maker, columns, phase):
    """Of strain whitened as in a search, the best template begins its length before the signal's coalescence."""
    maker = make_maker(phase)
    heavy = {name: values[:4] for name, values in columns.items()}
    waves = torch.from_numpy(np.stack(maker.generator.generate(face_on(heavy), 1), axis=1))[:, 0]
    coalescence = 3000 + maker.generator.size - maker.generator.right_pad_size
    stream = WhitenedStream(torch.zeros(9000), maker.taps[None], 0, 9000, maker.taps_after)
    for wave, template in zip(waves, maker.make(heavy, workers=1), strict=True):
        signal = stream.whiten_signal(wave, 3000)
        snr = signal.square().sum().sqrt()
        strain = torch.nn.functional.pad(signal, (3000 - stream.after, 2000))
        matched = (strain.unfold(0, len(template), 1).to(template.dtype) @ template.conj()).abs()
        assert matched.max() == pytest.approx(float(snr), rel=0.03)
        assert abs(int(matched.argmax()) + len(template) - 256 - coalescence) <= 1


@pytest.mark.parametrize("phase", PHASES)
def test_pulses_are_whitened_as_strain_is(make_maker, phase):
    """A blip in the strain has its SNR in the pulse of its frequency and width."""
    taps = make_maker(phase).taps
    psd = torch.from_numpy(asd_at(load_asd("aLIGO_O4_high_asd.txt"), np.arange(513.0)) ** 2)
    templates = pulses(psd, 1024.0, 32.0, taps if phase == MINIMUM_PHASE else None)
    time = (torch.arange(3072) - 1536) / 1024
    blip = 1e-21 * torch.exp(-((time / 0.006) ** 2)) * torch.cos(2 * torch.pi * 120 * time)
    whitened = apply_filter(blip.double(), taps, torch.float32)
    windows = whitened.unfold(0, templates.shape[1], 1).to(templates.dtype)
    best = (windows @ templates.conj().T).abs().max() / whitened.square().sum().sqrt()
    assert best > 0.92


def test_a_longer_end_than_the_waveforms_is_possible(maker, columns):
    """The search's waveforms can end before the templates."""
    short = dataclasses.replace(maker, generator=dataclasses.replace(maker.generator, right_pad=0.125))
    expected = maker.make(columns, workers=1)
    torch.testing.assert_close(short.make(columns, workers=1), expected, atol=1e-3, rtol=0)


def test_signals_have_unit_norm_and_keep_their_spins(maker, columns):
    signals = maker.signals(columns, workers=1)
    torch.testing.assert_close(signals.square().sum(-1), torch.ones(24), atol=1e-4, rtol=0)
    assert (signals * maker.signals(face_on(columns), workers=1)).sum(-1).abs().min() < 0.9


def test_what_lal_refuses_is_not_a_number(maker, columns):
    columns["mass_2"][5] = -3.0
    finite = torch.isfinite(maker.make(columns, workers=1).abs()).all(-1)
    assert finite.tolist() == [number != 5 for number in range(24)]


def test_a_glitch_at_the_beginning_of_a_template_is_no_binary(maker, columns):
    """Only a part of the pulse is within the strain of some steps. Nothing of it is left in these either."""
    columns |= {"mass_1": np.linspace(7, 40, 24), "mass_2": np.linspace(6, 20, 24)}
    templates = maker.make(columns, workers=1)
    assert (templates[:, 0] == 0).all()
    assert templates[0, 300:600].abs().amax() > 0.05 * templates[0].abs().amax()
    psd = torch.from_numpy(asd_at(load_asd("aLIGO_O4_high_asd.txt"), np.arange(513.0)) ** 2)
    koi_fish = pulses(psd, 1024.0, 32.0)
    network = MatchedFilterNetwork(1, 3840, groups=4)
    network.set_bank(templates, torch.arange(24) + 5.0, pulses=koi_fish, bands=octaves(1024.0, 32.0))
    noise = torch.randn(1, 1, 9000, generator=torch.Generator().manual_seed(0))
    streams = noise.repeat(len(koi_fish), 1, 1)
    streams[:, 0, 4400 : 4400 + koi_fish.shape[1]] += 400 * koi_fish.real
    assert network.eval().measure(streams).max() <= network.measure(noise).max() + 1
