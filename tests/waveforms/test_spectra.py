import lal
import lalsimulation
import numpy as np
import pytest

from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import demo_bbh, draw, nonspinning_bbh
from aframe.waveforms.spectra import IN_SEQUENCE, SCALE, ages, has_spectra, newtonian_phase, spectra

FREQUENCIES = np.geomspace(20, 512, 300)


def generator(approximant):
    return WaveformGenerator(approximant, 2048.0, 8.0, 0.5, 20.0, 50.0)


@pytest.fixture
def columns():
    return draw(nonspinning_bbh(), 4, np.random.default_rng(1))


@pytest.mark.parametrize("approximant", sorted(IN_SEQUENCE))
def test_spectra_are_those_of_even_frequencies(approximant, columns):
    even = np.arange(20.0, 512.0, 0.25)
    result = spectra(generator(approximant), columns, even)
    for number, spectrum in enumerate(result):
        binary = generator(approximant).binary({name: float(values[number]) for name, values in columns.items()})
        plus, _ = lalsimulation.SimInspiralChooseFDWaveform(
            *binary, 0.25, 20.0, 1024.0, 50.0, None, getattr(lalsimulation, approximant)
        )
        expected = SCALE * plus.data.data[80 : 80 + len(even)]
        assert np.abs(spectrum - expected).max() < 1e-3 * np.abs(expected).max()


def test_models_without_them_are_known():
    assert not has_spectra(WaveformGenerator("SEOBNRv4_opt", 2048.0, 8.0, 0.5, 20.0, 50.0))
    assert has_spectra(generator("IMRPhenomPv2"))


def test_what_lal_refuses_is_not_a_number():
    columns = draw(demo_bbh(), 3, np.random.default_rng(1))
    columns["mass_2"][1] = -3.0
    assert np.isfinite(spectra(generator("IMRPhenomPv2"), columns, FREQUENCIES)).all(1).tolist() == [True, False, True]


def test_an_inspiral_is_as_old_as_its_phase_says(columns):
    """The stationary phase: the age is the slope of the spectrum's phase over 2π. IMRPhenomD has the same inspiral."""
    columns |= {"mass_1": np.array([1.4, 2.0, 5.0, 10.0]), "mass_2": np.array([1.4, 1.0, 1.4, 5.0])}
    columns |= {name: np.full(4, 0.0) for name in ("tilt_1", "tilt_2")} | {"a_1": np.full(4, 0.3), "a_2": np.zeros(4)}
    step, middle = 1e-4, np.array([25.0, 32.0, 50.0])
    before, after = (spectra(generator("IMRPhenomD"), columns, middle + each) for each in (-step, step))
    slope = np.angle(after.astype(complex) * before.conj()) / (2 * step)
    np.testing.assert_allclose(slope / (2 * np.pi), ages(columns, middle), rtol=0.02)


def test_the_leading_phase_falls_with_mass_and_frequency():
    """A chirp mass of 1.22 at 40 Hz; its age, from the slope of this term, is the quadrupole formula's 25 s."""
    step = 1e-3
    high, low = (newtonian_phase(np.array([1.22]), 40.0 + each)[0] for each in (step, -step))
    unit = lal.MTSUN_SI * 1.22
    assert (low - high) / (4 * np.pi * step) == pytest.approx(
        5 / 256 * unit * (np.pi * unit * 40) ** (-8 / 3), rel=1e-4
    )
    assert (newtonian_phase(np.array([1.22, 2.44]), 40.0)[1] / newtonian_phase(np.array([1.22]), 80.0)) == 1
