from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.stats import chi2
from toy_search import detection_probability, toy_draws, true_volume_gpc3

from aframe import storage
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError, DataError
from aframe.events.significance import Background
from aframe.sensitivity.cosmology import comoving_volume_time
from aframe.sensitivity.interval import Scope, Volume, confidence_interval
from aframe.sensitivity.populations import PopulationTarget
from aframe.sensitivity.volume import (
    ALL_DRAWS,
    CONFIDENCE,
    UNITS,
    VolumeCurve,
    accidental_volume_gpc3,
    check_names,
    chirp_mass,
    default_far_grid,
    efficiencies,
    population_label,
    read_efficiencies,
    read_volumes,
    remarks,
    sensitive_volume,
    volume_against_far,
    write_volumes,
)
from aframe.sensitivity.weighing import Draws, WeightSums, read_rejected, weigh
from aframe.sensitivity.weights import LogNormalTarget, Target, mass_targets
from aframe.types import Array
from aframe.waveforms.priors import Population, demo_bbh, draw, log_normal_bbh, rates_and_populations_bbh

ONE_A_YEAR = np.array([1.0])
TARGET = LogNormalTarget(35.0, 20.0, 0.3, (0.0, 1.0))
TRUTH = true_volume_gpc3(35.0, 20.0, 0.3, 1.0)
LIVETIME = SECONDS_PER_YEAR / 4


def curve_of(draws: Draws, background: Background, target: Target = TARGET) -> VolumeCurve:
    return volume_against_far(weigh(draws, [target]), background, ONE_A_YEAR, LIVETIME)[target.name]


def over_seeds(population: Population, number: int, background: Background) -> list[VolumeCurve]:
    return [curve_of(toy_draws(population, seed, number), background) for seed in range(100)]


def column(curves: Sequence[VolumeCurve], name: str) -> Array:
    return np.array([getattr(curve, name)[0] for curve in curves])


@pytest.mark.parametrize(
    ("population", "number", "effective_number"),
    [
        (demo_bbh(), 2000, 100),
        (demo_bbh(), 200, 10),
        (rates_and_populations_bbh(), 3000, 10),
        (log_normal_bbh(35.0, 25.0, 0.4, 1.0), 500, 120),
    ],
    ids=["near-100", "near-10", "usual-10", "alike-120"],
)
def test_intervals_hold_the_true_volume_as_often_as_they_say(
    population: Population, number: int, effective_number: float, background: Background
) -> None:
    """For any source prior, with about a hundred effective recovered injections and with ten."""
    curves = over_seeds(population, number, background)
    volume, error = column(curves, "volume_gpc3"), column(curves, "standard_error")
    assert column(curves, "effective_sample_size").mean() == pytest.approx(effective_number, rel=0.2)
    assert abs(volume.mean() - TRUTH) < 3 * volume.std() / 10
    assert error.mean() == pytest.approx(volume.std(), rel=0.25)
    assert 88 <= (np.abs(volume - TRUTH) < 1.96 * error).sum() <= 99
    low, high = np.array([[end[0] for end in curve.interval_gpc3] for curve in curves]).T
    assert 88 <= ((low < TRUTH) & (high > TRUTH)).sum() <= 99


