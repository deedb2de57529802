from pathlib import Path

import numpy as np
import pytest

from aframe import storage
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError, DataError
from aframe.events.significance import Background
from aframe.sensitivity.catalog import published_volumes
from aframe.sensitivity.cosmology import comoving_volume_time
from aframe.sensitivity.volume import (
    Draws,
    VolumeCurve,
    WeightSums,
    default_far_grid,
    read_rejected,
    read_volumes,
    sensitive_volume,
    volume_against_far,
    write_volumes,
)
from aframe.sensitivity.weights import LogNormalTarget, mass_targets, weights
from aframe.tables import RecoveredTable, RejectedTable, Table
from aframe.types import Array
from aframe.waveforms.priors import Population, demo_bbh, draw, log_normal_bbh, rates_and_populations_bbh

HORIZON = 0.4


def seen(columns: dict[str, Array]) -> tuple[RecoveredTable, RejectedTable]:
    """A toy search: accepts what is nearer than 1.5 horizons, and ranks by nearness alone."""
    redshift = columns["redshift"]
    accepted = redshift < 1.5 * HORIZON
    count = int(accepted.sum())
    columns = columns | {
        "detection_statistic": HORIZON / redshift,
        "detection_time": np.zeros(len(redshift)),
        "injection_time": np.zeros(len(redshift)),
        "shift": np.zeros((len(redshift), 2)),
        "snr": 8 * HORIZON / redshift,
    }
    attributes = {"num_injections": len(redshift), "ifos": ["H1", "L1"]}
    assert count
    return (
        RecoveredTable({name: column[accepted] for name, column in columns.items()}, attributes=attributes),
        RejectedTable({name: column[~accepted] for name, column in columns.items()}),
    )


def toy_background() -> Background:
    """At one event a year the threshold is just above 1: the toy search's horizon."""
    return Background(np.array([1.0 - 1e-9, 1.0 + 1e-9]), SECONDS_PER_YEAR)


def toy_volume(population: Population, target: LogNormalTarget, seed: int, number: int) -> VolumeCurve:
    recovered, rejected = seen(draw(population, number, np.random.default_rng(seed)))
    draws = Draws(recovered, [rejected], population)
    return volume_against_far(draws, toy_background(), [target], np.array([1.0]))[target.name]


def test_toy_search_has_the_volume_within_its_horizon_and_honest_errors() -> None:
    population = demo_bbh()
    target = LogNormalTarget(35.0, 20.0, 0.3, population.redshift_range)
    truth = comoving_volume_time((0.0, HORIZON), 1.0)
    within = []
    for seed in range(100):
        curve = toy_volume(population, target, seed, 4000)
        within.append(abs(curve.volume_gpc3[0] - truth) < 1.96 * curve.standard_error[0])
    assert 88 <= sum(within) <= 99


def test_does_not_depend_on_the_source_population() -> None:
    results = []
    for population in (rates_and_populations_bbh(), log_normal_bbh(35.0, 30.0, 0.3)):
        target = LogNormalTarget(35.0, 30.0, 0.2, population.redshift_range)
        curve = toy_volume(population, target, 5, 100_000)
        results.append((curve.volume_gpc3[0], curve.standard_error[0]))
    (first, first_error), (second, second_error) = results
    assert abs(first - second) < 3 * np.hypot(first_error, second_error)
    assert second_error < first_error  # draws nearer to the target tell more


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
        found = weight[statistic >= threshold]
        ratio = found.sum() / everything.total
        variance = (found**2).sum() * (1 - ratio) ** 2 + ratio**2 * (everything.squares - (found**2).sum())
        assert volume.volume_gpc3[k] == pytest.approx(3 * ratio)
        assert volume.standard_error[k] == pytest.approx(3 * variance**0.5 / everything.total)
    scaled = sensitive_volume(statistic, weight, everything, 6.0, thresholds)
    np.testing.assert_allclose(scaled.volume_gpc3, 2 * volume.volume_gpc3)
    np.testing.assert_allclose(scaled.standard_error, 2 * volume.standard_error)
    again = sensitive_volume(
        statistic, 5 * weight, WeightSums(5 * everything.total, 25 * everything.squares, 1400), 3.0, thresholds
    )
    np.testing.assert_allclose(again.volume_gpc3, volume.volume_gpc3)
    np.testing.assert_allclose(again.standard_error, volume.standard_error)


