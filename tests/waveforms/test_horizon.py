import numpy as np
import pytest
import torch
from bilby.gw.detector import PowerSpectralDensity
from scipy import integrate

from aframe.constants import SOLAR_MASS_SECONDS, SPEED_OF_LIGHT
from aframe.errors import DataError
from aframe.waveforms.horizon import HorizonBound, geocentric_snr, inverse_asd, optimal_snr
from aframe.waveforms.priors import demo_bbh, draw, rates_and_populations_bbh
from aframe.waveforms.projection import antenna_patterns, detector_geometry, project

RATE, BAND = 2048.0, (32.0, None)
IFOS = ("H1", "L1")


def test_snr_of_a_sinusoid_in_white_noise():
    """ρ² = A² T / S for a sinusoid of amplitude A and length T in noise of one-sided density S."""
    time = torch.arange(0, 8, 1 / RATE)
    signal = 3e-23 * torch.sin(2 * torch.pi * 100 * time)
    psds = torch.tensor([[1e-46], [4e-46]], dtype=torch.float64).expand(2, 513)
    ratio = optimal_snr(signal.expand(1, 2, -1), psds, RATE, 20.0, None)
    expected = [np.sqrt(9e-46 * 8 / 1e-46), np.sqrt(9e-46 * 8 / 4e-46)]
    np.testing.assert_allclose(ratio[0], expected, rtol=1e-4)
    assert float(optimal_snr(signal.expand(1, 2, -1), psds, RATE, 110.0, None).max()) < 0.01 * expected[0]
    assert float(optimal_snr(signal.expand(1, 2, -1), psds, RATE, 20.0, 90.0).max()) < 0.01 * expected[0]


def test_snr_of_an_inspiral_falls_as_f_to_minus_seven_thirds(generator, psds):
    """ρ² = (5/6) M^(5/3) / (π^(4/3) D²) ∫ f^(−7/3) a² / S df face-on, in units of G and c, M being the chirp mass
    (Cutler & Flanagan, Phys. Rev. D 49, 2658); a is the amplitude's first post-Newtonian
    correction (arXiv:0810.5336, table I).
    """
    row = dict.fromkeys(("theta_jn", "phi_jl", "tilt_1", "tilt_2", "phi_12", "a_1", "a_2", "phase"), 0.0)
    row |= {"mass_1": 8.0, "mass_2": 8.0, "luminosity_distance": 100.0}
    plus, _ = generator.generate({name: np.array([value]) for name, value in row.items()}, workers=1)
    ratio = optimal_snr(torch.from_numpy(plus)[:, None].expand(1, 2, -1), psds, RATE, 40.0, 80.0)
    curve = PowerSpectralDensity(asd_file="aLIGO_O4_high_asd.txt")
    frequency = np.linspace(40, 80, 4000)
    noise = np.interp(frequency, curve.frequency_array, curve.psd_array)
    mass = 16 * 0.25**0.6 * SOLAR_MASS_SECONDS
    distance = 100 * 3.0856775814913673e22 / SPEED_OF_LIGHT
    amplitude = (5 / 6) * mass ** (5 / 3) / (np.pi ** (4 / 3) * distance**2)
    correction = 1 + (np.pi * 16 * SOLAR_MASS_SECONDS * frequency) ** (2 / 3) * (-323 / 224 + 451 / 168 / 4)
    expected = np.sqrt(amplitude * integrate.trapezoid(frequency ** (-7 / 3) * correction**2 / noise, frequency))
    assert float(ratio[0, 0]) == pytest.approx(expected, rel=0.02)


def test_a_psd_of_nothing_is_refused(psds):
    with pytest.raises(DataError, match="PSD"):
        optimal_snr(torch.ones(1, 2, 4096), psds * 0, RATE, 32.0, None)


@pytest.mark.parametrize("population", [demo_bbh, rates_and_populations_bbh])
def test_the_bound_never_rejects_what_full_generation_accepts(population, generator, psds):
    """Every draw's signal-to-noise ratio, computed in full, lies under its bound; and the bound is worth having."""
    number = 2000
    columns = draw(population(), number, np.random.default_rng(1))
    columns["a_1"][::5], columns["a_2"][::5] = 0.99, 0.99  # the loudest of all: spins aligned, seen from above
    columns["tilt_1"][::10], columns["tilt_2"][::10], columns["theta_jn"][::10] = 0.01, 0.01, 0.01
    geometry = detector_geometry(IFOS)
    angles = tuple(torch.tensor(columns[name], dtype=torch.float32) for name in ("ra", "dec", "psi"))
    patterns = antenna_patterns(geometry, *angles)
    power = (patterns[0].square() + patterns[1].square()).numpy()
    bound = HorizonBound.build(generator, psds, *BAND)
    where = columns["mass_1"], columns["mass_2"], columns["luminosity_distance"]
    best, directed = bound(*where), bound(*where, power)
    waves = [torch.from_numpy(wave) for wave in generator.generate(columns)]
    weights = inverse_asd(psds, generator.size, RATE, *BAND)
    ratios = torch.cat(
        [
            geocentric_snr(waves[0][b], waves[1][b], (patterns[0][b], patterns[1][b]), weights)
            for b in (slice(i, i + 100) for i in range(0, number, 100))
        ]
    )
    full = ratios.norm(dim=-1).numpy()
    assert (full < directed / 1.02).all()
    assert (directed <= best * (1 + 1e-6)).all()
    assert (directed < 4).mean() > 0.15


def test_ratios_without_delays_are_those_of_the_responses(generator, psds):
    columns = draw(demo_bbh(), 60, np.random.default_rng(2))
    geometry = detector_geometry(IFOS)
    angles = tuple(torch.tensor(columns[name], dtype=torch.float32) for name in ("ra", "dec", "psi"))
    waves = [torch.from_numpy(wave) for wave in generator.generate(columns)]
    responses = project(waves[0], waves[1], geometry, *angles, RATE)
    weights = inverse_asd(psds, generator.size, RATE, *BAND)
    rough = geocentric_snr(waves[0], waves[1], antenna_patterns(geometry, *angles), weights)
    torch.testing.assert_close(optimal_snr(responses, psds, RATE, *BAND), rough, rtol=5e-3, atol=1e-3)


def test_masses_outside_the_table_are_never_rejected(generator, psds):
    bound = HorizonBound.build(generator, psds, *BAND)
    assert np.isinf(bound(np.array([1.4, 900.0]), np.array([1.4, 900.0]), np.array([1e4, 1e4]))).all()