def test_the_interval_contains_the_scatter_of_the_threshold() -> None:
    """Noise and found injections both have exponential statistics. The fourth loudest of noise sets the threshold."""
    rng = np.random.default_rng(1)
    weighed = weigh(toy_draws(demo_bbh(), 1, 4000), [TARGET])
    is_found = np.isfinite(weighed.statistic)
    weighed = replace(weighed, statistic=np.where(is_found, 3 * rng.exponential(size=len(is_found)), -np.inf))
    noise = Background(rng.exponential(size=3000), 4 * SECONDS_PER_YEAR)
    curve = volume_against_far(weighed, noise, ONE_A_YEAR, LIVETIME)[TARGET.name]
    _, highest = noise.threshold_interval(ONE_A_YEAR, CONFIDENCE)
    total = weighed.targets[TARGET.name].weight[weighed.statistic >= highest[0]].sum()
    of_all = curve.scope.v0_gpc3 * total / weighed.targets[TARGET.name].everything.total
    assert curve.volume_at_high_threshold_gpc3[0] == pytest.approx(of_all)
    assert curve.volume_at_high_threshold_gpc3[0] < curve.volume_gpc3[0] < curve.volume_at_low_threshold_gpc3[0]
    (least,), (most,) = confidence_interval(curve, curve.scope, CONFIDENCE)
    (low,), (high,) = curve.interval_gpc3
    assert low < least - 0.1 * (curve.volume_gpc3[0] - least)
    assert high > most + 0.1 * (most - curve.volume_gpc3[0])


def test_rare_detections_are_held_by_the_interval_and_not_by_two_standard_errors() -> None:
    """On average, the search recovers eight of a thousand equal draws: a Poisson number."""
    counts = np.random.default_rng(0).poisson(8.0, 4000).astype(np.float64)
    volume = Volume(counts / 1000, np.sqrt(counts * (1 - counts / 1000)) / 1000, counts)
    low, high = confidence_interval(volume, Scope(1.0, (0.0, 1.0), 1.0, 1.0, 0.0, 1000.0), CONFIDENCE)
    assert np.mean(np.abs(volume.volume_gpc3 - 0.008) < 1.96 * volume.standard_error) < 0.935
    assert 0.945 < np.mean((low <= 0.008) & (high >= 0.008)) < 0.985


def test_the_interval_of_equal_weights_is_garwoods() -> None:
    counts = np.array([0.0, 1.0, 7.0, 100.0])
    volume = Volume(counts * 1e-6, np.sqrt(counts) * 1e-6, counts)  # of a million draws
    low, high = confidence_interval(volume, Scope(1.0, (0.0, 1.0), 1.0, 1.0, 0.0, 1e6), 0.9)
    np.testing.assert_allclose(high, 1e-6 * chi2.ppf(0.95, 2 * (counts + 1)) / 2, rtol=1e-6)
    np.testing.assert_allclose(low[1:], 1e-6 * chi2.ppf(0.05, 2 * counts[1:]) / 2, rtol=1e-6)
    assert low[0] == 0


@pytest.mark.parametrize("share", [0.9, 0.97, 0.995])
def test_the_interval_holds_the_volume_of_a_search_that_misses_few(share: float) -> None:
    counts = np.random.default_rng(0).binomial(200, share, 4000).astype(np.float64)
    volume = Volume(counts / 200, np.sqrt(counts * (200 - counts) / 200) / 200, counts)
    low, high = confidence_interval(volume, Scope(1.0, (0.0, 1.0), 1.0, 1.0, 0.0, 200.0), CONFIDENCE)
    assert 0.945 < np.mean((low <= share) & (high >= share)) <= 1


def test_what_is_found_by_chance_is_told_apart(background: Background) -> None:
    """Noise of 1e6 events a year alone, and injections that it meets within a second or not."""
    rng, number, rate, window = np.random.default_rng(1), 20_000, 1e6, 1.0
    expected = -np.expm1(-2 * window * rate / SECONDS_PER_YEAR)
    draws = weigh(
        toy_draws(demo_bbh(), 3, number, accept=0.0, probability=lambda c: np.zeros_like(c["mass_1"])), [TARGET]
    )
    met = rng.random(number) < expected
    draws = replace(draws, statistic=np.where(met, 1.0, -np.inf))
    noise = Background(np.ones(1000), 1000 / rate * SECONDS_PER_YEAR)
    curve = volume_against_far(draws, noise, np.array([rate]), LIVETIME)[TARGET.name]
    chance = accidental_volume_gpc3(draws, curve, TARGET.name, window)
    assert chance[0] == pytest.approx(curve.volume_gpc3[0], abs=4 * curve.standard_error[0])
    assert chance[0] <= curve.volume_gpc3[0]
    quiet = volume_against_far(draws, noise, noise.lowest_far_per_year * np.ones(1), LIVETIME)[TARGET.name]
    assert quiet.volume_gpc3[0] == 0 == accidental_volume_gpc3(draws, quiet, TARGET.name, window)[0]


