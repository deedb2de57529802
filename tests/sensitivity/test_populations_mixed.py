"""Volumes of a search whose injections come from a mixture of populations."""

import copy

import numpy as np
import pytest
from bilby.core import prior as priors
from toy_search import toy_draws, true_volume_gpc3

from aframe.errors import ConfigurationError
from aframe.events.significance import Background
from aframe.sensitivity.populations import PopulationTarget, population_targets
from aframe.sensitivity.volume import volume_against_far
from aframe.sensitivity.weighing import WeightSums, weigh
from aframe.sensitivity.weights import Binaries, LogNormalTarget, mass_targets, weights
from aframe.tables import Table
from aframe.waveforms.loading import load_population
from aframe.waveforms.mixtures import Mixture, mixture
from aframe.waveforms.population import Population, draw
from aframe.waveforms.priors import bns, log_normal_bbh

HOME = "aframe.waveforms.priors"
ALL = f"0.3 * {HOME}.bns, 0.2 * {HOME}.nsbh, 0.3 * {HOME}.rates_and_populations_bbh, 0.2 * {HOME}.imbh"


def spinning(mass_1: float, mass_2: float, fastest: float) -> Population:
    columns = copy.deepcopy(log_normal_bbh(mass_1, mass_2, 0.3, 1.0).prior)
    columns.update({"a_1": priors.Uniform(0.0, fastest, name="a_1")})
    return Population(columns, False)


def test_volumes_of_a_mixture_are_those_of_its_parts(background: Background) -> None:
    """The parts lie at different redshifts; their volumes are integrals of the toy search's probability."""
    parts = log_normal_bbh(35.0, 20.0, 0.3, 1.0), log_normal_bbh(10.0, 8.0, 0.3, 0.4)
    source = mixture(parts, [2.0, 1.0])
    pairs = [(35.0, 20.0), (10.0, 8.0)]
    targets = [pair.within(source) for pair in mass_targets(pairs, 0.1, source.redshift_range)]
    assert [target.redshift_range for target in targets] == [(0.0, 1.0), (0.0, 0.4)]
    mixed = volume_against_far(weigh(toy_draws(source, 1, 60_000), targets), background, np.array([1.0]), 1e7)
    for part, pair, target in zip(parts, pairs, targets, strict=True):
        alone = volume_against_far(weigh(toy_draws(part, 2, 30_000), [target]), background, np.array([1.0]), 1e7)
        curve, other = mixed[target.name], alone[target.name]
        error = np.hypot(curve.standard_error[0], other.standard_error[0])
        assert abs(curve.volume_gpc3[0] - other.volume_gpc3[0]) < 3 * error
        truth = true_volume_gpc3(*pair, 0.1, target.redshift_range[1])
        assert abs(curve.volume_gpc3[0] - truth) < 3 * curve.standard_error[0]
        assert curve.standard_error[0] < 0.1 * truth
        assert curve.scope.coverage == pytest.approx(1, abs=5 * curve.scope.coverage_error)


def test_targets_from_neutron_stars_to_heavy_pairs() -> None:
    source = load_population(ALL)
    pairs = [(1.4, 1.4), (10.0, 1.4), (20.0, 1.4), (35.0, 30.0), (100.0, 100.0)]
    targets = [pair.within(source) for pair in mass_targets(pairs, 0.1, source.redshift_range)]
    for target in targets:
        target.check_reached(source)
    assert [target.redshift_range[1] for target in targets] == [0.25, 0.5, 0.5, 2.0, 2.0]
    table = Table(draw(source, 200_000, np.random.default_rng(0)))
    for row in weights(table, source, targets):
        sums = WeightSums.of(row)
        share, error = sums.coverage
        assert abs(share - 1) < 4 * error
        assert sums.effective_number > 300


def test_spins_of_a_mixture_depend_on_the_masses() -> None:
    """A slow and a fast part: draws are weighed by the density of both at their masses."""
    slow, fast = spinning(20.0, 15.0, 0.2), spinning(35.0, 20.0, 0.9)
    source = mixture([slow, fast], [1.0, 1.0])
    target = PopulationTarget("slower", spinning(25.0, 18.0, 0.4), source)
    assert target.columns == ("a_1",)
    table = Table(draw(source, 100_000, np.random.default_rng(1)))
    weight = weights(table, source, [target])[0]
    assert abs(weight.mean() - 1) < 4 * weight.std() / len(weight) ** 0.5
    assert not weight[table["a_1"] > 0.4].any()
    for low, high in ((0.0, 0.1), (0.1, 0.2), (0.2, 0.4)):
        part = weight * ((table["a_1"] >= low) & (table["a_1"] < high))
        assert abs(part.mean() - (high - low) / 0.4) < 4 * part.std() / len(part) ** 0.5


def test_a_part_with_other_kinds_of_spins_matters_only_where_masses_meet() -> None:
    black_holes = log_normal_bbh(35.0, 20.0, 0.3, 1.0)
    apart = mixture([bns(), black_holes], [1.0, 1.0])
    target = PopulationTarget("pair", log_normal_bbh(35.0, 20.0, 0.1, 1.0), apart)
    table = Table(draw(apart, 20_000, np.random.default_rng(1)))
    weight = weights(table, apart, [target])[0]
    assert abs(weight.mean() - 1) < 4 * weight.std() / len(weight) ** 0.5
    aligned = load_population(f"{HOME}.aligned_spin_bbh")
    with pytest.raises(ConfigurationError, match="only one of the two has"):
        PopulationTarget("pair", black_holes, mixture([aligned, black_holes], [1.0, 1.0]))


def test_a_plain_population_limits_no_redshifts() -> None:
    source = log_normal_bbh(35.0, 20.0, 0.3, 1.0)
    target = LogNormalTarget(35.0, 20.0, 0.1, (0.1, 2.0)).within(source)
    assert target.redshift_range == (0.1, 1.0)
    one = Binaries(np.array([35.0]), np.array([20.0]), np.array([0.2]), {})
    assert target.relative_density(one) > 0


def test_a_mixture_is_no_target() -> None:
    source = load_population(ALL)
    assert isinstance(source, Mixture)
    with pytest.raises(ConfigurationError, match="is a mixture, which has no single volume: name its parts"):
        population_targets({ALL: source}, source)
