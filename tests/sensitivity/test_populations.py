from collections.abc import Callable

import numpy as np
import pytest
from bilby.core import prior as priors
from bilby.gw.prior import AlignedSpin, UniformComovingVolume, UniformSourceFrame
from toy_search import HORIZON_MPC, toy_draws, true_volume_gpc3

from aframe.errors import ConfigurationError, DataError
from aframe.events.significance import Background
from aframe.sensitivity.cosmology import comoving_volume_time
from aframe.sensitivity.populations import DensityRatio, PopulationTarget, population_name, population_targets
from aframe.sensitivity.volume import volume_against_far
from aframe.sensitivity.weighing import WeightSums, read_rejected, weigh
from aframe.sensitivity.weights import Binaries, LogNormalTarget, mass_targets, weights
from aframe.tables import Table
from aframe.waveforms.loading import load_population
from aframe.waveforms.mixtures import Mixture, mixture
from aframe.waveforms.priors import Population, bns, demo_bbh, draw, log_normal_bbh, rates_and_populations_bbh

SOURCE = demo_bbh()


def changed(population: Population, **parameters: priors.Prior) -> Population:
    """The population with different priors of some parameters."""
    prior = population.prior.copy()
    prior.update(parameters)
    return Population(prior, population.detector_frame)


def drawn(population: Population, number: int, seed: int) -> Table:
    return Table(draw(population, number, np.random.default_rng(seed)))


def test_a_log_normal_prior_is_the_pair_of_masses() -> None:
    target = PopulationTarget("pair", log_normal_bbh(35.0, 20.0, 0.2, 1.0), SOURCE)
    pair = LogNormalTarget(35.0, 20.0, 0.2, (0.0, 1.0))
    assert target.columns == ()
    one, two = weights(drawn(SOURCE, 5000, 0), SOURCE, [target, pair])
    np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


def test_a_populations_law_of_redshift_does_not_count() -> None:
    laws = (
        UniformComovingVolume(0.0, 1.0, name="redshift", cosmology="Planck15"),
        UniformSourceFrame(0.0, 1.0, name="redshift", cosmology="Planck15"),
        priors.PowerLaw(4.0, 1e-6, 1.0, name="redshift"),
    )
    targets = [
        PopulationTarget(f"law {k}", changed(rates_and_populations_bbh(), redshift=law), SOURCE)
        for k, law in enumerate(laws)
    ]
    one, *others = weights(drawn(SOURCE, 5000, 1), SOURCE, targets)
    for other in others:
        np.testing.assert_allclose(other, one, rtol=1e-5)


def test_the_source_itself_covers_itself() -> None:
    weight = weights(drawn(SOURCE, 50_000, 2), SOURCE, [PopulationTarget("itself", SOURCE, SOURCE)])[0]
    share, error = WeightSums.of(weight).coverage
    assert abs(share - 1) < 4 * error
    redshift = drawn(SOURCE, 50_000, 2)["redshift"]  # the source is uniform in comoving volume, not in source time
    np.testing.assert_allclose(weight * (1 + redshift), (weight * (1 + redshift)).mean(), rtol=2e-3)


def test_detector_frame_masses_are_those_of_each_redshift() -> None:
    masses = {name: priors.Uniform(40.0, 60.0, name=name) for name in ("mass_1", "mass_2")}
    population = Population(priors.PriorDict({**SOURCE.prior, **masses}), True)
    table = drawn(SOURCE, 200_000, 3)
    weight = weights(table, SOURCE, [PopulationTarget("near", population, SOURCE)])[0]
    share, error = WeightSums.of(weight).coverage
    assert abs(share - 1) < 4 * error
    inside = (table["mass_2"] >= 40) & (table["mass_1"] <= 60)
    assert not weight[~inside].any()
    assert np.average(table["mass_1"], weights=weight) == pytest.approx(40 + 20 * 2 / 3, rel=0.01)  # larger of two
    near = table["redshift"] < 0.5
    part = comoving_volume_time((0.0, 0.5), 1.0) / comoving_volume_time((0.0, 1.0), 1.0)
    assert weight[near].sum() / weight.sum() == pytest.approx(part, rel=0.1)


