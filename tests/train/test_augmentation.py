import math

import numpy as np
import pytest
import torch
from scipy import stats

from aframe.errors import ConfigurationError
from aframe.preprocessing import PHASES, Whitening
from aframe.train.augmentation import (
    NOISE,
    SIGNAL,
    BatchMixture,
    SnrDistribution,
    SnrSchedule,
    crop_at,
    invert_and_reverse,
    make_incoherent,
    network_snr,
    whiten_responses,
)
from aframe.train.background import _response
from aframe.waveforms.projection import antenna_patterns, arrival_delays, detector_geometry, project
from aframe.whitening import whiten_stream, whiten_whole


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(8)


@pytest.mark.parametrize("index", [-3.0, -1.0, 0.0, 1.5])
def test_snrs_follow_the_power_law(generator, index):
    snr = SnrDistribution(4.0, 100.0, index).sample(20000, generator).double().numpy()
    power = index + 1

    def cumulative(x):
        if power == 0:
            return np.log(x / 4) / np.log(25)
        return (x**power - 4**power) / (100**power - 4**power)

    assert stats.kstest(snr, cumulative).pvalue > 1e-3


@pytest.mark.parametrize(("low", "high"), [(0.0, 100.0), (4.0, 4.0), (9.0, 4.0)])
def test_snrs_that_cannot_be_drawn_are_refused(low, high):
    with pytest.raises(ConfigurationError, match="must be positive and the smaller one"):
        SnrDistribution(low, high, -3.0)


def test_the_smallest_snr_falls_linearly_and_stays():
    final = SnrDistribution(4.0, 100.0, -3.0)
    schedule = SnrSchedule(final, 12.0, 80)
    assert [schedule.at(step).minimum for step in (0, 20, 40, 80, 1000)] == [12.0, 10.0, 8.0, 4.0, 4.0]
    assert schedule.at(80) == final
    assert SnrSchedule(final, 12.0, 0).at(0) == final
    with pytest.raises(ConfigurationError, match=r"initial_snr_minimum = 3\.0 must lie between"):
        SnrSchedule(final, 3.0, 80)


def test_signs_and_directions_are_drawn_independently_for_each_detector(generator):
    ramp = torch.arange(1.0, 5.0).repeat(4000, 2, 1)
    result = invert_and_reverse(ramp, generator)
    inverted, reversed_ = result[..., 0] < 0, result[..., 0].abs() == 4.0
    assert torch.equal(result.abs().sort(-1).values, ramp)
    events = torch.cat([inverted, reversed_], dim=1).float()
    # four independent fair coins: mean 1/2, correlation 0, within 4.5 standard errors
    assert (events.mean(0) - 0.5).abs().max() < 4.5 * 0.5 / math.sqrt(4000)
    correlation = torch.corrcoef(events.T) - torch.eye(4)
    assert correlation.abs().max() < 4.5 / math.sqrt(4000)


def test_incoherent_signals(generator):
    responses = torch.arange(1.0, 9.0)[:, None, None] * torch.tensor([1.0, 10.0, 100.0])[:, None] * torch.ones(8, 3, 5)
    swapped = torch.tensor([1, 1, 0, 0, 0, 0, 0, 0], dtype=torch.bool)
    muted = torch.tensor([0, 0, 1, 1, 1, 0, 0, 0], dtype=torch.bool)
    result = make_incoherent(responses, swapped, muted, generator)
    source = result[..., 0] / torch.tensor([1.0, 10.0, 100.0])
    assert source[:2].tolist() == [[1, 2, 3], [2, 3, 4]]  # each detector another signal, with its own response
    assert ((source[2:5] == 0).sum(1) == 2).all()  # two of three that fit would be a signal
    assert torch.equal(result[5:], responses[5:])
    assert torch.equal(result[2:5][source[2:5] > 0], responses[2:5][source[2:5] > 0])


def test_a_signal_without_partner_is_silenced_rather_than_swapped_with_itself(generator):
    result = make_incoherent(torch.ones(1, 2, 4), torch.tensor([True]), torch.tensor([False]), generator)
    assert result[:, 0].eq(1).all()
    assert result[:, 1].eq(0).all()


