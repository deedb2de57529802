import numpy as np
import pytest
from astropy.cosmology import Planck15
from bilby.core import prior as priors
from bilby.core.utils import random as bilby_random
from bilby.gw.conversion import component_masses_to_chirp_mass
from scipy import stats

from aframe.errors import ConfigurationError
from aframe.waveforms.priors import (
    MAXIMUM_MASS,
    MINIMUM_MASS,
    Population,
    demo_bbh,
    draw,
    load_population,
    log_normal_bbh,
    rates_and_populations_bbh,
)

POPULATIONS = {
    "rates and populations": rates_and_populations_bbh,
    "demo": demo_bbh,
    "log-normal": lambda: log_normal_bbh(35.0, 35.0, 0.1),
}


def source_masses(columns):
    return columns["mass_1"] / (1 + columns["redshift"]), columns["mass_2"] / (1 + columns["redshift"])


def test_masses_follow_the_power_laws():
    columns = draw(rates_and_populations_bbh(), 20000, np.random.default_rng(1))
    heavy, light = source_masses(columns)

    def cumulative(x, index, high):
        return (x ** (index + 1) - MINIMUM_MASS ** (index + 1)) / (high ** (index + 1) - MINIMUM_MASS ** (index + 1))

    assert stats.kstest(cumulative(heavy, -2.35, MAXIMUM_MASS), "uniform").pvalue > 1e-3
    assert stats.kstest(cumulative(light, 1.0, heavy), "uniform").pvalue > 1e-3
    demo, _ = source_masses(draw(demo_bbh(), 20000, np.random.default_rng(1)))
    assert stats.kstest(np.log(demo / MINIMUM_MASS) / np.log(MAXIMUM_MASS / MINIMUM_MASS), "uniform").pvalue > 1e-3


def test_redshift_is_uniform_in_comoving_volume():
    population = rates_and_populations_bbh()
    columns = draw(population, 20000, np.random.default_rng(2))
    grid = np.linspace(0, 2, 200)
    volume = Planck15.comoving_volume(grid).value
    uniform = np.interp(columns["redshift"], grid, volume / volume[-1])
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert population.redshift_range == (0.0, 2.0)
    assert population.sky_fraction == pytest.approx(1)


def test_distances_are_planck_2015s():
    columns = draw(demo_bbh(), 50, np.random.default_rng(3))
    expected = Planck15.luminosity_distance(columns["redshift"]).to_value("Mpc")
    np.testing.assert_allclose(columns["luminosity_distance"], expected, rtol=1e-8)


def test_spins_are_isotropic_and_chirp_mass_is_the_masses():
    columns = draw(rates_and_populations_bbh(), 20000, np.random.default_rng(4))
    for i in (1, 2):
        assert stats.kstest((np.cos(columns[f"tilt_{i}"]) + 1) / 2, "uniform").pvalue > 1e-3
        assert stats.kstest(columns[f"a_{i}"] / 0.998, "uniform").pvalue > 1e-3
    np.testing.assert_allclose(
        columns["chirp_mass"], component_masses_to_chirp_mass(columns["mass_1"], columns["mass_2"])
    )


def test_log_normal_masses_are_ordered_and_centred():
    columns = draw(log_normal_bbh(35.0, 20.0, 0.1), 5000, np.random.default_rng(5))
    heavy, light = source_masses(columns)
    assert (heavy >= light).all()
    assert np.median(heavy) == pytest.approx(35, rel=0.01)
    assert np.log(light).std() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("redshift", [0.2, 0.6])
def test_density_integrates_to_that_of_redshift(name, redshift):
    """Integrated over the masses, the joint density is the redshift prior's."""
    population = POPULATIONS[name]()
    middles = (np.arange(500) + 0.5) / 500
    log_heavy, share = np.meshgrid(np.log(MAXIMUM_MASS / MINIMUM_MASS) * middles, middles, indexing="ij")
    heavy = MINIMUM_MASS * np.exp(log_heavy)
    light = MINIMUM_MASS + share * (heavy - MINIMUM_MASS)
    volume = heavy * np.log(MAXIMUM_MASS / MINIMUM_MASS) * (heavy - MINIMUM_MASS)
    density = np.exp(population.log_density(heavy.ravel(), light.ravel(), np.full(heavy.size, redshift)))
    total = (density * volume.ravel()).mean()
    assert total == pytest.approx(float(population.prior["redshift"].prob(redshift)), rel=5e-3)


def test_density_is_that_of_the_draws():
    """The mean of 1/p over draws in a box is the box's volume (an identity of importance sampling)."""
    population = demo_bbh()
    columns = draw(population, 200000, np.random.default_rng(6))
    heavy, light = source_masses(columns)
    inside = (
        (heavy > 30)
        & (heavy < 60)
        & (light > 20)
        & (light < 30)
        & (columns["redshift"] > 0.3)
        & (columns["redshift"] < 0.8)
    )
    density = np.exp(population.log_density(heavy[inside], light[inside], columns["redshift"][inside]))
    assert (1 / density).sum() / len(heavy) == pytest.approx(30 * 10 * 0.5, rel=0.03)


def test_detector_frame_masses_carry_their_jacobian():
    """A population whose detector-frame masses are uniform has source-frame density (1 + z)² times as large."""
    base = dict(demo_bbh().prior)
    masses = {name: priors.Uniform(10.0, 50.0, name=name) for name in ("mass_1", "mass_2")}
    population = Population(priors.PriorDict(base | masses), True)
    redshift = np.array([0.5])
    value = population.log_density(np.array([30.0]) / 1.5, np.array([20.0]) / 1.5, redshift)
    expected = 2 * (1.5 / 40.0) ** 2 * float(base["redshift"].prob(0.5))  # twice: either may be the heavier
    assert float(np.exp(value[0])) == pytest.approx(expected)
    columns = draw(population, 1000, np.random.default_rng(7))
    assert columns["mass_1"].max() < 50
    assert (columns["mass_1"] >= columns["mass_2"]).all()


def test_no_density_outside():
    population = rates_and_populations_bbh()
    heavy, light, redshift = np.array(
        [[30.0, 20.0, 0.5], [20.0, 30.0, 0.5], [120.0, 20.0, 0.5], [30.0, 20.0, 2.5], [30.0, 4.0, 0.5]]
    ).T
    assert np.isfinite(population.log_density(heavy, light, redshift)).tolist() == [True, False, False, False, False]


def test_draws_depend_on_their_generator_alone():
    population = demo_bbh()
    first = draw(population, 10, np.random.default_rng(8))
    before = bilby_random.Generator.rng.bit_generator.state
    second = draw(population, 10, np.random.default_rng(8))
    assert bilby_random.Generator.rng.bit_generator.state == before
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    assert (draw(population, 10, np.random.default_rng(9))["ra"] != first["ra"]).all()


def test_populations_are_loaded_by_path():
    assert load_population("aframe.waveforms.priors.demo_bbh").redshift_range == (0.0, 1.0)


@pytest.mark.parametrize(
    "path", ["nowhere.at_all", "aframe.waveforms.priors.nothing", "plain", "numpy.random.default_rng", "math.pi"]
)
def test_what_is_no_population_is_named(path):
    with pytest.raises(ConfigurationError, match=path):
        load_population(path)


def test_incomplete_priors_are_refused():
    prior = priors.PriorDict(
        {name: value for name, value in log_normal_bbh(30.0, 30.0, 0.1).prior.items() if name != "psi"}
    )
    with pytest.raises(ConfigurationError, match="psi"):
        Population(prior, False)
