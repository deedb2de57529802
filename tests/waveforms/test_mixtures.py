import copy

import numpy as np
import pytest
import torch
from bilby.core import prior as priors

from aframe.errors import ConfigurationError
from aframe.waveforms.horizon import optimal_snr
from aframe.waveforms.loading import load_population
from aframe.waveforms.mixtures import Mixture, mixture, parts
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.population import Population, draw
from aframe.waveforms.priors import bns, demo_bbh, imbh, log_normal_bbh, nsbh, rates_and_populations_bbh
from aframe.waveforms.projection import detector_geometry, project
from aframe.waveforms.sieve import DRAWS, Selection, accepted_signals, angles
from aframe.waveforms.source import SignalSource, rows

HOME = "aframe.waveforms.priors"
ALL = f"0.3 * {HOME}.bns, 0.2 * {HOME}.nsbh,\n  0.4 * {HOME}.rates_and_populations_bbh, 0.1 * {HOME}.imbh"
WEIGHTS = (0.3, 0.2, 0.4, 0.1)


def source_masses(columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    redshift = columns["redshift"]
    return columns["mass_1"] / (1 + redshift), columns["mass_2"] / (1 + redshift), redshift


def changed(population: Population, **prior: priors.Prior) -> Population:
    columns = copy.deepcopy(population.prior)
    columns.update(prior)
    return Population(columns, population.detector_frame)


def test_a_mixture_of_one_is_that_population():
    population = load_population(f"0.7 * {HOME}.demo_bbh")
    assert isinstance(population, Population)
    mixed, plain = (draw(each, 500, np.random.default_rng(4)) for each in (population, demo_bbh()))
    assert mixed.keys() == plain.keys()
    assert all(mixed[name].tobytes() == plain[name].tobytes() for name in plain)


def test_binaries_come_from_each_population_by_its_weight():
    population = load_population(ALL)
    assert isinstance(population, Mixture)
    assert population.fixed_names == []
    columns = draw(population, 20_000, np.random.default_rng(1))
    shares = np.bincount(columns["component"]) / 20_000
    assert shares == pytest.approx(WEIGHTS, abs=4 * 0.5 / 20_000**0.5)
    mass_1, mass_2, redshift = source_masses(columns)
    for k, (low, high, farthest) in enumerate([(1, 2.5, 0.25), (1, 60, 0.5), (5, 100, 2), (50, 200, 2)]):
        rows = columns["component"] == k
        assert low <= mass_2[rows].min()
        assert mass_1[rows].max() <= high
        assert 0.8 * farthest < redshift[rows].max() <= farthest
    assert not np.any(np.diff(columns["component"][:50]) == 0) or len(set(columns["component"][:50])) > 2


def test_its_density_is_that_of_its_draws():
    """Importance weights from the mixture to a component average to one, over all draws and in each half of masses."""
    population, target = load_population(f"1 * {HOME}.demo_bbh, 3 * {HOME}.log_normal_bbh(40, 30, 0.2, 1)"), demo_bbh()
    masses = source_masses(draw(population, 100_000, np.random.default_rng(2)))
    weight = np.exp(target.log_density(*masses) - population.log_density(*masses))
    assert abs(weight.mean() - 1) < 4 * weight.std() / len(weight) ** 0.5
    of_target = source_masses(draw(demo_bbh(), 100_000, np.random.default_rng(3)))
    share = (of_target[0] > 40).mean()
    part = weight * (masses[0] > 40)
    assert abs(part.mean() - share) < 5 * part.std() / len(part) ** 0.5


def test_densities_of_redshift_and_of_masses_make_the_joint_one():
    population = load_population(ALL)
    masses = source_masses(draw(population, 2000, np.random.default_rng(2)))
    joint = population.log_density(*masses)
    assert np.isfinite(joint).all()
    np.testing.assert_allclose(population.log_mass_density(*masses) + population.log_redshift_density(masses[2]), joint)
    assert population.log_density(np.array([300.0]), np.array([3.0]), np.array([0.1])) == -np.inf
    probabilities = population.component_probabilities(*masses)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-9)


def test_its_redshifts_are_those_of_the_masses():
    population = load_population(ALL)
    assert population.redshift_range == (0.0, 2.0)

    def reach(mass_1: float, mass_2: float) -> tuple[float, float]:
        scatter = np.exp(0.1 * np.random.default_rng(0).standard_normal((2, 2000)))
        first, second = mass_1 * scatter[0], mass_2 * scatter[1]
        return population.reach(np.maximum(first, second), np.minimum(first, second))

    assert reach(1.4, 1.4) == (0.0, 0.25)
    assert reach(10, 1.4) == (0.0, 0.5)
    assert reach(35, 30) == (0.0, 2.0)
    assert reach(500, 400) == population.redshift_range
    assert demo_bbh().reach(np.array([1.4]), np.array([1.4])) == demo_bbh().redshift_range


