import lal
import lalsimulation
import numpy as np
import pytest

from aframe.errors import ConfigurationError
from aframe.waveforms import approximants
from aframe.waveforms.approximants import INSPIRAL_ONLY, POINTWISE, QUADRUPOLE_ONLY, Approximant

TIME_DOMAIN = ("EOBNRv2", "EOBNRv2HM", "SEOBNRv4_opt", "SEOBNRv4HM_PA", "TEOBResumS", "IMRPhenomT", "IMRPhenomTHM",
               "IMRPhenomTP", "IMRPhenomTPHM", "TaylorT4", "SpinTaylorT4")  # fmt: skip
WHOLE = ("EccentricFD", "IMRPhenomC", "IMRPhenomXAS_NRTidalv3", "IMRPhenomXP_NRTidalv3", "IMRPhenomXO4a",
         "IMRPhenomXPNR", "TaylorF2RedSpin")  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet():
    before = lal.GetDebugLevel()
    lal.ClobberDebugLevel(0)
    yield
    lal.ClobberDebugLevel(before)


def model(name):
    return Approximant(name, getattr(lalsimulation, name))


def plus(name, inclination, heavy=15.0, light=9.0):
    """Plus polarization of a binary without spins."""
    binary = (heavy * lal.MSUN_SI, light * lal.MSUN_SI, *[0.0] * 6, 1e24, inclination, 0.1, 0.0, 0.0, 0.0)
    index = getattr(lalsimulation, name)
    if model(name).in_frequency_domain:
        make = lalsimulation.SimInspiralChooseFDWaveform
        return make(*binary, 0.25, 30.0, 1024.0, 50.0, None, index)[0].data.data
    return lalsimulation.SimInspiralTD(*binary, 1 / 8192, 40.0, 50.0, None, index)[0].data.data


@pytest.mark.parametrize("name", [*sorted(POINTWISE), *WHOLE, *TIME_DOMAIN])
def test_higher_modes_are_where_the_direction_changes_the_shape(name):
    """Without spins and higher modes, the edge-on waveform is half the face-on waveform."""
    face, edge = plus(name, 0.0), plus(name, np.pi / 2)
    size = min(len(face), len(edge))
    difference = np.abs(edge[-size:] - face[-size:] / 2).max() / np.abs(face).max()
    assert (difference > 1e-3) == model(name).has_higher_modes
    assert difference > 1e-3 or difference < 1e-6


@pytest.mark.parametrize("name", sorted(POINTWISE))
def test_a_piece_of_the_spectrum_is_that_of_the_whole(name):
    spins = (0.3, -0.2, 0.4, 0.1, 0.5, -0.3) if model(name).has_precession else (0.0, 0.0, 0.4, 0.0, 0.0, -0.3)
    binary = (36 * lal.MSUN_SI, 20 * lal.MSUN_SI, *spins, 1e24, 0.7, 0.1, 0.0, 0.0, 0.0)

    def make(step, low, high):
        both = lalsimulation.SimInspiralChooseFDWaveform(
            *binary, step, low, high, 50.0, None, getattr(lalsimulation, name)
        )
        return np.stack([series.data.data for series in both])

    whole = make(0.125, 15.0, 1024.0)
    low, high = make(0.125, 15.0, 64.0), make(0.5, 64.0, 1024.0)
    for piece, same in (
        (low[:, 160:480], whole[:, 160:480]),
        (high[:, 130:1024], whole[:, 520:4096:4]),
    ):
        np.testing.assert_allclose(piece, same, atol=3e-3 * np.abs(same).max())


def test_names_are_lals():
    for name in POINTWISE | QUADRUPOLE_ONLY | INSPIRAL_ONLY:
        assert lalsimulation.GetStringFromApproximant(getattr(lalsimulation, name)) == name
    assert all(model(name).in_frequency_domain for name in POINTWISE | INSPIRAL_ONLY)


@pytest.mark.parametrize(
    ("name", "spins", "precession"),
    [("IMRPhenomPv2", True, True), ("IMRPhenomXPHM", True, True), ("IMRPhenomD", True, False),
     ("IMRPhenomXAS", True, False), ("SEOBNRv4_ROM", True, False), ("TaylorF2", True, False),
     ("EOBNRv2", False, False), ("TaylorT4", False, False)],
)  # fmt: skip
def test_spins(name, spins, precession):
    assert (model(name).has_spins, model(name).has_precession) == (spins, precession)


@pytest.mark.parametrize(
    "name", ["IMRPhenomNonsense", "MSUN_SI", "NumApproximants", "SpinTaylorT2", "SpinTaylor", "SEOBNRv5PHM"]
)
def test_unknown_approximants_are_named(name):
    with pytest.raises(ConfigurationError, match=name):
        approximants.find(name)


def test_missing_data_are_named_with_the_variable_that_finds_them(monkeypatch, tmp_path):
    monkeypatch.setenv("LAL_DATA_PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=rf"SEOBNRv4ROM.*\.hdf5.*LAL_DATA_PATH \({tmp_path}\)"):
        approximants.find("SEOBNRv4_ROM")


def test_models_that_crash_lal_are_refused_before_they_do():
    with pytest.raises(ConfigurationError, match="PhenSpinTaylor crashes"):
        approximants.find("PhenSpinTaylor")


def test_what_is_no_model_is_refused_with_lals_reason():
    with pytest.raises(ConfigurationError, match=r"ExternalPython makes none .*Python generator"):
        approximants.find("ExternalPython")


def test_a_model_that_runs_is_found():
    assert approximants.find("IMRPhenomXO4a").has_higher_modes