def test_a_search_that_finds_all_draws_may_still_miss_some() -> None:
    volume = Volume(np.array([5.0]), np.array([0.0]), np.array([40.0]))
    low, high = confidence_interval(volume, Scope(5.0, (0.0, 1.0), 1.0, 1.0, 0.0, 40.0), CONFIDENCE)
    assert low[0] == pytest.approx(5.0 * 0.025 ** (1 / 40))
    assert high[0] == 5.0


def test_no_interval_passes_the_perfect_search() -> None:
    everything = WeightSums(40.0, 40.0, 40)
    volume = sensitive_volume(np.arange(40.0), np.ones(40), everything, 5.0, np.array([0.0, 1.0]))
    low, high = confidence_interval(volume, Scope(5.0, (0.0, 1.0), 1.0, 1.0, 0.0, 40.0), CONFIDENCE)
    assert volume.volume_gpc3[0] == high[0] == 5.0
    assert low[1] < volume.volume_gpc3[1] < high[1] < 5.0


def test_does_not_depend_on_the_source_population(background: Background) -> None:
    sources = (demo_bbh(), rates_and_populations_bbh(), log_normal_bbh(35.0, 25.0, 0.4))
    results = [curve_of(toy_draws(population, 5, 40_000), background) for population in sources]
    for first in results:
        for second in results:
            error = np.hypot(first.standard_error[0], second.standard_error[0])
            assert abs(first.volume_gpc3[0] - second.volume_gpc3[0]) < 3 * error
    effective = [curve.effective_sample_size[0] for curve in results]
    assert effective[1] < effective[0] < effective[2]  # draws nearer to the target tell more


def test_does_not_depend_on_which_draws_are_injected(background: Background) -> None:
    population = demo_bbh()
    few, most, every = (curve_of(toy_draws(population, 3, 3000, accept), background) for accept in (1.0, 0.05, 0.0))
    for name in ("volume_gpc3", "standard_error", "effective_sample_size"):
        np.testing.assert_allclose(getattr(few, name), getattr(every, name), rtol=1e-12)
        np.testing.assert_allclose(getattr(most, name), getattr(every, name), rtol=1e-12)


class HalfTheSky:
    """A population in one hemisphere."""

    def __init__(self, population: Population) -> None:
        self.redshift_range, self.sky_fraction = population.redshift_range, population.sky_fraction / 2
        self.log_density = population.log_density


def test_is_linear_in_the_volume_that_a_perfect_search_sees(background: Background) -> None:
    whole = toy_draws(demo_bbh(), 4, 3000)
    half = Draws(whole.recovered, whole.rejected, HalfTheSky(demo_bbh()))
    one, two = curve_of(half, background), curve_of(whole, background)
    for name in ("volume_gpc3", "standard_error", "volume_time_gpc3_yr"):
        np.testing.assert_allclose(getattr(two, name), 2 * getattr(one, name), rtol=1e-12)
    np.testing.assert_allclose(two.interval_gpc3, 2 * np.array(one.interval_gpc3), rtol=1e-12)
    assert two.scope.v0_gpc3 == 2 * one.scope.v0_gpc3 == pytest.approx(comoving_volume_time((0.0, 1.0), 1.0))


