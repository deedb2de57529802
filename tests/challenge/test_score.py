"""The challenge's sensitive distance: closed forms, conventions and intervals."""

import numpy as np
import pytest

from aframe.challenge.data_sets import PADDING, SECONDS_PER_MONTH
from aframe.challenge.events import Events
from aframe.challenge.injections import Injections, chirp_mass, luminosity_distance
from aframe.challenge.score import (
    RATES,
    Trial,
    intervals,
    loudest,
    rates,
    score,
    sensitive_distance,
    threshold,
    try_search,
)
from aframe.errors import ConfigurationError, DataError
from aframe.strain.segments import Segment
from aframe.types import Array

SEGMENTS = [Segment(1000.0, 2000.0), Segment(3000.0, 4000.0)]


def events(times: list[float], stats: list[float], var: float = 0.3, duration: float | None = None) -> Events:
    return Events(np.array(times), np.array(stats), np.full(len(times), var), duration)


def signals(tc: Array, mass: float | Array = 30.0, distance: float | Array = 1000.0) -> Injections:
    tc = np.asarray(tc, np.float64)
    return Injections(tc, np.broadcast_to(mass, tc.shape), np.broadcast_to(distance, tc.shape))


def trial(found: Array, background: Array, duration: float = SECONDS_PER_MONTH, **columns: Array | float) -> Trial:
    return Trial(np.sort(background)[::-1], duration, found, signals(np.arange(len(found)) * 24.0, **columns))


def test_all_found_gives_the_largest_distance_and_an_eighth_half_of_it():
    some = trial(np.arange(80.0), np.arange(10.0), distance=np.linspace(500, 2000, 80))
    assert sensitive_distance(some, -1.0) == pytest.approx(2000)
    assert sensitive_distance(some, 69.0) == pytest.approx(1000)  # louder than 69 are ten of eighty
    assert sensitive_distance(some, 79.0) == 0


def test_found_signals_count_by_the_five_halves_power_of_their_chirp_mass():
    masses = np.array([10.0, 20.0, 40.0])
    some = trial(np.array([3.0, 1.0, 2.0]), np.zeros(1), mass=masses, distance=3000.0)
    for level, chosen in ((0.0, [0, 1, 2]), (1.0, [0, 2]), (2.0, [0])):
        cube = 3000**3 * (masses[chosen] ** 2.5).sum() / (3 * 40**2.5)
        assert sensitive_distance(some, level) ** 3 == pytest.approx(cube)
    doubled = trial(some.found, np.zeros(1), mass=2 * masses, distance=6000.0)
    assert sensitive_distance(doubled, 1.5) == pytest.approx(2 * sensitive_distance(some, 1.5))


def test_distances_of_a_search_with_a_known_volume():
    """A search that finds all within a luminosity distance has that sensitive distance, whatever the draws in mass."""
    rng = np.random.default_rng(1)
    mass = chirp_mass(*rng.uniform(10, 50, (2, 200000)))
    distance = luminosity_distance(np.cbrt(rng.uniform(0, 350**3, len(mass))), mass)
    farthest = luminosity_distance(np.array([350.0]), np.array([chirp_mass(np.array([50.0]), np.array([50.0]))[0]]))[0]
    some = trial(np.where(distance < 1500, 1.0, -1.0), np.zeros(1), mass=mass, distance=distance)
    expected = 1500 * some.farthest_mpc / farthest * (50 / 2**0.2 / mass.max()) ** (5 / 6)
    assert sensitive_distance(some, 0.0) == pytest.approx(expected, rel=0.01)


def test_the_kth_loudest_event_has_the_rate_of_those_louder_than_it():
    background = np.arange(1.0, 201.0)
    month = trial(np.zeros(5), background)
    assert [threshold(month, rate) for rate in (1.0, 1.5, 2.0, 10.0, 100.0, 199.0)] == [199, 199, 198, 190, 100, 1]
    assert np.isnan([threshold(month, rate) for rate in (0.99, 200.0, 1000.0)]).all()
    day = trial(np.zeros(5), background, duration=SECONDS_PER_MONTH / 30)
    assert threshold(day, 30.0) == 199
    assert np.isnan(threshold(day, 29.0))
    assert rates(day) == (1.0, 10.0, 30.0, 100.0, 1000.0)
    assert rates(month) == RATES


def test_signals_louder_than_the_threshold_are_found_and_equal_ones_are_not():
    some = trial(np.array([199.0, 199.1, 300.0, -np.inf]), np.arange(1.0, 201.0))
    result = score(some, (0.5, 1.0), np.random.default_rng(1))
    assert result.num_found.tolist()[1] == 2
    assert np.isnan([result.num_found[0], result.distance_mpc[0], result.low_mpc[0], result.high_mpc[0]]).all()
    assert result.low_mpc[1] < result.distance_mpc[1] < result.high_mpc[1]
    with pytest.raises(ConfigurationError, match="must be positive"):
        score(some, (0.0,), np.random.default_rng(1))


