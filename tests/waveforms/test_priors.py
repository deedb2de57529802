import numpy as np
import pytest
from astropy.cosmology import Planck15
from bilby.core import prior as priors
from bilby.core.utils import random as bilby_random
from bilby.gw.conversion import component_masses_to_chirp_mass
from bilby.gw.prior import BBHPriorDict, UniformSourceFrame
from scipy import stats
from scipy.stats import qmc

from aframe.errors import ConfigurationError
from aframe.waveforms.parametrisations import with_all_masses
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import (
    MAXIMUM_MASS,
    MINIMUM_MASS,
    Population,
    aligned_spin_bbh,
    demo_bbh,
    draw,
    log_normal_bbh,
    mlgwsc_1,
    nonspinning_bbh,
    rates_and_populations_bbh,
    rates_and_populations_bns,
    rates_and_populations_nsbh,
)


def chirp_masses(ending="", detector_frame=True, constraint=None):
    """A population in chirp mass and mass ratio; uniform in both, within a constraint on component masses."""
    masses = {
        f"chirp_mass{ending}": priors.Uniform(15.0, 40.0),
        "mass_ratio": priors.Uniform(0.2, 1.0),
        "redshift": UniformSourceFrame(0.0, 0.5, name="redshift"),
    }
    others = {name: prior for name, prior in demo_bbh().prior.items() if name not in (*masses, "mass_1", "mass_2")}
    limits = {} if constraint is None else {f"mass_{i}{ending}": priors.Constraint(*constraint) for i in (1, 2)}
    return Population(BBHPriorDict({**masses, **others, **limits}, conversion_function=with_all_masses), detector_frame)


