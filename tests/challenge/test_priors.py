"""Populations to train with for the challenge: their masses are weighted by what a found signal counts."""

import numpy as np
import pytest
from scipy import stats

from aframe.challenge import priors
from aframe.challenge.data_sets import DATA_SETS, MAXIMUM_SPIN
from aframe.challenge.injections import chirp_mass, draw_binaries
from aframe.waveforms.priors import Population, draw
from aframe.waveforms.source import check_draws


def population(number: int) -> Population:
    made = getattr(priors, f"data_set_{number}")()
    assert isinstance(made, Population)
    return made


@pytest.mark.parametrize("number", DATA_SETS)
def test_chirp_masses_are_those_of_the_data_set_weighted_by_the_power_five_halves(number: int) -> None:
    rng = np.random.default_rng(1)
    drawn = draw(population(number), 20000, rng)
    check_draws(drawn)
    low, high = DATA_SETS[number].masses
    assert low <= drawn["mass_2"].min()
    assert drawn["mass_1"].max() <= high
    binaries = draw_binaries(DATA_SETS[number], 400000, rng)
    weight = chirp_mass(binaries["mass_1"], binaries["mass_2"]) ** 2.5
    edges = np.linspace(drawn["chirp_mass"].min(), drawn["chirp_mass"].max(), 12)
    ours = np.histogram(drawn["chirp_mass"], edges)[0] / 20000
    theirs = np.histogram(binaries["chirp_mass"], edges, weights=weight)[0] / weight.sum()
    np.testing.assert_allclose(ours, theirs, atol=0.02)
    assert drawn["chirp_mass"].mean() > 1.15 * binaries["chirp_mass"].mean()


def test_spins_are_those_of_the_data_sets() -> None:
    rng = np.random.default_rng(2)
    first, second, third = (draw(population(number), 5000, rng) for number in (1, 2, 3))
    assert not first["a_1"].any()
    along = second["a_1"] * np.cos(second["tilt_1"])
    assert stats.kstest(along / MAXIMUM_SPIN / 2 + 0.5, "uniform").pvalue > 0.001
    assert stats.kstest(third["a_2"] / MAXIMUM_SPIN, "uniform").pvalue > 0.001
    assert stats.kstest(np.cos(third["tilt_2"]) / 2 + 0.5, "uniform").pvalue > 0.001
