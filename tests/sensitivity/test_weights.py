import numpy as np
import pytest
from scipy.integrate import simpson

from aframe.errors import DataError
from aframe.sensitivity.weights import Binaries, LogNormalTarget, mass_targets, weights
from aframe.tables import Table
from aframe.types import Array
from aframe.waveforms.priors import Population, demo_bbh, draw, log_normal_bbh, rates_and_populations_bbh


def drawn(population: Population, number: int, seed: int) -> Table:
    return Table(draw(population, number, np.random.default_rng(seed)))


def at(mass_1: Array, mass_2: Array, redshift: Array) -> Table:
    """Binaries with source-frame masses."""
    return Table({"mass_1": mass_1 * (1 + redshift), "mass_2": mass_2 * (1 + redshift), "redshift": redshift})


@pytest.mark.parametrize(
    "target", [LogNormalTarget(35.0, 35.0, 0.1, (0.0, 2.0)), LogNormalTarget(20.0, 10.0, 0.2, (0.1, 1.0))]
)
def test_target_is_normalised(target: LogNormalTarget) -> None:
    mass = np.linspace(3, 80, 801)
    first, second = (axis.ravel() for axis in np.meshgrid(mass, mass, indexing="ij"))
    binaries = Binaries(first, second, np.full(first.size, 0.7), {})
    density = target.relative_density(binaries).reshape(801, 801)
    assert not density[np.triu_indices(801, 1)].any()  # mass_1 >= mass_2
    density[np.diag_indices(801)] /= 2  # half of each cell on the diagonal is inside
    assert simpson(simpson(density, mass), mass) == pytest.approx(1, abs=2e-3)


def test_target_is_the_population_of_that_name() -> None:
    population = log_normal_bbh(35.0, 20.0, 0.1)
    target = LogNormalTarget(35.0, 20.0, 0.1, population.redshift_range)
    table = drawn(population, 2000, 0)
    np.testing.assert_allclose(
        weights(table, population, [target]), 1.0, rtol=1e-3
    )  # bilby tabulates redshift coarsely


def test_weights_average_to_one_under_the_source() -> None:
    population = rates_and_populations_bbh()
    weight = weights(drawn(population, 200_000, 1), population, mass_targets([(20.0, 10.0)], 0.1, (0.0, 2.0)))[0]
    assert abs(weight.mean() - 1) < 4 * weight.std() / len(weight) ** 0.5


def test_weights_are_over_redshift_too() -> None:
    """A draw uniform in comoving volume and a target uniform in source time differ by 1 / (1 + z)."""
    population = rates_and_populations_bbh()
    table = at(np.array([35.0, 35.0]), np.array([30.0, 30.0]), np.array([0.1, 1.5]))
    near, far = weights(table, population, [LogNormalTarget(35.0, 30.0, 0.1, population.redshift_range)])[0]
    assert near / far == pytest.approx(2.5 / 1.1, rel=1e-4)


def test_redshifts_outside_the_target_have_no_weight() -> None:
    population = rates_and_populations_bbh()
    table = at(np.full(3, 35.0), np.full(3, 30.0), np.array([0.1, 0.5, 1.5]))
    near, whole = weights(
        table, population, mass_targets([(35.0, 30.0)], 0.1, (0.2, 1.0)) + mass_targets([(35.0, 30.0)], 0.1, (0.0, 2.0))
    )
    assert near[0] == near[2] == 0
    assert near[1] > whole[1] > 0


def test_draws_of_another_population_are_refused() -> None:
    population = rates_and_populations_bbh()
    table = Table({"mass_1": np.array([30.0, 3.0]), "mass_2": np.array([20.0, 2.0]), "redshift": np.array([0.1, 0.1])})
    with pytest.raises(DataError, match=r"1 of 2 draws are outside .* row 1"):
        weights(table, population, [LogNormalTarget(35.0, 30.0, 0.1, population.redshift_range)])


def test_weights_of_nothing() -> None:
    empty = Table({name: np.empty(0) for name in ("mass_1", "mass_2", "redshift")})
    assert weights(empty, demo_bbh(), [LogNormalTarget(35.0, 35.0, 0.1, (0.0, 1.0))]).shape == (1, 0)
    assert weights(drawn(demo_bbh(), 5, 0), demo_bbh(), []).shape == (0, 5)