def test_volume_is_that_of_the_redshifts_in_common(background: Background) -> None:
    near = LogNormalTarget(35.0, 20.0, 0.3, (0.0, 0.3))
    curve = curve_of(toy_draws(demo_bbh(), 6, 20_000), background, near)
    assert curve.scope.redshift_range == (0.0, 0.3)
    assert abs(curve.volume_gpc3[0] - true_volume_gpc3(35.0, 20.0, 0.3, 0.3)) < 3 * curve.standard_error[0]
    far = LogNormalTarget(35.0, 20.0, 0.3, (0.0, 9.0))
    beyond = curve_of(toy_draws(demo_bbh(), 6, 20_000), background, far)
    np.testing.assert_allclose(
        beyond.volume_gpc3, curve_of(toy_draws(demo_bbh(), 6, 20_000), background).volume_gpc3, rtol=1e-6
    )
    with pytest.raises(DataError, match="lies at redshifts 2 to 3, the draws at 0 to 1"):
        curve_of(toy_draws(demo_bbh(), 6, 100), background, LogNormalTarget(35.0, 20.0, 0.3, (2.0, 3.0)))


def test_volume_time_and_distance_follow_from_the_volume(background: Background) -> None:
    curve = curve_of(toy_draws(demo_bbh(), 8, 3000), background)
    assert curve.volume_time_gpc3_yr[0] == curve.volume_gpc3[0] / 4
    assert curve.volume_time_standard_error[0] == curve.standard_error[0] / 4
    assert 4 / 3 * np.pi * (curve.sensitive_distance_mpc[0] / 1e3) ** 3 == pytest.approx(curve.volume_gpc3[0])


def test_equal_weights_are_the_binomial_limit() -> None:
    statistic = np.arange(30.0)
    volume = sensitive_volume(statistic, np.ones(30), WeightSums(100.0, 100.0, 100), 7.0, np.array([10.0, 99.0]))
    np.testing.assert_allclose(volume.volume_gpc3, [7 * 0.2, 0])
    np.testing.assert_allclose(volume.standard_error, [7 * (0.2 * 0.8 / 100) ** 0.5, 0])
    np.testing.assert_allclose(volume.effective_sample_size, [20, 0])


def test_all_thresholds_at_once_equal_one_by_one() -> None:
    rng = np.random.default_rng(0)
    statistic = np.round(rng.normal(size=500), 1)
    statistic[::7] = -np.inf
    weight = rng.exponential(size=500)
    everything = WeightSums.of(weight) + WeightSums.of(rng.exponential(size=900))
    thresholds = np.concatenate([statistic[np.isfinite(statistic)][:50], [-1e308, 1e9]])
    volume = sensitive_volume(statistic, weight, everything, 3.0, thresholds)
    for k, threshold in enumerate(thresholds):
        recovered = weight[statistic >= threshold]
        ratio = recovered.sum() / everything.total
        variance = (recovered**2).sum() * (1 - ratio) ** 2 + ratio**2 * (everything.squares - (recovered**2).sum())
        assert volume.volume_gpc3[k] == pytest.approx(3 * ratio)
        assert volume.standard_error[k] == pytest.approx(3 * variance**0.5 / everything.total)
    again = sensitive_volume(
        statistic, 5 * weight, WeightSums(5 * everything.total, 25 * everything.squares, 1400), 3.0, thresholds
    )
    np.testing.assert_allclose(again.volume_gpc3, volume.volume_gpc3)
    np.testing.assert_allclose(again.standard_error, volume.standard_error)


def test_a_rate_that_the_background_cannot_measure_is_refused(background: Background) -> None:
    weighed = weigh(toy_draws(demo_bbh(), 0, 500), [TARGET])
    with pytest.raises(ConfigurationError, match="cannot be measured"):
        volume_against_far(weighed, background, np.array([0.5]), LIVETIME)


def test_a_target_without_draws_is_refused(background: Background) -> None:
    with pytest.raises(DataError, match="900-900: none of the 500 draws"):
        curve_of(toy_draws(demo_bbh(), 0, 500), background, LogNormalTarget(900.0, 900.0, 0.1, (0.0, 1.0)))


