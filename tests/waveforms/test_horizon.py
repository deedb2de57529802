import dataclasses

import numpy as np
import pytest
import torch
from bilby.gw.detector import PowerSpectralDensity
from scipy import integrate

from aframe.constants import SOLAR_MASS_SECONDS, SPEED_OF_LIGHT
from aframe.errors import DataError
from aframe.waveforms.horizon import HorizonBound, geocentric_snr, inverse_asd, optimal_snr
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import (
    aligned_spin_bbh,
    demo_bbh,
    draw,
    mlgwsc_1,
    nonspinning_bbh,
    rates_and_populations_bbh,
    rates_and_populations_bns,
    rates_and_populations_nsbh,
)
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


@pytest.fixture(scope="module")
def networks(psds, measured_asds):
    """Detectors, their noise, and the band: design curves, and O3 as measured where it is at hand."""
    result = {
        "design": (IFOS, psds, BAND),
        "design, three, 40-150 Hz": ((*IFOS, "V1"), torch.cat([psds, 4 * psds[:1]]), (40.0, 150.0)),
    }
    if measured_asds:
        frequency = np.linspace(0.0, RATE / 2, 2049)
        curves = [np.interp(frequency, *np.load(path)) ** 2 for path in measured_asds.values()]
        ifos = tuple(measured_asds)
        result["O3"] = (ifos[:2], torch.tensor(np.stack(curves[:2])), BAND)
        result["O3, three"] = (ifos, torch.tensor(np.stack(curves)), (20.0, None))
    return result


def full_ratios(generator, columns, networks):
    """Network signal-to-noise ratios of the waveforms of all draws, in each network."""
    ifos = [ifo for network, *_ in networks.values() for ifo in network]
    weights = [inverse_asd(psds, generator.size, RATE, *band) for _, psds, band in networks.values()]
    patterns = antenna_patterns(detector_geometry(ifos), *angles(columns))
    ratios = []
    for start in range(0, len(columns["ra"]), 500):
        part = {name: column[start : start + 500] for name, column in columns.items()}
        waves = [torch.from_numpy(wave) for wave in generator.generate(part)]
        assert all(torch.isfinite(wave[:, -1]).all() for wave in waves)
        for i in range(0, len(waves[0]), 100):
            b, c = slice(i, i + 100), slice(start + i, start + min(i + 100, len(waves[0])))
            f = patterns[0][c], patterns[1][c]
            ratios.append(geocentric_snr(waves[0][b], waves[1][b], f, torch.cat(weights)))
    each = torch.cat(ratios).split([len(network) for network, *_ in networks.values()], dim=-1)
    return {name: ratio.norm(dim=-1).numpy() for name, ratio in zip(networks, each, strict=True)}


def angles(columns):
    return tuple(torch.tensor(columns[name], dtype=torch.float32) for name in ("ra", "dec", "psi"))


def bounds(generator, columns, networks):
    """Bounds of every draw in each network, with and without its spins and inclination."""
    where = columns["mass_1"], columns["mass_2"], columns["luminosity_distance"]
    result = {}
    for name, (ifos, psds, band) in networks.items():
        patterns = antenna_patterns(detector_geometry(ifos), *angles(columns))
        power = (patterns[0].square() + patterns[1].square()).numpy()
        bound = HorizonBound.build(generator, psds, *band)
        result[name] = bound(*where, power, columns), bound(*where, power)
    return result


def with_extremes(columns, precessing):
    """Draws, some with the loudest orientation: large spins, aligned or in the orbital plane, face-on."""
    columns["a_1"][::9] = columns["a_2"][::9] = 0.998
    columns["theta_jn"][::18] = 0.01
    columns["tilt_1"][::18] = columns["tilt_2"][::18] = 0.01 if precessing else 0.0
    if precessing:
        columns["tilt_1"][4::9], columns["a_1"][4::9] = np.pi / 2, 0.998
        columns["tilt_1"][6::9] = columns["tilt_2"][6::9] = np.pi - 0.01
    return columns


SETS = [
    ("IMRPhenomPv2", rates_and_populations_bbh, 8000),
    ("IMRPhenomPv2", demo_bbh, 3000),
    ("IMRPhenomPv2", rates_and_populations_nsbh, 2500),
    ("IMRPhenomPv2", rates_and_populations_bns, 1500),
    ("IMRPhenomXAS", aligned_spin_bbh, 3000),
    ("IMRPhenomXAS", mlgwsc_1, 1000),
    ("TaylorF2", nonspinning_bbh, 800),
    ("IMRPhenomXP", rates_and_populations_bbh, 800),
    ("IMRPhenomXPHM", rates_and_populations_bbh, 200),
]
"""Models, populations and draws of which the bound is proven: 20 800 in all, few where the model is slow."""

PART = 0.25
"""Of these draws, what is drawn unless all are asked for."""