def spin_search(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Statistic of a search that recovers near, slowly spinning binaries."""
    return ((columns["luminosity_distance"] < HORIZON_MPC) & (columns["a_1"] < 0.2)).astype(np.float64)


@pytest.mark.parametrize("faster", [0.4, 0.8])
def test_other_spins_are_another_volume(faster: float, background: Background) -> None:
    population = changed(log_normal_bbh(35.0, 20.0, 0.3, 1.0), a_1=priors.Uniform(0.0, faster, name="a_1"))
    target = PopulationTarget("slow", population, SOURCE)
    assert target.columns == ("a_1",)
    draws = toy_draws(SOURCE, 4, 20_000, probability=spin_search)
    pair = LogNormalTarget(35.0, 20.0, 0.3, (0.0, 1.0))
    curves = volume_against_far(weigh(draws, [target, pair]), background, np.array([1.0]), 1e7)
    redshift = np.interp(HORIZON_MPC, SOURCE.luminosity_distance(np.linspace(0, 1, 5000)), np.linspace(0, 1, 5000))
    whole = comoving_volume_time((0.0, float(redshift)), 1.0)
    for name, largest in (("slow", faster), ("35-20", 0.998)):
        curve = curves[name]
        assert abs(curve.volume_gpc3[0] - whole * 0.2 / largest) < 3 * curve.standard_error[0]
        assert curve.standard_error[0] < 0.1 * curve.volume_gpc3[0]


def test_half_the_sky_is_half_the_volume(background: Background) -> None:
    north = changed(log_normal_bbh(35.0, 20.0, 0.3, 1.0), dec=priors.Cosine(0.0, np.pi / 2))
    targets = [PopulationTarget("north", north, SOURCE), LogNormalTarget(35.0, 20.0, 0.3, (0.0, 1.0))]
    curves = volume_against_far(weigh(toy_draws(SOURCE, 5, 20_000), targets), background, np.array([1.0]), 1e7)
    half, whole = curves["north"], curves["35-20"]
    assert half.scope.v0_gpc3 == pytest.approx(whole.scope.v0_gpc3 / 2)
    assert abs(half.volume_gpc3[0] - whole.volume_gpc3[0] / 2) < 3 * half.standard_error[0]


def test_all_that_differs_is_read(tmp_path) -> None:
    (rejected,) = toy_draws(SOURCE, 1, 200).rejected
    rejected.write(str(tmp_path / "rejected.hdf5"))
    other = changed(SOURCE, a_2=priors.Uniform(0.0, 0.5), tilt_1=priors.Uniform(0.0, np.pi))
    target = PopulationTarget("other", other, SOURCE)
    (piece,) = read_rejected(str(tmp_path / "rejected.hdf5"), [target, PopulationTarget("itself", SOURCE, SOURCE)])
    assert sorted(piece.parameters) == ["a_2", "mass_1", "mass_2", "redshift", "tilt_1"]
    assert np.isfinite(weights(piece, SOURCE, [target])).all()


def test_labels_and_borders_are_no_difference() -> None:
    other = changed(SOURCE, ra=priors.Uniform(0.0, 2 * np.pi, name="alpha", latex_label="$x$"))
    assert PopulationTarget("other", other, SOURCE).columns == ()


def binaries(**columns: np.ndarray) -> Binaries:
    some = np.ones(len(next(iter(columns.values()))))
    return Binaries(some, some, some, columns)


def test_an_angle_by_its_cosine_is_the_angle() -> None:
    angle = np.linspace(0.01, 3.13, 50)
    isotropic = (("cos_tilt_1", priors.Uniform(-1.0, 1.0)), ("tilt_1", priors.Sine()))
    np.testing.assert_allclose(DensityRatio("tilt_1", *isotropic)(binaries(tilt_1=angle)), 1)
    forward = DensityRatio("tilt_1", ("cos_tilt_1", priors.Uniform(0.0, 1.0)), ("tilt_1", priors.Sine()))
    np.testing.assert_allclose(forward(binaries(tilt_1=angle)), np.where(angle < np.pi / 2, 2.0, 0.0))


def test_aligned_spins_are_weighed_by_their_component() -> None:
    chi = np.linspace(-0.95, 0.95, 41)
    source = AlignedSpin(priors.Uniform(0.0, 1.0), priors.Uniform(-1.0, 1.0))
    ratio = DensityRatio("chi_1", ("chi_1", priors.Uniform(-0.5, 0.5)), ("chi_1", source))
    assert ratio.columns == ("a_1", "tilt_1")
    values = ratio(binaries(a_1=np.abs(chi), tilt_1=np.where(chi < 0, np.pi, 0.0)))
    np.testing.assert_allclose(values, np.where(np.abs(chi) <= 0.5, 1 / source.prob(chi), 0.0), rtol=1e-6)


def test_draws_that_the_prior_does_not_allow_are_refused() -> None:
    slow = changed(SOURCE, a_1=priors.Uniform(0.0, 0.4, name="a_1"))
    with pytest.raises(DataError, match="draws have values of a_1 that their prior does not allow"):
        weights(drawn(SOURCE, 100, 5), slow, [PopulationTarget("fast", SOURCE, slow)])


def conditional(reference: dict[str, float], mass_1: float) -> dict[str, float]:
    return {"minimum": 0.0, "maximum": reference["maximum"] * mass_1 / 100}


def light_at_the_source() -> Population:
    """Detector-frame masses with a joint cut on masses and redshifts."""

    def convert(sample: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**sample, "mass_1_source": np.asarray(sample["mass_1"]) / (1 + np.asarray(sample["redshift"]))}

    parameters = {**SOURCE.prior, "mass_1_source": priors.Constraint(0.0, 50.0)}
    return Population(priors.ConditionalPriorDict(parameters, conversion_function=convert), True)


@pytest.mark.parametrize(
    ("population", "why"),
    [
        (lambda: changed(SOURCE, ra=priors.Uniform(0.0, 1.0)), "another prior of ra"),
        (lambda: changed(SOURCE, a_1=priors.DeltaFunction(0.0)), "a_1 has one value in one of the two"),
        (
            lambda: changed(SOURCE, a_1=priors.ConditionalUniform(conditional, minimum=0.0, maximum=1.0)),
            "a_1 depends on other parameters",
        ),
        (
            lambda: changed(SOURCE, redshift=priors.ConditionalUniform(conditional, minimum=0.0, maximum=1.0)),
            "its redshift depends on other parameters",
        ),
        (lambda: changed(SOURCE, mass_1=priors.DeltaFunction(30.0)), "its mass_1 has a single value"),
        (light_at_the_source, "its constraint on mass_1_source is in another frame"),
    ],
)
def test_what_cannot_be_weighed_is_refused(population: Callable[[], Population], why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"population other cannot be weighed .*: .*{why}"):
        PopulationTarget("other", population(), SOURCE)


def test_names_come_from_the_configurations_words() -> None:
    words = {"a.b.heavy": SOURCE, "a.b.light(20, 10)": SOURCE, "priors/some.prior": SOURCE}
    assert [target.name for target in population_targets(words, SOURCE)] == ["heavy", "light(20, 10)", "some"]
    with pytest.raises(ConfigurationError, match=r"a.b.heavy and c.heavy would both be called heavy"):
        population_targets({"a.b.heavy": SOURCE, "c.heavy": SOURCE}, SOURCE)
    assert population_name("x.of('a/b')") == "of('a_b')"


HOME = "aframe.waveforms.priors"
ALL = f"0.3 * {HOME}.bns, 0.2 * {HOME}.nsbh, 0.3 * {HOME}.rates_and_populations_bbh, 0.2 * {HOME}.imbh"


def spinning(mass_1: float, mass_2: float, fastest: float) -> Population:
    return changed(log_normal_bbh(mass_1, mass_2, 0.3, 1.0), a_1=priors.Uniform(0.0, fastest, name="a_1"))


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