@pytest.mark.parametrize(
    ("prior", "complaint"),
    [
        (f"0.3 * {HOME}.bns, {HOME}.nsbh", r"priors\.nsbh has no positive weight: give each"),
        (f"-1 * {HOME}.bns, 2 * {HOME}.nsbh", r"-1 \* aframe\.waveforms\.priors\.bns has no positive weight"),
        (f"0.3 * {HOME}.bnss, 0.7 * {HOME}.nsbh", r"prior = aframe\.waveforms\.priors\.bnss cannot be imported"),
        (f"{HOME}.bns, {HOME}.nsbh", "cannot be read"),
    ],
)
def test_a_wrong_mixture_is_refused(prior, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        load_population(prior)


def test_one_sky_and_one_cosmology():
    north = changed(nsbh(), dec=priors.Cosine(0.0, np.pi / 2))
    with pytest.raises(ConfigurationError, match="number 2 have different priors of ra and dec"):
        mixture([bns(), north], [1.0, 1.0])
    redshift = type(bns().prior["redshift"])(0.0, 0.3, name="redshift", cosmology="Planck18")
    with pytest.raises(ConfigurationError, match="cosmologies Planck15, Planck18"):
        mixture([bns(), changed(nsbh(), redshift=redshift)], [1.0, 1.0])


def test_the_named_populations_reach_from_neutron_stars_to_intermediate_masses():
    totals = []
    for population in (bns(), nsbh(), rates_and_populations_bbh(), imbh()):
        columns = draw(population, 5000, np.random.default_rng(0))
        assert np.isfinite(population.log_density(*source_masses(columns))).all()
        totals.append(columns["mass_1"] + columns["mass_2"])
    assert min(map(np.min, totals)) < 2.5
    assert np.max(totals[-1]) > 400


MODELS = "TaylorF2, IMRPhenomPv2"


@pytest.fixture(scope="module")
def two_kinds() -> SignalSource:
    population = load_population(f"1 * {HOME}.bns, 1 * {HOME}.log_normal_bbh(35, 30, 0.1, 1)")
    return SignalSource(population, WaveformGenerator(MODELS, 512.0, 16.0, 1.0, 40.0, 50.0), 1)


def test_each_population_has_its_waveform_model(two_kinds):
    columns = draw(two_kinds.population, 12, np.random.default_rng(0))
    waves = np.stack(two_kinds.generator.generate(columns, 1))
    assert set(columns["component"]) == {0, 1}
    for k, name in enumerate(two_kinds.generator.names):
        rows = np.flatnonzero(columns["component"] == k)
        alone = WaveformGenerator(name, 512.0, 16.0, 1.0, 40.0, 50.0)
        expected = np.stack(alone.generate({key: values[rows] for key, values in columns.items()}, 1))
        assert (waves[:, rows] == expected).all()
    assert np.isfinite(waves).all()
    assert two_kinds.refused_share == 0


def test_the_models_of_a_mixture_fit_its_populations(two_kinds):
    with pytest.raises(ConfigurationError, match="names 2 models, and the prior has 1 population:"):
        SignalSource(bns(), two_kinds.generator)
    three = mixture([bns(), nsbh(), log_normal_bbh(35, 30, 0.1)], [1.0, 1.0, 1.0])
    with pytest.raises(ConfigurationError, match="the prior has 3 populations: give one model for all"):
        SignalSource(three, two_kinds.generator)
    wrong = WaveformGenerator("TaylorF2, IMRPhenomD", 512.0, 16.0, 1.0, 40.0, 50.0)
    with pytest.raises(ConfigurationError, match="approximant = IMRPhenomD does not precess"):
        SignalSource(two_kinds.population, wrong).check()
    assert len(parts(three)) == 3


def test_no_signal_of_a_mixture_is_lost(two_kinds, psds):
    """The bounds of both models spare waveforms alone: accepted are just those draws that are loud enough."""
    chosen = Selection(("H1", "L1"), psds[:, :1025], 40.0, None, 5.0)
    signals = accepted_signals(two_kinds, chosen, 40, np.random.default_rng(7), store_waveforms=False)
    accepted, number = [], 0
    for some, others in signals:
        accepted.append(some.parameters)
        number += len(some) + len(others)
    columns = rows(draw(two_kinds.population, DRAWS, np.random.default_rng(7)), slice(number))
    waves = map(torch.from_numpy, two_kinds.generator.generate(columns, 1))
    responses = project(*waves, detector_geometry(chosen.ifos), *angles(columns), 512.0)
    is_loud = optimal_snr(responses, chosen.psds, 512.0, 40.0, None).norm(dim=-1).numpy() >= 5
    found = {name: np.concatenate([each[name] for each in accepted]) for name in ("mass_1", "component")}
    np.testing.assert_array_equal(found["mass_1"], columns["mass_1"][is_loud])
    assert set(found["component"]) == {0, 1}
