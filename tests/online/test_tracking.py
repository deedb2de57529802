import numpy as np
import pytest

from aframe.events.cluster import Clustering, cluster
from aframe.online.tracking import Tracker

START = 1_400_000_000.0


def tracked(scores: np.ndarray, clustering: Clustering, sizes: list[int], threshold: float):
    tracker, seen, first = Tracker(clustering), [], 0
    for size in sizes:
        part = scores[first : first + size]
        seen += tracker.add(START + first / clustering.sampling_rate, part, first > 0, threshold)
        first += size
    return [*seen, *tracker.close()]


@pytest.mark.parametrize("integration", [0.125, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_final_events_are_those_of_the_clustering_of_all_scores(seed, integration):
    random = np.random.default_rng(seed)
    clustering = Clustering(8.0, integration, 6.0, 0.5)
    smooth = np.convolve(random.standard_normal(1200), np.ones(3), "same")
    scores = np.round(smooth, 1).astype(np.float32)  # with ties, as a window of matched filters has
    statistic, times = cluster(scores, START, clustering)
    for threshold in (-np.inf, float(np.median(statistic))):
        cuts = np.sort(random.integers(0, len(scores), 60))
        sizes = np.diff([0, *cuts, len(scores)]).tolist()
        seen = tracked(scores, clustering, sizes, threshold)
        final = sorted((each.time, each.statistic) for each in seen if each.is_final)
        expected = sorted(zip(times[statistic > threshold], statistic[statistic > threshold], strict=True))
        np.testing.assert_allclose(final, expected, rtol=0, atol=1e-6)


def test_an_event_is_seen_with_its_first_window_and_keeps_its_name_while_it_grows():
    clustering = Clustering(8.0, 0.125, 4.0, 0.5)
    scores = np.full(200, -5.0, np.float32)
    scores[100:104] = [1.0, 3.0, 3.0, 2.0]
    seen = tracked(scores, clustering, [1] * 200, 0.0)
    assert [(each.statistic, each.is_final) for each in seen] == [(1.0, False), (3.0, False), (3.0, True)]
    assert {each.first for each in seen} == {START + 100 / 8 + 0.5}
    assert seen[1].window == START + 101 / 8
    assert (
        cluster(scores, START, clustering)[1][list(cluster(scores, START, clustering)[0]).index(3.0)] == seen[-1].time
    )


def test_a_gap_makes_the_event_before_it_final():
    clustering = Clustering(8.0, 0.125, 4.0, 0.5)
    tracker = Tracker(clustering)
    loud = np.array([-1.0, 2.0], np.float32)
    assert [each.is_final for each in tracker.add(START, loud, False, 0.0)] == [False]
    seen = tracker.add(START + 100, loud, False, 0.0)
    assert [each.is_final for each in seen] == [True, False]
    assert seen[0].time < START + 1 < seen[1].time