@pytest.mark.parametrize("ifos", [2, 3, 4])
def test_a_muted_signal_is_in_one_detector_and_in_each_alike(generator, ifos):
    muted = torch.ones(6000, dtype=torch.bool)
    result = make_incoherent(torch.ones(6000, ifos, 1), ~muted, muted, generator)[..., 0]
    assert (result.sum(1) == 1).all()
    counts = result.sum(0)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_crops_are_zero_beyond_the_waveform():
    waveforms = torch.arange(1.0, 11.0).repeat(5, 2, 1)
    pieces = crop_at(waveforms, torch.tensor([-3, -20, 0, 8, 30]), 4)
    assert pieces[:, 1].tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [1, 2, 3, 4], [9, 10, 0, 0], [0, 0, 0, 0]]
    assert torch.equal(pieces[:, 0], pieces[:, 1])


def test_network_snr_adds_detectors_in_quadrature():
    whitened = torch.zeros(1, 2, 100)
    whitened[0, 0, 10], whitened[0, 1, 20] = 3.0, 4.0
    assert float(network_snr(whitened)) == 5.0


def test_fractions_of_a_batch_must_be_fractions():
    with pytest.raises(ConfigurationError, match="nor exceed 1 together"):
        BatchMixture(0.6, 0.3, 0.2)
    with pytest.raises(ConfigurationError, match="must not be negative"):
        BatchMixture(0.6, -0.1, 0.2)


def test_a_batch_has_the_configured_fractions(generator):
    fractions = (0.3, 0.1, 0.05)
    counts = torch.bincount(BatchMixture(*fractions).draw(20000, generator), minlength=4).numpy()
    assert stats.chisquare(counts, 20000 * np.array([*fractions, 1 - sum(fractions)])).pvalue > 1e-3
    assert (BatchMixture(1.0, 0.0, 0.0).draw(1000, generator) == SIGNAL).all()
    assert (BatchMixture(0.0, 0.0, 0.0).draw(1000, generator) == NOISE).all()


@pytest.mark.parametrize("phase", PHASES)
def test_signals_are_whitened_as_strain_is(phase):
    # project, then whiten by the stream's own filters: what inference does with an injection
    rate, size = 512.0, 2048
    whitening = Whitening(rate, 8.0, 1.0, 1.0, 8.0, 30.0, None, phase)
    random = torch.Generator().manual_seed(0)
    time = (torch.arange(size) - 1024) / rate
    envelope = 1e-21 * torch.exp(-0.5 * (time / 0.05) ** 2)
    plus, cross = envelope * torch.cos(600 * time + 900 * time**2), envelope * torch.sin(600 * time + 900 * time**2)
    geometry = detector_geometry(("H1", "L1"))
    angles = [torch.tensor([x]) for x in (1.1, 0.4, 0.7)]
    responses = project(plus[None], cross[None], geometry, *angles, rate)[0]
    streams = [whiten_stream(1e-22 * torch.randn(9000, generator=random), whitening) for _ in range(2)]
    begin = whitening.after_size
    expected = torch.stack(
        [s.whiten_signal(r, 300)[begin : begin + size] for s, r in zip(streams, responses, strict=True)]
    )
    f_plus, f_cross = antenna_patterns(geometry, *angles)
    filters = torch.stack([_response(s, size)[0] for s in streams])[None]
    assert filters.is_complex() == (phase == "minimum")
    delays = arrival_delays(geometry, *angles[:2])
    whitened = whiten_responses(torch.stack([plus, cross])[None], f_plus, f_cross, delays, filters, rate)[0]
    assert expected.abs().max() > 1
    torch.testing.assert_close(whitened, expected, atol=1e-3 * float(expected.abs().max()), rtol=0)


def test_zero_phase_response_of_a_filter():
    whitening = Whitening(512.0, 8.0, 1.0, 1.0, 8.0, 30.0, None)
    strain = torch.randn(4096, generator=torch.Generator().manual_seed(0))
    stream = whiten_whole(strain, whitening)
    response = _response(stream, 2000)[0]
    frequency = torch.arange(1001) / 2000
    offset = torch.arange(512) - 256
    expected = (stream.taps * torch.cos(2 * math.pi * frequency[:, None] * offset)).sum(-1)
    torch.testing.assert_close(response.double(), expected, atol=1e-5, rtol=1e-5)