def test_a_population_outside_the_prior_is_reported(background: Background) -> None:
    population = rates_and_populations_bbh()
    targets = mass_targets([(10.0, 5.0), (35.0, 35.0)], 0.2, population.redshift_range)
    curves = volume_against_far(weigh(toy_draws(population, 1, 100_000), targets), background, ONE_A_YEAR, LIVETIME)
    scope = curves["10-5"].scope
    assert abs(scope.coverage - 0.5) < 5 * scope.coverage_error  # half of the lighter masses is below 5
    assert [curve.scope.is_covered for curve in curves.values()] == [False, True]
    sentences = remarks(curves)
    assert "% of the population 10-5 lies inside the injections' prior" in sentences[0]
    assert "35-35" not in sentences[0]


def test_few_effective_injections_are_reported(background: Background) -> None:
    few = {"few": curve_of(toy_draws(demo_bbh(), 1, 200), background)}
    (sentences,) = remarks(few)
    assert "fewer than 100 effective injections are found at a false alarm rate of 1 per year: few (" in sentences
    assert not remarks({"many": curve_of(toy_draws(demo_bbh(), 1, 4000), background)})


def test_written_curves_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = toy_draws(demo_bbh(), 1, 2000)
    path = str(tmp_path / "rejected-parameters.hdf5")
    draws.rejected[0].write(path)
    monkeypatch.setattr("aframe.sensitivity.weighing.CHUNK_ROWS", 100)
    targets = mass_targets([(20.0, 10.0), (35.0, 35.0)], 0.1, (0.0, 1.0))
    targets += [PopulationTarget("heavy", log_normal_bbh(60.0, 50.0, 0.2, 1.0), draws.source)]
    background = Background(np.random.default_rng(2).exponential(size=5000), 0.1 * SECONDS_PER_YEAR)
    grid = default_far_grid(background)
    streamed = weigh(Draws(draws.recovered, read_rejected(path, targets), draws.source), targets)
    curves = volume_against_far(streamed, background, grid, LIVETIME)
    written = efficiencies(streamed, background, np.array([12.0, 365.25]))
    volumes = str(tmp_path / "plots" / "sensitive_volume.h5")
    write_volumes(volumes, curves, written, {"seed": 1})
    again = read_volumes(volumes)
    assert list(again) == ["35-35", "20-10", "heavy"]
    assert storage.made_with(volumes) == {"seed": 1}
    whole = volume_against_far(weigh(draws, targets), background, grid, LIVETIME)
    for name, curve in again.items():
        np.testing.assert_allclose(curve.far_per_year, np.geomspace(10, 50_000, 500))
        assert np.all(np.diff(curve.volume_gpc3) >= 0)  # a higher rate lets more in
        np.testing.assert_allclose(curve.volume_gpc3, whole[name].volume_gpc3)
        np.testing.assert_allclose(curve.standard_error, whole[name].standard_error)
        assert curve.scope == curves[name].scope
    shares = read_efficiencies(volumes)
    assert list(shares) == sorted([*curves, ALL_DRAWS])
    for name, by_axis in shares.items():
        assert sorted(by_axis) == ["chirp_mass", "chirp_mass_source", "luminosity_distance"]
        np.testing.assert_array_equal(by_axis["chirp_mass"].share, written[name]["chirp_mass"].share)
    with h5py.File(volumes) as file:
        assert {name: dataset.attrs["unit"] for name, dataset in file["35-35"].items() if name in UNITS} == UNITS
        assert file["35-35/efficiency/luminosity_distance/edges"].attrs["unit"] == "Mpc"
        low, volume, high = (file[f"35-35/{name}_gpc3"][:] for name in ("volume_low", "volume", "volume_high"))
        assert np.all(low <= volume)
        assert np.all(volume <= high)


