import numpy as np
import pytest

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.online.ranking import Ranking, drifted

FAR = 12.0


def background(years: float, seed: int = 0, scale: float = 1.0, per_year: float = 1000.0) -> Background:
    """Exponential noise: the rate above x is per_year × exp(−x / scale)."""
    random = np.random.default_rng(seed)
    return Background(scale * random.exponential(size=random.poisson(per_year * years)), years * SECONDS_PER_YEAR)


class Growing:
    """A background that grows when it is told to."""

    def __init__(self) -> None:
        self.now: Background | None = None
        self.version = "slides of no data"

    def background(self) -> Background | None:
        return self.now

    def grow(self, now: Background) -> None:
        self.now, self.version = now, f"slides of {now.livetime_years:.2g} years"


def test_without_any_background_nothing_is_rare():
    rank = Ranking(None, None, "", FAR).rank(10.0)
    assert (rank.far_per_year, rank.far_is_upper_limit, rank.background) == (np.inf, True, "none")
    assert Ranking(None, None, "", FAR).threshold == np.inf


def test_slides_without_a_file_rank_at_once_with_upper_limits(caplog):
    slides = Growing()
    ranking = Ranking(slides, None, "", FAR)
    assert ranking.rank(50.0).far_per_year == np.inf
    slides.grow(Background(np.array([1.0, 2.0]), 0.01 * SECONDS_PER_YEAR))
    rank = ranking.rank(50.0)
    assert (rank.far_per_year, rank.far_is_upper_limit) == (pytest.approx(100.0), True)
    assert ranking.threshold == np.inf
    assert not ranking.rank(1.5).far_is_upper_limit
    assert caplog.messages == [
        "events are ranked by slides of 0.01 years: the statistic of 12 events a year is not measured"
    ]


def test_the_file_ranks_until_slides_know_the_rate(caplog):
    slides, file = Growing(), background(5.0)
    ranking = Ranking(slides, file, "file background.hdf5 0123abcd", FAR)
    slides.grow(background(0.8, 1))
    first = ranking.rank(4.0)
    assert first.background == "file background.hdf5 0123abcd"
    assert first.far_per_year == file.far_per_year(4.0)
    assert ranking.threshold == file.threshold_at_far(FAR)
    assert caplog.messages == []
    slides.grow(background(0.9, 1))  # 10 events at 12 a year take 0.83 years
    second = ranking.rank(4.0)
    assert second.background == "slides of 0.9 years"
    assert second.far_per_year == slides.now.far_per_year(4.0)
    (message,) = caplog.messages
    assert message == (
        "events are ranked by slides of 0.9 years, no longer by file background.hdf5 0123abcd: the statistic of 12 "
        f"events a year was {file.threshold_at_far(FAR):.3f} and is {slides.now.threshold_at_far(FAR):.3f}"
    )
    assert ranking.drift == ""


def test_a_file_that_does_not_measure_the_rate_of_alerts_does_not_stand_in_the_way(caplog):
    slides = Growing()
    ranking = Ranking(slides, background(0.05), "file", FAR)
    assert ranking.threshold == np.inf
    assert caplog.messages[0].startswith("file has 0.05 years of live time, too few for 12 events a year: no event")
    slides.grow(background(0.1, 1))
    assert ranking.threshold == slides.now.threshold_at_far(FAR)
    assert ranking.rank(4.0).background == "slides of 0.1 years"


def test_slides_that_lose_their_live_time_hand_back_to_the_file(caplog):
    slides, file = Growing(), background(5.0)
    ranking = Ranking(slides, file, "file", FAR)
    for years in (2.0, 0.1):
        slides.grow(background(years, 1))
        ranking.rank(4.0)
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "events are ranked by slides of 2 years", "events are ranked by file"
    ]  # fmt: skip


def test_rates_beyond_the_loudest_slide_are_upper_limits():
    slides = Growing()
    slides.grow(background(10.0))
    ranking = Ranking(slides, None, "", FAR)
    loud = float(slides.now.statistics[-1]) + 3.0
    rank = ranking.rank(loud)
    assert (rank.far_per_year, rank.far_is_upper_limit) == (pytest.approx(0.1), True)
    assert not ranking.rank(1.0).far_is_upper_limit


@pytest.mark.parametrize(("scale", "per_year"), [(1.5, 1000.0), (1.0, 5000.0), (0.5, 1000.0)])
def test_noise_that_has_changed_is_said_once(caplog, scale, per_year):
    slides, file = Growing(), background(5.0)
    ranking = Ranking(slides, file, "file", FAR)
    slides.grow(background(6.0, 1, scale, per_year))
    ranking.rank(4.0)
    slides.grow(background(7.0, 2, scale, per_year))
    ranking.rank(4.0)
    assert ranking.drift.startswith("the rate of events above ")
    assert len([message for message in caplog.messages if "has changed" in message]) == 1
    slides.grow(background(7.0, 3))
    ranking.rank(4.0)
    assert ranking.drift == ""


def test_equal_noise_has_not_changed():
    assert not [seed for seed in range(50) if drifted(background(5.0, seed), background(2.0, 1000 + seed))]


def test_a_statistic_below_all_slides_is_not_compared():
    slides = Background(np.array([6.0, 7.0, 8.0]), 5 * SECONDS_PER_YEAR)  # the quieter ones are not kept
    assert drifted(Background(np.linspace(0, 8.5, 2000), 5 * SECONDS_PER_YEAR), slides, (1900,)) == ""
