import numpy as np
import pytest
import torch
from bilby.gw.detector import PowerSpectralDensity

from aframe.waveforms.horizon import optimal_snr
from aframe.waveforms.lost_snr import Band, frequency_at, lost_shares
from aframe.waveforms.polarizations import WAVEFORM_COLUMNS, WaveformGenerator
from aframe.waveforms.population import draw
from aframe.waveforms.priors import bns, rates_and_populations_bbh

CURVE = PowerSpectralDensity(asd_file="aLIGO_O4_high_asd.txt")


def psd(frequency: np.ndarray) -> np.ndarray:
    return np.interp(frequency, CURVE.frequency_array, CURVE.psd_array)


def pair(mass_1: float, mass_2: float) -> dict[str, np.ndarray]:
    columns = {name: np.zeros(1) for name in WAVEFORM_COLUMNS}
    chirp_mass = (mass_1 * mass_2) ** 0.6 / (mass_1 + mass_2) ** 0.2
    values = {"mass_1": mass_1, "mass_2": mass_2, "chirp_mass": chirp_mass, "luminosity_distance": 400.0}
    return columns | {name: np.array([value]) for name, value in values.items()}


def snr(columns: dict[str, np.ndarray], approximant: str, rate: float, duration: float, highpass: float) -> float:
    generator = WaveformGenerator(approximant, rate, duration, 0.5, 20.0, 50.0)
    plus, _ = generator.generate(columns, 1)
    noise = torch.from_numpy(psd(np.linspace(0, rate / 2, int(4 * rate) + 1)))[None]
    return float(optimal_snr(torch.from_numpy(plus)[:, None], noise, rate, highpass, None))


def test_a_frequency_of_an_inspiral():
    """GW150914's chirp mass reaches 30 Hz a fifth of a second before its end, two neutron stars nearly a minute."""
    assert frequency_at(0.2, np.array([30.5]))[0] == pytest.approx(34, abs=3)
    assert frequency_at(54.0, np.array([1.2188]))[0] == pytest.approx(30, abs=0.5)


@pytest.mark.parametrize(("duration", "highpass"), [(8.0, 30.0), (16.0, 30.0), (16.0, 25.0)])
def test_the_early_share_is_that_of_short_waveforms(duration, highpass):
    columns = pair(1.6, 1.4)
    early, high = lost_shares(columns, Band(psd, highpass, 512.0), duration - 0.5)
    whole, cut = (snr(columns, "TaylorF2", 1024.0, length, highpass) for length in (128.0, duration))
    assert early[0] == pytest.approx((1 - (cut / whole) ** 2) * (1 - high[0]), abs=0.015)
    assert early[0] > 0.1


@pytest.mark.parametrize(("masses", "approximant"), [((1.6, 1.4), "TaylorF2"), ((8.0, 6.0), "IMRPhenomD")])
def test_the_high_share_is_that_of_low_sample_rates(masses, approximant):
    columns = pair(*masses)
    _, high = lost_shares(columns, Band(psd, 30.0, 128.0), 60.0)
    whole, low = (snr(columns, approximant, rate, 64.0, 30.0) for rate in (8192.0, 256.0))
    assert high[0] == pytest.approx(1 - (low / whole) ** 2, abs=0.06)


def test_shares_grow_with_what_is_cut():
    columns = draw(bns(), 200, np.random.default_rng(0))
    band = Band(psd, 25.0, 512.0)
    shares = [lost_shares(columns, band, before)[0].mean() for before in (10.0, 30.0, 60.0, 300.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0
    heavy = draw(rates_and_populations_bbh(), 200, np.random.default_rng(0))
    assert lost_shares(heavy, band, 30.0)[0].max() < 0.01


def test_a_signal_below_the_band_loses_nothing():
    early, high = lost_shares(pair(900.0, 800.0), Band(psd, 60.0, 512.0), 1.0)
    assert early[0] == high[0] == 0