def test_signals_count_from_30_s_inside_their_segment():
    edges = np.array([start + PADDING for start in (1000.0, 3000.0)] + [stop - PADDING for stop in (2000.0, 4000.0)])
    outside = edges + np.array([-0.01, -0.01, 0.01, 0.01])
    counted = signals(np.sort(np.concatenate([edges, outside, [2500.0, 500.0]]))).within(SEGMENTS)
    assert counted.tc.tolist() == sorted(edges)


def test_the_loudest_event_within_its_own_time_is_the_signals():
    found = loudest(
        Events(
            np.array([100.29, 100.31, 99.9, 150.0, 160.0, 205.0, 50.0]),
            np.array([3.0, 9.0, 5.0, 7.0, 8.0, 4.0, 6.0]),
            np.array([0.3, 0.3, 0.3, 0.3, 0.3, 5.0, 0.3]),
        ),
        signals(np.array([100.0, 130.0, 200.0])),
    )
    assert found.tolist() == [5.0, -np.inf, 4.0]
    assert loudest(events([], []), signals(np.array([1.0]))).tolist() == [-np.inf]


def test_an_event_between_two_signals_is_of_the_nearest():
    found = loudest(events([108.0, 112.0], [1.0, 2.0], var=30.0), signals(np.array([100.0, 118.0])))
    assert found.tolist() == [1.0, 2.0]


def test_a_trial_has_the_time_of_the_strain():
    made = try_search(
        events([1500.0], [5.0]), events([1200.0, 1300.0], [1.0, 2.0], duration=2000.0),
        signals(np.array([1010.0, 1500.1, 2500.0])), SEGMENTS,
    )  # fmt: skip
    assert made.duration == 2000
    assert made.background.tolist() == [2.0, 1.0]
    assert made.found.tolist() == [5.0]


@pytest.mark.parametrize(
    ("foreground", "background", "tc", "segments", "message"),
    [
        (
            events([2500.0], [1.0]),
            events([], []),
            [1500.0],
            SEGMENTS,
            "1 of 1 foreground events are outside the strain",
        ),
        (events([], []), events([10.0, 1500.0], [1.0, 2.0]), [1500.0], SEGMENTS, "1 of 2 background .* at 10.000"),
        (events([], []), events([], [], duration=900.0), [1500.0], SEGMENTS, "of 900 s of strain, and .* has 2000 s"),
        (events([], []), events([], []), [5000.0], SEGMENTS, "none of 1 signals lies 30 s inside"),
        (events([], []), events([], []), [1500.0], [], "has no time"),
    ],
)
def test_files_of_other_sets_are_refused(
    foreground: Events, background: Events, tc: list[float], segments: list[Segment], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        try_search(foreground, background, signals(np.array(tc)), segments)


@pytest.mark.parametrize("rate", [1.0, 10.0, 100.0])
def test_intervals_cover_the_true_distance(rate: float) -> None:
    """Noise with an exponential tail, and signals whose statistic has a known distribution.

    Where a single louder event is expected, intervals are wider than they have to be.
    """
    rng, duration, number = np.random.default_rng(7), SECONDS_PER_MONTH, 400
    total, repeats = 3000.0, 60  # background events a month
    true = -np.log(rate / total)  # that many are louder than it
    truth = 1000 * np.cbrt(np.exp(-(true**2) / 128))
    covered = 0
    for _ in range(repeats):
        background = rng.exponential(size=rng.poisson(total))
        found = 8 * np.sqrt(2 * rng.exponential(size=number))  # louder than x: exp(−x² / 128)
        low, high = intervals(trial(found, background, duration, distance=1000.0), np.array([rate]), rng)
        covered += bool(low[0] <= truth <= high[0])
    assert 0.8 * repeats <= covered <= (1.0 if rate == 1 else 0.98) * repeats


def test_intervals_of_searches_that_find_all_or_nothing_are_not_empty():
    rng, background = np.random.default_rng(1), np.arange(100.0)
    low, high = intervals(trial(np.full(50, 1e6), background), np.array([10.0]), rng)
    assert low[0] == pytest.approx(1000 * np.cbrt(0.05 ** (1 / 50)), rel=1e-6)
    assert high[0] == pytest.approx(1000)
    low, high = intervals(trial(np.full(50, -np.inf), background), np.array([10.0]), rng)
    assert low[0] == 0
    assert high[0] == pytest.approx(1000 * np.cbrt(1 - 0.05 ** (1 / 50)), rel=1e-6)


def test_intervals_depend_on_the_seed_alone():
    some = trial(np.arange(300.0), np.arange(200.0), mass=np.linspace(10, 40, 300))
    first, second = (score(some, RATES, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.low_mpc, second.low_mpc)
    assert (np.diff(first.distance_mpc[:3]) > 0).all()
