import numpy as np
import pytest
import torch

from aframe.bank.template_bank import TemplateBank
from aframe.errors import ConfigurationError
from aframe.events.cluster import Clustering, cluster
from aframe.inference.plain_bank import plain_bank
from aframe.preprocessing import Preprocessing, Whitening

RATE, LENGTH, AFTER = 256.0, 1.0, 0.125
FREQUENCIES = (20.0, 35.0, 60.0)


@pytest.fixture
def bank() -> TemplateBank:
    """Bursts at three frequencies."""
    time = torch.arange(int(LENGTH * RATE), dtype=torch.float64) / RATE
    phases = 2 * torch.pi * torch.tensor(FREQUENCIES, dtype=torch.float64)[:, None] * time
    waves = torch.polar(torch.hann_window(len(time), dtype=torch.float64).expand(3, -1), phases)
    waves /= waves.abs().square().sum(1, keepdim=True).div(2).sqrt()
    masses, ones = np.array([30.0, 20.0, 10.0]), np.ones(1)
    waves = waves.to(torch.complex64)
    return TemplateBank(waves, {}, masses, RATE, AFTER, ones, ones, np.ones((2, 129)), waves[:1, :16], waves[:1, :16])


def windows_of(length: float, rate: float = 8.0) -> Preprocessing:
    whitening = Whitening(RATE, 4.0, 1.0, 1.0, 4.0, 10.0, None)
    return Preprocessing(("H1", "L1"), length, rate, (0.0, length), whitening)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_score_of_a_signal_is_half_its_squared_network_snr(bank: TemplateBank) -> None:
    """The detectors see it with different SNRs and phases, a light travel time apart."""
    network, late = plain_bank(bank, windows_of(1.5), 0.02).network, 5
    windows = torch.zeros(3, 2, 384)
    for row, template in enumerate(bank.templates):
        for ifo, (snr, phase, start) in enumerate([(9.0, 0.3, 40), (12.0, 1.9, 40 + late)]):
            windows[row, ifo, start : start + 256] = snr * (template * np.exp(1j * phase)).real
    torch.testing.assert_close(network(windows), torch.full((3,), (9.0**2 + 12.0**2) / 2), rtol=0.02, atol=0)


def test_the_score_of_noise_is_the_largest_sum_of_the_detectors(bank: TemplateBank) -> None:
    network = plain_bank(bank, windows_of(1.5), 0.02).network
    windows = noise(6, 2, 384)
    expected, loud = (network.measure(each).sum(1).amax((1, 2)) for each in (windows, 3 * windows))
    assert loud.min() > network.quiet
    torch.testing.assert_close(network(3 * windows), loud)
    quiet = network(windows)  # a bound
    assert ((quiet >= expected - 1e-4) & (quiet <= network.quiet)).all()


def test_an_event_lies_at_the_coalescence(bank: TemplateBank) -> None:
    model = plain_bank(bank, windows_of(1.5), 0.02)
    assert model.preprocessing.coalescence == (LENGTH - AFTER, 1.5 - AFTER)
    stream, start = 0.1 * noise(1, 2, 256 * 20), 1500
    stream[..., start : start + 256] += 20 * bank.templates[1].real
    scores = model.network.fuse(model.network.encode(stream).unbind(1), 1)[0].numpy()
    statistic, time = cluster(scores, 0.0, Clustering(8.0, 0.125, 8.0, model.preprocessing.coalescence_offset))
    loudest = statistic.argmax()
    assert statistic[loudest] == pytest.approx(2 * 20**2 / 2, rel=0.05)
    assert time[loudest] == pytest.approx(start / RATE + LENGTH - AFTER, abs=0.1)


def test_windows_that_no_template_fits_are_refused(bank: TemplateBank) -> None:
    with pytest.raises(ConfigurationError, match="a window of 256 samples is too short for templates of 256 samples"):
        plain_bank(bank, windows_of(1.0), 0.02)
