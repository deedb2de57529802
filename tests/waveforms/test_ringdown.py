import lal
import lalsimulation
import numpy as np
import pytest

from aframe.constants import SOLAR_MASS_SECONDS
from aframe.waveforms.ringdown import final_spin, radiated_energy, ringdown_frequency


@pytest.fixture(scope="module")
def binaries():
    """Masses and aligned spins, up to mass ratio 20."""
    rng = np.random.default_rng(1)
    heavy = rng.uniform(5, 100, 300)
    return heavy, heavy * rng.uniform(0.05, 1, 300), *rng.uniform(-0.998, 0.998, (2, 300))


def test_remnants_are_those_of_the_waveform_model(binaries):
    spins = [lalsimulation.SimIMRPhenomDFinalSpin(*row) for row in zip(*binaries, strict=True)]
    np.testing.assert_allclose(final_spin(*binaries), spins, atol=1e-12)
    masses = [lalsimulation.SimPhenomUtilsIMRPhenomDFinalMass(*row) for row in zip(*binaries, strict=True)]
    np.testing.assert_allclose(1 - radiated_energy(*binaries), masses, rtol=1e-12)


def test_labels_do_not_matter(binaries):
    heavy, light, spin_1, spin_2 = binaries
    np.testing.assert_allclose(ringdown_frequency(light, heavy, spin_2, spin_1), ringdown_frequency(*binaries))


def test_frequency_is_the_fundamental_modes(binaries):
    """Against the tables of numerical solutions that LAL interpolates (Berti, Cardoso & Will)."""
    spins, masses = final_spin(*binaries), (binaries[0] + binaries[1]) * (1 - radiated_energy(*binaries))
    modes = lal.CreateCOMPLEX16Vector(1)
    expected = []
    for mass, spin in zip(masses, spins, strict=True):
        lalsimulation.SimIMREOBGenerateQNMFreqV2fromFinal(modes, mass, spin, 2, 2, 1)
        expected.append(modes.data[0].real / (2 * np.pi))
    frequency = ringdown_frequency(*binaries)
    usual = (spins > 0) & (spins < 0.98)
    np.testing.assert_allclose(frequency[usual], np.array(expected)[usual], rtol=0.02)


def test_frequency_of_a_binary_as_that_of_2015():
    """A remnant of 68 solar masses (detector frame) with a spin of 0.68 rings at 251 Hz (arXiv:1602.03841)."""
    frequency = ringdown_frequency(*(np.array([value]) for value in (39.0, 32.0, 0.0, 0.0)))
    assert frequency[0] == pytest.approx(251, rel=0.05)
    assert frequency[0] * 71 * SOLAR_MASS_SECONDS == pytest.approx(0.088, rel=0.05)
