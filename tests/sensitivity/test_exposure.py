from dataclasses import replace

import numpy as np
import pytest
from toy_search import detection_probability, toy_draws

from aframe.candidates.foreground import Populations, astrophysical_foreground
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import DataError
from aframe.events.significance import Background
from aframe.sensitivity.exposure import SegmentTimes, rejected_with_exposure, with_exposure
from aframe.sensitivity.volume import efficiencies, volume_against_far
from aframe.sensitivity.weighing import Draws, weigh
from aframe.sensitivity.weights import LogNormalTarget
from aframe.tables import RecoveredTable, RejectedTable, Table
from aframe.waveforms.priors import demo_bbh

ONE_A_YEAR = np.array([1.0])
TARGET = LogNormalTarget(35.0, 20.0, 0.3, (0.0, 1.0))
SEGMENTS = SegmentTimes(np.array([0.0, 1000.0]), np.array([900.0, 1500.0]), np.array([600.0, 200.0]))


def drawn_in(segment: int, number: int, nearness: float) -> Draws:
    """Draws of a segment whose detectors see ``nearness`` times less far."""

    def probability(columns: dict[str, np.ndarray]) -> np.ndarray:
        return detection_probability(nearness * columns["luminosity_distance"], columns["chirp_mass"])

    draws = toy_draws(demo_bbh(), segment, number, probability=probability)
    accepted = len(draws.recovered)
    num_draws = np.ones(accepted, np.int64)
    num_draws[accepted // 2] += number - accepted
    columns = {"injection_time": SEGMENTS.start[segment] + np.linspace(10, 100, accepted), "num_draws": num_draws}
    return replace(draws, recovered=replace(draws.recovered, parameters={**draws.recovered.parameters, **columns}))


def together(parts: list[Draws], exposed: bool) -> Draws:
    recovered = RecoveredTable.concatenate([part.recovered for part in parts], additive=["num_injections"])
    rejected: list[RejectedTable] = [piece for part in parts for piece in part.rejected]
    if exposed:
        exposure = SEGMENTS.exposure(recovered)
        rejected = list(rejected_with_exposure(rejected, recovered, SEGMENTS, exposure))
        recovered = with_exposure(recovered, SEGMENTS, exposure)
    return Draws(recovered, rejected, parts[0].source)


@pytest.fixture(scope="module")
def parts() -> list[Draws]:
    """About as many accepted draws in the sensitive segment as in the other, as a run plans them."""
    return [drawn_in(0, 10_000, 1.0), drawn_in(1, 50_000, 2.0)]


def test_a_volume_is_the_mean_over_the_live_time_of_segments(parts: list[Draws], background: Background) -> None:
    def volume(draws: Draws) -> float:
        curve = volume_against_far(weigh(draws, [TARGET]), background, ONE_A_YEAR, SECONDS_PER_YEAR)[TARGET.name]
        assert curve.scope.is_covered
        return float(curve.volume_gpc3[0])

    near, far = volume(parts[1]), volume(parts[0])
    assert far > 4 * near
    mean = (600 * far + 200 * near) / 800
    assert volume(together(parts, exposed=True)) == pytest.approx(mean, rel=0.03)
    assert volume(together(parts, exposed=False)) < 0.6 * mean  # each draw as much: a harmonic mean


def test_expected_signals_and_efficiencies_are_means_over_time_too(parts: list[Draws], background: Background) -> None:
    def expected(draws: Draws) -> float:
        foreground = astrophysical_foreground(draws.recovered, Populations(demo_bbh(), None), 28.0, 0.0, 1e5)
        return float(foreground.expected[foreground.statistic >= 1].sum())

    each = [expected(part) for part in parts]
    assert expected(together(parts, exposed=True)) == pytest.approx((600 * each[0] + 200 * each[1]) / 800, rel=1e-9)
    share = efficiencies(weigh(together(parts, exposed=True), [TARGET]), background, ONE_A_YEAR)
    of_all = share["all draws"]["luminosity_distance"]
    assert 0.9 < of_all.share[0, :3].mean() <= 1  # both see the nearest
    distance = np.sqrt(of_all.edges[1:] * of_all.edges[:-1])
    middle = np.abs(np.log(distance / 2000)).argmin()
    one, other = (efficiencies(weigh(p, [TARGET]), background, ONE_A_YEAR)["all draws"] for p in parts)
    low, high = (np.interp(distance[middle], e["luminosity_distance"].edges[1:], e["luminosity_distance"].share[0])
                 for e in (other, one))  # fmt: skip
    assert of_all.share[0, middle] == pytest.approx((600 * high + 200 * low) / 800, rel=0.3)


def test_segments_without_draws_do_not_count() -> None:
    injections = Table(
        {"injection_time": np.array([5.0, 6.0]), "shift": np.zeros((2, 2)), "num_draws": np.array([2, 8])}
    )
    np.testing.assert_allclose(SEGMENTS.exposure(injections), [1.0, 0.0])


def test_a_slide_belongs_to_the_segment_of_its_first_data() -> None:
    shift = np.array([[0.0, 950.0], [-30.0, 0.0]])
    injections = Table(
        {"injection_time": np.array([100.0, 1029.0 + 2.0]), "shift": shift, "num_draws": np.ones(2, int)}
    )
    assert SEGMENTS.index(injections).tolist() == [0, 1]
    outside = Table({"injection_time": np.array([950.0]), "shift": np.zeros((1, 2)), "num_draws": np.ones(1, int)})
    with pytest.raises(DataError, match=r"GPS 950\.000 is in no segment"):
        SEGMENTS.index(outside)


def test_draws_of_another_set_are_refused(parts: list[Draws]) -> None:
    (rejected,) = parts[0].rejected
    injections, exposure = parts[0].recovered, np.ones(2)
    for piece in (rejected.rows(slice(1, None)), RejectedTable.concatenate([rejected, rejected])):
        with pytest.raises(DataError, match="come from different sets"):
            list(rejected_with_exposure([piece], injections, SEGMENTS, exposure))