def test_draws_must_add_up() -> None:
    population = demo_bbh()
    recovered, rejected = seen(draw(population, 500, np.random.default_rng(0)))
    target = [LogNormalTarget(35.0, 20.0, 0.3, population.redshift_range)]
    incomplete = Draws(recovered, [rejected.rows(slice(1, None))], population)
    with pytest.raises(DataError, match="not the 500 that num_injections counts"):
        volume_against_far(incomplete, toy_background(), target, np.array([1.0]))
    with pytest.raises(ConfigurationError, match="cannot be measured"):
        volume_against_far(Draws(recovered, [rejected], population), toy_background(), target, np.array([0.5]))


def test_a_target_without_draws_is_refused() -> None:
    with pytest.raises(DataError, match="none of the 10 draws"):
        sensitive_volume(np.zeros(0), np.zeros(0), WeightSums(0.0, 0.0, 10), 1.0, np.zeros(1))


def test_written_curves_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    population = demo_bbh()
    recovered, rejected = seen(draw(population, 2000, np.random.default_rng(1)))
    path = str(tmp_path / "rejected-parameters.hdf5")
    rejected.write(path)
    monkeypatch.setattr("aframe.sensitivity.volume.CHUNK_ROWS", 100)
    targets = mass_targets([(20.0, 10.0), (35.0, 35.0)], 0.1, population.redshift_range)
    background = Background(np.random.default_rng(2).exponential(size=5000), 0.1 * SECONDS_PER_YEAR)
    grid = default_far_grid(background)
    curves = volume_against_far(Draws(recovered, read_rejected(path), population), background, targets, grid)
    whole = volume_against_far(Draws(recovered, [rejected], population), background, targets, grid)
    volumes = str(tmp_path / "plots" / "sensitive_volume.h5")
    write_volumes(volumes, curves, {"seed": 1})
    again = read_volumes(volumes)
    assert list(again) == ["35-35", "20-10"]
    assert storage.made_with(volumes) == {"seed": 1}
    for pair, curve in again.items():
        np.testing.assert_allclose(curve.far_per_year, np.geomspace(10, 50_000, 500))
        assert np.all(np.diff(curve.volume_gpc3) >= 0)  # a higher rate lets more in
        np.testing.assert_allclose(curve.volume_gpc3, whole[pair].volume_gpc3)
        np.testing.assert_allclose(curve.standard_error, whole[pair].standard_error)


def test_published_volumes() -> None:
    assert published_volumes("20-10")["cWB"] == pytest.approx(0.24 * 365 / 149.3747)
    assert published_volumes("10-10") == {}


def test_weights_of_nothing() -> None:
    population = demo_bbh()
    empty = Table({name: np.empty(0) for name in ("mass_1", "mass_2", "redshift")})
    assert weights(empty, population, [LogNormalTarget(35.0, 35.0, 0.1, (0.0, 1.0))]).shape == (1, 0)


def test_the_mean_weight_is_the_share_of_the_target_that_the_source_covers():
    random = np.random.default_rng(0)
    wide, narrow = random.uniform(0.0, 2.0, 20000), random.uniform(0.0, 0.5, 20000)  # the target is uniform in 0 to 1
    for draws, width, share in ((wide, 2.0, 1.0), (narrow, 0.5, 0.5)):
        mean, error = WeightSums.of(np.where(draws < 1, width, 0.0)).coverage
        assert abs(mean - share) < 5 * error + 1e-12
        assert error < 0.01


def test_a_pair_outside_the_prior_is_warned_of():
    population = rates_and_populations_bbh()
    recovered, rejected = seen(draw(population, 100000, np.random.default_rng(1)))
    targets = mass_targets([(10.0, 5.0)], 0.1, population.redshift_range)
    with pytest.warns(UserWarning, match="% of the mass pair 10-5 lies inside the source prior"):
        volume_against_far(
            Draws(recovered, [rejected], population), Background(np.arange(10.0), 1e6), targets, np.array([100.0])
        )