@pytest.mark.parametrize(
    ("approximant", "population", "number", "share"),
    [
        *((*each, PART) for each in SETS if each[0] != "IMRPhenomXPHM"),
        *(pytest.param(*each, 1, marks=pytest.mark.thorough) for each in SETS),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_the_bound_never_rejects_what_full_generation_accepts(approximant, population, number, share, networks):
    """The signal-to-noise ratio of every draw is below its bound, with two fifths of BOUND_MARGIN to spare."""
    generator = WaveformGenerator(approximant, RATE, 8.0, 0.5, 20.0, 50.0)
    columns = draw(population(), round(share * number), np.random.default_rng(1))
    if population not in (mlgwsc_1, nonspinning_bbh):
        columns = with_extremes(columns, population is not aligned_spin_bbh)
    ratios = full_ratios(generator, columns, networks)
    for name, (oriented, plain) in bounds(generator, columns, networks).items():
        assert (ratios[name] * 1.02 <= oriented).all(), name
        assert (ratios[name] * 1.02 <= plain).all(), name
        assert (oriented <= plain * (1 + 1e-6)).all(), name


def test_the_bound_is_worth_having(generator, networks):
    """In the default population, few binaries below the threshold get a waveform."""
    columns = draw(rates_and_populations_bbh(), 800, np.random.default_rng(3))
    oriented, plain = bounds(generator, columns, networks)["design"]
    loud = (full_ratios(generator, columns, {"design": networks["design"]})["design"] >= 4).mean()
    assert (oriented >= 4).mean() < 2.6 * loud
    assert (oriented >= 4).mean() < 0.6 * (plain >= 4).mean()


def test_ratios_without_delays_are_those_of_the_responses(generator, psds):
    columns = draw(demo_bbh(), 60, np.random.default_rng(2))
    geometry = detector_geometry(IFOS)
    waves = [torch.from_numpy(wave) for wave in generator.generate(columns)]
    responses = project(waves[0], waves[1], geometry, *angles(columns), RATE)
    weights = inverse_asd(psds, generator.size, RATE, *BAND)
    rough = geocentric_snr(waves[0], waves[1], antenna_patterns(geometry, *angles(columns)), weights)
    torch.testing.assert_close(optimal_snr(responses, psds, RATE, *BAND), rough, rtol=5e-3, atol=1e-3)


def test_masses_outside_the_table_are_never_rejected(generator, psds):
    bound = HorizonBound.build(generator, psds, *BAND)
    heavy, light = np.array([0.7, 900.0, 100.0]), np.array([0.7, 900.0, 0.7])
    assert np.isinf(bound(heavy, light, np.full(3, 1e6))).all()
    assert np.isfinite(bound(np.array([1.4, 400.0, 60.0]), np.array([1.4, 400.0, 1.0]), np.full(3, 1e6))).all()


def test_what_a_model_cannot_make_is_never_rejected(psds):
    """LAL refuses IMRPhenomNSBH if the lighter body is no neutron star; there is no bound then."""
    generator = WaveformGenerator("IMRPhenomNSBH", RATE, 8.0, 0.5, 20.0, 50.0)
    bound = HorizonBound.build(generator, psds, *BAND)
    assert np.isinf(bound(np.array([40.0]), np.array([35.0]), np.array([1e6]))).all()


def test_only_the_requested_points_are_computed(generator, psds):
    """A binary lies among eight points of the table (twelve with its remnant's); further noise costs no waveforms."""
    generator = dataclasses.replace(generator, right_pad=0.25)  # not one that another test has filled
    bound = HorizonBound.build(generator, psds, *BAND)
    asked = [np.array([value]) for value in (1.5, 1.3, 100.0)]
    upright = dict.fromkeys(("a_1", "a_2", "tilt_1", "tilt_2", "theta_jn"), np.zeros(1))
    first = bound(*asked, None, upright | {"a_1": np.array([0.1])})
    powers = bound.emission.powers.copy()
    assert len(powers) <= 12
    assert HorizonBound.build(generator, 4 * psds, *BAND)(*asked, None, upright | {"a_1": np.array([0.1])}) == first / 2
    assert bound.emission.powers.keys() == powers.keys()


@pytest.mark.parametrize(
    ("approximant", "expected"), [("IMRPhenomPv2", True), ("IMRPhenomXAS", True), ("IMRPhenomXHM", False)]
)
def test_models_with_further_modes_are_recognised_by_their_emission(approximant, expected, psds):
    generator = WaveformGenerator(approximant, RATE, 8.0, 0.5, 20.0, 50.0)
    assert HorizonBound.build(generator, psds, *BAND).emission.is_quadrupole is expected


def test_edge_on_is_half_as_loud_unless_precession_turns_the_orbit(generator, psds):
    bound = HorizonBound.build(generator, psds, *BAND)
    heavy, light, distance = np.full(4, 30.0), np.full(4, 25.0), np.full(4, 1000.0)
    columns = {name: np.zeros(4) for name in ("a_1", "a_2", "tilt_1", "tilt_2", "theta_jn")}
    columns["theta_jn"][1:] = np.pi / 2
    columns["tilt_1"][2:] = 1.0
    columns["a_1"][2:] = [1e-6, 0.9]
    face_on, edge_on, nearly, tumbling = bound(heavy, light, distance, None, columns)
    assert edge_on == pytest.approx(face_on / 2)
    assert nearly == pytest.approx(edge_on, rel=1e-4)
    assert tumbling > 1.1 * edge_on