POPULATIONS = {
    "rates and populations": rates_and_populations_bbh,
    "binary neutron stars": rates_and_populations_bns,
    "neutron star and black hole": rates_and_populations_nsbh,
    "aligned": aligned_spin_bbh,
    "no spins": nonspinning_bbh,
    "mock data challenge": mlgwsc_1,
    "demo": demo_bbh,
    "log-normal": lambda: log_normal_bbh(35.0, 30.0, 0.1),
    "chirp mass": chirp_masses,
    "chirp mass, source": lambda: chirp_masses("_source", False),
    "chirp mass, constrained": lambda: chirp_masses(constraint=(20.0, 60.0)),
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


def coordinates(columns):
    """Logarithms of the source-frame masses, and redshift, shape (3, n)."""
    heavy, light = source_masses(columns)
    return np.stack([np.log(heavy), np.log(light), columns["redshift"]])


def density(population, points):
    """Density per unit of ``coordinates``."""
    heavy, light = np.exp(points[:2])
    return np.exp(population.log_density(heavy, light, points[2])) * heavy * light


def spread(low, high, power):
    """Points that fill a box evenly (Sobol's sequence), and its volume."""
    unit = qmc.Sobol(3, seed=0).random_base2(power).T
    return low[:, None] + (high - low)[:, None] * unit, np.prod(high - low)


@pytest.mark.parametrize("name", POPULATIONS)
def test_density_is_normalised(name):
    """The density integrates to one over source-frame masses and redshift, for any parametrisation and frame."""
    population = POPULATIONS[name]()
    drawn = coordinates(draw(population, 50000, np.random.default_rng(5)))
    margin = 0.05 * np.ptp(drawn, axis=1)
    points, volume = spread(drawn.min(axis=1) - margin, drawn.max(axis=1) + margin, 17)
    points[2] = np.abs(points[2])
    assert density(population, points).mean() * volume == pytest.approx(1, abs=0.012)


@pytest.mark.parametrize("name", POPULATIONS)
def test_density_is_that_of_the_draws(name):
    """The mean of 1/p over draws in a box is the volume of its part inside the population (importance sampling)."""
    population = POPULATIONS[name]()
    drawn = coordinates(draw(population, 50000, np.random.default_rng(6)))
    low, high = np.quantile(drawn, [0.1, 0.9], axis=1)
    inside = drawn[:, ((drawn > low[:, None]) & (drawn < high[:, None])).all(axis=0)]
    weights = 1 / density(population, inside) / drawn.shape[1]
    points, volume = spread(low, high, 14)
    expected = (density(population, points) > 0).mean() * volume
    assert abs(weights.sum() - expected) < 4 * np.sqrt(np.square(weights).sum()) + 0.006 * expected


@pytest.mark.parametrize("name", POPULATIONS)
def test_draws_are_what_waveforms_are_made_from(name):
    columns = draw(POPULATIONS[name](), 30, np.random.default_rng(10))
    assert all(column.shape == (30,) and column.dtype == np.float64 for column in columns.values())
    assert (columns["mass_1"] >= columns["mass_2"]).all()
    waves = WaveformGenerator("IMRPhenomPv2", 1024.0, 4.0, 0.5, 40.0, 50.0).generate(columns, 1)
    assert np.isfinite(waves).all()
    assert np.abs(waves).max(axis=-1).min() > 0


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


def test_masses_at_a_redshift_have_the_density_of_their_laws():
    """Detector-frame masses are uniform in 10–50 solar masses, so a source-frame mass at z is in 40 / (1 + z)."""
    redshift = np.array([0.1, 0.5, 0.9])
    population = mlgwsc_1()
    ordered = population.log_mass_density(np.full(3, 20.0), np.full(3, 15.0), redshift)
    np.testing.assert_allclose(np.exp(ordered), 2 * ((1 + redshift) / 40) ** 2, rtol=1e-12)
    demo = demo_bbh().log_mass_density(np.full(3, 20.0), np.full(3, 15.0), redshift)
    np.testing.assert_allclose(np.exp(demo), 1 / (20 * np.log(20)) / 15, rtol=1e-12)
    assert population.log_mass_density(np.array([60.0]), np.array([15.0]), redshift[:1]) == -np.inf
    assert population.log_redshift_density(np.array([1.5])) == -np.inf


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


def test_published_populations_are_as_published():
    """Masses, spins and redshifts of neutron stars (arXiv:2111.03606) and of the mock data challenge (2209.11146)."""
    stars = draw(rates_and_populations_bns(), 20000, np.random.default_rng(11))
    heavy, light = source_masses(stars)
    both = np.concatenate([heavy, light])
    assert stats.kstest((both - 1) / 1.5, "uniform").pvalue > 1e-3
    assert stats.kstest(stars["a_2"] / 0.4, "uniform").pvalue > 1e-3
    mixed = draw(rates_and_populations_nsbh(), 20000, np.random.default_rng(12))
    hole, star = source_masses(mixed)
    cumulative = (hole**-1.35 - 2.5**-1.35) / (60.0**-1.35 - 2.5**-1.35)
    assert stats.kstest(cumulative, "uniform").pvalue > 1e-3
    assert stats.kstest((star - 1) / 1.5, "uniform").pvalue > 1e-3
    assert mixed["a_1"].max() > 0.99
    assert mixed["a_2"].max() <= 0.4
    assert rates_and_populations_bns().redshift_range == (0.0, 0.15)
    assert rates_and_populations_nsbh().redshift_range == (0.0, 0.25)
    challenge = draw(mlgwsc_1(), 20000, np.random.default_rng(13))
    both = np.concatenate([challenge["mass_1"], challenge["mass_2"]])
    assert stats.kstest((both - 10) / 40, "uniform").pvalue > 1e-3
    assert not np.stack([challenge["a_1"], challenge["a_2"]]).any()


def test_aligned_spins_are_isotropic_ones_components():
    aligned = draw(aligned_spin_bbh(), 20000, np.random.default_rng(14))
    isotropic = draw(rates_and_populations_bbh(), 20000, np.random.default_rng(15))
    for i in (1, 2):
        assert set(np.unique(aligned[f"tilt_{i}"])) == {0.0, np.pi}
        spins = [columns[f"a_{i}"] * np.cos(columns[f"tilt_{i}"]) for columns in (aligned, isotropic)]
        assert stats.ks_2samp(*spins).pvalue > 1e-3
    assert not np.stack([aligned["phi_12"], aligned["phi_jl"]]).any()


@pytest.mark.parametrize("name", POPULATIONS)
def test_each_population_says_its_frame(name):
    population = POPULATIONS[name]()
    assert population.mass_frame == ("detector" if population.detector_frame else "source")
    columns = draw(population, 2000, np.random.default_rng(16))
    drawn = component_masses_to_chirp_mass(columns["mass_1"], columns["mass_2"])
    near, far = columns["redshift"] < np.quantile(columns["redshift"], 0.3), columns["redshift"] > 0.1
    ratio = np.median(drawn[far]) / np.median(drawn[near])
    grows = np.median(1 + columns["redshift"][far]) / np.median(1 + columns["redshift"][near])
    spread = 4 * stats.iqr(np.log(drawn)) / np.sqrt(300)
    assert ratio == pytest.approx(1.0 if population.detector_frame else grows, rel=max(spread, 0.01))


def test_the_density_does_not_touch_bilbys_generator():
    """bilby normalises constrained priors with random draws."""
    population = chirp_masses(constraint=(20.0, 60.0))
    before = bilby_random.Generator.rng.bit_generator.state
    where = np.array([30.0]), np.array([25.0]), np.array([0.1])
    first = population.log_density(*where)
    assert bilby_random.Generator.rng.bit_generator.state == before
    assert chirp_masses(constraint=(20.0, 60.0)).log_density(*where) == first


def changed(**changes):
    """The demo's prior with changed parameters; None removes a parameter."""
    columns = {**demo_bbh().prior, **changes}
    return priors.ConditionalPriorDict({name: prior for name, prior in columns.items() if prior is not None})


def as_spin(reference, a_1):
    return {"minimum": reference["minimum"], "maximum": 2 + a_1}


ONE = priors.Uniform(0.0, 1.0)


@pytest.mark.parametrize(
    ("prior", "detector_frame", "words"),
    [
        (changed(psi=None), False, "lacks psi"),
        (changed(geocent_time=ONE), False, "has geocent_time"),
        (changed(mass_2=None), False, "mass_1 and mass_2 or mass_1 and mass_ratio or chirp_mass and mass_ratio"),
        (changed(chirp_mass=ONE), False, "has chirp_mass"),
        (changed(tilt_1=None), False, "a_1 and tilt_1 or a_1 and cos_tilt_1 or chi_1"),
        (changed(a_1=None, tilt_1=None, chi_1=ONE, phi_12=None), False, "lacks phi_12"),
        (changed(mass_1=None, mass_2=None, mass_1_source=ONE, mass_ratio=ONE), True, "detector_frame must be False"),
        (changed(mass_1=None, mass_1_source=ONE, mass_2=ONE), False, "name both alike"),
        (changed(total_mass=priors.Constraint(10.0, 50.0)), False, "constraint on total_mass would have no effect"),
        (
            changed(mass_2=priors.ConditionalUniform(as_spin, minimum=1.0, maximum=5.0)),
            False,
            "mass_2 depends on a_1",
        ),
    ],
)
def test_priors_that_cannot_be_used_are_refused(prior, detector_frame, words):
    with pytest.raises(ConfigurationError, match=words):
        Population(prior, detector_frame)


@pytest.mark.parametrize("numbers", [(-35.0, 30.0, 0.1), (35.0, 30.0, 0.0)])
def test_impossible_pairs_are_refused(numbers):
    with pytest.raises(ConfigurationError, match="positive"):
        log_normal_bbh(*numbers)