def test_efficiency_of_all_draws_is_the_detection_probability(background: Background) -> None:
    """The efficiency in a bin of distance is the mean over the drawn masses; Monte Carlo gives the reference."""
    population = demo_bbh()
    weighed = weigh(toy_draws(population, 9, 60_000), [TARGET])
    shares = efficiencies(weighed, background, ONE_A_YEAR)
    many = draw(population, 200_000, np.random.default_rng(10))
    probable = detection_probability(many["luminosity_distance"], many["chirp_mass"])
    one = shares[ALL_DRAWS]["luminosity_distance"]
    index = np.digitize(many["luminosity_distance"], one.edges) - 1
    pulls = []
    for k in np.flatnonzero(one.number > 100):
        inside = probable[index == k]
        error = max(one.high[0, k] - one.low[0, k], 1e-3) / 2
        pulls.append((one.share[0, k] - inside.mean()) / np.hypot(error, inside.std() / len(inside) ** 0.5))
    assert len(pulls) > 8
    assert np.std(pulls) < 1.6
    assert np.abs(pulls).max() < 4


def test_efficiency_of_a_target_adds_up_to_its_volume(background: Background) -> None:
    weighed = weigh(toy_draws(demo_bbh(), 11, 4000), [TARGET])
    curve = volume_against_far(weighed, background, ONE_A_YEAR, LIVETIME)["35-20"]
    for bins, sums in zip(weighed.bins, weighed.targets["35-20"].bins, strict=True):
        share = efficiencies(weighed, background, ONE_A_YEAR)["35-20"][bins.axis].share[0]
        total = np.nansum(share * sums.total) / weighed.targets["35-20"].everything.total
        assert curve.scope.v0_gpc3 * total == pytest.approx(curve.volume_gpc3[0], rel=0.02)  # strays below the bins


def test_names_of_populations() -> None:
    assert chirp_mass("30-30") == pytest.approx(30 / 2**0.2)
    assert chirp_mass("log_normal_bbh(35, 30, 0.1)") == 0
    assert (population_label("35-20"), population_label("demo_bbh")) == ("35-20 M☉", "demo_bbh")


def test_few_injections_of_small_weights_do_not_exclude_what_none_would_not() -> None:
    """Missed draws of large weight may exist although the search recovers none."""
    scope = Scope(100.0, (0.0, 1.0), 1e7, 1.0, 0.1, 3.0)
    nothing, little = (Volume(np.array([v]), np.array([v]), np.array([n])) for v, n in ((0.0, 0.0), (2e-6, 1.0)))
    ends = [confidence_interval(volume, scope, 0.95)[1][0] for volume in (nothing, little)]
    assert ends[1] == ends[0] == 100.0
    scope = replace(scope, effective_draws=3000.0)
    ends = [confidence_interval(volume, scope, 0.95)[1][0] for volume in (nothing, little)]
    np.testing.assert_allclose(ends, 3.689 * 100 / 3000, rtol=1e-3)


@pytest.mark.parametrize(("draws", "width", "share"), [(2000, 2.0, 0.003), (2000, 1.5, 0.003), (300, 0.3, 0.01)])
def test_intervals_cover_also_where_weights_are_very_unlike(draws: int, width: float, share: float) -> None:
    rng, covered, trials = np.random.default_rng(1), 0, 400
    for _ in range(trials):
        weight = np.exp(rng.normal(0, width, draws) - width**2 / 2)
        statistic = np.where(rng.random(draws) < share, 1.0, -1.0)
        sums = WeightSums.of(weight)
        volume = sensitive_volume(statistic, weight, sums, 1.0, np.array([0.0]))
        scope = Scope(1.0, (0.0, 1.0), 1e7, *sums.coverage, sums.effective_number)
        low, high = confidence_interval(volume, scope, 0.95)
        covered += bool(low[0] <= share <= high[0])
    assert covered / trials > 0.94


def test_names_that_cannot_be_distinguished_are_refused() -> None:
    pair = LogNormalTarget(35.0, 35.0, 0.1, (0.0, 1.0))
    check_names([pair, LogNormalTarget(35.0, 20.0, 0.1, (0.0, 1.0))])
    source = demo_bbh()
    named = (PopulationTarget(name, source, source) for name in ("35-35", ALL_DRAWS))
    for targets in ([pair, pair], *([target] for target in named)):
        with pytest.raises(ConfigurationError, match="would be mistaken for another one of that name"):
            check_names(targets)
